"""A message that ends the function each time: a dead letter with its reason after three times, or the run it made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from moto import mock_aws

from jetway.airflow import DagRun, DagRunRequest, RunAlreadyExistsError
from jetway.dispatch.messages import Message
from jetway.errors import EnvironmentUnavailableError, TransientError
from tests.unit.dispatching import World, file_message

SOON, LATER = timedelta(seconds=30), timedelta(minutes=6)


class KilledError(BaseException):
    """The function is out of memory, or out of time."""


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    with mock_aws():
        yield World()


def received(message: Message, times: int) -> Message:
    return Message(**{name: getattr(message, name) for name in Message.__slots__} | {"tries": times})


def die_when_asked(world: World, *, after_the_run_is_made: bool = False) -> None:
    """Let whoever asks for a run die, before Airflow makes it or after."""
    trigger = world.airflow.trigger_dag_run

    def killed(request: DagRunRequest) -> DagRun:
        if after_the_run_is_made:
            with suppress(RunAlreadyExistsError):
                trigger(request)
        raise KilledError

    airflow: Any = world.airflow
    airflow.trigger_dag_run = killed


def die(world: World, message: Message, *, times: int, first: int = 1) -> None:
    for number in range(first, first + times):
        with pytest.raises(KilledError):
            world.make_dispatcher().dispatch(received(message, number))
        world.now += SOON


def test_after_three_times_it_is_a_dead_letter_once_no_try_can_have_made_its_run(world: World) -> None:
    die_when_asked(world)
    message = file_message()
    die(world, message, times=3)
    entry = world.make_dispatcher().dispatch(received(message, 4))
    assert entry.decision == "waiting", "Airflow may still be at the run that the last try asked for"
    assert world.letters() == []
    world.now += LATER
    (back,) = world.resume()
    entry = world.make_dispatcher().dispatch(back)
    assert entry.decision == "dead-lettered"
    assert (entry.because or "").startswith("crashed: the function was ended 3 times")
    (letter,) = world.letters()
    assert letter["reason"] == "crashed"
    assert world.airflow.runs == {}
    assert [event.detail_type for event in world.told] == ["EventDeadLettered"]


def test_a_run_that_a_try_made_before_it_died_is_the_outcome(world: World) -> None:
    die_when_asked(world, after_the_run_is_made=True)
    message = file_message()
    die(world, message, times=3)
    entry = world.make_dispatcher().dispatch(received(message, 4))
    assert entry.decision == "started"
    assert len(world.airflow.runs) == 1
    assert world.letters() == []


def test_trouble_of_the_environment_is_no_crash_however_often(world: World) -> None:
    world.airflow.error = EnvironmentUnavailableError("UPDATING")
    message = file_message()
    for number in range(1, 9):
        with pytest.raises(TransientError):
            world.make_dispatcher().dispatch(received(message, number))
    die_when_asked(world)
    die(world, message, times=3, first=9)
    assert world.make_dispatcher().dispatch(received(message, 12)).decision == "waiting"


def test_a_redriven_letter_is_tried_anew(world: World) -> None:
    die_when_asked(world)
    message = file_message()
    die(world, message, times=3)
    world.make_dispatcher().dispatch(received(message, 4))
    world.now += LATER
    (back,) = world.resume()
    world.make_dispatcher().dispatch(back)
    del world.airflow.__dict__["trigger_dag_run"]
    again = file_message(redriven_at=world.now.isoformat())
    changed = Message(**{name: getattr(again, name) for name in Message.__slots__} | {"message_id": "another"})
    assert world.make_dispatcher().dispatch(changed).decision == "started"
