"""Runs that are queued and will not start, and pauses before a start: over both transports, in as few calls."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.stub import Stubber

from jetway.airflow import DagRun
from jetway.airflow.blocked import Blocked
from jetway.airflow.watch import JUST_NOW, REFUSED_BY_LIST, CliWatch, DagStates
from jetway.errors import DagNotFoundError, EnvironmentUnavailableError
from tests.unit.airflow.test_watch import CLIENT, Cli, rest_watch

LIST = "/dags/~/dagRuns/list"


def states(stub: Stubber, dag_id: str, **members: bool) -> None:
    response = {"RestApiStatusCode": 200, "RestApiResponse": {"dag_id": dag_id, **members}}
    stub.add_response("invoke_rest_api", response, {"Name": "acme", "Method": "GET", "Path": f"/dags/{dag_id}"})


def unknown(stub: Stubber) -> None:
    fields = {"RestApiStatusCode": 404, "RestApiResponse": {"detail": "not found"}}
    stub.add_client_error("invoke_rest_api", "RestApiClientException", modeled_fields=fields)


def queued(stub: Stubber, dag_ids: list[str], runs: list[tuple[str, str]], *, total: int, offset: int = 0) -> None:
    items = [{"dag_id": dag_id, "dag_run_id": run_id, "state": "queued"} for dag_id, run_id in runs]
    body = {"dag_ids": dag_ids, "states": ["queued"], "page_limit": 100, "page_offset": offset}
    response = {"RestApiStatusCode": 200, "RestApiResponse": {"dag_runs": items, "total_entries": total}}
    expected = {"Name": "acme", "Method": "POST", "Path": LIST, "Body": body}
    stub.add_response("invoke_rest_api", response, expected)


@pytest.mark.parametrize("words", [{"is_stale": True}, {"is_active": False}], ids=["3", "2"])
def test_rest_asks_for_each_dag_and_then_once_for_the_runs_of_those_that_hold_theirs_back(
    words: dict[str, bool],
) -> None:
    wanted = {"etl": ["a", "b"], "gone": ["x"], "ml": ["c"], "off": ["d"]}
    with Stubber(CLIENT) as stub:
        states(stub, "etl", is_paused=True)
        unknown(stub)
        states(stub, "ml", is_paused=False)
        states(stub, "off", is_paused=True, **words)
        queued(stub, ["etl", "off"], [("etl", "a"), ("etl", "by hand")], total=3)
        queued(stub, ["etl", "off"], [("off", "d")], total=3, offset=2)
        found = list(rest_watch().blocked(wanted))
        stub.assert_no_pending_responses()
    assert found == [Blocked("gone", "x", "deleted"), Blocked("etl", "a", "paused"), Blocked("off", "d", "stale")]


def test_rest_asks_no_more_where_all_dags_are_active() -> None:
    with Stubber(CLIENT) as stub:
        states(stub, "ml", is_paused=False)
        assert list(rest_watch().blocked({"ml": ["c"]})) == []
        stub.assert_no_pending_responses()


def test_rest_leaves_out_what_only_the_command_line_could_tell() -> None:
    with Stubber(CLIENT):
        assert list(rest_watch().blocked({"d" * 250: ["c"]})) == []


def test_the_command_line_lists_the_runs_of_those_that_hold_theirs_back() -> None:
    cli = Cli()
    cli.states = {"etl": "paused", "ml": "active", "off": "stale"}
    cli.runs = {"etl": {"a": "queued", "b": "running", "others": "queued"}, "off": {"d": "queued"}}
    wanted = {"etl": ["a", "b"], "ml": ["c"], "off": ["d"]}
    assert list(CliWatch(cli).blocked(wanted)) == [Blocked("etl", "a", "paused"), Blocked("off", "d", "stale")]
    assert cli.commands == ["dags", "runs etl", "runs off"]


class Without(Cli):
    """Airflow without a DAG."""

    def list_dag_runs(self, dag_id: str, *, limit: int, state: str | None = None) -> tuple[list[DagRun], int]:
        raise DagNotFoundError(dag_id)


def test_a_dag_that_no_command_knows_is_deleted() -> None:
    assert list(CliWatch(Without()).blocked({"etl": ["a", "b"]})) == [
        Blocked("etl", "a", "deleted"),
        Blocked("etl", "b", "deleted"),
    ]


def test_a_dag_that_is_only_missing_from_the_list_is_not_told_to_be_deleted() -> None:
    """`dags list` of Airflow 2 leaves out a file with an import error, and may fail altogether."""
    cli = Cli()
    cli.runs = {"etl": {"a": "queued"}}
    assert list(CliWatch(cli).blocked({"etl": ["a"]})) == []


def test_the_command_line_is_left_alone_for_it_when_time_is_short() -> None:
    cli = Cli()
    assert list(CliWatch(cli, seconds_left=lambda: 59.0, command_seconds=30.0).blocked({"etl": ["a"]})) == []
    assert cli.commands == []


class Times:
    """States as they are told, and when they were asked for."""

    def __init__(self, **more: Any) -> None:
        self.now = 1000.0
        self.state: Any = "active"
        self.asked: list[float] = []
        self.states = DagStates(self._ask, max_age=60.0, clock=lambda: self.now, **more)

    def _ask(self, dag_id: str) -> dict[str, Any]:
        self.asked.append(self.now)
        if self.state is None:
            raise EnvironmentUnavailableError("no")
        return {dag_id: self.state}


def test_a_dag_is_asked_for_before_its_first_run_and_once_a_minute() -> None:
    times = Times()
    for seconds in (0, 1, 58):
        times.now = 1000 + seconds
        assert times.states.is_paused("etl") is False
    assert times.asked == [1000]
    times.now, times.state = 1060, "paused"
    assert times.states.is_paused("etl") is True


def test_a_pause_is_asked_for_anew_before_an_event_is_refused_for_it() -> None:
    times = Times()
    times.state = "paused"
    assert times.states.is_paused("etl") is True
    times.now += JUST_NOW - 1
    assert times.states.is_paused("etl") is True
    assert len(times.asked) == 1
    times.now, times.state = times.now + 1, "active"
    assert times.states.is_paused("etl") is False
    assert len(times.asked) == 2


def test_where_it_is_not_to_be_learnt_the_run_is_started() -> None:
    times = Times()
    times.state = None
    assert times.states.is_paused("etl") is False


def test_by_commands_a_pause_is_good_for_a_minute() -> None:
    cli, now = Cli(), [1000.0]
    cli.states = {"etl": "paused"}
    watch = CliWatch(cli, clock=lambda: now[0])
    assert watch.is_paused("etl")
    now[0] += REFUSED_BY_LIST - 1
    assert watch.is_paused("etl")
    assert cli.commands == ["dags"]
    now[0] += 1
    cli.states = {"etl": "active"}
    assert not watch.is_paused("etl")
