"""Copies are conditional: what S3 is asked, and what its refusals lead to (moto does not know the conditions)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError
from botocore.response import StreamingBody
from botocore.stub import ANY, Stubber

from jetway.artifacts.findings import Judgement
from jetway.artifacts.keys import LARGEST_COPY
from jetway.aws.s3 import ObjectVersion, head, read
from jetway.errors import TransientError
from jetway.promotion.copy import Placement, promote, quarantine
from jetway.promotion.reports import report_on, write_report
from tests.unit.artifacts.buckets import DROP, LIVE, SESSION

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

WHEN = datetime(2026, 11, 22, 6, 0, tzinfo=UTC)
KEY = "dags/orders.py"
SOURCE = ObjectVersion(DROP, KEY, "v2", '"e2"', 10, WHEN, {"ContentType": "text/x-python"})


ALWAYS_GIVEN = {
    "copy_object": "Bucket Key CopySource CopySourceIfMatch MetadataDirective Metadata TaggingDirective ContentType",
    "put_object": "Bucket Key Body ContentType",
}


class Script:
    """The calls that S3 will get, in order, and its answers."""

    def __init__(self, s3: S3Client, stubber: Stubber) -> None:
        self.s3 = s3
        self._stubber = stubber

    def head(self, bucket: str, version: str | None, *, key: str = KEY, etag: str = '"e"', **metadata: str) -> None:
        """HeadObject of the newest version; None: there is none."""
        expected = {"Bucket": bucket, "Key": key}
        if version is None:
            self._stubber.add_client_error("head_object", "404", http_status_code=404, expected_params=expected)
            return
        metadata = {name.replace("_", "-"): value for name, value in metadata.items()}
        answer = {"VersionId": version, "ETag": etag, "ContentLength": 10, "LastModified": WHEN, "Metadata": metadata}
        self._stubber.add_response("head_object", answer, expected)

    def answer(self, operation: str, answer: dict[str, Any] | str, **expected: Any) -> None:
        """An answer, or the code of an error, to a call with at least these arguments."""
        params = dict.fromkeys(ALWAYS_GIVEN[operation].split(), ANY) | expected
        if isinstance(answer, str):
            self._stubber.add_client_error(operation, answer, expected_params=params)
        else:
            self._stubber.add_response(operation, answer, params)


@pytest.fixture
def script() -> Iterator[Script]:
    s3 = SESSION.client("s3")
    with Stubber(s3) as stubber:
        yield Script(s3, stubber)
        stubber.assert_no_pending_responses()


def promoted(script: Script) -> Placement:
    return promote(script.s3, SOURCE, LIVE, KEY, report="reports/r.json")


def test_the_first_copy_is_made_only_if_nothing_is_there_and_from_exactly_what_was_judged(script: Script) -> None:
    script.head(LIVE, None)
    script.head(DROP, "v2", etag='"e2"')
    script.answer(
        "copy_object",
        {"VersionId": "l1"},
        CopySource={"Bucket": DROP, "Key": KEY, "VersionId": "v2"},
        CopySourceIfMatch='"e2"',
        IfNoneMatch="*",
        ContentType="text/x-python",
        Metadata={"jetway-source-version": "v2", "jetway-source-etag": "e2", "jetway-report": "reports/r.json"},
    )
    assert promoted(script) == Placement("promoted", LIVE, KEY, "l1", fresh=True, first=True)


def test_a_later_copy_is_made_only_onto_what_was_seen(script: Script) -> None:
    script.head(LIVE, "l1", etag='"old"')
    script.head(DROP, "v2")
    script.answer("copy_object", {"VersionId": "l2"}, IfMatch='"old"')
    assert promoted(script).version_id == "l2"


@pytest.mark.parametrize("refusal", ["PreconditionFailed", "ConditionalRequestConflict"])
def test_when_somebody_was_faster_we_look_again(script: Script, refusal: str) -> None:
    script.head(LIVE, None)
    script.head(DROP, "v2")
    script.answer("copy_object", refusal, IfNoneMatch="*")
    script.head(LIVE, "l1", jetway_source_version="v2")
    assert promoted(script) == Placement("promoted", LIVE, KEY, "l1")


def test_when_somebody_was_faster_with_a_newer_version_ours_is_superseded(script: Script) -> None:
    script.head(LIVE, None)
    script.head(DROP, "v2")
    script.answer("copy_object", "PreconditionFailed", IfNoneMatch="*")
    script.head(LIVE, "l1", jetway_source_version="v3")
    script.head(DROP, "v3")
    assert promoted(script) == Placement("superseded")


def test_when_others_are_always_faster_the_message_comes_back(script: Script) -> None:
    for _ in range(5):
        script.head(LIVE, "l1", etag='"x"')
        script.head(DROP, "v2")
        script.answer("copy_object", "PreconditionFailed", IfMatch='"x"')
    with pytest.raises(TransientError, match=f"s3://{LIVE}/{KEY}"):
        promoted(script)


def test_a_source_that_is_gone_when_the_copy_is_made(script: Script) -> None:
    script.head(LIVE, None)
    script.head(DROP, "v2")
    script.answer("copy_object", "NoSuchVersion", IfNoneMatch="*")
    assert promoted(script) == Placement("vanished")


def test_what_it_was_to_be_copied_onto_may_be_gone_and_then_we_look_again(script: Script) -> None:
    script.head(LIVE, "l1", etag='"old"')
    script.head(DROP, "v2")
    script.answer("copy_object", "NoSuchKey", IfMatch='"old"')
    script.head(LIVE, None)
    script.head(DROP, "v2")
    script.answer("copy_object", {"VersionId": "l2"}, IfNoneMatch="*")
    assert promoted(script).version_id == "l2"


def test_other_refusals_are_left_to_a_retry(script: Script) -> None:
    script.head(LIVE, None)
    script.head(DROP, "v2")
    script.answer("copy_object", "AccessDenied", IfNoneMatch="*")
    with pytest.raises(ClientError, match="AccessDenied"):
        promoted(script)


def test_a_report_key_too_long_for_metadata_is_left_out(script: Script) -> None:
    script.head(LIVE, None)
    script.head(DROP, "v2")
    metadata = {"jetway-source-version": "v2", "jetway-source-etag": "e2"}
    script.answer("copy_object", {}, IfNoneMatch="*", Metadata=metadata)
    promote(script.s3, SOURCE, LIVE, KEY, report="reports/" + "é" * 400)


def test_two_deliveries_quarantine_at_the_same_time(script: Script) -> None:
    script.head(DROP, None, key="quarantine/q")
    script.answer("copy_object", "PreconditionFailed", IfNoneMatch="*")
    script.head(DROP, "q1", key="quarantine/q", jetway_source_version="v2")
    placement = quarantine(script.s3, SOURCE, "quarantine/q", report="r")
    assert placement == Placement("quarantined", DROP, "quarantine/q", "q1"), "both deliveries report the same"
    assert not placement.fresh


def test_what_an_earlier_delivery_has_kept_is_named(script: Script) -> None:
    script.head(DROP, "q1", key="quarantine/q", jetway_source_version="v2")
    placement = quarantine(script.s3, SOURCE, "quarantine/q", report="r")
    assert placement == Placement("quarantined", DROP, "quarantine/q", "q1")


def test_what_s3_cannot_copy_at_once_stays_where_it_is(script: Script) -> None:
    huge = replace(SOURCE, size=LARGEST_COPY + 1)
    assert quarantine(script.s3, huge, "quarantine/q", report="r") == Placement("quarantined")


def test_the_latest_report_is_written_only_onto_what_was_seen_before(script: Script) -> None:
    report = report_on(KEY, Judgement("dag-file", "accepted"), 0.1)
    latest = f"reports/{KEY}/latest.json"
    script.answer("put_object", {}, Key=f"reports/{KEY}/v2.json")
    text = f"reports/{KEY}/report.md"
    script.head(DROP, "r1", key=latest, etag='"r1"')
    script.head(DROP, "m1", key=text, etag='"m1"')
    script.head(DROP, "v2")
    script.answer("put_object", "PreconditionFailed", Key=latest, IfMatch='"r1"')
    script.head(DROP, "r2", key=latest, etag='"r2"')
    script.head(DROP, "m2", key=text, etag='"m2"')
    script.head(DROP, "v3")
    newest = write_report(script.s3, report, SOURCE)
    assert newest is not None
    assert newest.version_id == "v3"


def test_a_latest_report_that_others_keep_writing_comes_back(script: Script) -> None:
    report = report_on(KEY, Judgement("dag-file", "accepted"), 0.1)
    latest = f"reports/{KEY}/latest.json"
    script.answer("put_object", {}, Key=f"reports/{KEY}/v2.json")
    for _ in range(5):
        script.head(DROP, None, key=latest)
        script.head(DROP, None, key=f"reports/{KEY}/report.md")
        script.head(DROP, "v2")
        script.answer("put_object", "ConditionalRequestConflict", Key=latest, IfNoneMatch="*")
    with pytest.raises(TransientError):
        write_report(script.s3, report, SOURCE)


def test_a_denied_look_is_not_taken_for_absence() -> None:
    """Without s3:ListBucket S3 says 403 for an object that is not there."""
    s3 = SESSION.client("s3")
    with Stubber(s3) as stubber:
        stubber.add_client_error("head_object", "403", http_status_code=403)
        with pytest.raises(ClientError):
            head(s3, LIVE, KEY)


@pytest.mark.parametrize("code", ["404", "405", "NoSuchKey", "NoSuchVersion"])
def test_what_is_gone_is_none(code: str) -> None:
    """405 is what S3 says of a version that is a delete marker."""
    s3 = SESSION.client("s3")
    with Stubber(s3) as stubber:
        stubber.add_client_error("head_object", code)
        assert head(s3, DROP, KEY, "v2") is None


def test_no_more_is_read_than_asked_for() -> None:
    """The size that S3 told of is not trusted."""
    s3 = SESSION.client("s3")
    with Stubber(s3) as stubber:
        body = StreamingBody(BytesIO(b"x" * 1000), 1000)
        stubber.add_response(
            "get_object", {"Body": body}, {"Bucket": DROP, "Key": KEY, "VersionId": "v2", "IfMatch": '"e2"'}
        )
        assert read(s3, SOURCE, 10) == b"x" * 11


def test_what_was_replaced_before_reading_is_not_judged() -> None:
    s3 = SESSION.client("s3")
    with Stubber(s3) as stubber:
        expected = {"Bucket": DROP, "Key": KEY, "VersionId": "v2", "IfMatch": '"e2"'}
        stubber.add_client_error("get_object", "PreconditionFailed", http_status_code=412, expected_params=expected)
        assert read(s3, SOURCE, 10) is None
