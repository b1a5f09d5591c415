"""A roll-back for another file's error is a trial: no innocent version is lost in it, and no bad one stays."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from jetway.gate import recorder
from jetway.promotion.artifact_state import ArtifactState, promoted
from jetway.verification import reinstatement

from .promotion_world import LIVE, MINUTE, content
from .scenes import KEY, Scene, scene
from .trials import acquitted, ended, lifted, moment, on_trial
from .walker import Play, play_it, walk, walk_failures, wander

OVER_A_GOOD_ONE: dict[str, Any] = {"before": "works", "live": "works", "grudges": True}
THE_FIRST: dict[str, Any] = {"live": "works", "grudges": True}
GUILTY: dict[str, Any] = {"before": "works", "live": "hurts"}

MOMENTS = {
    "rolled back": on_trial,
    "found innocent": lifted,
    "live again": acquitted,
    "all told": ended,
}
PAIRS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("look", "another look", ()),
    ("look", "v2", ("works",)),
    ("look", "v2", ("breaks",)),
    ("look", "v2", ("refused",)),
    ("v2", "look", ("works",)),
    ("v2", "look", ("breaks",)),
    ("v2", "later", ("refused",)),
    ("look", "delete", ()),
    ("delete", "look", ()),
    ("delete", "later", ()),
    ("look", "by hand", ()),
    ("last", "look", ()),
    ("look", "last", ()),
    ("last", "delete", ()),
    ("delete", "last", ()),
    ("last", "v2", ("works",)),
    ("last", "v2", ("breaks",)),
    ("v2", "last", ("refused",)),
    ("last", "by hand", ()),
)


@pytest.mark.slow
@pytest.mark.parametrize("just", [False, True], ids=["before", "just then"])
@pytest.mark.parametrize("when", MOMENTS)
@pytest.mark.parametrize("there", [OVER_A_GOOD_ONE, THE_FIRST, GUILTY], ids=["over a good one", "the first", "guilty"])
def test_every_order_of_two_and_every_kill_ends_well(there: dict[str, Any], when: str, *, just: bool) -> None:
    if there is GUILTY and when in {"found innocent", "live again"}:
        pytest.skip("it never comes to that")
    for first, second, uploads in PAIRS:
        make = moment(MOMENTS[when], *uploads, just=just, **there)
        if "last" in {first, second} and not make().queue:
            continue
        found = walk(make, first, second)
        assert not found.broken, str(found)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("when", ["rolled back", "found innocent", "live again"])
@pytest.mark.parametrize("there", [OVER_A_GOOD_ONE, THE_FIRST], ids=["over a good one", "the first"])
def test_so_do_many_actors_by_lot(there: dict[str, Any], when: str, seed: int) -> None:
    for uploads in (("breaks", "works"), ("breaks", "breaks"), ("refused", "breaks"), ("works", "refused")):
        others = ["v2", "v3", "again", "later", "another look", "last"]
        found = wander(moment(MOMENTS[when], *uploads, **there), "look", others, plays=60, seed=seed)
        assert not found.broken, str(found)


@pytest.mark.slow
@pytest.mark.parametrize("when", ["rolled back", "found innocent", "live again"])
@pytest.mark.parametrize("there", [OVER_A_GOOD_ONE, THE_FIRST], ids=["over a good one", "the first"])
def test_so_it_does_when_a_call_fails(there: dict[str, Any], when: str) -> None:
    for first, second in (("look", None), ("look", "v2"), ("v2", "look")):
        found = walk_failures(moment(MOMENTS[when], "breaks", **there), first, second)
        assert not found.broken, str(found)


@pytest.mark.parametrize(
    ("first", "second", "when", "just"),
    [
        ("look", "v2", on_trial, False),  # the roll-back is cut short
        ("v2", "look", on_trial, True),
        ("last", "v2", on_trial, True),  # the gate was asked whether something else may go live
        ("look", "v2", lifted, False),
    ],
    ids=["as it is rolled back", "rolled back", "while the gate looks", "as it is found innocent"],
)
def test_one_that_is_innocent_comes_back_when_what_has_come_over_it_is_bad(
    first: str, second: str, when: Any, *, just: bool
) -> None:
    found = walk(moment(when, "breaks", just=just, **THE_FIRST), first, second, kills=False)
    assert not found.broken, str(found)


def test_one_that_is_on_trial_does_not_lose_its_place_to_one_that_was_passed_over() -> None:
    """The same error is met under that one, so that the newer one is innocent as well."""
    found = walk(moment(lifted, "works", **THE_FIRST), "look", "v2", kills=False)
    assert not found.broken, str(found)


def test_one_that_was_found_innocent_and_superseded_before_it_was_live_again_is_told_so() -> None:
    world = moment(lifted, "works", **OVER_A_GOOD_ONE)()
    world.look()
    blamed = named(world).acquitted[0][0]
    world.actors["v2"]()
    assert world.judge() == []
    assert "ArtifactSuperseded" in world.told(KEY, blamed)


@pytest.mark.parametrize("there", [OVER_A_GOOD_ONE, THE_FIRST], ids=["over a good one", "the first"])
def test_one_that_was_found_innocent_and_deleted_before_it_was_live_again_is_told_so(there: dict[str, Any]) -> None:
    """It is no longer rolled back, so that nothing may go on saying so."""
    world = moment(lifted, **there)()
    world.look()
    innocent = named(world).acquitted[0][0]
    world.actors["delete"]()
    assert world.judge() == []
    assert "ArtifactRemoved" in world.told(KEY, innocent)


def test_so_it_is_when_a_bad_one_has_come_after_the_deletion() -> None:
    """Found by lot."""
    inner = Play("delete", ((7, Play("last", ((18, Play("later", ((19, Play("v2")),))),))),))
    _, broken = play_it(moment(lifted, "breaks", **OVER_A_GOOD_ONE), Play("look", ((13, inner),)))
    assert broken is None, str(broken)


@pytest.mark.parametrize("there", [OVER_A_GOOD_ONE, THE_FIRST], ids=["over a good one", "the first"])
def test_what_somebody_puts_there_by_hand_during_the_trial_stays(there: dict[str, Any]) -> None:
    world = moment(on_trial, just=True, **there)()
    world.put_by_hand(KEY, content("works", note="by hand"))
    assert world.judge() == []
    live = world.s3.buckets[LIVE].newest(KEY)
    assert live is not None
    assert live.body == content("works", note="by hand")
    assert named(world).trial is None


def test_what_was_there_by_hand_before_and_comes_back_costs_no_innocent_version_its_trial() -> None:
    world = scene("works", grudges=True)()
    world.put_by_hand(KEY, content("works", note="by hand"))
    world.actors["v1"]()
    assert world.judge() == []
    standing = named(world)
    assert (standing.stage, standing.rolled_back) == ("good", ())
    assert standing.live is not None
    assert standing.acquitted == ((standing.live.source, "other.py"),), "each is written down once"


def test_so_it_is_when_who_found_it_innocent_has_died_after_a_newer_one_came() -> None:
    world = moment(lifted, "works", **OVER_A_GOOD_ONE)()
    calls = play_it(moment(lifted, "works", **OVER_A_GOOD_ONE), Play("look"))[0][0].calls
    asks = calls.index("sqs.send_message")
    world.street.actors = world.actors
    world.street.perform(Play("look", ((asks, Play("v2")),), killed_after=asks))
    assert world.judge() == []


def test_an_acquitted_version_is_rolled_back_for_an_error_of_its_own() -> None:
    world = moment(acquitted, just=True, **OVER_A_GOOD_ONE)()
    live = named(world).live
    assert live is not None
    world.turns_bad = live.source
    assert world.rest()
    assert named(world).rolled_back == (live.source,)
    assert named(world).trial is None


def test_what_was_told_days_ago_and_comes_again_changes_nothing() -> None:
    world = moment(ended, just=True, **OVER_A_GOOD_ONE)()
    world.rest()
    before = named(world)
    world.now += 3 * 24 * 60 * MINUTE
    world.upload_event_again(KEY)
    assert world.judge() == []
    assert (named(world).live, named(world).acquitted) == (before.live, before.acquitted)


def named(world: Scene) -> ArtifactState:
    found = world.standing(KEY)
    assert found is not None
    return found


def ends_the_trial(*of: Any, **more: Any) -> ArtifactState:
    return replace(promoted(*of, **more), trial=None)


MUTATIONS: dict[str, tuple[Any, str, Any, dict[str, Any], tuple[str, str, str]]] = {
    "a newer version ends the trial": (recorder, "promoted", ends_the_trial, THE_FIRST, ("v2", "look", "breaks")),
    "no trial is put off": (
        ArtifactState,
        "trial_is_put_off",
        property(lambda _: False),
        {"live": "hurts"},
        ("v2", "look", "hurts"),
    ),
    "nobody is acquitted": (
        reinstatement,
        "end_of",
        lambda *_: "guilty",
        OVER_A_GOOD_ONE,
        ("look", "another look", ""),
    ),
    "everybody is acquitted": (reinstatement, "end_of", lambda *_: "innocent", GUILTY, ("look", "another look", "")),
    "it is blamed for the same file again": (
        reinstatement,
        "innocent_of",
        lambda _: (),
        OVER_A_GOOD_ONE,
        ("look", "another look", ""),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MUTATIONS)
def test_without_a_guard_the_walk_finds_what_it_is_for(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    where, guard, instead, there, (first, second, upload) = MUTATIONS[name]
    make = moment(on_trial, upload, just=True, **there)
    make()  # all that comes before goes as it should
    monkeypatch.setattr(where, guard, instead)
    assert walk(make, first, second, until_broken=True).broken, "nobody would miss it"
