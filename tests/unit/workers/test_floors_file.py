"""floors.yaml as people drop it: what is in force, what its report says, and what happens to the last good one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto import mock_aws

from jetway.workers.floors_file import ACCEPTED, FloorsFile
from tests.unit.artifacts.buckets import REPORT_SCHEMA

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

NOW = datetime(2026, 11, 23, 6, 30, tzinfo=UTC)
GOOD = b'floors:\n  - {days: mon, from: "07:00", to: "08:00", min: 4}\n'
BETTER = GOOD.replace(b"min: 4", b"min: 6")


@pytest.fixture
def s3() -> Iterator[S3Client]:
    with mock_aws():
        client = boto3.client("s3", region_name="eu-central-1")
        client.create_bucket(Bucket="drop", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        client.put_bucket_versioning(Bucket="drop", VersioningConfiguration={"Status": "Enabled"})
        yield client


def drop(s3: S3Client, body: bytes) -> str:
    return s3.put_object(Bucket="drop", Key="floors.yaml", Body=body)["VersionId"]


def report(s3: S3Client, version: str = "latest") -> dict[str, Any]:
    body = s3.get_object(Bucket="drop", Key=f"reports/floors.yaml/{version}.json")["Body"].read()
    document: dict[str, Any] = json.loads(body)
    REPORT_SCHEMA.validate(document)
    return document


def versions(s3: S3Client) -> int:
    return len(s3.list_object_versions(Bucket="drop")["Versions"])


def workers(file: FloorsFile) -> list[int]:
    return [floor.workers for floor in file.read(NOW).floors]


def test_no_file_is_no_floors_and_no_report(s3: S3Client) -> None:
    found = FloorsFile(s3, "drop").read(NOW)
    assert (found.floors, found.error) == ((), None)
    assert "Contents" not in s3.list_objects_v2(Bucket="drop")


def test_a_good_file_is_in_force_and_its_report_accepts_it(s3: S3Client) -> None:
    version = drop(s3, GOOD)
    assert workers(FloorsFile(s3, "drop")) == [4]
    assert (report(s3)["verdict"], report(s3)["source"]["version"]) == ("accepted", version)


def test_the_report_says_who_claims_to_have_put_it(s3: S3Client) -> None:
    s3.put_object(Bucket="drop", Key="floors.yaml", Body=GOOD, Metadata={"jetway-by": "night shift"})
    assert workers(FloorsFile(s3, "drop")) == [4]
    assert report(s3)["by"] == {"claimed": "night shift"}


@pytest.mark.parametrize(
    ("body", "line", "message"),
    [
        (b"floors:\n  - {from: 7, to: 8, min: 4}", 2, "from is 7."),
        (
            b"floors: [",
            1,
            "This is not YAML: while parsing a flow node, expected the node content, but found '<stream end>'.",
        ),
        (b"floors:\n\xff", 2, "The file is not UTF-8."),
        (b"#" * 70_000, 1, "The file is larger than 64 KiB."),
    ],
)
def test_a_wrong_file_has_a_report_and_the_last_good_one_stays(
    s3: S3Client, body: bytes, line: int, message: str
) -> None:
    drop(s3, GOOD)
    assert workers(FloorsFile(s3, "drop")) == [4]
    version = drop(s3, body)
    for file in (FloorsFile(s3, "drop"), FloorsFile(s3, "drop")):
        found = file.read(NOW)
        assert [floor.workers for floor in found.floors] == [4]
        assert found.error
        assert found.error.startswith(f"floors.yaml:{line}: ")
    (finding,) = report(s3, version)["findings"]
    assert (finding["line"], finding["message"]) == (line, message)
    assert finding["remedy"]
    assert report(s3)["verdict"] == "rejected"
    drop(s3, BETTER)
    assert workers(FloorsFile(s3, "drop")) == [6]
    assert report(s3)["verdict"] == "accepted"


def test_a_wrong_file_without_a_good_one_before_has_no_floors(s3: S3Client) -> None:
    drop(s3, b"floors: 3")
    found = FloorsFile(s3, "drop").read(NOW)
    assert (found.floors, bool(found.error)) == ((), True)


def test_what_was_deleted_does_not_come_back_with_a_wrong_file(s3: S3Client) -> None:
    file = FloorsFile(s3, "drop")
    drop(s3, GOOD)
    assert workers(file) == [4]
    s3.delete_object(Bucket="drop", Key="floors.yaml")
    assert workers(file) == []
    drop(s3, b"floors: 3")
    assert workers(file) == []


def test_looking_again_writes_nothing(s3: S3Client) -> None:
    file = FloorsFile(s3, "drop")
    for prepare in (lambda: drop(s3, GOOD), lambda: s3.delete_object(Bucket="drop", Key="floors.yaml")):
        prepare()
        file.read(NOW)
        written = versions(s3)
        file.read(NOW)
        assert versions(s3) == written


def test_the_copy_is_that_of_the_version_in_force(s3: S3Client) -> None:
    version = drop(s3, GOOD)
    FloorsFile(s3, "drop").read(NOW)
    copy = s3.get_object(Bucket="drop", Key=ACCEPTED)
    assert (copy["Body"].read(), copy["Metadata"]) == (GOOD, {"of-version": version})
