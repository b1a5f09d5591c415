"""Runs are created, over recorded answers of six versions of Airflow, replayed through HTTPS."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from jetway.airflow import DagRun, DagRunRequest, RunAlreadyExistsError, commands
from jetway.errors import (
    CommandRejectedError,
    DagNotFoundError,
    EnvironmentUnavailableError,
    InvalidConfError,
    InvalidRequestError,
    JetwayError,
    LogicalDateTakenError,
    TransientError,
)
from tests.unit.airflow.webserver import output

if TYPE_CHECKING:
    from tests.unit.airflow.conftest import Stage

from tests.unit.airflow.records import AIRFLOW_2, AIRFLOW_3, VERSIONS, absent, column, replay, request


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "label",
    [
        "trigger_conf_runid_json",
        "trigger_paused",
        "trigger_params_ok",
        "trigger_no_replace_microseconds",
        "clean.trigger_json_quiet",
        "clean.same_second_trigger_0",
    ],
)
def test_run_is_created(stage: Stage, version: str, label: str) -> None:
    wanted = request(version, label)
    stage.ready(version)
    stage.web.will(replay(version, label))

    run = stage.client().trigger_dag_run(wanted)

    assert (run.dag_id, run.dag_run_id, run.state) == (wanted.dag_id, wanted.dag_run_id, "queued")
    assert (run.logical_date is None) == (version in AIRFLOW_3)
    assert run.start_date is None
    assert run.end_date is None


@pytest.mark.parametrize("old_style", [False, True], ids=["400", "200"])
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("label", "error", "text"),
    [
        ("trigger_unknown_dag", DagNotFoundError, "no DAG 'no_such_dag'"),
        ("trigger_broken_dag", DagNotFoundError, "no DAG 'cycle_dag'"),
        ("trigger_before_serialized", DagNotFoundError, "no DAG 'hello'"),
        ("trigger_invalid_json", InvalidConfError, "cannot read conf as JSON"),
        ("trigger_conf_not_object", InvalidConfError, "must be a JSON object"),
        ("trigger_conf_scalar", InvalidConfError, "must be a JSON object"),
        ("trigger_params_bad", InvalidConfError, r"'n' fails 'minimum' of \{'type': 'integer', 'minimum': 3\}"),
        ("trigger_bad_date", InvalidRequestError, "'not-a-date'"),
        ("usage_bad_flag", CommandRejectedError, "unrecognized arguments: --nope"),
        ("usage_unknown_command", CommandRejectedError, "invalid choice: 'nope'"),
        ("clean.trigger_no_db", EnvironmentUnavailableError, "not initialized, or not migrated"),
    ],
)
def test_refusal_has_its_own_error(
    stage: Stage, version: str, label: str, error: type[JetwayError], text: str, *, old_style: bool
) -> None:
    stage.ready(version)
    stage.web.will(replay(version, label, old_style=old_style))

    with pytest.raises(error, match=text) as caught:
        stage.client().trigger_dag_run(DagRunRequest("hello", "evt_1"))

    assert type(caught.value) is error


@pytest.mark.parametrize("version", VERSIONS)
def test_bad_run_ids_of_airflow_are_refused_as_requests(stage: Stage, version: str) -> None:
    """Such ids never leave us; an environment with a stricter pattern answers in these words."""
    stage.ready(version)
    stage.web.will(replay(version, "trigger_runid_with_slash"))

    with pytest.raises(InvalidRequestError, match="'a/b c'"):
        stage.client().trigger_dag_run(DagRunRequest("hello", "evt_1"))


@pytest.mark.parametrize("version", AIRFLOW_3)
def test_reserved_prefix_of_airflow_is_refused_as_request(stage: Stage, version: str) -> None:
    stage.ready(version)
    stage.web.will(replay(version, "trigger_runid_scheduled_prefix"))

    with pytest.raises(InvalidRequestError, match="reserved for scheduled runs"):
        stage.client().trigger_dag_run(DagRunRequest("hello", "evt_1"))


@pytest.mark.parametrize("old_style", [False, True], ids=["400", "200"])
@pytest.mark.parametrize("version", AIRFLOW_2)
def test_duplicate_on_airflow_2_is_looked_up_in_two_exact_steps(stage: Stage, version: str, *, old_style: bool) -> None:
    stage.ready(version)
    stage.web.will(
        replay(version, "trigger_duplicate", old_style=old_style),
        replay(version, "tasks_states"),
        replay(version, "list_runs_d_json"),
    )

    with pytest.raises(RunAlreadyExistsError) as caught:
        stage.client().trigger_dag_run(DagRunRequest("hello", "r2", {"a": 1}))

    assert (caught.value.run.dag_run_id, caught.value.run.state) == ("r2", "queued")
    date = column(version, "tasks_states", "execution_date")
    assert stage.web.commands[1:] == [
        ["tasks", "states-for-dag-run", "--output", "json", "hello", "r2"],
        ["dags", "list-runs", "--output", "json", f"--start-date={date}", f"--end-date={date}", "--dag-id=hello"],
    ]


@pytest.mark.parametrize("old_style", [False, True], ids=["400", "200"])
@pytest.mark.parametrize("version", AIRFLOW_3)
def test_duplicate_on_airflow_3_is_looked_up_by_its_id(stage: Stage, version: str, *, old_style: bool) -> None:
    stage.ready(version)
    stage.web.will(replay(version, "trigger_duplicate", old_style=old_style), replay(version, "state_runid"))

    with pytest.raises(RunAlreadyExistsError) as caught:
        stage.client().trigger_dag_run(DagRunRequest("hello", "evt_2", {"a": 1}))

    assert caught.value.run == DagRun("hello", "evt_2", "queued")
    assert stage.web.commands[1] == ["dags", "state", "hello", "evt_2"]


@pytest.mark.parametrize("version", AIRFLOW_3)
def test_id_that_airflow_3_could_read_as_a_date_is_looked_for_in_the_list(stage: Stage, version: str) -> None:
    """`dags state hello monday` prints the state of another run: the one of next Monday."""
    stage.ready(version)
    stage.web.will(replay(version, "trigger_duplicate"), replay(version, "list_runs_positional_json"))

    with pytest.raises(RunAlreadyExistsError) as caught:
        stage.client().trigger_dag_run(DagRunRequest("hello", "r2"))

    assert caught.value.run.dag_run_id == "r2"
    assert stage.web.commands[1] == ["dags", "list-runs", "--output", "json", "hello"]


@pytest.mark.parametrize("label", ["clean.same_second_trigger_1", "trigger_duplicate"])
@pytest.mark.parametrize("version", AIRFLOW_2)
def test_same_second_collision_is_tried_again_in_another_second(stage: Stage, version: str, label: str) -> None:
    """Airflow 2 says that the run exists which it has just refused to create."""
    stage.ready(version)
    wanted = DagRunRequest("two", "same0")
    stage.web.will(replay(version, label), *absent(version), replay(version, "clean.same_second_trigger_0"))

    run = stage.client().trigger_dag_run(wanted)

    assert run.dag_run_id == "same0"
    assert len(stage.clock.slept) == 1
    assert stage.clock.slept[0] > 1
    assert stage.web.commands[0] == stage.web.commands[2]


def test_same_second_collisions_come_to_an_end(stage: Stage) -> None:
    stage.ready("2.11.0")
    for _ in range(3):
        stage.web.will(replay("2.11.0", "clean.same_second_trigger_1"), *absent("2.11.0"))

    with pytest.raises(TransientError, match="'same1' of DAG 'two' was not created"):
        stage.client().trigger_dag_run(DagRunRequest("two", "same1"))

    assert len(stage.clock.slept) == 2


@pytest.mark.parametrize("old_style", [False, True], ids=["400", "200"])
@pytest.mark.parametrize("version", VERSIONS)
def test_date_of_another_run_is_a_permanent_clash(stage: Stage, version: str, *, old_style: bool) -> None:
    stage.ready(version)
    stage.web.will(replay(version, "trigger_duplicate_date_new_runid", old_style=old_style), *absent(version))
    wanted = DagRunRequest("hello", "evt_7", logical_date=datetime(2024, 5, 1, tzinfo=UTC))

    with pytest.raises(LogicalDateTakenError, match=r"another run with the logical date 2024-05-01T00:00:00\+00:00"):
        stage.client().trigger_dag_run(wanted)

    assert stage.clock.slept == []


DATED = DagRunRequest("hello", "r1", logical_date=datetime(2024, 5, 1, 0, 0, 0, 7, tzinfo=UTC))
INTERVAL = (datetime(2024, 5, 1, tzinfo=UTC), datetime(2024, 5, 2, tzinfo=UTC))


def test_an_interval_that_was_asked_for_is_refused_before_anything_is_sent(stage: Stage) -> None:
    with pytest.raises(InvalidRequestError, match=r"data_interval cannot be sent .* \(Transport: rest or direct\)"):
        stage.client().trigger_dag_run(replace(DATED, data_interval=INTERVAL))
    assert stage.web.requests == []


@pytest.mark.parametrize(("version", "flag"), [("3.3.2", "--logical-date"), ("2.11.0", "--exec-date")])
def test_a_derived_interval_is_left_to_airflow(version: str, flag: str) -> None:
    request = replace(DATED, data_interval=INTERVAL, is_date_derived=True, is_interval_derived=True)
    numbers = tuple(int(part) for part in version.split("."))
    argv = commands.trigger(numbers, commands.with_date_that_fits(numbers, request), "{}")
    assert f"{flag}=2024-05-01T00:00:00.000007+00:00" in argv
    assert not any("interval" in word for word in argv)


def test_before_2_6_a_derived_date_with_microseconds_is_left_to_airflow() -> None:
    derived = replace(DATED, is_date_derived=True)
    assert commands.with_date_that_fits((2, 5, 1), derived).logical_date is None
    assert commands.with_date_that_fits((2, 6, 3), derived) == derived
    assert commands.with_date_that_fits((2, 5, 1), DATED) == DATED, "it was asked for"
    whole = replace(derived, logical_date=INTERVAL[0])
    assert commands.with_date_that_fits((2, 5, 1), whole) == whole, "as of a schedule"


@pytest.mark.parametrize(
    "message",
    [
        '(psycopg2.errors.UniqueViolation) duplicate key value violates unique constraint "run_id_key"\nDETAIL: …',
        '(psycopg2.errors.UniqueViolation) duplicate key value violates unique constraint "dag_run_date_key"',
        "(sqlite3.IntegrityError) UNIQUE constraint failed: dag_run.dag_id, dag_run.run_id",
    ],
)
def test_duplicate_in_a_databases_words_is_looked_up(stage: Stage, message: str) -> None:
    stage.ready()
    error = f"sqlalchemy.exc.IntegrityError: {message}\n[SQL: INSERT]\n[parameters: ('hello', 'secret conf')]"
    stage.web.will(
        output(stderr=f"Traceback (most recent call last):\n  File\n{error}\n", status=400),
        replay("3.3.2", "state_runid"),
    )

    with pytest.raises(RunAlreadyExistsError) as caught:
        stage.client().trigger_dag_run(DagRunRequest("hello", "evt_1"))

    assert "secret" not in str(caught.value)
