"""While an update runs, and after it: files come again, people and AWS go on, answers are stale or are lost."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from . import update_scenes as at
from .update_scenes import moment
from .update_world import UpdateWorld
from .walker import walk

Prepare = Callable[[UpdateWorld], None]

# What is so, and the two that meet.
MEETINGS: dict[str, tuple[Prepare, str, str]] = {
    "deleted while its update runs, and the same bytes again": (at.running, "apply", "deleted, and v1 again"),
    "the old bytes again, while the update runs": (at.running_bad, "apply", "deleted, and v0 again"),
    "the deletion runs, and the file comes again": (at.running_deletion, "apply", "deleted, and v0 again"),
    "maintenance, right before the way back": (at.undo, "apply", "maintenance"),
    "somebody names the bad version again": (at.gone_back, "apply", "names the bad one"),
    "somebody names it while Jetway goes back": (at.back, "apply", "names the bad one"),
    "somebody names the old version, and ours is being looked at": (at.looked_good, "look", "names v0"),
    "somebody names what was deleted": (at.removed, "apply", "names v0"),
    "plugins come in the last minute": (at.quiet, "apply", "plugins"),
    "the answer is stale, and who asked is killed": (
        at.stale(at.waits, timedelta(seconds=100)),
        "apply",
        "apply later",
    ),
    "the way back, and the answer is stale": (at.stale(at.undo, timedelta(seconds=100)), "apply", "apply later"),
    "the answer is lost, and somebody is next": (at.unanswered(at.waits, "lost"), "apply", "option"),
    "the call was lost, and the file is deleted": (at.unanswered(at.waits, "unsent"), "apply", "delete"),
    "the way back, and the answer is lost": (at.unanswered(at.undo, "lost"), "apply", "apply later"),
}
RUNNING = (at.running, at.running_bad, at.running_in_vain, at.running_deletion, at.running_back, at.quiet)
OVER = (at.gone_back, at.removed, at.ended, at.looked_good, at.looked_bad, at.undo, at.back)
FILES = ("v1 again", "deleted, and v1 again", "deleted, and v0 again", "plugins", "maintenance", *at.PEOPLE)
NAMES = ("names v0", "names v1", "names the bad one", "maintenance", "plugins")
LAGS = (timedelta(seconds=5), timedelta(seconds=60), timedelta(seconds=200), timedelta(minutes=7))
ANSWERS = (("lost",), ("unsent",), ("lost", "lost"), ("unsent", "lost"), ("ThrottlingException",))
OTHERS = ("apply", "apply later", "look", "delete", "option", "theirs", "fix", "maintenance")


@pytest.mark.thorough
@pytest.mark.parametrize("name", MEETINGS)
def test_every_order_of_two_ends_well(name: str) -> None:
    prepare, first, second = MEETINGS[name]
    found = walk(moment(prepare), first, second, kills=False)
    assert not found.broken, str(found)


@pytest.mark.slow
@pytest.mark.parametrize("name", MEETINGS)
def test_so_does_every_kill(name: str) -> None:
    prepare, first, second = MEETINGS[name]
    found = walk(moment(prepare), first, second)
    assert not found.broken, str(found)


@pytest.mark.slow
@pytest.mark.parametrize("prepare", RUNNING, ids=lambda prepare: prepare.__name__)
def test_what_comes_while_an_update_runs(prepare: Prepare) -> None:
    for first in ("apply", "look"):
        for second in FILES:
            found = walk(moment(prepare), first, second, kills=False)
            assert not found.broken, str(found)


@pytest.mark.slow
@pytest.mark.parametrize("prepare", OVER, ids=lambda prepare: prepare.__name__)
def test_what_somebody_names(prepare: Prepare) -> None:
    for first in ("apply", "look"):
        for second in NAMES:
            found = walk(moment(prepare), first, second, kills=False)
            assert not found.broken, str(found)


@pytest.mark.slow
@pytest.mark.parametrize("lag", LAGS, ids=str)
@pytest.mark.parametrize("prepare", [at.waits, at.undo, at.deletion], ids=lambda prepare: prepare.__name__)
def test_stale_answers_cost_nothing(prepare: Prepare, lag: timedelta) -> None:
    for second in OTHERS:
        found = walk(moment(at.stale(prepare, lag)), "apply", second, kills=False)
        assert not found.broken, str(found)


@pytest.mark.slow
@pytest.mark.parametrize("answers", ANSWERS, ids="+".join)
@pytest.mark.parametrize("prepare", [at.waits, at.undo, at.deletion], ids=lambda prepare: prepare.__name__)
def test_lost_answers_cost_nothing(prepare: Prepare, answers: tuple[str, ...]) -> None:
    for second in OTHERS:
        found = walk(moment(at.unanswered(prepare, *answers)), "apply", second, kills=False)
        assert not found.broken, str(found)
