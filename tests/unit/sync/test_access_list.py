"""access.yaml in the drop bucket becomes the list in force; a broken one leaves the last good one there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import boto3
import jsonschema
import pytest
from moto import mock_aws

from jetway.http.access_file import ParsedAccess
from jetway.http.access_lists import ACCEPTED_ACCESS, AccessLists
from jetway.sync.access_list import sync_access
from jetway.sync.causes import VersionCauses
from tests.unit.sample_events import ROOT

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

DROP = "acme-drop"
NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)
GOOD = "allow:\n- iam: arn:aws:iam::111122223333:role/billing\n  dags: [invoice_*]\n"
BROKEN = GOOD.replace("dags", "dag")
REPORTS = jsonschema.Draft202012Validator(json.loads((ROOT / "docs" / "schemas" / "report.schema.json").read_text()))


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Client]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket=DROP, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        client.put_bucket_versioning(Bucket=DROP, VersioningConfiguration={"Status": "Enabled"})
        yield client


def drop(s3: S3Client, text: str) -> list[str]:
    s3.put_object(Bucket=DROP, Key="access.yaml", Body=text.encode())
    return sync_access(s3, DROP, NOW)


def patterns(s3: S3Client) -> list[str] | None:
    grants = AccessLists(s3, DROP).current().grants
    return None if grants is None else [pattern for grant in grants for pattern in grant.dags]


def report(s3: S3Client) -> dict[str, Any]:
    body = s3.get_object(Bucket=DROP, Key="reports/access.yaml/latest.json")["Body"].read()
    found: dict[str, Any] = json.loads(body)
    REPORTS.validate(found)
    return found


def test_a_good_file_is_in_force_and_reported(s3: S3Client) -> None:
    assert (sync_access(s3, DROP, NOW), patterns(s3)) == ([], None)
    assert drop(s3, GOOD) == ["put access"]
    assert patterns(s3) == ["invoice_*"]
    assert (report(s3)["kind"], report(s3)["verdict"]) == ("access", "accepted")
    assert sync_access(s3, DROP, NOW) == []  # a second delivery changes nothing
    drop(s3, GOOD.replace("invoice", "refund"))
    assert patterns(s3) == ["refund_*"]


def test_a_broken_file_leaves_the_last_good_one_in_force_and_says_so(s3: S3Client) -> None:
    drop(s3, GOOD)
    assert drop(s3, BROKEN) == ["rejected access"]
    assert patterns(s3) == ["invoice_*"]
    findings = {finding["rule"]: finding for finding in report(s3)["findings"]}
    assert report(s3)["verdict"] == "rejected"
    assert findings["unknown-key"]["line"] == 3
    assert "stays in force" in findings["last-good-in-force"]["message"]
    assert sync_access(s3, DROP, NOW) == []
    assert drop(s3, GOOD) == ["put access"]


def test_a_broken_first_file_says_that_nothing_is_in_force(s3: S3Client) -> None:
    drop(s3, BROKEN)
    assert patterns(s3) is None
    assert "no-list-in-force" in {finding["rule"] for finding in report(s3)["findings"]}


def test_a_deleted_file_ends_the_list(s3: S3Client) -> None:
    drop(s3, GOOD)
    s3.delete_object(Bucket=DROP, Key="access.yaml")
    assert sync_access(s3, DROP, NOW) == ["deleted access"]
    assert (patterns(s3), sync_access(s3, DROP, NOW)) == (None, [])
    drop(s3, GOOD)
    assert patterns(s3) == ["invoice_*"]


def test_a_crash_after_the_report_is_made_good_by_the_next_run(s3: S3Client) -> None:
    drop(s3, GOOD)
    s3.delete_object(Bucket=DROP, Key=ACCEPTED_ACCESS)
    assert sync_access(s3, DROP, NOW) == ["put access"]
    assert patterns(s3) == ["invoice_*"]


@pytest.mark.parametrize("digits", ["0x" + "f" * 4000, "0b" + "1" * 20000])
def test_a_number_without_end_leaves_the_last_good_list_in_force(s3: S3Client, digits: str) -> None:
    drop(s3, GOOD)
    assert drop(s3, f"allow: {digits}\n") == ["rejected access"]
    assert patterns(s3) == ["invoice_*"]


def test_a_fault_of_ours_with_the_list_is_reported_and_leaves_the_last_good_one_in_force(s3: S3Client) -> None:
    def at_a_loss(_content: bytes) -> ParsedAccess:
        raise ValueError("the fault's own words")

    drop(s3, GOOD)
    s3.put_object(Bucket=DROP, Key="access.yaml", Body=GOOD.replace("invoice", "order").encode())
    assert sync_access(s3, DROP, NOW, parser=at_a_loss) == ["rejected access"]
    assert patterns(s3) == ["invoice_*"]
    assert [finding["rule"] for finding in report(s3)["findings"]] == ["internal-error", "last-good-in-force"]


def test_the_report_says_who_put_it(s3: S3Client) -> None:
    put = s3.put_object(Bucket=DROP, Key="access.yaml", Body=GOOD.encode(), Metadata={"jetway-by": "billing"})
    by: VersionCauses = {("access.yaml", put["VersionId"]): {"account": "111122223333", "request_id": "R1"}}
    assert sync_access(s3, DROP, NOW, by=by) == ["put access"]
    assert report(s3)["by"] == {"account": "111122223333", "request_id": "R1", "claimed": "billing"}
