"""Answers of the real Airflow of six versions, replayed through HTTPS: the contract of the CLI client."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from jetway.airflow import DagRun, DagRunRequest
from jetway.errors import (
    AnswerLostError,
    CommandRejectedError,
    DagNotFoundError,
    EnvironmentUnavailableError,
    InvalidConfError,
    InvalidRequestError,
    JetwayError,
    RunAlreadyExistsError,
    TransientError,
)
from tests.unit.airflow.webserver import Reaction, output, traceback

if TYPE_CHECKING:
    from tests.unit.airflow.conftest import Stage

_FILE = Path(__file__).parents[2] / "data" / "airflow_cli_records.json"
RECORDS: dict[tuple[str, str], Mapping[str, Any]] = {
    (record["version"], record["label"]): record for record in json.loads(_FILE.read_text())
}
VERSIONS = ["2.10.3", "2.11.0", "3.0.6", "3.1.8", "3.2.2", "3.3.2"]
AIRFLOW_2 = VERSIONS[:2]
AIRFLOW_3 = VERSIONS[2:]


def replay(version: str, label: str, *, old_style: bool = False) -> Reaction:
    """Answer with a recorded output as MWAA does; old style is 200 whatever the command returned."""
    record = RECORDS[version, label]
    status = 200 if record["exit_code"] == 0 or old_style else 400
    return output(record["stdout"], record["stderr"], status)


def absent(version: str) -> list[Reaction]:
    """Answer a look-up of a run that is not there."""
    if version in AIRFLOW_3:
        return [replay(version, "state_missing_run")]
    line = "airflow.exceptions.AirflowException: Error parsing the supplied execution_date. Error: no"
    return [output(stderr=f"Traceback (most recent call last):\n  File\n{line}\n", status=400)]


def request(version: str, label: str) -> DagRunRequest:
    """Return a request that our client can send, of the run that the record speaks of."""
    argv = RECORDS[version, label]["argv"]
    return DagRunRequest(dag_id=argv[3], dag_run_id=argv[argv.index("-r") + 1])


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
        ("clean.trigger_no_db", EnvironmentUnavailableError, "not initialised or not migrated"),
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
    date = _column(version, "tasks_states", "execution_date")
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

    with pytest.raises(CommandRejectedError, match=r"another run with the logical date 2024-05-01T00:00:00\+00:00"):
        stage.client().trigger_dag_run(wanted)

    assert stage.clock.slept == []


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


@pytest.mark.parametrize("version", AIRFLOW_3)
def test_state_is_read_by_run_id(stage: Stage, version: str) -> None:
    stage.ready(version)
    stage.web.will(replay(version, "state_runid"), replay(version, "state_missing_run"))
    client = stage.client()

    assert client.get_dag_run("hello", "evt_1") == DagRun("hello", "evt_1", "queued")
    assert client.get_dag_run("hello", "evt_2") is None


@pytest.mark.parametrize("version", AIRFLOW_2)
def test_run_is_read_from_the_list_of_its_date(stage: Stage, version: str) -> None:
    stage.ready(version)
    stage.web.will(replay(version, "tasks_states"), replay(version, "list_runs_d_json"))

    run = stage.client().get_dag_run("hello", "r1")

    assert run is not None
    assert run == DagRun("hello", "r1", "queued", logical_date=run.logical_date)
    assert run.logical_date is not None


@pytest.mark.parametrize("version", AIRFLOW_2)
def test_missing_run_of_a_known_dag_is_none(stage: Stage, version: str) -> None:
    stage.ready(version)
    stage.web.will(*absent(version), replay(version, "clean.list_runs_none_json"))

    assert stage.client().get_dag_run("hello", "evt_9") is None


@pytest.mark.parametrize("version", AIRFLOW_2)
def test_id_that_airflow_2_dies_of_is_looked_for_in_the_list(stage: Stage, version: str) -> None:
    """`tasks states-for-dag-run` reads an unknown id of twenty digits as a date, and overflows."""
    stage.ready(version)
    stage.web.will(
        traceback("OverflowError: Python int too large to convert to C long"),
        *(replay(version, "clean.list_runs_none_json"), replay(version, "clean.list_runs_none_json")),
    )

    assert stage.client().get_dag_run("hello", "9" * 20) is None
    assert stage.web.commands[1] == ["dags", "list-runs", "--output", "json", "--dag-id=hello"]


@pytest.mark.parametrize("version", VERSIONS)
def test_run_of_an_unknown_dag(stage: Stage, version: str) -> None:
    stage.ready(version)
    if version in AIRFLOW_3:
        stage.web.will(replay(version, "state_unknown_dag"))
    else:
        stage.web.will(*absent(version), replay(version, "list_runs_unknown"))

    with pytest.raises(DagNotFoundError, match="no DAG 'nope'"):
        stage.client().get_dag_run("nope", "evt_9")


@pytest.mark.parametrize("version", AIRFLOW_3)
def test_whole_list_of_an_unknown_dag(stage: Stage, version: str) -> None:
    stage.ready(version)
    stage.web.will(replay(version, "list_runs_unknown"))

    with pytest.raises(DagNotFoundError, match="no DAG 'nope'"):
        stage.client().get_dag_run("nope", "r1")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("label", ["trigger_conf_runid", "clean.trigger_yaml"])
def test_answer_that_is_no_json_is_no_proof(stage: Stage, version: str, label: str) -> None:
    stage.ready(version)
    stage.web.will(replay(version, label), *absent(version))

    with pytest.raises(AnswerLostError, match="is not to be seen"):
        stage.client().trigger_dag_run(DagRunRequest("hello", "evt_1"))


@pytest.mark.parametrize(
    ("version", "label"),
    [(version, "trigger_logical_date_long") for version in AIRFLOW_2]
    + [(version, "trigger_exec_date_long") for version in AIRFLOW_3],
)
def test_flag_of_the_other_version_is_a_rejection(stage: Stage, version: str, label: str) -> None:
    """What happens when GetEnvironment lags behind an upgrade."""
    stage.ready(version)
    stage.web.will(replay(version, label))

    with pytest.raises(CommandRejectedError, match=r"unrecognized arguments: --(logical|exec)-date"):
        stage.client().trigger_dag_run(DagRunRequest("hello", "evt_1"))


@pytest.mark.parametrize("version", VERSIONS)
def test_dags_are_listed_by_id_a_page_at_a_time(stage: Stage, version: str) -> None:
    stage.ready(version)
    stage.web.will(replay(version, "list_json"), replay(version, "list_json"))
    client = stage.client()
    dags, total = client.list_dags(limit=100)
    assert [(dag.dag_id, dag.is_paused, dag.owners) for dag in dags] == [
        ("hello", False, ("airflow",)),
        ("params_dag", False, ("airflow",)),
        ("paused_dag", True, ("ann",)),
    ]
    assert total == 3
    assert client.list_dags(limit=1, offset=1) == ([dags[1]], 3)


@pytest.mark.parametrize("version", AIRFLOW_2)
def test_dags_that_are_parsed_but_not_in_the_database_are_neither_paused_nor_not(stage: Stage, version: str) -> None:
    stage.ready(version)
    stage.web.will(replay(version, "list_before_serialized_json"))
    assert {(dag.is_paused, dag.owners) for dag in stage.client().list_dags(limit=100)[0]} == {
        (None, ("airflow",)),
        (None, ("ann",)),
    }


@pytest.mark.parametrize("version", VERSIONS)
def test_no_dags_are_an_empty_list(stage: Stage, version: str) -> None:
    stage.ready(version)
    stage.web.will(replay(version, "clean.empty_list_json"))
    assert stage.client().list_dags(limit=100) == ([], 0)


def test_dags_that_no_file_makes_any_more_are_left_out(stage: Stage) -> None:
    stage.ready("3.3.2")
    rows = [{"dag_id": "gone", "is_stale": "True"}, {"dag_id": "there", "is_stale": "False"}]
    stage.web.will(output(json.dumps(rows)))
    assert [dag.dag_id for dag in stage.client().list_dags(limit=100)[0]] == ["there"]


@pytest.mark.parametrize("version", VERSIONS)
def test_import_errors_are_listed_though_the_command_fails(stage: Stage, version: str) -> None:
    stage.token()
    stage.environment(version)
    stage.web.will(replay(version, "list_import_errors_json"))
    errors = {error.path.rpartition("/")[2]: error for error in stage.client().list_import_errors()}
    assert errors.keys() >= {"broken_syntax.py", "broken_import.py"}
    assert "ModuleNotFoundError: No module named 'nope_not_there'" in errors["broken_import.py"].error
    absolute = errors["broken_import.py"].path.startswith("/")
    assert absolute == (version in {"2.10.3", "2.11.0", "3.0.6"})


@pytest.mark.parametrize("version", VERSIONS)
def test_no_import_errors_are_an_empty_list(stage: Stage, version: str) -> None:
    stage.token()
    stage.environment(version)
    stage.web.will(replay(version, "clean.list_import_errors_json"))
    assert stage.client().list_import_errors() == []


def test_a_command_that_died_is_not_taken_for_no_errors(stage: Stage) -> None:
    stage.token()
    stage.environment("3.3.2")
    stage.web.will(traceback("sqlalchemy.exc.OperationalError: no"))
    with pytest.raises(JetwayError):
        stage.client().list_import_errors()


@pytest.mark.parametrize("version", VERSIONS)
def test_runs_are_listed_newest_first(stage: Stage, version: str) -> None:
    label = "list_runs_d_json" if version in AIRFLOW_2 else "list_runs_positional_json"
    stage.ready(version)
    stage.web.will(replay(version, label))
    runs, total = stage.client().list_dag_runs("hello", limit=2, state="queued")
    column = "execution_date" if version in AIRFLOW_2 else "run_after"
    rows_ = json.loads(RECORDS[version, label]["stdout"].strip().splitlines()[-1])
    newest = sorted(rows_, key=lambda row: datetime.fromisoformat(row[column]), reverse=True)
    assert [run.dag_run_id for run in runs] == [row["run_id"] for row in newest[:2]]
    assert total == len(rows_)
    assert "--state=queued" in stage.web.commands[0]


@pytest.mark.parametrize("version", VERSIONS)
def test_runs_of_an_unknown_dag_are_not_an_empty_list(stage: Stage, version: str) -> None:
    stage.ready(version)
    stage.web.will(replay(version, "list_runs_unknown"))
    with pytest.raises(DagNotFoundError):
        stage.client().list_dag_runs("nope", limit=2)


def _column(version: str, label: str, name: str) -> str:
    value = json.loads(RECORDS[version, label]["stdout"].rstrip().splitlines()[-1])[0][name]
    assert isinstance(value, str)
    return value
