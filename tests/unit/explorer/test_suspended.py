"""The drop bucket keeps no versions any more: somebody has suspended them, and an upload overwrites the last one.

S3 names them all by the id "null", so that whoever is slow tells of one, and hits another.
"""

from __future__ import annotations

import pytest

from jetway.artifacts.keys import report_key
from jetway.promotion.copy import SOURCE_VERSION
from jetway.promotion.verdict_tag import TAG

from .promotion_world import DROP, LIVE, content
from .scenes import KEY, scene
from .test_promotion import MEETINGS, meeting
from .update_stage import R
from .update_world import UpdateWorld, requirements
from .walker import walk, walk_failures

REFUSED, GOOD = b"requests[\n", requirements()


@pytest.mark.parametrize("first", ["works", "refused"])
@pytest.mark.parametrize("second", ["works", "refused"])
def test_a_verdict_is_that_of_the_upload_that_it_was_found_for(first: str, second: str) -> None:
    found = walk(scene(first, second, suspended=(DROP,)), "v1", "v2", kills=False)
    assert not found.broken, str(found)


def test_so_it_is_when_a_call_fails() -> None:
    found = walk_failures(scene("refused", "works", suspended=(DROP,)), "v1", "v2")
    assert not found.broken, str(found)


def test_a_bucket_that_never_kept_versions_works_by_content() -> None:
    world = scene()()
    for bucket in world.s3.buckets.values():
        bucket.versioned = False
    world.prepare(KEY, content("works"))
    version = world.prepare(KEY, content("works", note="again"))
    assert version.startswith("etag-")
    assert world.judge() == []
    assert ("promoted", version) == (world.settled[-1].outcome, world.settled[-1].version)


def test_what_lies_below_an_upload_with_a_version_keeps_its_own_verdict() -> None:
    """Versioning was switched on again, as the finding says."""
    world = scene(suspended=(DROP,))()
    old = world.prepare(KEY, content("works"))
    world.s3.buckets[DROP].suspended = False
    world.prepare(KEY, content("refused"))
    assert [version.tags.get(TAG) for version in world.s3.buckets[DROP].keys[KEY]] == ["accepted", "rejected"]
    live = world.s3.buckets[LIVE].newest(KEY)
    assert live is not None
    assert live.metadata[SOURCE_VERSION] == old
    assert world.judge() == []


def test_the_report_says_that_versions_are_switched_off_and_how_to_switch_them_on() -> None:
    world = scene(suspended=(DROP,))()
    version = world.prepare(KEY, content("works"))
    report = world.s3.buckets[DROP].newest(report_key(KEY, version))
    assert report is not None
    assert b"drop-bucket-without-versions" in (report.body or b"")
    assert b"aws s3api put-bucket-versioning --bucket drop " in (report.body or b"")


@pytest.mark.slow
@pytest.mark.parametrize("name", MEETINGS)
def test_every_order_of_two_and_every_kill_ends_well(name: str) -> None:
    found = walk(*meeting(name, suspended=(DROP,)))
    assert not found.broken, str(found)


@pytest.mark.parametrize(
    ("first", "second", "verdict"),
    [(REFUSED, GOOD, "accepted"), (GOOD, REFUSED, "rejected")],
    ids=["good over refused", "refused over good"],
)
def test_whoever_tags_what_was_overwritten_meanwhile_takes_its_tag_back(
    first: bytes, second: bytes, verdict: str
) -> None:
    """Of requirements.txt no last look puts a tag right."""

    def make() -> Overwritten:
        world = Overwritten(suspended=(DROP,))
        world.upload(R, first)
        first_one = world.queue[-1]

        def second_one() -> None:
            world.upload(R, second)
            world.deliver(world.queue[-1])

        world.actors = {"v1": lambda: world.deliver(first_one), "v2": second_one}
        world.verdict = verdict
        return world

    found = walk(make, "v1", "v2", kills=False)
    assert not found.broken, str(found)


class Overwritten(UpdateWorld):
    """Knows what the tag of the last upload has to say."""

    verdict = ""

    def judge(self) -> list[str]:
        rested = self.rest()
        newest = self.s3.buckets[DROP].newest(R)
        tag = newest.tags.get(TAG) if newest is not None else None
        return [f"the tag says {tag}"] * (tag != self.verdict) + ["something is never done"] * (not rested)
