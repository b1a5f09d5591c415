"""A right that is missing: its events are held in order, tried seldom, and dead only at their greatest age."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from moto import mock_aws

from jetway.airflow import DagRun
from jetway.dispatch.lanes import Lanes
from jetway.dispatch.messages import Message
from jetway.errors import (
    AnswerLostError,
    EnvironmentUnavailableError,
    PermissionMissingError,
    TransientError,
)
from tests.unit.dispatching import NOW, FakeAirflow, World, file_message
from tests.unit.sample_events import sample_event

DENIED = PermissionMissingError(
    "CreateCliToken is denied: give airflow:CreateCliToken.", action="airflow:CreateCliToken"
)
AGE = timedelta(hours=1)  # MaxEventAgeHours of this world, as docs/delivery.md has it
BORN = NOW - timedelta(seconds=10)


class DeniedAirflow(FakeAirflow):
    """Every call is denied while `error` is set, look-ups as well."""

    def get_dag_run(self, dag_id: str, dag_run_id: str) -> DagRun | None:
        if self.error is not None:
            raise self.error
        return super().get_dag_run(dag_id, dag_run_id)


@pytest.fixture
def world() -> Iterator[World]:
    with mock_aws():
        world = World()
        world.airflow = DeniedAirflow(error=DENIED)
        world.dispatcher = world.make_dispatcher()
        yield world


def try_once(world: World, message: Message) -> str:
    """Deliver a message as the function does; return what became of it."""
    try:
        return world.dispatch(message).decision
    except TransientError as exc:
        return world.dispatcher.held(message, exc).because or ""


def again(message: Message, tries: int) -> Message:
    return replace(message, tries=tries)


def test_it_is_held_and_starts_when_the_right_is_there(world: World) -> None:
    held = try_once(world, file_message())
    assert held.startswith("permission-missing: ")
    assert "airflow:CreateCliToken" in held
    world.airflow.error = None
    assert try_once(world, again(file_message(), 2)) == "started"
    assert world.airflow.calls == 2


def test_its_lane_waits_for_fifteen_minutes_at_every_try_and_is_not_asked_twice_in_one(world: World) -> None:
    record = sample_event("dispatch_batch")["Records"][0]
    for receives in (1, 2, 50):
        attributes = record["attributes"] | {"ApproximateReceiveCount": str(receives)}
        lanes = Lanes(world.dispatch, seconds_left=lambda: 200.0, sleep=lambda _seconds: None, clock=lambda: world.now)
        with pytest.raises(PermissionMissingError):
            lanes.handle(SQSRecord(record | {"attributes": attributes}))
        assert lanes.waits == {"bulk": 900}
    assert world.airflow.calls == 3


def test_it_is_no_dead_letter_before_its_greatest_age_and_then_for_that_reason(world: World) -> None:
    tries = 1
    while world.now <= BORN + AGE:
        assert try_once(world, again(file_message(), tries)).startswith("permission-missing: ")
        assert world.letters() == []
        world.now, tries = world.now + timedelta(minutes=15), tries + 1
    assert tries == 5
    world.dispatcher = world.make_dispatcher()  # a new sandbox, that has seen no denial
    assert try_once(world, again(file_message(), tries)) == "dead-lettered", "though the look for a run is denied too"
    (letter,) = world.letters()
    assert letter["reason"] == "permission-missing"
    assert "airflow:CreateCliToken" in letter["error"]
    assert world.told[-1].detail["reason"] == "permission-missing"


def test_what_stood_behind_it_and_was_never_tried_has_the_same_reason(world: World) -> None:
    try_once(world, file_message("a.csv"))
    world.now += 2 * AGE
    world.dispatcher = world.make_dispatcher()
    assert try_once(world, again(file_message("a.csv"), 9)) == "dead-lettered"
    assert try_once(world, again(file_message("b.csv"), 9)) == "dead-lettered"
    assert [letter["reason"] for letter in world.letters()] == ["permission-missing"] * 2
    world.airflow.error = None
    assert try_once(world, message_of_now(world, "c.csv")) == "started"
    assert try_once(world, file_message("d.csv")) == "dead-lettered"
    assert [letter["reason"] for letter in world.letters()] == ["event-too-old"], "Airflow has answered since"


def message_of_now(world: World, key: str) -> Message:
    return file_message(key, redriven_at=world.now.isoformat())


def test_other_trouble_since_then_is_the_reason(world: World) -> None:
    try_once(world, file_message())
    world.airflow.error = EnvironmentUnavailableError("UPDATING")
    assert try_once(world, again(file_message(), 2)).startswith("environment-unavailable")
    world.airflow.error = None
    world.now += 2 * AGE
    assert try_once(world, again(file_message(), 3)) == "dead-lettered"
    assert [letter["reason"] for letter in world.letters()] == ["event-too-old"]


def test_an_event_whose_run_may_be_there_waits_for_the_answer_whatever_its_age(world: World) -> None:
    """What was sent before the right was taken may have made the run: then it is no dead letter, but started."""
    airflow: Any = world.airflow
    airflow.error, airflow.errors = DENIED, [AnswerLostError("lost", unreachable=True)]
    assert try_once(world, file_message()).startswith("answer-lost")
    world.now += 2 * AGE
    assert try_once(world, again(file_message(), 2)).startswith("permission-missing")
    airflow.error = None
    (run_id,) = {row["dag_run_id"] for row in world.ledger.table.scan()["Items"] if "dag_run_id" in row}
    airflow.runs["ingest", run_id] = DagRun("ingest", str(run_id), "running")
    assert try_once(world, again(file_message(), 3)) == "started"
    assert world.letters() == []


def test_a_place_of_a_rate_goes_to_others_meanwhile(world: World) -> None:
    limited = {"rate": {"count": 1, "per": 60}}
    assert try_once(world, file_message("a.csv", trigger=limited)).startswith("permission-missing")
    world.airflow.error = None
    assert try_once(world, file_message("b.csv", trigger=limited)) == "started"
