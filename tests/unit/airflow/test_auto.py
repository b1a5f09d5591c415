"""`Transport: auto`: what decides, how seldom it is asked, and that a run is never asked for twice."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.stub import Stubber

from jetway.airflow import Dag, DagRun, DagRunRequest, DagState, ImportProblem
from jetway.airflow.auto import REMEMBERED, AutoClient, Chooser
from jetway.airflow.blocked import Blocked
from jetway.airflow.environment import Environment
from jetway.airflow.rest_responses import NoRestApiError
from jetway.airflow.watch import AutoWatch, Sighting, Watch, watch_of
from jetway.errors import (
    AnswerLostError,
    CommandRejectedError,
    DagNotFoundError,
    EnvironmentBusyError,
    EnvironmentUnavailableError,
    JetwayError,
    OutOfTurnError,
    TransientError,
)
from jetway.wiring.airflow import connect
from tests.unit.airflow.conftest import Clock, environment_answer
from tests.unit.airflow.rest_stage import FOUND, RUN, body

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

UPDATE_FIRST = NoRestApiError("Environment 'acme' does not support InvokeRestApi yet: Update your environment")
AWAY = EnvironmentUnavailableError("no way")


@dataclass
class Fake:
    """One way to Airflow: what it was asked, and what it raises."""

    name: str
    asked: list[str] = field(default_factory=list)
    error: JetwayError | None = None

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if self.error is not None:
            raise self.error

    def trigger_dag_run(self, request: DagRunRequest) -> DagRun:
        self._ask("create")
        return DagRun(request.dag_id, request.dag_run_id, self.name)

    def get_dag_run(self, dag_id: str, dag_run_id: str) -> DagRun | None:
        self._ask("look up")
        return DagRun(dag_id, dag_run_id, self.name)

    def get_dag_state(self, _dag_id: str) -> DagState:
        self._ask("state")
        return "active"

    def list_dags(self, *, limit: int, offset: int = 0) -> tuple[list[Dag], int]:
        self._ask(f"dags {limit} {offset}")
        return [Dag(self.name)], 1

    def list_dag_runs(self, dag_id: str, *, limit: int, state: str | None = None) -> tuple[list[DagRun], int]:
        self._ask(f"runs {limit} {state}")
        return [DagRun(dag_id, "r", self.name)], 1

    def list_import_errors(self) -> list[ImportProblem]:
        self._ask("import errors")
        return [ImportProblem(self.name, "x")]

    def ping(self) -> None:
        self._ask("ping")

    def keeps_note(self, _dag_id: str) -> bool:
        return self.name == "rest"


class World:
    """An environment with two ways to its Airflow."""

    def __init__(self, *, access: str = "PUBLIC_ONLY", version: str = "3.3.1", status: str = "AVAILABLE") -> None:
        mwaa = boto3.client("mwaa", region_name="eu-central-1", aws_access_key_id="x", aws_secret_access_key="x")
        self.stub = Stubber(mwaa)
        answer = environment_answer(version, status)
        answer["Environment"]["WebserverAccessMode"] = access
        for _ in range(50):
            self.stub.add_response("get_environment", answer)
        self.stub.activate()
        self.clock = Clock()
        self.rest, self.cli = Fake("rest"), Fake("cli")
        ways: dict[str, Any] = {"rest": lambda: self.rest, "cli": lambda: self.cli}
        self.chooser = Chooser(Environment(mwaa, "acme", clock=self.clock), clock=self.clock, **ways)
        self.client = AutoClient(self.chooser, **ways)

    @property
    def asked(self) -> tuple[list[str], list[str]]:
        return self.rest.asked, self.cli.asked


@pytest.mark.parametrize("access", ["PUBLIC_ONLY", "PUBLIC_AND_PRIVATE"])
def test_a_public_web_server_is_asked_over_rest_and_nothing_is_asked_for_that(access: str) -> None:
    world = World(access=access)
    assert world.client.trigger_dag_run(RUN).state == "rest"
    assert world.asked == (["create"], [])


@pytest.mark.parametrize(("version", "way"), [("2.4.3", "rest"), ("2.4.2", "cli"), ("2.2.2", "cli"), ("3.0.6", "rest")])
def test_airflow_before_2_4_3_has_no_rest_api(version: str, way: str) -> None:
    assert World(version=version).client.trigger_dag_run(RUN).state == way


def test_a_private_web_server_that_answers_over_rest_is_asked_over_rest() -> None:
    world = World(access="PRIVATE_ONLY")
    for _ in range(20):
        assert world.client.trigger_dag_run(RUN).state == "rest"
    assert world.asked == (["ping"] + ["create"] * 20, []), "one question more, while the function is warm"


@pytest.mark.parametrize(
    "error", [AWAY, AnswerLostError("silence"), CommandRejectedError("MWAA refuses it"), UPDATE_FIRST]
)
def test_a_private_web_server_that_answers_commands_only_is_asked_by_commands(error: JetwayError) -> None:
    world = World(access="PRIVATE_ONLY")
    world.rest.error = error
    for _ in range(20):
        assert world.client.trigger_dag_run(RUN).state == "cli"
    assert world.asked == (["ping"], ["ping"] + ["create"] * 20), "a question found it out, and no creation"


@pytest.mark.parametrize("error", [CommandRejectedError("MWAA refuses GET /dags"), DagNotFoundError("404")])
def test_what_a_web_server_out_of_reach_says_is_no_answer_about_a_run(error: JetwayError) -> None:
    """Whatever stands in its place refuses the question; that says nothing of the event, nor of its DAG."""
    world = World(access="PRIVATE_ONLY")
    world.rest.error, world.cli.error = error, AWAY
    with pytest.raises(EnvironmentUnavailableError, match="private web server"):
        world.client.trigger_dag_run(RUN)
    with pytest.raises(EnvironmentUnavailableError, match="private web server"):
        world.client.get_dag_run("d", "r")
    assert "create" not in world.rest.asked + world.cli.asked


def test_where_nothing_answers_nothing_is_remembered() -> None:
    world = World(access="PRIVATE_ONLY")
    world.rest.error, world.cli.error = AWAY, EnvironmentBusyError("busy")
    with pytest.raises(EnvironmentUnavailableError, match="no way"):
        world.client.trigger_dag_run(RUN)
    assert world.asked == (["ping"], ["ping"])
    world.rest.error = None
    assert world.client.trigger_dag_run(RUN).state == "rest"


@pytest.mark.parametrize("error", [EnvironmentBusyError("throttled"), OutOfTurnError("spent")])
def test_too_many_calls_at_once_say_nothing_of_the_way(error: TransientError) -> None:
    world = World(access="PRIVATE_ONLY")
    world.rest.error = error
    with pytest.raises(type(error)):
        world.client.trigger_dag_run(RUN)
    assert world.asked == (["ping"], [])


def test_while_the_environment_is_updated_nothing_is_asked_of_its_web_server() -> None:
    world = World(access="PRIVATE_ONLY", status="UPDATING")
    with pytest.raises(EnvironmentUnavailableError, match="UPDATING"):
        world.client.trigger_dag_run(RUN)
    assert world.asked == ([], [])


@pytest.mark.parametrize(
    "ask",
    [
        lambda airflow: airflow.trigger_dag_run(RUN).state,
        lambda airflow: airflow.get_dag_run("d", "r").state,
        lambda airflow: airflow.list_dags(limit=1)[0][0].dag_id,
        lambda airflow: airflow.list_dag_runs("d", limit=1)[0][0].state,
        lambda airflow: airflow.list_import_errors()[0].path,
    ],
)
def test_an_environment_that_must_be_updated_first_is_asked_by_commands_from_then_on(
    ask: Callable[[AutoClient], str],
) -> None:
    world = World()
    world.rest.error = UPDATE_FIRST
    assert [ask(world.client), ask(world.client)] == ["cli", "cli"]
    assert (len(world.rest.asked), len(world.cli.asked)) == (1, 2), "that refusal certainly did nothing"
    world.clock.now += REMEMBERED
    world.rest.error = None
    assert ask(world.client) == "rest", "somebody has updated it"


def test_a_creation_whose_answer_is_lost_is_not_done_the_other_way() -> None:
    world = World()
    world.rest.error = AnswerLostError("silence", unreachable=True)
    with pytest.raises(AnswerLostError):
        world.client.trigger_dag_run(RUN)
    assert world.asked == (["create"], [])


def test_other_trouble_of_a_public_web_server_changes_no_way() -> None:
    world = World()
    world.rest.error = AWAY
    with pytest.raises(EnvironmentUnavailableError):
        world.client.ping()
    assert world.asked == (["ping"], [])


def test_the_way_is_found_out_anew_after_a_while() -> None:
    world = World(access="PRIVATE_ONLY")
    world.rest.error = AWAY
    assert world.client.get_dag_state("d") == "active"
    world.rest.error = None
    world.clock.now += REMEMBERED - 1
    world.client.ping()
    assert world.rest.asked == ["ping"]
    world.clock.now += 1
    world.client.ping()
    assert (world.rest.asked, world.chooser.known) == (["ping", "ping", "ping"], "rest")
    world.clock.now -= 5.0  # set back: what is remembered is of the future
    assert world.chooser.known is None


def test_the_way_is_logged_once_with_its_reason(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    world = World(access="PRIVATE_ONLY")
    world.rest.error = AWAY
    for _ in range(3):
        world.client.ping()
        world.clock.now += REMEMBERED
    found = [record for record in caplog.records if record.getMessage() == "transport"]
    assert [vars(record)["transport"] for record in found] == ["cli"]
    assert "no way" in vars(found[0])["because"]


def test_whether_a_note_is_kept_is_told_without_a_question() -> None:
    world = World(access="PRIVATE_ONLY")
    assert world.client.keeps_note("d")
    world.rest.error = AWAY
    world.client.ping()
    assert not world.client.keeps_note("d")


class FakeWatch:
    """Tells which way's it is."""

    def __init__(self, way: Fake) -> None:
        self.way = way

    def is_stale(self, _dag_id: str) -> bool:
        return self.way.name == "cli"

    def is_paused(self, dag_id: str) -> bool:
        return self.dag_state(dag_id) == "paused"

    def dag_state(self, _dag_id: str) -> DagState | None:
        return "paused" if self.way.name == "cli" else "active"

    def blocked(self, wanted: Mapping[str, Sequence[str]]) -> Iterator[Blocked]:
        yield from (Blocked(dag_id, run_id, "paused") for dag_id in wanted for run_id in wanted[dag_id])

    def look(self, wanted: Mapping[str, Sequence[str]], *, since: datetime) -> Iterator[Sighting]:
        self.way._ask("look")
        yield Sighting(frozenset({(self.way.name, "r")}))


