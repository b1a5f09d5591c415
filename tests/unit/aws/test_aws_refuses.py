"""What S3 and Scheduler say when something is gone, was changed, or is refused: each is told apart."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber
from moto import mock_aws

from jetway.errors import TransientError
from jetway.http.recent_reports import _read
from jetway.promotion.verdict_tag import TAG, tag_verdict
from jetway.sync.accepted import load_json, save_json

BUCKET, KEY = "drop", "jetway/accepted.json"


@pytest.fixture
def s3() -> Iterator[Any]:
    with mock_aws():
        client: Any = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket=BUCKET)
        client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        yield client


def test_a_verdict_is_one_tag_among_others(s3: Any) -> None:
    version = s3.put_object(Bucket=BUCKET, Key="a.py", Body=b"", Tagging="team=data")["VersionId"]
    for verdict in ("accepted", "accepted", "rolled-back"):
        assert tag_verdict(s3, BUCKET, "a.py", version, verdict)
    tags = s3.get_object_tagging(Bucket=BUCKET, Key="a.py")["TagSet"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"team": "data", TAG: "rolled-back"}


def test_an_object_with_ten_tags_or_that_is_gone_gets_none(s3: Any) -> None:
    tags = "&".join(f"t{number}=1" for number in range(10))
    version = s3.put_object(Bucket=BUCKET, Key="full.py", Body=b"", Tagging=tags)["VersionId"]
    assert not tag_verdict(s3, BUCKET, "full.py", version, "accepted")
    s3.delete_object(Bucket=BUCKET, Key="full.py", VersionId=version)
    assert not tag_verdict(s3, BUCKET, "full.py", version, "accepted")


def test_tags_that_may_not_be_read_are_an_error() -> None:
    client: Any = boto3.client("s3", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    with Stubber(client) as stubber:
        stubber.add_client_error("get_object_tagging", "AccessDenied")
        with pytest.raises(ClientError, match="AccessDenied"):
            tag_verdict(client, BUCKET, "a.py", "v1", "accepted")


def test_a_report_that_expired_meanwhile_is_none(s3: Any) -> None:
    assert _read(s3, BUCKET, "reports/gone.json") is None
    s3.put_object(Bucket=BUCKET, Key="reports/a.json", Body=b'{"verdict": "accepted"}')
    assert _read(s3, BUCKET, "reports/a.json") == {"verdict": "accepted"}
    with pytest.raises(ClientError, match="NoSuchBucket"):
        _read(s3, "nobody-has-this-bucket", "reports/a.json")


def test_what_was_written_meanwhile_is_not_written_over(s3: Any) -> None:
    assert load_json(s3, BUCKET, KEY, "f/1") == ({}, None)
    save_json(s3, BUCKET, KEY, {"format": "f/1", "n": 1}, None)
    content, there = load_json(s3, BUCKET, KEY, "f/1")
    assert content == {"format": "f/1", "n": 1}
    save_json(s3, BUCKET, KEY, {"format": "f/1", "n": 2}, there)
    with pytest.raises(TransientError, match="was written by another process"):
        save_json(s3, BUCKET, KEY, {"format": "f/1", "n": 3}, there)
    assert load_json(s3, BUCKET, KEY, "f/1")[0]["n"] == 2


def test_a_file_of_another_format_is_not_taken(s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key=KEY, Body=json.dumps({"format": "f/2"}).encode())
    with pytest.raises(ValueError, match="has the format 'f/2', not 'f/1'"):
        load_json(s3, BUCKET, KEY, "f/1")
