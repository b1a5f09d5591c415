"""Every call may be denied, throttled, lost, or made twice by the client: what was begun is finished all the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from . import update_scenes as at
from .scenes import scene
from .test_promotion import MEETINGS, meeting
from .update_scenes import moment
from .update_world import UpdateWorld
from .walker import walk_failures

# What is there before, what comes, and who is at work.
ALONE: dict[str, tuple[dict[str, Any], tuple[str, ...], str]] = {
    "a first version": ({}, ("works",), "v1"),
    "a newer one": ({"before": "works"}, ("works",), "v1"),
    "one that is refused": ({"before": "works"}, ("refused",), "v1"),
    "a roll-back": ({"before": "works", "live": "breaks"}, (), "look"),
    "a roll-back to nothing": ({"live": "breaks"}, (), "look"),
    "a deletion": ({"before": "works"}, (), "delete"),
    "a fix of what is rolled back": ({"live": "breaks"}, ("works",), "v2"),
}
UPDATES: tuple[tuple[Callable[[UpdateWorld], None], str], ...] = (
    (at.waits, "apply"),
    (at.first_waits, "apply"),
    (at.ended, "apply"),
    (at.failed, "apply"),
    (at.undo, "apply"),
    (at.undo_first, "apply"),
    (at.back, "apply"),
    (at.newer_over_bad, "apply"),
    (at.deletion, "apply"),
    (at.same, "apply"),
    (at.looked_good, "look"),
    (at.looked_bad, "look"),
    (at.with_plugins, "look"),
    (at.upload, "gate"),
    (at.newer, "gate"),
    (at.waits, "delete"),
    (at.looked_bad, "delete"),
)


@pytest.mark.thorough
@pytest.mark.parametrize("name", ALONE)
def test_a_call_that_fails_costs_a_file_nothing(name: str) -> None:
    there, uploads, actor = ALONE[name]
    found = walk_failures(scene(*uploads, **there), actor)
    assert not found.broken, str(found)


@pytest.mark.slow
@pytest.mark.parametrize("name", MEETINGS)
def test_nor_does_it_when_another_one_is_at_work_right_before_or_after_it(name: str) -> None:
    found = walk_failures(*meeting(name))
    assert not found.broken, str(found)


@pytest.mark.slow
@pytest.mark.parametrize(("prepare", "actor"), UPDATES)
def test_a_call_that_fails_costs_an_update_nothing(prepare: Callable[[UpdateWorld], None], actor: str) -> None:
    found = walk_failures(moment(prepare), actor)
    assert not found.broken, str(found)
