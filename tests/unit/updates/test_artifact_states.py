"""What an update makes of the standings: only of the version that it brought, and whatever came meanwhile stays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from jetway.promotion.artifact_state import ArtifactState, Defect, LiveVersion
from jetway.updates import artifact_states as to

KEY = "requirements.txt"
NOW = datetime(2026, 11, 30, 9, tzinfo=UTC)


def version(source: str) -> LiveVersion:
    return LiveVersion(source, "bucket", KEY, f"copy of {source}", "requirements", "accepted", NOW, "reports/r.json")


OURS, NEWER = version("one"), version("two")
NOTHING = version("nothing")

CHANGES = {
    "staged": to.staged(KEY, OURS, "updating"),
    "in force": to.is_in_force(OURS, (KEY, "another copy")),
    "gone": to.is_gone(KEY, OURS),
    "nothing is live": to.nothing_is_live(KEY, NOTHING),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_newer_version_that_waits_already_is_left_alone(
    change: Callable[[ArtifactState | None], ArtifactState],
) -> None:
    waiting = ArtifactState(KEY, "waiting", live=NEWER, good=OURS)
    assert change(waiting) == waiting
    nothing_left = ArtifactState(KEY, "removed")
    assert change(nothing_left) == nothing_left
    assert change(None) == nothing_left


def test_a_version_that_was_found_good_is_good_for_the_newer_one_too() -> None:
    waiting = ArtifactState(KEY, "waiting", live=NEWER)
    assert to.good(KEY, OURS)(waiting) == replace(waiting, good=OURS)
    assert to.good(KEY, OURS)(None) == ArtifactState(KEY, "removed", good=OURS)


def test_an_update_takes_its_version_from_stage_to_stage() -> None:
    waiting = ArtifactState(KEY, "waiting", live=OURS, due_at=NOW)
    updating = to.staged(KEY, OURS, "updating")(waiting)
    assert (updating.stage, updating.live, updating.due_at) == ("updating", OURS, None)
    good = to.good(KEY, OURS)(updating)
    assert (good.stage, good.live, good.good) == ("good", OURS, OURS)
    there = to.is_in_force(OURS, (KEY, "another copy"))(updating)
    assert there.stage == "good"
    assert there.live is not None
    assert there.live.version_id == "another copy"


def test_a_deletion_that_is_in_force_leaves_nothing_to_go_back_to() -> None:
    updating = ArtifactState(KEY, "updating", live=OURS, good=OURS, problems=(Defect(KEY, "p"),), due_at=NOW)
    assert to.is_gone(KEY, OURS)(updating) == ArtifactState(KEY, "removed")


def test_what_was_rolled_back_to_nothing_says_what_nothing_is() -> None:
    back = ArtifactState(KEY, "rolled-back")
    assert to.nothing_is_live(KEY, NOTHING)(back) == replace(back, live=NOTHING)
