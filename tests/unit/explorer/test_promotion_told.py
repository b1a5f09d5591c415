"""Every version that was judged is told of: whoever was killed, though its event came twice and its file went."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from jetway.promotion.reports import amend_report
from jetway.verification.outcome_records import OutcomeRecords

from .invariants import judge
from .promotion_world import DROP, LIVE, PromotionWorld, content
from .scenes import KEY, Scene, scene
from .walker import Play, play_it, walk, wander

Make = Callable[[], Scene]


def three(make: Make, outer: str, first: str, second: str, *, kills: bool) -> list[str]:
    """Two actors in every pair of places of a third one, in order; that one may be killed after each of its writes."""
    broken: list[str] = []
    places = len(play_it(make, Play(outer))[0][0].calls)
    for at in range(places + 1):
        for then in range(at, places + 1):
            play = Play(outer, ((at, Play(first)), (then, Play(second))))
            frames, found = play_it(make, play)
            broken += [str(found)] if found is not None else []
            for after in frames[0].writes if kills else ():
                if after >= then:
                    _, found = play_it(make, Play(outer, play.between, killed_after=after))
                    broken += [str(found)] if found is not None else []
    return broken


@pytest.mark.slow
@pytest.mark.parametrize(
    ("there", "upload"),
    [({}, "works"), ({"before": "works"}, "works"), ({}, "refused"), ({"before": "works"}, "breaks")],
    ids=["the first", "over a good one", "refused", "one that breaks"],
)
def test_a_deletion_and_a_second_delivery_in_every_pair_of_places(there: dict[str, Any], upload: str) -> None:
    assert three(scene(upload, **there), "v1", "only deleted", "again", kills=True) == []


@pytest.mark.slow
@pytest.mark.parametrize("upload", ["works", "refused"])
def test_a_newer_version_and_a_second_delivery_in_every_pair_of_places(upload: str) -> None:
    assert three(scene("works", upload), "v1", "v2", "again", kills=True) == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_deletions_and_second_deliveries_by_lot(seed: int) -> None:
    for make in (scene("works", "works"), scene("works", "refused", before="works"), scene("breaks", live="works")):
        uploads = [name for name in make().actors if name.startswith("v")]
        others = [*uploads[1:], "only deleted", "again", "again", "look", "delete"]
        found = wander(make, uploads[0], others, plays=60, seed=seed)
        assert not found.broken, str(found)


def test_what_nobody_has_judged_is_told_to_have_vanished() -> None:
    world = PromotionWorld()
    version = world.upload(KEY, content("works"))
    world.delete(KEY)
    assert judge(world) == []
    assert world.told(KEY, version) == {"ArtifactVanished"}
    assert world.judged == set()


def kept(how: str, world: PromotionWorld) -> None:
    """What somebody slow, or killed, leaves behind after all is done."""
    client: Any = world.s3
    version = world.s3.buckets[DROP].keys[KEY][-1].id
    if how == "tag":
        client.put_object_tagging(
            Bucket=DROP, Key=KEY, VersionId=version, Tagging={"TagSet": [{"Key": "jetway:verdict", "Value": "unknown"}]}
        )
    else:
        amend_report(client, DROP, KEY, version, {"outcome": how})


@pytest.mark.parametrize("how", ["tag", "superseded"])
def test_the_last_look_has_all_agree(how: str) -> None:
    world = PromotionWorld()
    world.upload(KEY, content("works"))
    world.deliver(world.queue[0])
    kept(how, world)
    assert judge(world) == []


def test_a_second_delivery_a_day_later_changes_nothing() -> None:
    world = PromotionWorld()
    world.prepare(KEY, content("works"))
    world.prepare(KEY, content("works", note="newer"))
    before, told = dict(world.s3.buckets[LIVE].keys), len({news.event.id for news in world.news})
    first = world.s3.buckets[DROP].keys[KEY][0].id
    world.now += timedelta(days=1)
    world._arrive(DROP, KEY, first, False)
    world.upload_event_again(KEY)
    assert judge(world) == []
    assert world.s3.buckets[LIVE].keys == before
    assert len({news.event.id for news in world.news}) == told


def test_the_same_bytes_twice_are_two_versions_with_two_fates() -> None:
    world = PromotionWorld()
    for _ in range(2):
        world.upload(KEY, content("works"))
    assert judge(world) == []


MUTATIONS: dict[str, tuple[str, Any]] = {
    "nobody tells below a deletion": ("below_deletion", lambda *_: False),
    "what is told is not finished": ("finish", lambda *_: None),
    "the last look compares nothing": ("agree", lambda *_: None),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MUTATIONS)
def test_without_a_guard_the_walk_finds_what_it_is_for(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    guard, instead = MUTATIONS[name]
    makes = [
        (scene("works"), "v1", "deleted, and again"),
        (scene("works", live="works"), "v2", "delete"),
        (scene("works", live="works"), "delete", "v2"),
    ]
    for make, *_ in makes:
        make()  # all that comes before goes as it should
    monkeypatch.setattr(OutcomeRecords, guard, instead)
    assert any(walk(make, *actors, until_broken=True).broken for make, *actors in makes), "nobody would miss it"
