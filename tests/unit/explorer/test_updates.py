"""Whatever falls between two calls to AWS, the environment ends with what standings name, and no innocent is blamed.

`make test` walks every place of two actors and one kill at the moments that matter most. The slow tests walk all
moments, draw timelines by lot, and take the guards out one by one: each must then be missed.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from jetway.errors import TransientError
from jetway.updates.apply import RefusedError
from tests.unit.batches.world import Kill, KilledError, Meddling

from . import update_scenes as at
from .promotion_world import DROP, MINUTE, START
from .update_invariants import judge
from .update_scenes import OPTION, P, R, moment
from .update_world import UpdateWorld, plugins, requirements
from .walker import walk

Prepare = Callable[[UpdateWorld], None]

# What is so, and the two that meet.
MEETINGS: dict[str, tuple[Prepare, str, str]] = {
    "two begin the same update": (at.waits, "apply", "apply"),
    "one is slow, and another takes it for dead": (at.waits, "apply", "apply later"),
    "somebody's update begins, and fails": (at.waits, "apply", "option fails"),
    "somebody points the environment elsewhere before": (at.waits, "apply", "theirs"),
    "an update has failed, and somebody's begins": (at.failed, "apply", "option"),
    "a look finds that all is well, twice": (at.looked_good, "look", "look"),
    "a look finds what is broken, beside a deletion": (at.looked_bad, "look", "delete"),
    "somebody points it elsewhere while it is looked at": (at.looked_bad, "look", "theirs"),
    "the way back, and somebody's update": (at.undo, "apply", "option"),
    "the way back, and somebody points it elsewhere": (at.undo, "apply", "theirs"),
    "back, and somebody's update": (at.back, "apply", "option"),
    "pip has failed, and the plugins are well": (at.with_plugins, "look", "apply"),
}

MOMENTS = (
    at.waits,
    at.first_waits,
    at.ended,
    at.failed,
    at.looked_good,
    at.looked_bad,
    at.undo,
    at.undo_first,
    at.back,
    at.newer,
    at.newer_over_bad,
    at.same,
    at.deletion,
    at.upload,
    at.with_plugins,
    at.three,
    at.three_fail,
    at.silent,
)
PAIRS = [
    *(("apply", other) for other in ("apply", "apply later", "look", "delete", "option", "option fails", "theirs")),
    *(("look", other) for other in ("apply", "look", "delete", "option", "theirs")),
    ("delete", "apply"),
]
WITH_GATE = [("apply", "gate"), ("gate", "apply"), ("gate", "delete"), ("delete", "gate"), ("gate", "gate")]
ARRIVES = (at.newer, at.newer_over_bad, at.upload)


@pytest.mark.thorough
@pytest.mark.parametrize("name", MEETINGS)
def test_every_order_of_two_and_every_kill_ends_well(name: str) -> None:
    prepare, first, second = MEETINGS[name]
    found = walk(moment(prepare), first, second)
    assert not found.broken, str(found)


def test_a_deletion_does_not_tag_over_a_roll_back_that_was_told_meanwhile() -> None:
    found = walk(moment(at.failed), "delete", "apply", kills=False)
    assert not found.broken, str(found)


@pytest.mark.slow
@pytest.mark.parametrize("prepare", MOMENTS, ids=lambda prepare: prepare.__name__)
def test_so_it_does_at_every_moment(prepare: Prepare) -> None:
    make = moment(prepare)
    for first, second in [*PAIRS, *(WITH_GATE if prepare in ARRIVES else ())]:
        found = walk(make, first, second)
        assert not found.broken, str(found)


@pytest.mark.slow
@pytest.mark.parametrize(
    "prepare", [each for each in MOMENTS if each is not at.first_waits], ids=lambda each: each.__name__
)
def test_what_people_do_meanwhile_ends_well(prepare: Prepare) -> None:
    make = moment(prepare)
    for second in at.PEOPLE:
        for first in ("apply", "look"):
            found = walk(make, first, second, kills=False)
            assert not found.broken, str(found)


# -------------------------------------------------------------------------------- timelines by lot


class Lot:
    """An hour and more, in which things happen by lot."""

    def __init__(self, seed: int) -> None:
        self.dice, self.world = random.Random(seed), UpdateWorld()
        self.world.quiet = self.dice.choice([timedelta(), 2 * MINUTE])
        self.done: list[str] = []
        self.things: dict[str, Callable[[], object]] = {
            "requirements": self.requirements,
            "plugins": lambda: self.world.upload(P, plugins("works", str(self.dice.randrange(99)))),
            "deletion": lambda: self.world.delete(R) if self.world.s3.buckets[DROP].newest(R) else None,
            "option": lambda: self.somebody(OPTION),
            "theirs": lambda: self.somebody(self.world.by_hand(b"# theirs %d\n" % self.dice.randrange(99))),
            "late answers": self.late_answers,
            "no answers": self.no_answers,
            "scaling": self.scaling,
        }

    def play(self) -> None:
        self.world.run()
        for _ in range(self.dice.randrange(2, 7)):
            name = self.dice.choice(["requirements", "requirements", *self.things])
            self.done.append(f"{self.world.now - START}: {name}")
            self.things[name]()
            for _ in range(self.dice.randrange(1, 25)):
                self.minute()
        self.world.mwaa.answers, self.world.mwaa.lag = [], timedelta()

    def minute(self) -> None:
        """Both schedules fire, in either order; some are killed, and some are not alone."""
        self.world.now += MINUTE
        for message in list(self.world.queue):
            self.world.deliver(message)
        acts = [self.world.apply, self.world.look]
        self.dice.shuffle(acts)
        for act in acts:
            fate: Kill | None = None
            if self.dice.random() < 0.1:
                fate = Kill(self.dice.randrange(1, 30))
            elif self.dice.random() < 0.05:
                fate = Meddling(self.dice.randrange(1, 20), self.world.apply)
            with suppress(KilledError):
                act(fate)

    def requirements(self) -> None:
        truth = self.dice.choice(["works", "works", "works", "breaks", "fails", "silences", "unfound"])
        self.world.upload(R, requirements(truth, f"pytz==2024.{self.dice.randrange(99)}"))

    def somebody(self, changes: dict[str, Any]) -> None:
        takes, error = self.dice.randrange(1, 30) * MINUTE, self.dice.choice([None, None, "no"])
        if self.world.mwaa.described["Status"] != "UPDATING":
            self.world.mwaa.somebody(changes, takes=takes, error=error)

    def late_answers(self) -> None:
        self.world.mwaa.lag = timedelta(seconds=self.dice.choice([0, 5, 60, 90]))

    def no_answers(self) -> None:
        answers = ["lost", "unsent", "ThrottlingException", "AccessDeniedException"]
        self.world.mwaa.answers = [self.dice.choice(answers) for _ in range(self.dice.randrange(1, 4))]

    def scaling(self) -> None:
        with suppress(RefusedError, TransientError):
            self.world.updates().scale(self.world.facts(), self.dice.randrange(1, 4), self.dice.randrange(10, 20))


@pytest.mark.slow
@pytest.mark.parametrize("batch", range(10))
def test_timelines_by_lot_end_well(batch: int) -> None:
    for seed in range(batch * 30, batch * 30 + 30):
        lot = Lot(seed)
        lot.play()
        # Artifacts of one update stand and fall together: which of them broke something cannot be told.
        broken = [each for each in judge(lot.world) if not each.startswith(P)]
        assert not broken, (seed, lot.done, broken)
