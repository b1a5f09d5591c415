"""Roll-backs are conditional on what is rolled back being live: what somebody uploads meanwhile is not touched."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, Literal

import pytest

from jetway.artifacts.keys import report_key
from jetway.errors import TransientError
from jetway.promotion.artifact_state import LiveVersion
from jetway.promotion.restore import Restored, as_judged, restore
from tests.unit.explorer.s3 import S3

KEY = "dags/orders.py"
NOW = datetime(2026, 11, 22, 6, 0, tzinfo=UTC)


@pytest.fixture
def s3() -> S3:
    made = S3(lambda: NOW)
    made.make("live")
    return made


def put(s3: S3, source: str, **metadata: str) -> LiveVersion:
    """Put a version in the environment's bucket."""
    metadata = {"jetway-source-version": source, **metadata} if source else metadata
    version = s3.put_object(Bucket="live", Key=KEY, Body=source.encode(), Metadata=metadata)["VersionId"]
    return LiveVersion(source, "live", KEY, version, "dag-file", "accepted", NOW, "reports/r.json")


def rolled_back(s3: S3, bad: LiveVersion, good: LiveVersion | None = None) -> Restored:
    client: Any = s3
    return restore(client, bad, good, {bad.source}, NOW)


@pytest.mark.parametrize("operation", ["CopyObject", "DeleteObject"])
def test_refused_because_of_another_write_it_looks_again(s3: S3, operation: str) -> None:
    good = put(s3, "v1") if operation == "CopyObject" else None
    bad = put(s3, "v2")
    s3.conflicts[operation] = 1
    restored = rolled_back(s3, bad, good)
    assert (restored.outcome, restored.live and restored.live.source) == (
        ("restored", "v1") if good else ("removed", None)
    )


def test_others_who_keep_writing_are_left_to_the_next_look(s3: S3) -> None:
    bad = put(s3, "v2")
    s3.conflicts["DeleteObject"] = 99
    with pytest.raises(TransientError, match="again and again"):
        rolled_back(s3, bad)


def test_done_by_another_look_it_is_done(s3: S3) -> None:
    good, bad = put(s3, "v1"), put(s3, "v2")
    assert rolled_back(s3, bad, good).outcome == "restored"
    again = rolled_back(s3, bad, good)
    assert (again.outcome, again.live and again.live.source) == ("restored", "v1")
    assert len(s3.list_object_versions(Bucket="live", Prefix=KEY)["Versions"]) == 3, "copied once"


@pytest.mark.parametrize("nothing", [404, 412])
def test_taken_out_by_another_look_it_is_out(s3: S3, nothing: Literal[404, 412]) -> None:
    s3.if_match_on_nothing = nothing
    bad = put(s3, "v2")
    s3.delete_object(Bucket="live", Key=KEY)
    assert rolled_back(s3, bad) == Restored("removed")


@pytest.mark.parametrize(("source", "by_hand"), [("v3", False), ("", True)])
def test_what_has_come_since_stays(s3: S3, source: str, *, by_hand: bool) -> None:
    good, bad = put(s3, "v1"), put(s3, "v2")
    put(s3, source)
    assert rolled_back(s3, bad, good) == Restored("superseded", by_hand=by_hand)
    assert s3.get_object(Bucket="live", Key=KEY)["Body"].read() == source.encode()


@pytest.mark.parametrize("source", ["v1", "by-hand-l1", "nothing"])
def test_of_what_has_no_report_nothing_more_is_known(s3: S3, source: str) -> None:
    """It has expired, or there never was one."""
    s3.make("drop")
    back = LiveVersion(source, "live", KEY, "l1", "dag-file", "unknown", NOW, "", guessed=True)
    client: Any = s3
    assert as_judged(client, "drop", KEY, back) == back


def test_what_has_come_back_has_to_show_the_dags_of_its_report(s3: S3) -> None:
    s3.make("drop")
    dags = [{"dag_id": "orders", "certainty": "loaded"}, {"dag_id": None, "certainty": "conditional"}]
    report = {"kind": "dag-file", "verdict": "accepted", "dags": dags}
    s3.put_object(Bucket="drop", Key=report_key(KEY, "v1"), Body=json.dumps(report).encode())
    client: Any = s3
    back = as_judged(client, "drop", KEY, LiveVersion("v1", "live", KEY, "l1", "dag-file", "unknown", NOW, ""))
    assert (back.verdict, back.dags, back.guessed) == ("accepted", ("orders",), True), "one of its DAGs is a guess"
