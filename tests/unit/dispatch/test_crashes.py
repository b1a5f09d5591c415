"""start_dag_run killed after each of its steps, and tried again: every event one run, none lost, each step told.

A crash is an exception that no code of ours may catch, raised by a part right after it has done its work, as a killed
function would leave the world.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from moto import mock_aws

from jetway.dispatch.messages import Message
from jetway.errors import CommandRejectedError, DagNotFoundError
from tests.unit.dispatching import World, file_message


class KilledError(BaseException):
    """The function is gone."""


def dies_after(owner: object, name: str) -> Callable[[], None]:
    """Let owner.name do its work once and die; return what brings it back to normal."""
    alive = getattr(owner, name)

    def die(*args: Any, **kwargs: Any) -> Any:
        alive(*args, **kwargs)
        raise KilledError

    setattr(owner, name, die)
    return lambda: setattr(owner, name, alive)


def kill_and_try_again(world: World, owner: object, name: str, message: Message) -> str:
    revive = dies_after(owner, name)
    world.dispatcher = world.make_dispatcher()  # takes the part as it is now
    with pytest.raises(KilledError):
        world.dispatch(message)
    revive()
    world.dispatcher = world.make_dispatcher()  # a new sandbox remembers nothing
    return world.dispatch(again(message)).decision


def again(message: Message) -> Message:
    """Return the message as SQS delivers it once more."""
    return Message(**{name: getattr(message, name) for name in Message.__slots__} | {"tries": message.tries + 1})


STARTING = ["ledger.begin", "airflow.trigger_dag_run", "tell", "ledger.record"]


@pytest.mark.parametrize("step", STARTING)
def test_killed_while_starting_a_run(step: str) -> None:
    with mock_aws():
        world = World()
        owner, name = part(world, step)
        decision = kill_and_try_again(world, owner, name, file_message())
        assert decision == ("duplicate" if step == "ledger.record" else "started")
        assert len(world.airflow.runs) == 1
        (row,) = world.ledger.list_events(since=world.now - timedelta(days=1))
        assert row.decision == "started"
        assert {event.id for event in world.told} == {f"{row.id}#started"}
        assert len(world.told) == (2 if step == "tell" else 1)
        assert [found.entry.id for found in world.ledger.open_entries(limit=9)] == [row.id]
        assert world.dispatch(file_message()).decision == "duplicate"


@pytest.mark.parametrize("step", ["sqs.send_message", "tell", "ledger.record"])
def test_killed_while_writing_a_dead_letter(step: str) -> None:
    with mock_aws():
        world = World()
        world.airflow.error = CommandRejectedError("no")
        owner, name = part(world, step)
        assert kill_and_try_again(world, owner, name, file_message()) == "dead-lettered"
        assert len(world.letters()) == 1  # the second copy has the same deduplication id
        assert len({event.id for event in world.told}) == 1
        (row,) = world.ledger.list_events(since=world.now - timedelta(days=1))
        assert row.decision == "dead-lettered"


@pytest.mark.parametrize("step", ["sqs.send_message", "ledger.record"])
def test_killed_while_stepping_aside(step: str) -> None:
    with mock_aws():
        world = World()
        world.airflow.errors = [DagNotFoundError("no"), DagNotFoundError("no")]
        owner, name = part(world, step)
        assert kill_and_try_again(world, owner, name, file_message()) == "waiting"
        world.now += timedelta(seconds=20)
        back = world.resume()
        assert len(back) == 1  # two copies waited, with one deduplication id for the way back
        assert [world.dispatch(found).decision for found in back] == ["started"]
        assert len(world.airflow.runs) == 1


@pytest.mark.parametrize("step", ["_rates.take", "airflow.trigger_dag_run"])
def test_killed_after_a_place_was_taken_never_starts_more_than_the_rate(step: str) -> None:
    with mock_aws():
        world = World()
        limited = file_message(trigger={"rate": {"count": 1, "per": 60}})
        if step == "_rates.take":
            dies_after(world.dispatcher._places._rates, "take")
            with pytest.raises(KilledError):
                world.dispatch(limited)
            world.dispatcher = world.make_dispatcher()
        else:
            revive = dies_after(*part(world, step))
            with pytest.raises(KilledError):
                world.dispatch(limited)
            revive()
            # The run is looked for before it would need another place.
            assert world.dispatch(again(limited)).decision == "started"
            return
        # The place is gone: the event takes the next one.
        assert world.dispatch(again(limited)).decision == "waiting"
        world.now += timedelta(seconds=60)
        (back,) = world.resume()
        assert world.dispatch(back).decision == "started"
        assert len(world.airflow.runs) == 1


def part(world: object, step: str) -> tuple[object, str]:
    owner, _, name = step.rpartition(".")
    return (getattr(world, owner) if owner else world), name
