"""What the gate writes down of what is live, deleted, or live again: it can be looked at and taken out by that."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from jetway.aws.s3 import ObjectVersion, head
from jetway.gate.recorder import PromotionRecorder
from jetway.gate.s3_notification import Arrival
from jetway.promotion.artifact_state import ArtifactState
from jetway.promotion.reports import amend_report
from jetway.promotion.verdict_tag import tag_verdict
from tests.unit.batches.world import Kill
from tests.unit.explorer.promotion_world import DROP, LIVE, VERIFY_AFTER, PromotionWorld, content
from tests.unit.explorer.scenes import KEY
from tests.unit.explorer.update_stage import PLUGINS, V1, P, R
from tests.unit.explorer.update_world import UpdateWorld

QUIET = timedelta(minutes=2)


@pytest.fixture
def world() -> UpdateWorld:
    return UpdateWorld()


def book(world: UpdateWorld) -> PromotionRecorder:
    s3: Any = world.s3
    return PromotionRecorder(s3, world.table, world.news.append, "acme", VERIFY_AFTER)


def live_object(world: UpdateWorld, key: str) -> ObjectVersion:
    s3: Any = world.s3
    found = head(s3, LIVE, key)
    assert found is not None
    return found


class TestWhatIsLiveAndNotKnown:
    """The standing is written anew from what the copy says of itself."""

    def test_what_is_gone_from_the_drop_bucket_is_verified_like_any_other(self, world: UpdateWorld) -> None:
        version = world.drop(KEY, content("works"))
        there = live_object(world, KEY)
        world.dynamodb.tables.clear()
        book(world).adopt(KEY, there, world.now)
        standing = world.named(KEY)
        assert standing.live is not None
        assert (standing.stage, standing.due_at) == ("verifying", world.now + VERIFY_AFTER)
        assert (standing.live.source, standing.live.kind, standing.live.bucket) == (version, "dag-file", LIVE)
        assert (standing.live.key, standing.live.version_id) == (KEY, there.version_id)
        assert standing.live.report == f"reports/{KEY}/{version}.json"
        assert world.rest()
        assert world.named(KEY).stage == "good"

    def test_what_was_rolled_back_and_is_live_again_is_taken_out(self, world: UpdateWorld) -> None:
        version = world.drop(KEY, content("works"))
        there = live_object(world, KEY)
        standing = world.table.put(ArtifactState(KEY, "rolled-back", rolled_back=(version,), revision=1))
        book(world).roll_back_again(standing, there, world.now)
        again = world.named(KEY)
        assert again.live is not None
        assert (again.stage, again.due_at) == ("rolling-back", world.now)
        assert (again.live.source, again.live.bucket, again.live.key) == (version, LIVE, KEY)
        world.look()
        assert world.live(KEY) is None
        assert world.named(KEY).stage == "rolled-back"


class TestADeletion:
    """Of requirements, plugins and startup script: an empty file takes their place."""

    @pytest.mark.parametrize(("automatic", "because"), [(True, "None"), (False, "ApplyUpdates is manual")])
    def test_the_report_says_when_and_by_whom_it_comes_into_force(
        self, world: UpdateWorld, because: str, *, automatic: bool
    ) -> None:
        version = world.verified_update()
        world.automatic, world.quiet = automatic, QUIET
        world.delete_and_settle(R)
        said = world.report(R, version)["in_force"]
        until = (world.now + QUIET).isoformat(timespec="seconds") if automatic else None
        assert (said["state"], said["until"]) == ("waiting", until)
        assert str(said["because"]).startswith(because)

    def test_the_empty_file_is_of_its_kind(self, world: UpdateWorld) -> None:
        """MWAA ends an update with plugins.zip that is no zip as failed."""
        world.verified_update(PLUGINS, P)
        world.delete_and_settle(P)
        assert (world.live(P) or b"").startswith(b"PK")
        assert world.rest()
        assert world.named(P).stage == "good"

    def test_told_twice_report_and_tag_say_so_though_somebody_slower_has_written_over_them(
        self, world: UpdateWorld
    ) -> None:
        version = world.verified_update()
        world.delete_and_settle(R)
        s3: Any = world.s3
        amend_report(s3, DROP, R, version, {"outcome": "promoted"})
        tag_verdict(s3, DROP, R, version, "accepted")
        world.gate().settle(Arrival(DROP, R, None, deleted=True))
        assert (world.report(R, version)["outcome"], tag(world, version)) == ("removed", "removed")

    def test_its_tag_says_so_as_soon_as_it_is_told(self, world: UpdateWorld) -> None:
        """Whoever comes again to say so may never come."""
        version = world.verified_update()
        world.delete(R)
        taken = book(world).remove(DROP, R, world.facts(), R, world.now)
        assert taken is not None
        assert (taken.source, world.news[-1].event.detail_type) == (version, "ArtifactRemoved")
        assert tag(world, version) == "removed"

    def test_of_one_that_is_given_up_meanwhile_report_and_tag_say_that(self, world: UpdateWorld) -> None:
        """Its update is found to have broken something between the tag and the last write of the deletion."""
        version = world.verified_update(V1)
        there = world.named(R)

        class GivenUp(Kill):
            def count(self, name: str) -> None:
                super().count(name)
                if name == "tell":
                    now = world.table.get(R) or there
                    world.table.put(ArtifactState(R, "rolled-back", None, None, (version,), revision=now.revision))

        world.delete(R)
        world.gate(GivenUp()).settle(Arrival(DROP, R, None, deleted=True))
        assert (world.report(R, version)["outcome"], tag(world, version)) == ("rolled-back", "rolled-back")
        assert world.report(R, version)["verification"]["at"] == world.now.isoformat()


def tag(world: PromotionWorld, version: str, key: str = R) -> str | None:
    tags = world.s3.get_object_tagging(Bucket=DROP, Key=key, VersionId=version)["TagSet"]
    return next((each["Value"] for each in tags if each["Key"] == "jetway:verdict"), None)


def test_another_delivery_of_the_event_leaves_what_is_said_of_the_update(world: UpdateWorld) -> None:
    version = world.drop(R, V1)
    world.run()
    said = world.report(R, version)["in_force"]
    assert said["state"] == "updating"
    world.settle(R, version)
    assert world.report(R, version)["in_force"] == said


def test_what_was_taken_out_is_told_as_what_it_was(world: UpdateWorld) -> None:
    version = world.drop(KEY, content("works"))
    world.delete_and_settle(KEY)
    event = world.news[-1].event
    assert (event.detail_type, event.detail["version"], event.detail["kind"]) == (
        "ArtifactRemoved",
        version,
        "dag-file",
    )


def test_what_was_taken_out_and_never_written_down_is_told_by_what_the_copy_says(world: UpdateWorld) -> None:
    """The function died between the copy and the standing."""
    version = world.drop(KEY, content("works"))
    world.dynamodb.tables.clear()
    world.delete_and_settle(KEY)
    event = world.news[-1].event
    assert (event.detail_type, event.detail["version"]) == ("ArtifactRemoved", version)
    assert event.detail["report"] == f"reports/{KEY}/{version}.json"


def test_what_was_taken_out_and_never_told_has_a_report(world: UpdateWorld) -> None:
    """The function died between the copy and the report."""
    version = world.drop(KEY, content("works"))
    del world.s3.buckets[DROP].keys[f"reports/{KEY}/{version}.json"]
    world.delete_and_settle(KEY)
    assert (world.report(KEY, version)["outcome"], tag(world, version, KEY)) == ("removed", "removed")
