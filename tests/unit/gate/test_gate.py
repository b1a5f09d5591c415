"""What is dropped is judged, promoted or quarantined, and reported: whatever order events come in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jetway.errors import EnvironmentUnavailableError, TransientError, UnknownEventError
from jetway.gate.s3_notification import Arrival
from tests.unit.artifacts.buckets import BAD, DROP, GOOD, LIVE, Buckets, buckets
from tests.unit.artifacts.zips import PLUGIN, zip_of

KEY = "dags/team/orders.py"


def before(world: Buckets, operation: str, act: Callable[[dict[str, Any]], object]) -> None:
    """Let something happen right before the next call of an S3 operation."""
    name = f"before-parameter-build.s3.{operation}"

    def once(params: dict[str, Any], **_: Any) -> None:
        world.s3.meta.events.unregister(name, once)
        act(params)

    world.s3.meta.events.register(name, once)


def test_a_good_dag_file_goes_live_with_its_provenance(world: Buckets) -> None:
    version = world.drop(KEY, GOOD, ContentType="text/x-python", Metadata={"who": "someone"})
    (settled,) = world.settle(KEY, version)
    assert (settled.outcome, settled.verdict, settled.dag_ids, settled.fresh) == (
        "promoted",
        "accepted",
        ("orders",),
        True,
    )
    live = world.s3.get_object(Bucket=LIVE, Key=KEY)
    assert live["Body"].read() == GOOD
    assert live["ContentType"] == "text/x-python"
    assert live["Metadata"]["jetway-source-version"] == version
    assert live["Metadata"]["jetway-report"] == f"reports/{KEY}/{version}.json"
    report = world.report(KEY)
    assert report == world.report(KEY, version)
    assert report["verdict"] == "accepted"
    assert report["dags"] == [{"dag_id": "orders", "line": 2, "certainty": "exact"}]
    assert report["source"]["version"] == version
    assert report["environment"] == {"name": "acme", "airflow_version": "3.3.1", "python_version": "3.12"}
    assert report["placed"] == {"bucket": LIVE, "key": KEY, "version": live["VersionId"]}


def test_a_broken_dag_file_is_quarantined_and_what_was_live_stays(world: Buckets) -> None:
    world.settle(KEY, world.drop(KEY, GOOD))
    version = world.drop(KEY, BAD)
    (settled,) = world.settle(KEY, version)
    assert (settled.outcome, settled.verdict, settled.rules) == ("quarantined", "rejected", ("syntax",))
    assert world.live(KEY) == GOOD
    assert world.content(DROP, f"quarantine/{KEY}/{version}") == BAD
    assert world.content(DROP, KEY) == BAD, "the original stays"
    report = world.report(KEY)
    assert report["verdict"] == "rejected"
    assert [(finding["rule"], finding["line"]) for finding in report["findings"]] == [("syntax", 2)]


@pytest.mark.parametrize("body", [b"x" * (1024 * 1024 + 1), b"x" * (10 * 1024 * 1024)], ids=["1 MiB + 1", "10 MiB"])
def test_a_dag_file_that_is_too_large_is_quarantined_without_being_read(world: Buckets, body: bytes) -> None:
    version = world.drop(KEY, body)
    reads: list[dict[str, Any]] = []
    world.s3.meta.events.register("before-parameter-build.s3.GetObject", lambda params, **_: reads.append(params))
    (settled,) = world.settle(KEY, version)
    assert (settled.outcome, settled.rules) == ("quarantined", ("too-large",))
    assert KEY not in {params["Key"] for params in reads}


def test_the_same_event_again_changes_nothing(world: Buckets) -> None:
    version = world.drop(KEY, GOOD)
    world.settle(KEY, version)
    (again,) = world.settle(KEY, version)
    assert (again.outcome, again.fresh) == ("promoted", False)
    assert world.versions(LIVE, KEY) == 1


def test_the_same_rejection_again_changes_nothing(world: Buckets) -> None:
    version = world.drop(KEY, BAD)
    world.settle(KEY, version)
    (again,) = world.settle(KEY, version)
    assert (again.outcome, again.fresh) == ("quarantined", False)
    assert world.versions(DROP, f"quarantine/{KEY}/{version}") == 1


def test_an_event_without_a_version_id_means_the_newest(world: Buckets) -> None:
    world.drop(KEY, GOOD)
    newest = world.drop(KEY, GOOD + b"# 2\n")
    (settled,) = world.settle(KEY, None)
    assert (settled.outcome, settled.version) == ("promoted", newest)
    assert world.live(KEY) == GOOD + b"# 2\n"


def test_an_older_event_processed_late_is_superseded(world: Buckets) -> None:
    old = world.drop(KEY, GOOD)
    new = world.drop(KEY, GOOD + b"# 2\n")
    assert world.outcomes(KEY, new) == ["promoted"]
    assert world.outcomes(KEY, old) == ["superseded"]
    assert world.live(KEY) == GOOD + b"# 2\n"
    assert world.versions(LIVE, KEY) == 1
    assert world.report(KEY, old)["outcome"] == "superseded"
    assert world.report(KEY)["source"]["version"] == new


def test_a_late_event_of_a_broken_version_does_not_become_the_latest_report(world: Buckets) -> None:
    old = world.drop(KEY, BAD)
    new = world.drop(KEY, GOOD)
    world.settle(KEY, new)
    assert world.outcomes(KEY, old) == ["quarantined"]
    assert world.report(KEY)["source"]["version"] == new
    assert world.report(KEY, old)["verdict"] == "rejected"


def test_a_version_that_comes_between_looking_and_copying_wins(world: Buckets) -> None:
    """The older copy is already on its way: S3 refuses it."""
    old = world.drop(KEY, GOOD)
    newer: list[str | None] = []

    def newer_is_dropped_and_settled(_: dict[str, Any]) -> None:
        newer.append(world.drop(KEY, GOOD + b"# 2\n"))
        assert world.outcomes(KEY, newer[0]) == ["promoted"]

    before(world, "CopyObject", newer_is_dropped_and_settled)
    assert world.outcomes(KEY, old) == ["superseded"]
    assert world.live(KEY) == GOOD + b"# 2\n"
    assert world.report(KEY)["source"]["version"] == newer[0]


def test_a_version_that_comes_while_reporting_is_settled_as_well(world: Buckets) -> None:
    old = world.drop(KEY, GOOD)
    newer: list[str | None] = []
    before(world, "PutObject", lambda _: newer.append(world.drop(KEY, GOOD + b"# 2\n")))
    assert world.outcomes(KEY, old) == ["promoted", "promoted"]
    assert world.live(KEY) == GOOD + b"# 2\n"
    assert world.outcomes(KEY, newer[0]) == ["promoted"]


def test_a_broken_version_that_comes_while_reporting_leaves_the_good_one_live(world: Buckets) -> None:
    old = world.drop(KEY, GOOD)
    before(world, "PutObject", lambda _: world.drop(KEY, BAD))
    assert world.outcomes(KEY, old) == ["promoted", "quarantined"]
    assert world.live(KEY) == GOOD


def test_a_copy_left_by_one_who_died_before_looking_again_is_repaired(world: Buckets) -> None:
    old = world.drop(KEY, GOOD)
    world.settle(KEY, old)
    new = world.drop(KEY, GOOD + b"# 2\n")
    stale = world.s3.get_object(Bucket=LIVE, Key=KEY)
    world.settle(KEY, new)
    world.s3.put_object(Bucket=LIVE, Key=KEY, Body=stale["Body"].read(), Metadata=stale["Metadata"])
    assert world.outcomes(KEY, old) == ["promoted", "promoted"]
    assert world.live(KEY) == GOOD + b"# 2\n"


def test_a_key_that_never_rests_comes_back_later(world: Buckets) -> None:
    version = world.drop(KEY, GOOD)
    count = iter(range(100))

    def drop_another(**_: Any) -> None:
        world.drop(KEY, GOOD + b"#%d\n" % next(count))

    world.s3.meta.events.register("before-parameter-build.s3.CopyObject", drop_another)
    with pytest.raises(TransientError):
        world.settle(KEY, version)


def test_an_object_deleted_meanwhile_is_told_without_being_read(world: Buckets) -> None:
    good, bad = world.drop(KEY, GOOD), world.drop(KEY, BAD)
    world.s3.delete_object(Bucket=DROP, Key=KEY)
    reads: list[str] = []
    world.s3.meta.events.register(
        "before-parameter-build.s3.GetObject", lambda params, **_: reads.append(params["Key"])
    )
    for version in (good, bad, None):
        assert world.outcomes(KEY, version) == ["vanished"]
    assert world.keys(LIVE) == []
    assert world.keys(DROP, "quarantine/") == []
    assert {f"reports/{KEY}/{version}.json" for version in (good, bad)} < set(world.keys(DROP, "reports/"))
    assert KEY not in reads


def test_a_version_removed_for_good_needs_nothing(world: Buckets) -> None:
    version = world.drop(KEY, GOOD)
    newest = world.drop(KEY, GOOD + b"# 2\n")
    world.s3.delete_object(Bucket=DROP, Key=KEY, VersionId=str(version))
    assert world.outcomes(KEY, version) == ["vanished"]
    assert world.outcomes(KEY, newest) == ["promoted"]


@pytest.mark.parametrize("operation", ["GetObject", "CopyObject"])
def test_an_object_deleted_under_our_hands_does_not_go_live(world: Buckets, operation: str) -> None:
    version = world.drop(KEY, GOOD)
    before(world, operation, lambda _: world.s3.delete_object(Bucket=DROP, Key=KEY, VersionId=str(version)))
    assert world.outcomes(KEY, version) == ["vanished"]
    assert world.keys(LIVE) == []


def test_a_plugins_zip_deleted_while_it_is_read_has_vanished(world: Buckets) -> None:
    version = str(world.drop("plugins.zip", zip_of({"p.py": PLUGIN})))
    before(world, "GetObject", lambda _: world.s3.delete_object(Bucket=DROP, Key="plugins.zip", VersionId=version))
    assert world.outcomes("plugins.zip", version) == ["vanished"]


def test_an_object_of_another_bucket_is_not_ours(world: Buckets) -> None:
    with pytest.raises(UnknownEventError, match="not in 'acme-drop'"):
        world.gate.settle(Arrival("other", KEY, None))


def test_trouble_of_s3_is_left_to_a_retry(world: Buckets) -> None:
    version = world.drop(KEY, GOOD)

    def refuse(params: dict[str, Any], **_: Any) -> None:
        raise ClientError({"Error": {"Code": "SlowDown", "Message": ""}}, "CopyObject")

    before(world, "CopyObject", refuse)
    with pytest.raises(ClientError):
        world.settle(KEY, version)
    assert world.outcomes(KEY, version) == ["promoted"]
    assert world.report(KEY)["outcome"] == "promoted"


@pytest.mark.parametrize("name", ["a+b", "a b", "a%20b", "a'b\"c", "café 日本 ✈", "a&b=c?d#e", " a "])
def test_awkward_keys_are_keys_like_any_other(world: Buckets, name: str) -> None:
    good, bad = f"dags/{name}.py", f"dags/{name}/bad.py"
    assert world.outcomes(good, world.drop(good, GOOD)) == ["promoted"]
    assert world.outcomes(bad, world.drop(bad, BAD)) == ["quarantined"]
    assert world.live(good) == GOOD
    assert world.report(bad)["path"] == bad


@pytest.mark.parametrize("name", ["a\nb", "a\tb", "a\u202eb"])
def test_a_key_that_would_be_shown_as_something_else_goes_nowhere(world: Buckets, name: str) -> None:
    key = f"dags/{name}.py"
    assert world.outcomes(key, world.drop(key, GOOD)) == ["quarantined"]
    assert [finding["rule"] for finding in world.report(key)["findings"]] == ["unsafe-key"]


AWKWARD = st.text(
    # What XML 1.0 and moto's listing can carry; S3 takes more, and asks for its encoding-type=url then.
    st.characters(codec="utf-8", exclude_categories=("Cs", "Cc", "Co", "Cn")) | st.sampled_from(" +%&?#'\"=:;,@$~"),
    min_size=1,
    max_size=60,
)


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(name=AWKWARD.filter(lambda text: "/" not in text and text not in {".", ".."}), good=st.booleans())
def test_any_key_makes_the_round_trip(name: str, good: bool) -> None:
    key = f"dags/{name}.py"
    with buckets() as world:
        version = world.drop(key, GOOD if good else BAD)
        (settled,) = world.settle(key, version)
        assert settled.outcome == ("promoted" if good else "quarantined")
        if good:
            assert world.live(key) == GOOD
        else:
            assert world.content(DROP, f"quarantine/{key}/{version}") == BAD
        report = world.report(key, version)
        assert (report["path"], report["source"]["key"]) == (key, key)
        assert report == world.report(key)


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_whatever_order_events_come_in_the_newest_good_version_ends_live(data: st.DataObject) -> None:
    """Versions are dropped and events delivered in any order, twice or more, with crashes at any S3 call."""
    bodies = data.draw(st.lists(st.sampled_from([GOOD, BAD, GOOD + b"# other\n"]), min_size=1, max_size=4))
    with buckets() as world:
        versions: list[str | None] = []
        pending = list(range(len(bodies)))
        deliveries = data.draw(st.lists(st.integers(0, len(bodies) - 1), max_size=6))
        for step in deliveries:
            if len(versions) < len(bodies):
                versions.append(world.drop(KEY, bodies[len(versions)]))
            crash_after = data.draw(st.none() | st.integers(0, 9))
            _deliver(world, versions[min(step, len(versions) - 1)], crash_after)
        while len(versions) < len(bodies):
            versions.append(world.drop(KEY, bodies[len(versions)]))
        for index in data.draw(st.permutations(pending)):
            world.settle(KEY, versions[index])
        assert world.report(KEY)["source"]["version"] == versions[-1]
        if bodies[-1] == BAD:
            assert world.live(KEY) != BAD
        else:
            assert world.live(KEY) == bodies[-1]
            assert world.s3.head_object(Bucket=LIVE, Key=KEY)["Metadata"]["jetway-source-version"] == versions[-1]


class Crash(BaseException):
    """The function is killed."""


def _deliver(world: Buckets, version: str | None, crash_after: int | None) -> None:
    calls = 0

    def count(**_: Any) -> None:
        nonlocal calls
        calls += 1
        if crash_after is not None and calls > crash_after:
            raise Crash

    world.s3.meta.events.register("before-parameter-build.s3", count)
    try:
        world.settle(KEY, version)
    except Crash:
        pass
    finally:
        world.s3.meta.events.unregister("before-parameter-build.s3", count)


def test_an_environment_that_cannot_be_asked_holds_the_artifact() -> None:
    with buckets(environment_is_there=False) as world:
        version = world.drop(KEY, GOOD)
        with pytest.raises(EnvironmentUnavailableError, match="no environment"):
            world.settle(KEY, version)
        assert world.keys(DROP) == [KEY]
