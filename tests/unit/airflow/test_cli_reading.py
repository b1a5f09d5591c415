"""Runs, DAGs and import errors are read, over recorded answers of six versions of Airflow, replayed through HTTPS."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING

import pytest

from jetway.airflow import DagRun, DagRunRequest
from jetway.errors import (
    AnswerLostError,
    CommandRejectedError,
    DagNotFoundError,
    JetwayError,
)
from tests.unit.airflow.webserver import output, traceback

if TYPE_CHECKING:
    from tests.unit.airflow.conftest import Stage

from tests.unit.airflow.records import AIRFLOW_2, AIRFLOW_3, RECORDS, VERSIONS, absent, replay


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

    with pytest.raises(AnswerLostError, match="is not visible"):
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


def test_a_dag_with_many_versions_is_listed_once_and_one_without_a_file_is_not(stage: Stage) -> None:
    """Airflow 3.3.1 prints a row for each version that a DAG ever had: four here, all alike."""
    stage.ready("3.3.1")
    stage.web.will(*[replay("3.3.1", "list_with_versions_and_stale")] * 3)
    client = stage.client()
    dags, total = client.list_dags(limit=100)
    assert ([dag.dag_id for dag in dags], total) == (["paused_dag"], 1)
    assert client.list_dags(limit=1, offset=1) == ([], 1)
    assert client.dag_states() == {"broken_dag": "stale", "gone_dag": "stale", "paused_dag": "paused"}


def test_the_state_of_a_dag_that_airflow_does_not_know_is_an_error(stage: Stage) -> None:
    stage.ready("3.3.1")
    stage.web.will(*[replay("3.3.1", "list_with_versions_and_stale")] * 2)
    client = stage.client()
    assert client.get_dag_state("gone_dag") == "stale"
    with pytest.raises(DagNotFoundError, match="no DAG 'nope'"):
        client.get_dag_state("nope")


def test_airflow_creates_a_run_of_a_dag_whose_file_is_gone(stage: Stage) -> None:
    """Which is why it is asked for first: the run stays queued."""
    stage.ready("3.3.1")
    stage.web.will(replay("3.3.1", "trigger_stale"))
    run_id = "manual__2026-11-29T14:10:12.894805+00:00"
    assert stage.client().trigger_dag_run(DagRunRequest("gone_dag", run_id)).state == "queued"


def test_a_ping_is_the_cheapest_command(stage: Stage) -> None:
    stage.token()
    stage.environment("3.3.1")
    stage.web.will(output("3.3.1\n"))
    stage.client().ping()
    assert stage.web.commands == [["version"]]


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
