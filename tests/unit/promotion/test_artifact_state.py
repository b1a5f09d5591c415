"""What a promotion, and a version that comes back after its roll-back, make of a standing."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from jetway.promotion.artifact_state import (
    ArtifactState,
    Defect,
    LiveVersion,
    Stage,
    Unpublished,
    promoted,
    rolling_back_again,
)

KEY = "dags/orders.py"
NOW = datetime(2026, 11, 30, 9, tzinfo=UTC)
DUE = NOW + timedelta(minutes=2)
OLD = LiveVersion("v1", "live", KEY, "l1", "dag-file", "accepted", NOW, "reports/v1.json")
NEW = replace(OLD, source="v2", version_id="l2", report="reports/v2.json")


@pytest.mark.parametrize(
    ("before", "clean"),
    [
        (None, True),
        (ArtifactState(KEY, "good", OLD, OLD), True),
        (ArtifactState(KEY, "verifying", OLD), False),
        (ArtifactState(KEY, "rolled-back", rolled_back=("v1",)), False),
        (ArtifactState(KEY, "removed"), False),
    ],
)
def test_an_error_is_a_versions_own_at_once_only_where_nothing_before_it_can_have_left_it(
    before: ArtifactState | None, *, clean: bool
) -> None:
    after = promoted(before, KEY, replace(NEW, clean=True), due_at=DUE, waits=False)
    assert after.live is not None
    assert (after.stage, after.due_at, after.live.source, after.live.clean) == ("verifying", DUE, "v2", clean)


def test_a_roll_back_that_is_on_its_way_is_not_begun_anew() -> None:
    """It keeps its problems, and is told once: nothing has cut it short."""
    before = ArtifactState(KEY, "rolling-back", NEW, OLD, ("v2",), (Defect(KEY, "KeyError"),), due_at=NOW)
    assert rolling_back_again(before, replace(NEW, verdict="unknown"), DUE) is before


@pytest.mark.parametrize("stage", ["rolled-back", "verifying", "good", "by-hand"])
def test_one_that_is_live_again_after_its_roll_back_has_to_go_whatever_was_there(stage: Stage) -> None:
    for live in (OLD, NEW):
        after = rolling_back_again(ArtifactState(KEY, stage, live, OLD, ("v2",)), NEW, DUE)
        assert (after.stage, after.live, after.due_at, after.untold) == ("rolling-back", NEW, DUE, ())


def test_a_roll_back_of_another_one_that_it_cuts_short_is_still_to_be_told() -> None:
    problems = (Defect(KEY, "KeyError"),)
    before = ArtifactState(KEY, "rolling-back", OLD, None, ("v2", "v1"), problems)
    assert rolling_back_again(before, NEW, DUE).untold == (Unpublished(OLD, problems),)
