"""The function is killed between every pair of steps; then everything is delivered again, in another order."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest

from tests.unit.batches.world import Kill, KilledError, World, event

pytestmark = pytest.mark.slow

FILLING = [event(number, max_events=2) for number in range(3)]  # one batch of 2 filled and sent out, one opened
DUPLICATED = [*FILLING, FILLING[0]]


@pytest.mark.parametrize(
    ("bodies", "swept_first"), [(FILLING, False), (DUPLICATED, True)], ids=["redelivered", "swept-then-redelivered"]
)
def test_killed_after_any_call_of_collecting_no_event_is_lost_or_doubled(
    world: World, bodies: list[str], swept_first: bool
) -> None:
    counted = Kill()
    world.take(bodies, counted)
    assert len(counted.calls) >= 12
    for after in range(1, len(counted.calls) + 1):
        world = world.fresh()
        with pytest.raises(KilledError):
            world.take(bodies, Kill(after))
        if swept_first:
            world.settle()
        again = bodies.copy()
        random.Random(after).shuffle(again)
        for start in range(0, len(again), 2):
            _, failed = world.take(again[start : start + 2])
            assert failed == []
        for callback in world.callbacks():
            world.take([callback])
        world.settle()
        world.forget_deduplication()
        world.sweep()
        world.judge(range(3), largest=2)


def test_killed_after_any_call_of_the_sweep_no_event_is_lost_or_doubled(world: World) -> None:
    def prepare(world: World) -> World:
        world.take([event(1), event(2)])
        with pytest.raises(KilledError):  # a batch that was closed, but not sent out
            world.take([event(number, name="other", max_events=2) for number in (10, 11)], Kill(7))
        assert len(world.table.list_closed()) == 1
        world.now += timedelta(minutes=6)
        return world

    counted = Kill()
    prepare(world).sweep(counted)
    assert len(counted.calls) >= 12
    for after in range(1, len(counted.calls) + 1):
        world = prepare(world.fresh())
        with pytest.raises(KilledError):
            world.sweep(Kill(after))
        world.forget_deduplication()  # the sweep comes back after more than SQS's five minutes
        world.settle()
        batches = world.judge([1, 2, 10, 11], largest=5)
        assert sorted(map(len, batches)) == [2, 2]


def test_killed_after_any_call_of_a_callback_no_event_is_lost_or_doubled(world: World) -> None:
    def prepare(world: World) -> str:
        world.take([event(1), event(2)])
        (callback,) = world.callbacks()
        world.now += timedelta(minutes=5)
        return callback

    counted = Kill()
    world.take([prepare(world)], counted)
    world.judge([1, 2], largest=5)
    for after in range(1, len(counted.calls) + 1):
        world = world.fresh()
        callback = prepare(world)
        with pytest.raises(KilledError):
            world.take([callback], Kill(after))
        world.forget_deduplication()
        world.take([callback])  # SQS delivers it again
        world.settle()
        world.judge([1, 2], largest=5)
