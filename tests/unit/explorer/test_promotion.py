"""Whatever falls between any two calls to AWS, what the book says is what the bucket and the environment hold.

`make test` walks every place of two actors and one kill. The slow tests do the same under all that AWS leaves open,
draw orders of many actors by lot, and take the guards out one by one: the walk must then find what the guard is for.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from jetway.diagnosis.attribution import Attribution
from jetway.promotion import reconciliation
from jetway.promotion.artifact_state import ArtifactState
from jetway.promotion.reconciliation import Agreement, NextStep
from tests.unit.explorer.promotion_world import LIVE, MINUTE, VERIFY_AFTER
from tests.unit.explorer.scenes import Scene, scene
from tests.unit.explorer.walker import walk, wander

Make = Callable[[], Scene]

LATE = {"skew": VERIFY_AFTER}  # by the verifier's clock it is time for a look at once

# What is there before, and the two actors that meet.
MEETINGS: dict[str, tuple[dict[str, Any], tuple[str, ...], str, str]] = {
    "a fix meets the roll-back of the first version": ({"live": "breaks"}, ("works",), "v2", "look"),
    "the roll-back of the first version meets a fix": ({"live": "breaks"}, ("works",), "look", "v2"),
    "a fix meets a roll-back": ({"before": "works", "live": "breaks"}, ("works",), "v2", "look"),
    "a roll-back meets a fix": ({"before": "works", "live": "breaks"}, ("works",), "look", "v2"),
    "a roll-back meets the same bytes": ({"live": "breaks", "same": True}, ("breaks",), "look", "v2"),
    "the same bytes meet a roll-back": ({"live": "breaks", "same": True}, ("breaks",), "v2", "look"),
    "a deletion meets an upload": ({"live": "works"}, ("works",), "delete", "v2"),
    "an upload meets a deletion": ({"live": "works"}, ("works",), "v2", "delete"),
    "a deletion meets the same bytes": ({"live": "works", "same": True}, ("works",), "delete", "v2"),
    "a deletion meets a roll-back": ({"before": "works", "live": "breaks"}, (), "delete", "look"),
    "a roll-back meets a deletion": ({"before": "works", "live": "breaks"}, (), "look", "delete"),
    "two versions at once": ({"before": "works"}, ("works", "works"), "v1", "v2"),
    "two versions at once, the newer one breaks": ({"before": "works"}, ("works", "breaks"), "v1", "v2"),
    "two versions at once, the newer one is refused": ({"before": "works"}, ("works", "refused"), "v1", "v2"),
    "two first versions, the newer one breaks": ({}, ("works", "breaks"), "v1", "v2"),
    "two looks at once": ({"before": "works", "live": "breaks"}, (), "look", "another look"),
    "two looks at once, and nothing before": ({"live": "breaks"}, (), "look", "another look"),
    "a slow gate meets the look at what it promotes": ({"before": "works", **LATE}, ("breaks",), "v1", "look"),
    "a second delivery meets a roll-back": ({"live": "breaks", "twice": True}, (), "again", "look"),
    "a roll-back meets a second delivery": ({"before": "works", "live": "breaks", "twice": True}, (), "look", "again"),
    "a version is delivered twice at once": ({"before": "works"}, ("breaks",), "v1", "again"),
    "a first version is deleted, and delivered again": ({}, ("works",), "v1", "deleted, and again"),
    "a version is deleted, and delivered again": ({"before": "works"}, ("works",), "v1", "deleted, and again"),
    "one that is refused is deleted, and delivered again": ({}, ("refused",), "v1", "deleted, and again"),
    "a look meets what somebody puts there by hand": ({"live": "breaks"}, (), "look", "by hand"),
    "an upload meets what somebody puts there by hand": ({"before": "works"}, ("works",), "v1", "by hand"),
    "a file that needs one that is late": ({"helper": True, "live": "needs helper"}, (), "look", "another look"),
    "a file that ends its parser": ({"live": "silent"}, (), "look", "another look"),
    "a file that ends its parser meets a fix": ({"live": "silent"}, ("works",), "look", "v2"),
}
# What AWS leaves open, or what may be otherwise.
WORLDS: dict[str, dict[str, Any]] = {
    "If-Match on nothing is 412": {"nothing": 412},
    "SSE-KMS": {"kms": True},
    "events without a version": {"versions_in_events": False},
    "Airflow is a minute behind": {"lag": timedelta(seconds=60)},
    "clocks differ": {"skew": timedelta(seconds=20)},
    "S3's clock is ahead": {"s3_ahead": 10 * MINUTE},
    "S3's clock is behind": {"s3_ahead": -10 * MINUTE},
    "no versions any more": {"suspended": (LIVE,)},
    "old standings": {"old": True},
    "the transport tells no parses": {"tells_parses": False},
}


def meeting(name: str, **world: Any) -> tuple[Make, str, str]:
    there, uploads, first, second = MEETINGS[name]
    return scene(*uploads, **there | world), first, second


@pytest.mark.thorough
@pytest.mark.parametrize("name", MEETINGS)
def test_every_order_of_two_and_every_kill_ends_well(name: str) -> None:
    found = walk(*meeting(name))
    assert not found.broken, str(found)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "world"),
    [
        (name, world)
        for name in MEETINGS
        for world in WORLDS
        # Without times of parsing that is told, and never rolled back: test_never_appeared.py.
        if not ("ends its parser" in name and "no parses" in world)
        # A deletion in the middle of it is told of only where the event names the version.
        and not ("delivered again" in name and "without a version" in world)
    ],
)
def test_so_it_does_under_all_that_aws_leaves_open(name: str, world: str) -> None:
    found = walk(*meeting(name, **WORLDS[world]))
    assert not found.broken, str(found)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("world", [{}, *WORLDS.values()], ids=["as it is", *WORLDS])
def test_so_do_many_actors_by_lot(seed: int, world: dict[str, Any]) -> None:
    crowds = [
        scene("breaks", "works", "refused", before="works", live="breaks", **world),
        scene("works", "breaks", **world),
        scene("breaks", live="breaks", same=True, **world),
    ]
    for make in crowds:
        uploads = [name for name in make().actors if name.startswith("v")]
        others = [*uploads, "again", "delete", "look", "another look"]
        found = wander(make, "look", others, plays=60, seed=seed)
        assert not found.broken, str(found)


def _never(*_: object, **__: object) -> None:
    """Do nothing."""


def _blind_to_bad(standing: ArtifactState | None, there: str | None) -> Agreement:
    agreement = compare(standing, there)
    return "agree" if agreement == "bad" else agreement


compare = reconciliation.compare
# A guard that is taken out: what stands in for it, and a meeting that must find it.
MUTATIONS: dict[str, tuple[str, Any, str]] = {
    "the look does not compare": (
        "verification.verifier.compare",
        lambda *_: "agree",
        "a look meets what somebody puts there by hand",
    ),
    "the gate does not look again": ("gate.gate.next_step", lambda _: NextStep("done"), "a deletion meets a roll-back"),
    "nobody passed over has its turn": ("gate.gate.wanted", _never, "two first versions, the newer one breaks"),
    "a roll-back cut short is forgotten": ("promotion.artifact_state._untold", lambda _: (), "a roll-back meets a fix"),
    "a late report is left": (
        "gate.recorder.tell_rollback_again",
        lambda *_: True,
        "a slow gate meets the look at what it promotes",
    ),
    "what is bad may be live": (
        "promotion.reconciliation.compare",
        _blind_to_bad,
        "a second delivery meets a roll-back",
    ),
    "nobody waits for a file that is late": (
        "verification.verifier.awaited",
        lambda *_: False,
        "a file that needs one that is late",
    ),
    "never appeared is good": (
        "diagnosis.attribution._not_seen",
        lambda *_: Attribution("keep"),
        "a file that ends its parser",
    ),
    "what is live is not told again": ("verification.outcome_records.tell_live", _never, "a roll-back meets a fix"),
    "what came by hand is Jetway's": (
        "gate.gate.source_of",
        lambda _: None,
        "an upload meets what somebody puts there by hand",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MUTATIONS)
def test_without_a_guard_the_walk_finds_what_it_is_for(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    guard, instead, where = MUTATIONS[name]
    make, first, second = meeting(where)
    make()  # all that comes before goes as it should
    monkeypatch.setattr(f"jetway.{guard}", instead)
    found = walk(make, first, second, until_broken=True)
    assert found.broken, "nobody would miss it"
