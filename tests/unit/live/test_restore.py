"""Roll-backs are conditional on what is rolled back being live: what somebody uploads meanwhile is not touched."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.stub import ANY, Stubber

from jetway.live.restore import restore
from jetway.live.standing import Live
from tests.unit.artifacts.buckets import LIVE, SESSION

KEY = "dags/orders.py"
NOW = datetime(2026, 11, 22, 6, 0, tzinfo=UTC)
BAD = Live("v2", LIVE, KEY, "l2", "dag-file", "accepted", NOW, "reports/r.json")


def seen(version: str, etag: str, source: str) -> dict[str, Any]:
    return {
        "VersionId": version,
        "ETag": etag,
        "ContentLength": 1,
        "LastModified": NOW,
        "Metadata": {"jetway-source-version": source},
    }


@pytest.mark.parametrize("refusal", ["PreconditionFailed", "ConditionalRequestConflict"])
def test_the_copy_goes_only_onto_what_is_rolled_back(refusal: str) -> None:
    s3 = SESSION.client("s3")
    good = Live("v1", LIVE, KEY, "l1", "dag-file", "accepted", NOW, "reports/r.json")
    with Stubber(s3) as stubber:
        stubber.add_response("head_object", seen("l2", '"e2"', "v2"))
        stubber.add_response("head_object", seen("l1", '"e1"', "v1"), {"Bucket": LIVE, "Key": KEY, "VersionId": "l1"})
        expected: dict[str, Any] = dict.fromkeys(("MetadataDirective", "Metadata", "TaggingDirective"), ANY)
        expected |= {"Bucket": LIVE, "Key": KEY, "IfMatch": '"e2"'}
        expected |= {"CopySource": {"Bucket": LIVE, "Key": KEY, "VersionId": "l1"}}
        stubber.add_client_error("copy_object", refusal, expected_params=expected)
        assert restore(s3, BAD, good, {"v2"}, NOW).outcome == "superseded"
        stubber.assert_no_pending_responses()


def test_the_deletion_goes_only_onto_what_is_rolled_back() -> None:
    s3 = SESSION.client("s3")
    versions = [{"Key": KEY, "VersionId": "l2", "LastModified": NOW}]
    with Stubber(s3) as stubber:
        stubber.add_response("head_object", seen("l2", '"e2"', "v2"))
        stubber.add_response("list_object_versions", {"Versions": versions})
        stubber.add_response("head_object", seen("l2", '"e2"', "v2"))
        expected = {"Bucket": LIVE, "Key": KEY, "IfMatch": '"e2"'}
        stubber.add_client_error("delete_object", "PreconditionFailed", expected_params=expected)
        assert restore(s3, BAD, None, {"v2"}, NOW).outcome == "superseded"
        stubber.assert_no_pending_responses()
