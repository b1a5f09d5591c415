"""airflow_local_settings.py is rolled back without an answer from Airflow: it may be why there is none."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest

from jetway.airflow.import_errors import FoundErrors
from jetway.errors import EnvironmentBusyError, EnvironmentUnavailableError, JetwayError
from jetway.gate.gate import Gate
from tests.unit.batches.world import Kill
from tests.unit.promotion.world import World


class Loading(World):
    """A world in which an Airflow is deployed that accepts what it loads."""

    def gate(self, kill: Kill | None = None) -> Gate:
        gate = super().gate(kill)
        gate._load = lambda _version, _content, _facts, static: replace(static, verdict="accepted")
        return gate


@pytest.fixture
def world() -> Loading:
    return Loading()


KEY = "dags/airflow_local_settings.py"
POLICY = b"def task_policy(task): ...\n"


def silent(world: World, error: JetwayError) -> Callable[[], None]:
    """Let Airflow give no answer any more; return what lets a minute go by."""

    def no_answer() -> FoundErrors:
        raise error

    def minute() -> None:
        world.now += timedelta(minutes=1)
        verifier = world.verifier(None)
        verifier._import_errors = no_answer
        with suppress(type(error)):  # where nothing is due nothing is asked
            verifier.look(on_verified=lambda _verified: None)

    return minute


def test_when_airflow_stops_answering_it_is_rolled_back_by_itself(world: World) -> None:
    good = world.drop(KEY, POLICY)
    assert [found.outcome for found in world.minutes(14)] == ["good"]
    bad = world.drop(KEY, POLICY + b"1 / 0\n")
    minute = silent(world, EnvironmentUnavailableError("no web server"))
    for _ in range(5):
        minute()
    assert world.standing(KEY).stage == "verifying", "a web server may restart"
    for _ in range(4):
        minute()
    standing = world.standing(KEY)
    assert (standing.rolled_back, standing.live and standing.live.source) == ((bad,), good)
    assert world.live(KEY) == POLICY
    (problem,) = world.report(KEY)["verification"]["problems"]
    assert problem["message"].startswith("no-answer: Airflow has not responded since this version went live")


def test_without_a_version_before_it_is_taken_out(world: World) -> None:
    world.drop(KEY, POLICY)
    minute = silent(world, EnvironmentUnavailableError("no web server"))
    for _ in range(9):
        minute()
    assert world.live(KEY) is None


def test_a_dag_file_waits_for_the_answer(world: World) -> None:
    world.drop("dags/orders.py")
    minute = silent(world, EnvironmentUnavailableError("no web server"))
    for _ in range(20):
        minute()
    assert world.standing("dags/orders.py").stage == "verifying"


def test_an_airflow_that_is_busy_is_there(world: World) -> None:
    world.drop(KEY, POLICY)
    minute = silent(world, EnvironmentBusyError("throttled"))
    for _ in range(20):
        minute()
    assert world.standing(KEY).stage == "verifying"
