"""What `make chaos` calls wrong, and what it does not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from tools.bench.aftermath import Dropped, Facts, faults
from tools.bench.stories import KINDS, Act, Story, stories

WORKS, BREAKS = Act(0, "good", "works"), Act(1, "bad", "breaks-in-environment")
REFUSED, NEVER, DELETED = Act(0, "bad", "breaks-in-gate"), Act(0, "x", "never-appears"), Act(1, None, "deletes")


def dropped(*acts: Act, live: int | None) -> Dropped:
    story = Story("any", "dags/a/b.py", "a", 0, acts, live)
    return Dropped(story, tuple(f"v{number}" for number in range(len(acts))), tuple(map(float, range(len(acts)))))


def report(version: str, outcome: str, *, verdict: str = "accepted", state: str | None = None) -> Mapping[str, Any]:
    in_force = {"in_force": {"state": state}} if state else {}
    return {"outcome": outcome, "verdict": verdict, "findings": [], "source": {"version": version}, **in_force}


VERIFIED = report("v0", "promoted", state="verified")
ROLLED_BACK = report("v1", "rolled-back")
GOOD = Facts("v0", {}, {"v0": VERIFIED}, VERIFIED, {"v0": "accepted"}, {"v0": frozenset({"ArtifactPromoted"})}, True)
BACK = replace(
    GOOD,
    reports={"v0": VERIFIED, "v1": ROLLED_BACK},
    latest=ROLLED_BACK,
    tags={"v0": "accepted", "v1": "rolled-back"},
    told={**GOOD.told, "v1": frozenset({"ArtifactPromoted", "ArtifactRolledBack"})},
)
ONE, TWO = dropped(WORKS, live=0), dropped(WORKS, BREAKS, live=0)


def wrong(found: Dropped, facts: Facts, *, parse_times: bool = True) -> list[str]:
    return faults(found, facts, parse_times=parse_times)


def test_a_good_file_that_is_live_and_told_of_is_right() -> None:
    assert wrong(ONE, GOOD) == []


def test_a_version_that_went_back_to_the_good_one_is_right() -> None:
    assert wrong(TWO, BACK) == []


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (replace(GOOD, live=None), "live is nothing, not version 1 (works)"),
        (replace(GOOD, live="else"), "live is something else (else), not version 1 (works)"),
        (replace(GOOD, in_airflow=False), "its DAG is not in Airflow"),
        (replace(GOOD, import_error="Traceback\nKeyError: 1"), "Airflow shows an import error: KeyError: 1"),
        (replace(GOOD, tags={}), "version 1 (works): its tag is None, not accepted"),
        (replace(GOOD, told={}), "version 1 (works): its report says promoted, and ArtifactPromoted was not sent"),
        (
            replace(GOOD, told={"v0": frozenset({"ArtifactPromoted", "ArtifactRolledBack"})}),
            "version 1 (works): ArtifactRolledBack was sent, and its report says promoted",
        ),
        (
            replace(GOOD, reports={"v0": report("v0", "promoted", state="verifying")}),
            "version 1 (works): it is live, and its report says verifying",
        ),
        (replace(GOOD, reports={}), "version 1 (works): its report says no report, not promoted"),
        (
            replace(GOOD, latest=report("v0", "superseded")),
            "latest.json says superseded, its version's report promoted",
        ),
        (replace(GOOD, latest=None), "there is no latest.json"),
    ],
)
def test_what_is_wrong_with_a_good_file_is_named(facts: Facts, said: str) -> None:
    assert said in wrong(ONE, facts)


def test_an_innocent_version_that_was_rejected_is_named_with_its_rule() -> None:
    document = {**report("v0", "quarantined", verdict="rejected"), "findings": [{"rule": "exits"}]}
    facts = Facts(None, {}, {"v0": document}, document, {"v0": "rejected"}, {"v0": frozenset({"ArtifactRejected"})})
    assert "version 1 (works): its report says quarantined (exits), not promoted" in wrong(ONE, facts)


def test_a_broken_version_that_is_live_is_named() -> None:
    assert "live is version 2 (breaks-in-environment), not version 1 (works)" in wrong(TWO, replace(BACK, live="v1"))


def test_a_version_that_something_followed_may_have_been_passed_over_and_the_newest_may_not() -> None:
    passed_over = report("v0", "superseded")
    two_good = dropped(WORKS, replace(WORKS, text="v1"), live=1)
    told = {"v0": frozenset({"ArtifactSuperseded"}), "v1": frozenset({"ArtifactPromoted"})}
    tags = {"v0": "superseded", "v1": "accepted"}
    newest = report("v1", "promoted", state="verified")
    facts = Facts("v1", {}, {"v0": passed_over, "v1": newest}, newest, tags, told, in_airflow=True)
    assert wrong(two_good, facts) == []
    assert wrong(two_good, replace(facts, reports={"v0": passed_over, "v1": report("v1", "superseded")}))


def test_a_deletion_leaves_nothing_and_says_removed() -> None:
    gone = dropped(WORKS, DELETED, live=None)
    document = report("v0", "removed")
    told = {"v0": frozenset({"ArtifactPromoted", "ArtifactRemoved"})}
    facts = Facts(None, {}, {"v0": document}, document, {"v0": "removed"}, told)
    assert wrong(gone, facts) == []
    assert wrong(gone, replace(facts, live="v0", in_airflow=True))
    assert wrong(gone, replace(facts, reports={"v0": VERIFIED}, latest=VERIFIED))


def test_what_never_appears_may_stay_only_where_parse_times_are_not_known() -> None:
    never = dropped(NEVER, live=None)
    stays = replace(GOOD, in_airflow=False)
    assert wrong(never, stays, parse_times=False) == []
    assert wrong(never, stays, parse_times=True)


def test_stories_are_the_same_for_a_seed_and_others_for_another() -> None:
    assert stories("a", 60, 1) == stories("a", 60, 1)
    assert stories("a", 60, 1) != stories("a", 60, 2)


def test_stories_have_every_kind_and_keys_of_their_own() -> None:
    told = stories("a", 60, 1)
    assert {story.kind for story in told} >= set(KINDS)
    assert len({story.key for story in told}) == len(told)
    for story in told:
        assert story.live is None or story.acts[story.live].fate == "works"
        assert story.needs is None or story.needs in {each.key for each in told}


def test_every_text_is_python_but_those_that_are_not_meant_to_be() -> None:
    for story in stories("a", 60, 3):
        for act in story.acts:
            if act.text is not None and act.fate != "breaks-in-gate":
                compile(act.text, story.key, "exec")
