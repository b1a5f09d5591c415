"""Events for a DAG whose file is gone: no run that waits for ever, and whatever is known is said."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from moto import mock_aws

from jetway.errors import DagNotFoundError, EnvironmentUnavailableError
from tests.unit.dispatching import NOW, World, file_message, message


@pytest.fixture
def world() -> Iterator[World]:
    with mock_aws():
        yield World()


def test_no_run_is_created_for_a_dag_whose_file_is_gone(world: World) -> None:
    world.dags.remembered = world.dags.state = "stale"
    outcome = world.dispatch(file_message())
    assert (outcome.decision, world.airflow.calls) == ("waiting", 0)
    assert outcome.because is not None
    assert outcome.because.startswith("dag-not-found: DAG 'ingest' is no longer in the environment")
    assert "Put its file into the drop bucket again" in outcome.because
    assert outcome.until == NOW + timedelta(minutes=10)  # the grace of a DAG that is not there


def test_it_waits_for_its_grace_and_is_then_a_dead_letter_that_says_why(world: World) -> None:
    world.dags.remembered = world.dags.state = "stale"
    world.dispatch(file_message())
    world.now += timedelta(minutes=11)
    (again,) = world.resume()
    outcome = world.dispatch(again)
    assert (outcome.decision, outcome.until, world.airflow.calls) == ("dead-lettered", None, 0)
    (letter,) = world.letters()
    assert letter["reason"] == "dag-not-found"
    assert "its file was deleted" in letter["error"]


def test_a_run_starts_when_the_file_is_back(world: World) -> None:
    world.dags.remembered, world.dags.state = "stale", "active"
    assert world.dispatch(file_message()).decision == "started"
    assert len(world.airflow.runs) == 1


def test_many_files_for_it_cost_one_question_and_all_say_the_same(world: World) -> None:
    world.dags.remembered = world.dags.state = "stale"
    first = world.dispatch(file_message())
    world.dags.remembered = None
    second = world.dispatch(file_message("b.csv"))
    assert (second.decision, second.because, world.airflow.calls) == ("waiting", first.because, 0)


def test_a_run_that_was_created_before_anybody_knew_says_what_it_is_queued_behind(world: World) -> None:
    world.dags.state = "stale"
    outcome = world.dispatch(file_message())
    assert (outcome.decision, outcome.because) == ("started", "queued behind a DAG that is not in the environment")
    assert (world.told[0].detail["stale"], world.told[0].detail["paused"]) == (True, False)
    row = world.ledger.get(outcome.id)
    assert row is not None
    assert row.because == outcome.because


def test_a_run_that_starts_says_nothing(world: World) -> None:
    outcome = world.dispatch(file_message())
    assert outcome.because is None
    assert (world.told[0].detail["stale"], world.told[0].detail["paused"]) == (False, False)


def test_what_waits_or_is_held_says_until_when(world: World) -> None:
    limit = {"max_event_age": 300}
    world.airflow.error = DagNotFoundError("no such DAG")
    waiting = world.dispatch(file_message(trigger=limit))
    age_over = NOW + timedelta(seconds=290)  # the event is ten seconds old, and its age is over before the grace
    assert waiting.until == age_over
    row = world.ledger.get(waiting.id)
    assert row is not None
    assert row.until == age_over
    held = world.dispatcher.held(file_message("b.csv", trigger=limit), EnvironmentUnavailableError("UPDATING"))
    assert held.until == age_over
    unread = world.dispatcher.held(message(body="{}"), EnvironmentUnavailableError("UPDATING"))
    assert unread.until is None
    world.airflow.error = None
    world.now += timedelta(seconds=20)
    (again,) = world.resume()
    assert world.dispatch(again).until is None
    row = world.ledger.get(waiting.id)
    assert row is not None
    assert (row.decision, row.until) == ("started", None)
