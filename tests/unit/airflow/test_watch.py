"""Pauses and ends of runs over both transports, in as few calls as there can be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from jetway.airflow import Dag, DagRun, DagRunRequest, DagState, ImportProblem
from jetway.airflow.watch import CliWatch, DagStates, RestWatch, Sighting
from jetway.errors import AnswerLostError, CommandRejectedError, DagNotFoundError, EnvironmentUnavailableError
from tests.unit.airflow.rest_stage import rest_client

NOW = datetime(2026, 11, 22, 6, tzinfo=UTC)


class Cli:
    """What the command line would answer, and how often it was asked."""

    def __init__(self) -> None:
        self.runs: dict[str, dict[str, str]] = {}
        self.states: dict[str, DagState] = {}
        self.commands: list[str] = []
        self.error: Exception | None = None

    def list_import_errors(self) -> list[ImportProblem]:
        raise NotImplementedError

    def keeps_note(self, _dag_id: str) -> bool:
        raise NotImplementedError

    def trigger_dag_run(self, request: DagRunRequest) -> DagRun:
        raise NotImplementedError

    def get_dag_run(self, dag_id: str, dag_run_id: str) -> DagRun | None:
        self.commands.append(f"run {dag_id} {dag_run_id}")
        if self.error is not None:
            raise self.error
        state = self.runs.get(dag_id, {}).get(dag_run_id)
        return DagRun(dag_id, dag_run_id, state) if state else None

    def list_dags(self, *, limit: int, offset: int = 0) -> tuple[list[Dag], int]:
        raise NotImplementedError

    def get_dag_state(self, dag_id: str) -> DagState:
        raise NotImplementedError

    def ping(self) -> None:
        raise NotImplementedError

    def dag_states(self) -> dict[str, DagState]:
        self.commands.append("dags")
        if self.error is not None:
            raise self.error
        return dict(self.states)

    def list_dag_runs(self, dag_id: str, *, limit: int, state: str | None = None) -> tuple[list[DagRun], int]:
        self.commands.append(f"runs {dag_id}")
        if self.error is not None:
            raise self.error
        runs = [DagRun(dag_id, run_id, found) for run_id, found in self.runs[dag_id].items()]
        return runs, len(runs)


def seen(sighting: Sighting) -> tuple[set[str], set[str], set[str]]:
    return (
        {run.dag_run_id for run in sighting.ended},
        {run.dag_run_id for run in sighting.open},
        {run_id for _, run_id in sighting.gone},
    )


def test_the_command_line_is_asked_once_for_each_dag_with_many_runs() -> None:
    cli = Cli()
    cli.runs = {"etl": {"a": "success", "b": "failed", "c": "running", "others": "success"}, "ml": {"x": "queued"}}
    etl, ml = CliWatch(cli).look({"etl": ["a", "b", "c", "d"], "ml": ["x"]}, since=NOW)
    assert seen(etl) == ({"a", "b"}, {"c"}, {"d"})
    assert seen(ml) == (set(), {"x"}, set())
    assert cli.commands == ["runs etl", "run ml x"]


def test_the_command_line_is_left_alone_when_time_is_short() -> None:
    cli = Cli()
    left = iter([100.0, 20.0])
    watch = CliWatch(cli, seconds_left=lambda: next(left), command_seconds=30.0)
    (first,) = watch.look({"a": ["1"], "b": ["2"]}, since=NOW)
    assert first.looked_at == {("a", "1")}
    assert cli.commands == ["run a 1"]


@pytest.mark.parametrize(
    "error", [DagNotFoundError("gone"), AnswerLostError("killed"), CommandRejectedError("BrokenPipeError")]
)
def test_a_dag_that_cannot_be_looked_at_is_looked_at_later(error: Exception) -> None:
    cli = Cli()
    cli.error = error
    (sighting,) = CliWatch(cli).look({"etl": ["a"]}, since=NOW)
    assert sighting.looked_at == {("etl", "a")}
    assert (list(sighting.ended), list(sighting.open), len(sighting.gone)) == ([], [], 0)


def test_runs_of_a_dag_whose_history_is_too_long_to_list_are_looked_up_a_few_at_a_time() -> None:
    cli = Cli()
    cli.runs = {"etl": {f"r{number}": "success" for number in range(9)}}
    watch, wanted = CliWatch(cli), {"etl": [f"r{number}" for number in range(9)]}
    cli.error = AnswerLostError("too slow")
    for _ in range(2):
        (none,) = watch.look(wanted, since=NOW)
        assert none.looked_at == frozenset()  # all are due again at once
    cli.error = None
    (some,) = watch.look(wanted, since=NOW)
    assert {run.dag_run_id for run in some.ended} == {"r0", "r1", "r2", "r3", "r4"}
    assert cli.commands == ["runs etl", "runs etl", *(f"run etl r{number}" for number in range(5))]


def test_one_lost_answer_does_not_make_a_history_long() -> None:
    cli = Cli()
    cli.runs = {"etl": {f"r{number}": "success" for number in range(9)}}
    watch, wanted = CliWatch(cli), {"etl": [f"r{number}" for number in range(9)]}
    for _ in range(3):
        cli.error = AnswerLostError("a connection was closed")
        list(watch.look(wanted, since=NOW))
        cli.error = None
        (seen,) = watch.look(wanted, since=NOW)
        assert len(seen.ended) == 9


def test_an_environment_that_is_down_ends_the_look() -> None:
    cli = Cli()
    cli.error = EnvironmentUnavailableError("UPDATING")
    with pytest.raises(EnvironmentUnavailableError):
        list(CliWatch(cli).look({"etl": ["a"]}, since=NOW))


def test_one_command_tells_the_states_of_all_dags_for_five_minutes() -> None:
    cli, now = Cli(), [1000.0]
    cli.states = {"etl": "paused", "ml": "active"}
    watch = CliWatch(cli, clock=lambda: now[0])
    assert [watch.dag_state(dag_id) for dag_id in ("etl", "ml", "etl")] == ["paused", "active", "paused"]
    assert cli.commands == ["dags"]
    cli.states = {"etl": "active"}
    now[0] += 301
    assert watch.dag_state("etl") == "active"


def test_a_first_start_over_the_command_line_is_not_kept_waiting_to_know_whether_the_dag_is_stale() -> None:
    cli = Cli()
    cli.states = {"etl": "stale"}
    assert CliWatch(cli).is_stale("etl") is False
    assert cli.commands == []


def test_a_stale_dag_is_asked_for_anew_before_a_run_is_refused() -> None:
    cli, now = Cli(), [1000.0]
    cli.states = {"etl": "stale", "ml": "active"}
    watch = CliWatch(cli, clock=lambda: now[0])
    watch.dag_state("etl")
    assert (watch.is_stale("etl"), watch.is_stale("ml")) == (True, False)
    assert cli.commands == ["dags"]  # it was asked this very moment
    now[0] += 60
    assert watch.is_stale("etl") is True
    now[0] += 60
    cli.states = {"etl": "active"}  # the file is back
    assert watch.is_stale("etl") is False
    assert cli.commands == ["dags"] * 3
    now[0] += 60
    assert watch.is_stale("etl") is False
    assert cli.commands == ["dags"] * 3


def test_a_run_is_not_refused_when_airflow_cannot_be_asked_again() -> None:
    cli, now = Cli(), [1000.0]
    cli.states = {"etl": "stale"}
    watch = CliWatch(cli, clock=lambda: now[0])
    watch.dag_state("etl")
    now[0] += 60
    cli.error = AnswerLostError("too slow")
    assert watch.is_stale("etl") is False


def test_a_failure_to_learn_states_is_not_tried_again_at_once() -> None:
    asked, now = [], [0.0]

    def ask(dag_id: str) -> dict[str, DagState | None]:
        asked.append(dag_id)
        raise AnswerLostError("too slow")

    states = DagStates(ask, max_age=60, after_failure=900, clock=lambda: now[0])
    assert [states.get("a"), states.get("b")] == [None, None]
    now[0] += 901
    states.get("a")
    assert asked == ["a", "a"]


def test_a_dag_that_airflow_does_not_list_is_asked_for_once_in_a_while_only() -> None:
    asked = []

    def ask(dag_id: str) -> dict[str, DagState | None]:
        asked.append(dag_id)
        return {}

    states = DagStates(ask, max_age=60, clock=lambda: 0.0)
    assert [states.get("a"), states.get("a")] == [None, None]
    assert asked == ["a"]


CLIENT = boto3.client("mwaa", region_name="eu-central-1", aws_access_key_id="x", aws_secret_access_key="x")


def rest_watch() -> RestWatch:
    def no_fallback() -> Any:
        raise AssertionError

    return RestWatch(rest_client(CLIENT, no_fallback))


def answer(runs: list[tuple[str, str, str, datetime]], total: int) -> dict[str, Any]:
    items = [
        {"dag_id": dag, "dag_run_id": run, "state": state, "start_date": None, "end_date": end.isoformat()}
        for dag, run, state, end in runs
    ]
    return {"RestApiStatusCode": 200, "RestApiResponse": {"dag_runs": items, "total_entries": total}}


def call(offset: int, dag_ids: list[str]) -> dict[str, Any]:
    body = {
        "dag_ids": dag_ids,
        "states": ["success", "failed"],
        "end_date_gte": (NOW - timedelta(minutes=2)).isoformat(),
        "order_by": "end_date",
        "page_limit": 100,
        "page_offset": offset,
    }
    return {"Name": "acme", "Method": "POST", "Path": "/dags/~/dagRuns/list", "Body": body}


def test_rest_finds_the_ends_of_many_dags_in_one_call() -> None:
    found = [("etl", "a", "success", NOW), ("etl", "by hand", "success", NOW), ("ml", "x", "failed", NOW)]
    with Stubber(CLIENT) as stub:
        stub.add_response("invoke_rest_api", answer(found, 3), call(0, ["etl", "ml"]))
        (sighting,) = rest_watch().look({"etl": ["a", "b"], "ml": ["x"]}, since=NOW)
        stub.assert_no_pending_responses()
    assert seen(sighting) == ({"a", "x"}, set(), set())
    assert sighting.looked_at == {("etl", "a"), ("etl", "b"), ("ml", "x")}
    assert sighting.until is None


def test_rest_reads_page_after_page() -> None:
    with Stubber(CLIENT) as stub:
        stub.add_response("invoke_rest_api", answer([("etl", "a", "success", NOW)], 2), call(0, ["etl"]))
        stub.add_response("invoke_rest_api", answer([("etl", "b", "success", NOW)], 2), call(1, ["etl"]))
        (sighting,) = rest_watch().look({"etl": ["a", "b"]}, since=NOW)
        stub.assert_no_pending_responses()
    assert seen(sighting)[0] == {"a", "b"}


def test_rest_with_too_many_pages_goes_on_where_it_stopped() -> None:
    with Stubber(CLIENT) as stub:
        for page in range(20):
            end = NOW + timedelta(seconds=page)
            stub.add_response(
                "invoke_rest_api", answer([("etl", f"r{page}", "success", end)], 999), call(page, ["etl"])
            )
        (sighting,) = rest_watch().look({"etl": ["r3", "later"]}, since=NOW)
    assert seen(sighting)[0] == {"r3"}
    assert sighting.until == NOW + timedelta(seconds=19)


def test_rest_without_open_runs_is_not_called() -> None:
    with Stubber(CLIENT):
        assert list(rest_watch().look({}, since=NOW)) == []


def test_rest_asks_for_the_state_of_one_dag_and_remembers_it() -> None:
    with Stubber(CLIENT) as stub:
        dag = {"RestApiStatusCode": 200, "RestApiResponse": {"dag_id": "etl", "is_paused": True}}
        stub.add_response("invoke_rest_api", dag, {"Name": "acme", "Method": "GET", "Path": "/dags/etl"})
        watch = rest_watch()
        assert [watch.dag_state("etl"), watch.dag_state("etl")] == ["paused", "paused"]
        assert watch.is_stale("etl") is False  # the REST API itself refuses runs of stale DAGs
        stub.add_client_error(
            "invoke_rest_api",
            "RestApiClientException",
            modeled_fields={"RestApiStatusCode": 404, "RestApiResponse": {}},
        )
        assert watch.dag_state("unknown") is None
        assert watch.dag_state("a_dag_id_that_is_so_long_that_it_does_not_fit_into_a_path_of_64") is None
