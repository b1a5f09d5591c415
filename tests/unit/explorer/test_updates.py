"""Whatever falls between two calls to AWS, the environment ends with what standings name, and no innocent is blamed.

`make test` walks every place of two actors and one kill at the moments that matter most. The slow tests walk all
moments, draw timelines by lot, and take the guards out one by one: each must then be missed.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from . import update_scenes as at
from .promotion_world import MINUTE, START
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


@pytest.mark.slow
@pytest.mark.parametrize("prepare", MOMENTS, ids=lambda prepare: prepare.__name__)
def test_so_it_does_at_every_moment(prepare: Prepare) -> None:
    make = moment(prepare)
    for first, second in [*PAIRS, *(WITH_GATE if prepare in ARRIVES else ())]:
        found = walk(make, first, second)
        assert not found.broken, str(found)


# -------------------------------------------------------------------------------- timelines by lot


def timeline(seed: int) -> tuple[UpdateWorld, list[str]]:
    """An hour and more, in which things happen by lot."""
    dice = random.Random(seed)
    world, done = UpdateWorld(), []
    world.quiet = dice.choice([timedelta(), 2 * MINUTE])
    world.run()
    truths = ["works", "works", "works", "breaks", "fails", "silences", "unfound"]

    def somebody(changes: dict[str, Any], **more: Any) -> None:
        if world.mwaa.described["Status"] != "UPDATING":
            world.mwaa.somebody(changes, **more)

    def drop_requirements() -> None:
        world.upload(R, requirements(dice.choice(truths), f"pytz==2024.{dice.randrange(99)}"))

    def trouble() -> None:
        answers = ["lost", "unsent", "ThrottlingException", "AccessDeniedException"]
        world.mwaa.answers = [dice.choice(answers) for _ in range(dice.randrange(1, 4))]

    things: dict[str, Callable[[], object]] = {
        "requirements": drop_requirements,
        "plugins": lambda: world.upload(P, plugins("works", str(dice.randrange(99)))),
        "deletion": lambda: world.delete(R) if world.s3.buckets["drop"].newest(R) else None,
        "option": lambda: somebody(OPTION, error=dice.choice([None, "no"]), takes=dice.randrange(1, 30) * MINUTE),
        "trouble": trouble,
    }
    for _ in range(dice.randrange(2, 7)):
        name = dice.choice(["requirements", "requirements", *things])
        done.append(f"{world.now - START}: {name}")
        things[name]()
        world.run(dice.randrange(1, 25), look_first=dice.random() < 0.5)
    world.mwaa.answers = []
    return world, done


@pytest.mark.slow
@pytest.mark.parametrize("batch", range(10))
def test_timelines_by_lot_end_well(batch: int) -> None:
    for seed in range(batch * 30, batch * 30 + 30):
        world, done = timeline(seed)
        # Artifacts of one update stand and fall together: which of them broke something cannot be told.
        broken = [each for each in judge(world) if not each.startswith("plugins.zip")]
        assert not broken, (seed, done, broken)
