"""Two collectors at once: between any two steps of one, the other does all of its work."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial

import pytest

from tests.unit.batches.world import Kill, Meddling, World, event

pytestmark = pytest.mark.slow


def fill_it(world: World) -> None:
    """Another invocation, with events of its own and with some of the same."""
    world.take([event(number) for number in (3, 4, 20, 21, 22)])


def let_its_time_come(world: World) -> None:
    world.now += timedelta(minutes=6)
    world.sweep()


def finish_what_is_left(world: World) -> None:
    """A sweep that takes the batch for one that somebody has left half done."""
    world.now += timedelta(minutes=6)
    world.sweep()
    world.now += timedelta(minutes=6)
    world.forget_deduplication()
    world.sweep()


@pytest.mark.parametrize("meddle", [fill_it, let_its_time_come, finish_what_is_left])
def test_another_collector_between_any_two_steps_loses_and_doubles_nothing(
    world: World, meddle: Callable[[World], None]
) -> None:
    bodies = [event(number) for number in range(3)]  # the first joins an open batch and fills it, the others open one
    counted = Kill()
    world.take([event(30), event(31), event(32), event(33)])
    world.take(bodies, counted)
    for after in range(1, len(counted.calls) + 1):
        world = world.fresh()
        world.take([event(30), event(31), event(32), event(33)])
        meddling = Meddling(after, partial(meddle, world))
        done, failed = world.take(bodies, meddling)
        assert (len(done), failed) == (3, [])
        world.settle()
        numbers = {*range(3), 30, 31, 32, 33}
        world.judge(numbers | {3, 4, 20, 21, 22} if meddle is fill_it else numbers, largest=5)


@pytest.mark.parametrize("meddle", [fill_it, let_its_time_come])
def test_an_event_that_comes_while_its_batch_is_closed_is_in_a_batch(
    world: World, meddle: Callable[[World], None]
) -> None:
    counted = Kill()

    def prepare(world: World) -> World:
        world.take([event(1), event(2)])
        world.now += timedelta(minutes=5)
        return world

    prepare(world).sweep(counted)
    for after in range(1, len(counted.calls) + 1):
        world = prepare(world.fresh())
        world.sweep(Meddling(after, partial(meddle, world)))
        world.settle()
        world.judge({1, 2, 3, 4, 20, 21, 22} if meddle is fill_it else {1, 2}, largest=5)
