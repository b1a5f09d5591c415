"""What becomes of an event whose DAG is paused: what its trigger says in `when_paused`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError
from moto import mock_aws

from jetway.dispatch.limits import WaitingState
from jetway.dispatch.paused_dags import LATEST, SOONEST, next_try
from jetway.errors import AnswerLostError
from jetway.ledger_rows import Attempt
from tests.unit.dispatch.outcomes import Airflow, again, row_id
from tests.unit.dispatching import NOW, FakeDags, World, file_message

ROW = timedelta(days=1)


@pytest.fixture
def world() -> Iterator[World]:
    with mock_aws():
        world = World()
        world.dags.state = "paused"
        yield world


def decided(world: World) -> list[tuple[str, str | None]]:
    return [(row.decision, row.because) for row in world.ledger.list_events(since=NOW - ROW)]


def test_a_trigger_that_says_nothing_starts_the_run_and_it_is_queued(world: World) -> None:
    entry = world.dispatch(file_message())
    assert (entry.decision, entry.because) == ("started", "queued behind a paused DAG")


def test_skipped_is_skipped_for_good(world: World) -> None:
    skip = file_message(trigger={"when_paused": "skip"})
    entry = world.dispatch(skip)
    assert (entry.decision, str(entry.because).partition(":")[0]) == ("skipped", "dag-paused")
    world.dags.state = "active"
    second = world.dispatch(file_message(trigger={"when_paused": "skip"}))
    assert second.decision == "duplicate"
    assert str(second.because).startswith("duplicate of a skipped event (dag-paused")
    assert [decision for decision, _ in decided(world)] == ["skipped"]
    assert (world.airflow.runs, world.letters(), world.told) == ({}, [], [])
    assert world.dispatch(file_message("b.csv", trigger={"when_paused": "skip"})).decision == "started"


def test_a_skip_settles_its_try_though_the_write_before_it_was_lost(world: World) -> None:
    """A try whose end is not known is taken for one that may have made the run."""

    def lose(params: dict[str, Any], **_: object) -> None:
        values = params["ExpressionAttributeValues"]
        if ":settled" in values and ":decision" not in values:
            raise EndpointConnectionError(endpoint_url="https://dynamodb.eu-central-1.amazonaws.com")

    hooks, name = world.ledger.table.meta.client.meta.events, "provide-client-params.dynamodb.UpdateItem"
    hooks.register(name, lose)
    try:
        entry = world.dispatch(file_message(trigger={"when_paused": "skip"}))
    finally:
        hooks.unregister(name, lose)  # other tests have the same client
    item = world.ledger.table.get_item(Key={"id": entry.id})["Item"]
    assert (item["decision"], item.get("attempts")) == ("skipped", None)


def test_nothing_is_skipped_while_another_delivery_is_in_hand(world: World) -> None:
    """It may have seen the DAG active, and starts the run."""

    class Meanwhile(FakeDags):
        def is_paused(self, dag_id: str) -> bool:
            world.ledger.begin(row_id(world), attempt=Attempt.begin(dag_id, NOW))
            return True

    world.dags = Meanwhile()
    world.dispatcher = world.make_dispatcher()
    with pytest.raises(AnswerLostError):
        world.dispatch(file_message(trigger={"when_paused": "skip"}))
    assert decided(world) == []


def test_with_force_a_skipped_event_starts(world: World) -> None:
    world.dispatch(file_message(trigger={"when_paused": "skip"}))
    world.dags.state = "active"
    assert world.dispatch(file_message(trigger={"when_paused": "skip"}, force="unpaused")).decision == "started"


def test_a_dead_letter_says_so_and_starts_when_it_is_redriven(world: World) -> None:
    trigger = {"when_paused": "dead-letter"}
    assert world.dispatch(file_message(trigger=trigger)).decision == "dead-lettered"
    (letter,) = world.letters()
    assert letter["reason"] == "dag-paused"
    assert "is paused" in letter["error"]
    assert [event.detail_type for event in world.told] == ["EventDeadLettered"]
    world.dags.state = "active"
    assert world.dispatch(replace(file_message(trigger=trigger), message_id="m2")).decision == "duplicate"
    redriven = file_message(trigger=trigger, redriven_at=(NOW + timedelta(seconds=1)).isoformat())
    assert world.dispatch(redriven).decision == "started"


def test_what_waits_starts_when_the_pause_is_over(world: World) -> None:
    entry = world.dispatch(file_message(trigger={"when_paused": "wait"}))
    assert (entry.decision, str(entry.because).partition(":")[0]) == ("waiting", "dag-paused")
    assert entry.until == NOW - timedelta(seconds=10) + timedelta(hours=1), "then it is too old"
    world.now += SOONEST
    (back,) = world.resume()
    assert world.dispatch(back).decision == "waiting"
    world.dags.state = "active"
    world.now += timedelta(minutes=1)
    (back,) = world.resume()
    assert world.dispatch(back).decision == "started"


def test_what_waits_too_long_is_a_dead_letter_for_its_age(world: World) -> None:
    world.dispatch(file_message(trigger={"when_paused": "wait"}))
    world.now += timedelta(hours=2)
    (back,) = world.resume()
    assert world.dispatch(back).decision == "dead-lettered"
    (letter,) = world.letters()
    assert letter["reason"] == "event-too-old"


def test_it_looks_again_after_a_tenth_of_the_time_that_it_has_waited() -> None:
    def after(waited: timedelta, reason: str = "dag-paused") -> timedelta:
        return next_try(WaitingState(NOW - waited, 1, reason), NOW) - NOW

    assert next_try(None, NOW) - NOW == SOONEST
    assert after(timedelta(minutes=1)) == SOONEST
    assert after(timedelta(hours=1)) == timedelta(minutes=6)
    assert after(timedelta(days=1)) == LATEST
    assert after(timedelta(days=1), "rate") == SOONEST, "its time counts from the first wait for a pause"


@pytest.mark.parametrize("when_paused", ["skip", "dead-letter"])
def test_a_run_that_an_earlier_try_made_is_started_all_the_same(world: World, when_paused: str) -> None:
    airflow = world.airflow = Airflow()
    airflow.after = AnswerLostError("lost")
    world.dispatcher = world.make_dispatcher()
    world.dags.state = "active"
    message = file_message(trigger={"when_paused": when_paused})
    with pytest.raises(AnswerLostError):
        world.dispatch(message)
    world.dags.state = "paused"
    assert world.dispatch(again(message)).decision == "started"
    assert world.letters() == []


@pytest.mark.parametrize("when_paused", ["skip", "dead-letter"])
def test_a_run_that_may_still_be_made_is_waited_for(world: World, when_paused: str) -> None:
    world.airflow.errors = [AnswerLostError("lost")]
    world.dags.state = "active"
    message = file_message(trigger={"when_paused": when_paused})
    with pytest.raises(AnswerLostError):
        world.dispatch(message)
    world.dags.state = "paused"
    entry = world.dispatch(again(message))
    assert (entry.decision, str(entry.because).partition(":")[0]) == ("waiting", "answer-lost")
    world.now += timedelta(minutes=6)
    (back,) = world.resume()
    decision = world.dispatch(back).decision
    assert decision == ("skipped" if when_paused == "skip" else "dead-lettered")


def test_a_place_of_the_rate_is_not_taken_for_a_pause(world: World) -> None:
    trigger = {"when_paused": "skip", "rate": {"count": 1, "per": 3600}}
    assert world.dispatch(file_message(trigger=trigger)).decision == "skipped"
    world.dags.state = "active"
    assert world.dispatch(file_message("b.csv", trigger=trigger)).decision == "started"
