"""What lies in the drop bucket and was never told is handed to the gate, once; the work goes on where it stopped."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws

from jetway.artifacts.keys import report_key
from jetway.errors import TransientError
from jetway.gate.s3_notification import parse_arrival
from jetway.gate.sweep import ON_ITS_WAY, WHOLE_EVERY, Sweep, SweepPosition, Swept, next_pass
from jetway.promotion.artifact_state import ArtifactState, LiveVersion
from jetway.promotion.state_table import ArtifactStateTable
from tests.unit.artifacts.buckets import TABLE, make_artifact_table

REGION, DROP = "us-east-1", "acme-drop"
DAY = timedelta(days=1)


class World:
    """A drop bucket, the gate's queue, and a clock to be set. moto must be active; its clock is the machine's."""

    def __init__(self) -> None:
        session = boto3.Session(region_name=REGION)
        self.s3: Any = session.client("s3")
        self.sqs: Any = session.client("sqs")
        self.dynamodb: Any = session.client("dynamodb")
        self.s3.create_bucket(Bucket=DROP)
        self.s3.put_bucket_versioning(Bucket=DROP, VersioningConfiguration={"Status": "Enabled"})
        self.url = self.sqs.create_queue(QueueName="artifacts")["QueueUrl"]
        make_artifact_table(self.dynamodb)
        self.listed: list[dict[str, Any]] = []
        self.s3.meta.events.register("provide-client-params.s3.ListObjectVersions", self._note)
        self.s3.meta.events.register("after-call.s3.ListObjectVersions", self._date)
        self.dated: dict[str, datetime] = {}
        self.now = datetime.now(UTC) + ON_ITS_WAY + timedelta(minutes=1)

    def _date(self, parsed: dict[str, Any], **_: Any) -> None:
        for entry in [*parsed.get("Versions", []), *parsed.get("DeleteMarkers", [])]:
            entry["LastModified"] = self.dated.get(entry["Key"], entry["LastModified"])

    def _note(self, params: dict[str, Any], **_: Any) -> None:
        self.listed.append(dict(params))

    def drop(self, key: str, body: bytes = b"x", *, reported: bool = False) -> str:
        version: str = self.s3.put_object(Bucket=DROP, Key=key, Body=body)["VersionId"]
        if reported:
            self.s3.put_object(Bucket=DROP, Key=report_key(key, version), Body=b"{}")
        return version

    def sweep(
        self, *, whole: bool = False, at_once: bool = False, pages: int | None = None, retention: timedelta = 90 * DAY
    ) -> Swept:
        """Invoke once; with `pages`, the time is over after so many."""
        left = iter([1.0] * (pages - 1) if pages else [])
        return Sweep(
            self.s3,
            self.sqs,
            self.dynamodb,
            bucket=DROP,
            queue_url=self.url,
            table=TABLE,
            retention=retention,
            clock=lambda: self.now,
        ).run(whole=whole, at_once=at_once, seconds_left=lambda: next(left, 0.0) if pages else 1.0)

    def later(self, after: timedelta, **arguments: Any) -> Swept:
        """Invoke once, some time later."""
        self.now += after
        return self.sweep(**arguments)

    def stand(
        self, key: str, source: str, *, deleted: bool = False, at: datetime | None = None, bad: tuple[str, ...] = ()
    ) -> None:
        """Have a version be live ("": none), and its file deleted."""
        live = (
            LiveVersion(source, "acme-airflow", key, "v", "dag-file", "accepted", at or self.now, "r")
            if source
            else None
        )
        ArtifactStateTable(self.dynamodb, TABLE).change(
            key,
            lambda before: ArtifactState(key, "good", live, rolled_back=bad, revision=before.revision if before else 0),
        )
        if deleted:
            self.drop(key)
            self.s3.delete_object(Bucket=DROP, Key=key)
            self.dated[key] = self.now

    def expires(self, rule: dict[str, Any]) -> None:
        """Have a lifecycle rule on the bucket."""
        rules = [{"ID": "r", "Status": "Enabled", **rule}]
        self.s3.put_bucket_lifecycle_configuration(Bucket=DROP, LifecycleConfiguration={"Rules": rules})

    def queued(self) -> list[str]:
        """Return the keys that the gate was handed, and take them away."""
        found: list[str] = []
        while got := self.sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10).get("Messages"):
            for message in got:
                arrival = parse_arrival(message["Body"])
                assert (arrival.bucket, arrival.version_id, arrival.deleted) == (DROP, None, False)
                found.append(arrival.key)
                self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
        return sorted(found)


@pytest.fixture
def world() -> Iterator[World]:
    with mock_aws():
        yield World()


def test_what_has_no_report_of_its_newest_version_is_handed_to_the_gate(world: World) -> None:
    world.drop("dags/told.py", reported=True)
    world.drop("dags/untold.py")
    world.drop("dags/newer.py", reported=True)
    world.drop("dags/newer.py", b"newer")
    world.drop("requirements.txt")
    world.drop("plugins.zip", reported=True)
    world.drop("odd/place.py")
    swept = world.sweep()
    assert world.queued() == ["dags/newer.py", "dags/untold.py", "odd/place.py", "requirements.txt"]
    assert (swept.queued, swept.finished) == (4, True)


def test_what_is_no_artifact_is_neither_handed_on_nor_listed(world: World) -> None:
    settings = ("access.yaml", "alarms.yaml", "floors.yaml")
    for key in ("data/orders/a.csv", "triggers/orders.yaml", *settings, "dags/", "batches/1.json"):
        world.drop(key)
    for folder in ("accepted", "bundles", "quarantine", "reports"):
        world.drop(f"{folder}/x")
    world.sweep()
    assert world.queued() == []
    assert {asked["Prefix"] for asked in world.listed} == {"", "dags/"}, "folders with millions of files are not walked"


def test_what_came_just_now_is_left_to_its_event_and_looked_for_later(world: World) -> None:
    world.drop("dags/young.py")
    world.now = datetime.now(UTC) + timedelta(minutes=1)
    assert world.sweep().queued == 0
    world.now += ON_ITS_WAY + timedelta(minutes=5)
    assert world.sweep().queued == 1
    world.drop("dags/younger.py")
    world.now = datetime.now(UTC) + timedelta(seconds=2)
    world.queued()
    assert world.sweep(whole=True, at_once=True).queued == 2, "a person may know better"


def test_it_is_handed_on_once_soon_and_once_a_day_until_it_has_a_report(world: World) -> None:
    version = world.drop("dags/a.py")
    quarters = [world.sweep().queued for _ in walk(world, timedelta(minutes=15), 96 * 2)]
    assert (quarters[0], sum(quarters)) == (1, 2), "at first, and with each day's look at everything"
    world.s3.put_object(Bucket=DROP, Key=report_key("dags/a.py", version), Body=b"{}")
    assert sum(world.sweep().queued for _ in walk(world, timedelta(minutes=15), 96)) == 0


def walk(world: World, step: timedelta, times: int) -> Iterator[int]:
    for number in range(times):
        yield number
        world.now += step


def test_on_demand_everything_is_looked_at(world: World) -> None:
    world.drop("dags/a.py")
    world.sweep()
    assert world.queued() == ["dags/a.py"]
    world.now += timedelta(minutes=15)
    assert world.sweep().queued == 0
    assert world.sweep(whole=True).queued == 1


def test_of_what_is_older_than_reports_are_kept_none_says_nothing(world: World) -> None:
    world.drop("dags/a.py")
    world.now += 8 * DAY
    assert world.sweep(retention=7 * DAY).queued == 0
    assert world.sweep(whole=True, retention=10 * DAY).queued == 1


SOON = timedelta(minutes=20)


def test_what_was_deleted_and_is_live_is_handed_to_the_gate(world: World) -> None:
    world.sweep()
    for key, source in (("dags/live.py", "v1"), ("requirements.txt", "deleted-v1"), ("dags/gone.py", "")):
        world.stand(key, source, deleted=True)
    world.stand("dags/by_hand.py", "by-hand-e", deleted=True)
    assert world.later(SOON).deleted == 1
    assert world.queued() == ["dags/live.py"]


def test_what_a_lifecycle_rule_may_have_deleted_is_told_and_stays(world: World) -> None:
    """Nobody asked for that: rules of yesterday count, and so do those of before anybody looked."""
    world.stand("dags/before.py", "v1", deleted=True)
    world.expires({"Filter": {"Prefix": "dags/old/"}, "Expiration": {"Days": 30}})
    assert world.later(SOON).still_live == ["dags/before.py"]
    world.stand("dags/old/a.py", "v1", deleted=True)
    world.stand("dags/new.py", "v1", deleted=True)
    assert world.later(SOON).still_live == ["dags/old/a.py"]
    assert world.queued() == ["dags/new.py"]
    world.s3.delete_bucket_lifecycle(Bucket=DROP)
    assert set(world.later(DAY / 2, whole=True).still_live) == {"dags/before.py", "dags/old/a.py"}
    world.queued()
    world.now += DAY
    world.stand("dags/old/b.py", "v1", deleted=True)
    assert world.later(SOON, whole=True).deleted == 2, "new.py is live still; b.py was deleted long after the rule"
    assert world.queued() == ["dags/new.py", "dags/old/b.py"]


@pytest.mark.parametrize(
    ("rule", "expires"),
    [
        ({"Prefix": "dags/", "Expiration": {"Date": datetime(2026, 1, 1, tzinfo=UTC)}}, True),
        ({"Filter": {}, "Expiration": {"Days": 1}}, True),
        (
            {"Filter": {"And": {"Prefix": "dags/", "Tags": [{"Key": "a", "Value": "b"}]}}, "Expiration": {"Days": 1}},
            True,
        ),
        ({"Filter": {"Prefix": "reports/"}, "Expiration": {"Days": 1}}, False),
        ({"Filter": {"Prefix": "dags/"}, "Status": "Disabled", "Expiration": {"Days": 1}}, False),
        ({"Filter": {"Prefix": "dags/"}, "Expiration": {"ExpiredObjectDeleteMarker": True}}, False),
        ({"Filter": {"Prefix": "dags/"}, "NoncurrentVersionExpiration": {"NoncurrentDays": 1}}, False),
    ],
)
def test_rules_that_let_newest_versions_expire_count_and_no_other(
    world: World, rule: dict[str, Any], expires: bool
) -> None:
    world.expires(rule)
    world.sweep()
    world.stand("dags/a.py", "v1", deleted=True)
    assert world.later(SOON).deleted == (0 if expires else 1)


def test_what_was_deleted_version_by_version_is_found_within_a_day(world: World) -> None:
    world.sweep()
    for key in ("dags/all.py", "dags/newest.py", "dags/there.py"):
        versions = [world.drop(key, body, reported=True) for body in (b"1", b"2")]
        world.stand(key, versions[1])
        for version in {"dags/all.py": versions, "dags/newest.py": versions[1:]}.get(key, []):
            world.s3.delete_object(Bucket=DROP, Key=key, VersionId=version)
    assert [world.later(after).deleted for after in (timedelta(minutes=15), DAY)] == [0, 2]
    assert world.queued() == ["dags/all.py", "dags/newest.py"]


def test_what_is_live_below_a_newer_version_that_was_refused_is_left_alone(world: World) -> None:
    """Its own version may be gone: a lifecycle rule deletes what is not current."""
    world.sweep()
    for key, back in (("dags/refused.py", False), ("dags/rolled_back.py", True)):
        first = world.drop(key, b"1", reported=True)
        refused = world.drop(key, b"2", reported=True)
        world.stand(key, first, at=world.now if back else world.now - DAY, bad=(refused,) if back else ())
        world.s3.delete_object(Bucket=DROP, Key=key, VersionId=first)
    assert world.later(2 * DAY, whole=True).deleted == 0


def test_what_is_live_of_a_bucket_without_versions_is_left_alone(world: World) -> None:
    world.s3.put_bucket_versioning(Bucket=DROP, VersioningConfiguration={"Status": "Suspended"})
    world.sweep()
    label = world.s3.put_object(Bucket=DROP, Key="dags/a.py", Body=b"x")["ETag"].strip('"')
    world.s3.put_object(Bucket=DROP, Key=report_key("dags/a.py", f"etag-{label}"), Body=b"{}")
    world.stand("dags/a.py", f"etag-{label}")
    swept = world.later(2 * DAY, whole=True)
    assert (swept.queued, swept.still_live) == (0, [])


def test_a_deletion_that_was_taken_back_is_found_within_a_day(world: World) -> None:
    """The delete marker was deleted: the version below it is old, and its report says that it was removed."""
    world.sweep()
    for key, outcome in (("dags/back.py", "removed"), ("dags/there.py", "promoted")):
        version = world.drop(key)
        report = json.dumps({"outcome": outcome}).encode()
        world.s3.put_object(Bucket=DROP, Key=report_key(key, version), Body=report)
    assert world.later(SOON).queued == 0
    assert world.later(DAY, whole=True).queued == 1
    assert world.queued() == ["dags/back.py"]


def test_standings_are_gone_through_page_by_page(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.sweep()
    keys = [f"dags/{number}.py" for number in range(5)]
    for key in keys:
        world.stand(key, "v1")
    scan = world.dynamodb.scan
    monkeypatch.setattr(world.dynamodb, "scan", lambda **asked: scan(**asked, Limit=2))
    world.now += DAY
    rounds = 1
    while not world.sweep(pages=1).finished:
        rounds += 1
    assert world.queued() == keys
    assert rounds >= 4


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jetway.gate.sweep._PAGE", 3)


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize("pages", [1, 2, 3, 100])
def test_a_bucket_of_many_pages_is_gone_through_page_by_page_each_once(world: World, pages: int) -> None:
    keys = [f"dags/{number:02}.py" for number in range(20)] + ["requirements.txt", "startup.sh", "zebra/a.py"]
    for key in keys:
        world.drop(key)
    rounds = 0
    while not world.sweep(pages=pages).finished:
        rounds += 1
        assert rounds < 50
    assert world.queued() == sorted(keys)
    starts = [(asked["Prefix"], asked.get("KeyMarker"), asked.get("VersionIdMarker")) for asked in world.listed]
    assert len(starts) == len(set(starts)), "no page twice"
    assert len(starts) <= len(keys) // 3 + 4, "and the work is that of the listing"


def test_a_page_that_was_not_queued_is_done_again(world: World) -> None:
    world.drop("dags/a.py")
    failed = {"Failed": [{"Id": "0", "Code": "InternalError", "SenderFault": False}], "Successful": []}
    world.sqs.meta.events.register("after-call.sqs.SendMessageBatch", lambda parsed, **_: parsed.update(failed))
    with pytest.raises(TransientError, match="did not accept 1 of 1"):
        world.sweep()
    world.sqs.meta.events.unregister("after-call.sqs.SendMessageBatch")
    world.queued()
    world.sqs = boto3.Session(region_name=REGION).client("sqs")
    assert world.sweep().queued == 1


MOMENTS = st.datetimes(timezones=st.just(UTC))


@given(
    st.builds(
        SweepPosition, MOMENTS, st.none() | MOMENTS, st.none() | st.text(), st.text(), st.text(), st.none() | MOMENTS
    )
)
def test_a_place_survives_its_way_through_the_table(place: SweepPosition) -> None:
    assert SweepPosition.from_json(place.as_json()) == place


@given(st.lists(st.tuples(st.integers(1, 2000), st.booleans()), max_size=30))
def test_no_moment_falls_between_two_passes(steps: list[tuple[int, bool]]) -> None:
    """Passes of any distance, on demand or not, one after the other: what changed at any time was looked at."""
    now, place, seen_until = datetime(2026, 11, 29, tzinfo=UTC), SweepPosition(), None
    for minutes, whole in steps:
        now += timedelta(minutes=minutes)
        place = next_pass(place, now, whole=whole)
        assert place.until == now - ON_ITS_WAY
        if seen_until is None:
            assert place.since is None
        assert place.since is None or place.since <= seen_until  # type: ignore[operator]
        assert place.whole_at is not None
        assert now - place.whole_at < WHOLE_EVERY
        seen_until = place.until
        place = SweepPosition.from_json(json.dumps(json.loads(place.as_json()) | {"prefix": None}))
