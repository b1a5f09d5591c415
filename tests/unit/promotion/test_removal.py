"""Deleting an object in the drop bucket takes out what it had promoted, and putting it back brings it back."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from jetway.aws.dynamodb import VersionedItem
from tests.unit.artifacts.buckets import DROP, LIVE, TABLE
from tests.unit.batches.world import Kill, KilledError
from tests.unit.promotion.world import GOOD, World

KEY = "dags/team/orders.py"


def version_of(world: World) -> str:
    """Return the one version that is there, below its deletion."""
    (version,) = world.s3.list_object_versions(Bucket=DROP, Prefix=KEY)["Versions"]
    return str(version["VersionId"])


def test_a_deleted_dag_file_is_taken_out_reversibly(world: World) -> None:
    version = world.drop(KEY)
    (settled,) = world.delete(KEY)
    assert (settled.outcome, settled.version, settled.fresh) == ("removed", version, True)
    assert world.live(KEY) is None
    assert world.versions(KEY) == (1, 1), "a delete marker: the version is still there"
    assert world.told() == ["ArtifactPromoted", "ArtifactRemoved"]
    assert world.report(KEY)["outcome"] == "removed"
    assert world.minutes(20) == [], "nothing is verified that is not there"


def test_it_comes_back_when_the_delete_marker_is_deleted(world: World) -> None:
    version = world.drop(KEY)
    world.delete(KEY)
    (marker,) = world.s3.list_object_versions(Bucket=DROP, Prefix=KEY)["DeleteMarkers"]
    world.s3.delete_object(Bucket=DROP, Key=KEY, VersionId=marker["VersionId"])
    (settled,) = world.settle(KEY, marker["VersionId"], deleted=True)
    assert (settled.outcome, settled.version) == ("promoted", version)
    assert world.live(KEY) == GOOD
    assert world.standing(KEY).stage == "verifying"


def test_it_comes_back_when_it_is_uploaded_again(world: World) -> None:
    world.drop(KEY)
    world.delete(KEY)
    world.drop(KEY)
    assert world.live(KEY) == GOOD


def test_a_deletion_that_is_told_twice_or_late(world: World) -> None:
    world.drop(KEY)
    world.delete(KEY)
    assert [settled.outcome for settled in world.settle(KEY, deleted=True)] == ["vanished"]
    world.drop(KEY, GOOD + b"# new\n")
    assert [settled.outcome for settled in world.settle(KEY, "marker", deleted=True)] == ["promoted"]
    assert world.live(KEY) == GOOD + b"# new\n"
    assert world.told().count("ArtifactRemoved") == 1


def test_an_upload_that_is_told_after_its_deletion(world: World) -> None:
    version = world.s3.put_object(Bucket=DROP, Key=KEY, Body=GOOD)["VersionId"]
    world.s3.delete_object(Bucket=DROP, Key=KEY)
    assert [settled.outcome for settled in world.settle(KEY, version)] == ["vanished"]
    assert world.live(KEY) is None
    report = world.report(KEY, version)
    assert (report["outcome"], report["verdict"], world.tag(KEY, version)) == ("vanished", "unknown", "vanished")
    assert [finding["rule"] for finding in report["findings"]] == ["deleted-unread"]
    assert world.told() == ["ArtifactVanished"]
    world.settle(KEY, version)
    assert len(world.news) == 1


def test_what_a_lifecycle_rule_may_have_deleted_stays_live_though_a_message_comes_late(world: World) -> None:
    version = world.drop(KEY)
    world.s3.delete_object(Bucket=DROP, Key=KEY)
    seen = {"since": world.now.isoformat(), "seen": {"dags/": (world.now + timedelta(days=30)).isoformat()}}
    expiry = VersionedItem(world.dynamodb, TABLE, "sweep#artifacts")
    expiry.put({"expiry": {"S": json.dumps(seen)}}, onto=0)
    for late in (version, None):
        assert [settled.outcome for settled in world.settle(KEY, late)] == ["ignored"]
    assert (world.live(KEY), world.report(KEY)["outcome"]) == (GOOD, "promoted")
    assert [settled.outcome for settled in world.settle(KEY, deleted=True)] == ["removed"], "somebody asked for that"


def test_no_rule_no_doubt(world: World) -> None:
    version = world.drop(KEY)
    world.s3.delete_object(Bucket=DROP, Key=KEY)
    assert [settled.outcome for settled in world.settle(KEY, version)] == ["removed"]


def test_what_is_deleted_while_it_is_judged_is_told_once_and_comes_back_with_its_deletion_taken_back(
    world: World,
) -> None:
    assert [settled.outcome for settled in world.vanish(KEY)] == ["vanished"]
    (news,) = world.news
    assert (news.event.detail_type, news.message) == ("ArtifactVanished", None)
    assert (world.report(KEY)["outcome"], world.tag(KEY, version_of(world))) == ("vanished", "vanished")
    assert world.live(KEY) is None
    world.settle(KEY, deleted=True)
    assert world.told() == ["ArtifactVanished"]
    (marker,) = world.s3.list_object_versions(Bucket=DROP, Prefix=KEY)["DeleteMarkers"]
    world.s3.delete_object(Bucket=DROP, Key=KEY, VersionId=marker["VersionId"])
    world.settle(KEY, marker["VersionId"], deleted=True)
    assert world.told() == ["ArtifactVanished", "ArtifactPromoted"]
    assert world.report(KEY)["outcome"] == "promoted"


def test_it_is_told_whenever_whoever_judged_it_is_killed(world: World) -> None:
    counted = Kill()
    world.vanish(KEY, kill=counted)
    for after in range(1, len(counted.calls) + 1):
        world = world.fresh()
        with pytest.raises(KilledError):
            world.vanish(KEY, kill=Kill(after))
        version = version_of(world)
        world.settle(KEY, version)
        world.settle(KEY, deleted=True)
        assert set(world.told()) == {"ArtifactVanished"}, counted.calls[:after]
        assert world.tag(KEY, version) == "vanished"
        assert world.report(KEY, version) == world.report(KEY, "latest")
        assert world.report(KEY, version)["outcome"] == "vanished"


def test_what_was_promoted_and_removed_while_a_second_delivery_judges_it_has_not_vanished(world: World) -> None:
    version = world.s3.put_object(Bucket=DROP, Key=KEY, Body=GOOD)["VersionId"]

    def the_first_delivery_and_the_deletion() -> None:
        world.settle(KEY, version)
        world.delete(KEY)

    world.meanwhile.append(the_first_delivery_and_the_deletion)
    world.settle(KEY, version)
    assert (world.report(KEY)["outcome"], world.tag(KEY, version)) == ("removed", "removed")
    assert world.told() == ["ArtifactPromoted", "ArtifactRemoved"]


def test_the_latest_report_of_a_deleted_file_is_of_the_last_version_that_was_judged(world: World) -> None:
    first = world.s3.put_object(Bucket=DROP, Key=KEY, Body=GOOD)["VersionId"]
    second = world.s3.put_object(Bucket=DROP, Key=KEY, Body=GOOD + b"# newer")["VersionId"]
    world.meanwhile.append(lambda: world.s3.delete_object(Bucket=DROP, Key=KEY))
    world.settle(KEY, second)
    latest = world.report(KEY)
    assert (latest["outcome"], latest["source"]["version"]) == ("vanished", second)
    world.settle(KEY, first)
    assert world.report(KEY) == latest


def test_what_was_put_there_by_hand_stays(world: World) -> None:
    world.s3.put_object(Bucket=LIVE, Key=KEY, Body=b"by hand")
    world.s3.put_object(Bucket=DROP, Key=KEY, Body=b"with DAG(:")
    assert [settled.outcome for settled in world.settle(KEY)] == ["quarantined"]
    assert [settled.outcome for settled in world.delete(KEY)] == ["vanished"]
    assert world.live(KEY) == b"by hand"


def test_deleting_a_rejected_version_by_its_id_leaves_the_live_one(world: World) -> None:
    world.drop(KEY)
    bad = world.drop(KEY, b"with DAG(:")
    world.s3.delete_object(Bucket=DROP, Key=KEY, VersionId=bad)
    assert [settled.outcome for settled in world.settle(KEY, bad, deleted=True)] == ["promoted"]
    assert world.live(KEY) == GOOD


def test_expiry_by_a_lifecycle_rule_takes_nothing_out(world: World) -> None:
    world.drop(KEY)
    world.s3.delete_object(Bucket=DROP, Key=KEY)
    assert [settled.outcome for settled in world.settle(KEY, deleted=True, expired=True)] == ["ignored"]
    assert world.live(KEY) == GOOD