def test_the_watch_is_that_of_the_way_that_works() -> None:
    world = World()

    def watch(client: Any) -> Watch:
        return FakeWatch(client)

    auto = AutoWatch(world.client, watch)
    since: Any = None
    assert (auto.is_stale("d"), auto.dag_state("d")) == (False, "active")
    assert (auto.is_paused("d"), list(auto.blocked({"d": ["r"]}))) == (False, [Blocked("d", "r", "paused")])
    world.rest.error = UPDATE_FIRST
    assert [each.looked_at for each in auto.look({}, since=since)] == [frozenset({("cli", "r")})]
    assert (auto.is_stale("d"), auto.dag_state("d")) == (True, "paused")
    assert world.asked == (["look"], ["look"])


def test_the_state_of_a_dag_is_a_courtesy() -> None:
    world = World(access="PRIVATE_ONLY")
    world.rest.error = world.cli.error = AWAY
    auto = watch_of(world.client)
    assert isinstance(auto, AutoWatch)
    assert auto.dag_state("d") is None


def test_two_clients_choose_together(mwaa: Any) -> None:
    one = connect("acme", mwaa=mwaa)
    assert isinstance(one, AutoClient)
    other = connect("acme", mwaa=mwaa, chooser=one.chooser)
    assert isinstance(other, AutoClient)
    assert other.chooser is one.chooser


def test_wired_it_is_rest_and_counts_its_calls(mwaa: Any) -> None:
    spent: list[str] = []

    class Counted:
        def spend(self) -> None:
            spent.append("call")

    budget: Any = Counted()
    with Stubber(mwaa) as stub:
        stub.add_response("get_environment", environment_answer("3.3.1"))
        parameters = {"Name": "acme", "Method": "POST", "Path": "/dags/hello/dagRuns", "Body": body("3.3.1")}
        stub.add_response("invoke_rest_api", {"RestApiStatusCode": 200, "RestApiResponse": FOUND}, parameters)
        assert connect("acme", mwaa=mwaa, budget=budget).trigger_dag_run(RUN).dag_run_id == "evt_1"
    assert spent == ["call"]
