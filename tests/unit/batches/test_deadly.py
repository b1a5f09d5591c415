"""A message that ends the collector each time: a dead letter after three times, and no neighbour pays for it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from jetway.batches.hands import REMEMBERED
from jetway.batches.intake import FEW

from .test_throttled import Throttling
from .world import Kill, KilledError, World, event

SOON = timedelta(seconds=30)
DEADLY = 2


class Deadly(Kill):
    """Whoever claims the event of that number dies, right before it is claimed or after."""

    def __init__(self, *, claims: bool = False) -> None:
        super().__init__()
        self.claims = claims

    def wrap(self, client: Any) -> Any:
        found, deadly = super().wrap(client), self

        class Client:
            def __getattr__(self, name: str) -> Any:
                call = getattr(found, name)
                return (lambda **request: deadly.claim(call, request)) if name == "transact_write_items" else call

        return Client()

    def claim(self, call: Any, request: dict[str, Any]) -> Any:
        is_deadly = f'\\"key\\": \\"{DEADLY}\\"' in json.dumps(request)
        if is_deadly and not self.claims:
            raise KilledError
        try:
            return call(**request)
        finally:
            if is_deadly:
                raise KilledError


def die(world: World, bodies: Sequence[str], receives: range, kill: Kill, ids: Sequence[str] | None = None) -> None:
    for number in receives:
        with pytest.raises(KilledError):
            world.take(bodies, kill, receives=number, ids=ids)
        world.now += SOON


BODIES = [event(number) for number in range(4)]


def test_after_three_times_it_is_a_dead_letter_and_its_neighbours_are_in_their_batch(world: World) -> None:
    die(world, BODIES, range(1, 4), Deadly())
    entries, failed = world.take(BODIES, Deadly(), receives=4)
    assert failed == []
    (dead,) = (entry for entry in entries if entry.decision == "dead-lettered")
    assert (dead.identity[2], (dead.because or "").partition(":")[0]) == (str(DEADLY), "crashed")
    (letter,) = world.letters()
    assert (letter["reason"], letter["message"]) == ("crashed", json.loads(BODIES[DEADLY]))
    row = world.ledger.get(dead.id)
    assert row is not None
    assert (row.decision, row.message_id) == ("dead-lettered", str(DEADLY))
    world.settle()
    assert len(world.judge([0, 1, 3], largest=5)) == 1


def test_of_many_that_come_back_together_it_dies_once_more_with_them_and_then_alone(world: World) -> None:
    bodies = [event(number, max_events=50) for number in range(FEW + 4)]
    die(world, bodies, range(1, 5), Deadly())
    entries, failed = world.take(bodies, Deadly(), receives=5)
    assert (sum(entry.decision == "dead-lettered" for entry in entries), failed) == (1, [])
    assert [letter["reason"] for letter in world.letters()] == ["crashed"]
    world.settle()
    world.judge({*range(FEW + 4)} - {DEADLY}, largest=50)


def test_who_was_by_accident_alone_at_a_crash_besides_is_no_dead_letter(world: World) -> None:
    bodies = [event(number, max_events=50) for number in range(FEW + 4)]
    die(world, bodies, range(1, 3), Deadly())
    with pytest.raises(KilledError):
        world.take(bodies, Kill(8), receives=3)
    die(world, bodies, range(4, 6), Deadly())
    entries, _ = world.take(bodies, Deadly(), receives=6)
    assert [entry.identity[2] for entry in entries if entry.decision == "dead-lettered"] == [str(DEADLY)]


def test_two_that_are_deadly_cost_no_one_else_anything(world: World) -> None:
    other = event(12, name="other").replace('"12"', f'"{DEADLY}"')
    bodies = [*BODIES, other]
    for number in range(1, 8):
        try:
            entries, failed = world.take(bodies, Deadly(), receives=number)
        except KilledError:
            world.now += SOON
        else:
            break
    assert number in {5, 6}, "each dies alone twice, and once in company"
    assert failed == []
    assert sum(entry.decision == "dead-lettered" for entry in entries) == 2
    world.settle()
    world.judge([0, 1, 3], largest=5)


def test_what_has_its_place_in_a_batch_when_the_function_dies_is_no_dead_letter(world: World) -> None:
    die(world, BODIES, range(1, 2), Deadly(claims=True))
    die(world, [BODIES[DEADLY]], range(2, 4), Deadly(claims=True), ids=["2"])
    entries, failed = world.take([BODIES[DEADLY]], Deadly(claims=True), receives=4, ids=["2"])
    assert ([entry.decision for entry in entries], failed) == (["duplicate"], [])
    world.take(BODIES)
    world.settle()
    world.judge(range(4), largest=5)
    assert world.letters() == []


def test_a_delivery_that_comes_back_for_trouble_is_no_crash_however_often(world: World) -> None:
    for number in range(1, 9):
        _, failed = world.take(BODIES, Throttling(1000), receives=number)
        assert failed == ["0", "1", "2", "3"]
    die(world, BODIES, range(9, 11), Deadly())
    _, failed = world.take(BODIES, receives=11)
    world.settle()
    world.judge(range(4), largest=5)
    assert (failed, world.letters()) == ([], [])


def test_a_crash_of_long_ago_does_not_count(world: World) -> None:
    die(world, BODIES[2:3], range(1, 4), Deadly(), ids=["2"])
    world.now += REMEMBERED + SOON
    entries, _ = world.take(BODIES[2:3], receives=4, ids=["2"])
    assert [entry.decision for entry in entries] == ["batched"]


def test_it_is_a_dead_letter_once_whenever_the_function_is_killed_on_the_way_to_it(world: World) -> None:
    alone = [BODIES[DEADLY]]
    after = 0
    while True:
        after += 1
        world = world.fresh()
        die(world, alone, range(1, 4), Deadly())
        kill = Kill(after)
        try:
            world.take(alone, kill, receives=4)
        except KilledError:
            pass
        else:
            break
        unsaid = len(set(kill.calls) & {"put_item", "delete_item"}) != 1
        if unsaid:  # it was killed before it said what it had in hand, or after that was struck out
            die(world, alone, range(5, 6), Deadly())
        entries, failed = world.take(alone, Deadly(), receives=5 + unsaid)
        assert ([entry.decision for entry in entries], failed) == (["dead-lettered"], [])
        assert [letter["reason"] for letter in world.letters()] == ["crashed"]
        entries, _ = world.take(alone, ids=["late copy"])
        assert [entry.because for entry in entries] == ["duplicate of a dead letter (crashed); redrive it"]
        world.settle()
        world.judge([], largest=5)
    assert after > 4


def test_a_letter_that_was_decided_and_not_sent_is_sent_though_its_crashes_are_forgotten(world: World) -> None:
    alone = [BODIES[DEADLY]]
    die(world, alone, range(1, 4), Deadly(), ids=["2"])
    with pytest.raises(KilledError):
        world.take(alone, Kill(4), receives=4, ids=["2"])  # what is in hand, twice; row, claim
    assert world.letters() == []
    world.now += REMEMBERED
    entries, failed = world.take(alone, receives=5, ids=["2"])
    assert ([entry.decision for entry in entries], failed) == (["dead-lettered"], [])
    assert len(world.letters()) == 1


def test_a_redriven_letter_gets_its_place_in_a_batch_and_a_second_copy_of_it_none(world: World) -> None:
    alone = [BODIES[DEADLY]]
    die(world, alone, range(1, 4), Deadly())
    world.take(alone, receives=4)
    again = json.dumps({**json.loads(BODIES[DEADLY]), "redriven_at": world.now.isoformat()})
    entries, _ = world.take([again], ids=["again"])
    assert [entry.decision for entry in entries] == ["batched"]
    entries, _ = world.take([again], ids=["and again"])
    assert [entry.decision for entry in entries] == ["duplicate"]
    world.settle()
    world.judge([DEADLY], largest=5)


def test_a_call_back_that_is_deadly_is_a_dead_letter_too(world: World) -> None:
    world.take(BODIES)
    (call_back,) = world.callbacks()
    die(world, [call_back], range(1, 4), Kill(1), ids=["hint"])
    for number in (2, 3):  # killed in the look itself
        with pytest.raises(KilledError):
            world.take([call_back], Kill(3), receives=number, ids=["hint"])
    _, failed = world.take([call_back], receives=4, ids=["hint"])
    assert failed == []
    assert [letter["reason"] for letter in world.letters()] == ["crashed"]
    world.settle()
    world.judge(range(4), largest=5)
