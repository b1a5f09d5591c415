"""The copy of the dags folder: what is live, and above it what has just been dropped."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import boto3
import pytest
from moto import mock_aws

from jetway.airflow.environment import EnvironmentFacts
from jetway.loading.folder import DagsFolder

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

FACTS = EnvironmentFacts("acme", "AVAILABLE", "3.3.1", "live", "dags")


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Client]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        client = boto3.client("s3")
        for bucket in ("drop", "live"):
            client.create_bucket(Bucket=bucket)
        yield client


def folder(s3: S3Client, later: timedelta = timedelta()) -> DagsFolder:
    return DagsFolder(s3, "drop", now=lambda: datetime.now(UTC) + later)


def put(s3: S3Client, bucket: str, **files: bytes) -> None:
    for name, content in files.items():
        s3.put_object(Bucket=bucket, Key=f"dags/{name.replace('__', '/')}.py", Body=content)


def test_what_was_just_dropped_lies_above_what_is_live(s3: S3Client) -> None:
    put(s3, "live", helper=b"old", team__other=b"other", judged=b"before")
    put(s3, "drop", helper=b"new", fresh=b"fresh", judged=b"newest")
    s3.put_object(Bucket="live", Key="dags/queries/a.sql", Body=b"select")
    copy = folder(s3).copy(FACTS, "judged.py", b"judged")
    assert copy.files == {
        "helper.py": b"new",
        "team/other.py": b"other",
        "fresh.py": b"fresh",
        "queries/a.sql": b"select",
        "judged.py": b"judged",
    }
    assert set(copy.pending) == {"helper.py", "fresh.py"}
    with zipfile.ZipFile(io.BytesIO(copy.zipped())) as packed:
        assert {name: packed.read(name) for name in packed.namelist()} == copy.files


def test_what_was_dropped_long_ago_and_is_not_live_was_refused(s3: S3Client) -> None:
    put(s3, "live", helper=b"old")
    put(s3, "drop", helper=b"refused")
    copy = folder(s3, timedelta(hours=1)).copy(FACTS, "judged.py", b"judged")
    assert copy.files["helper.py"] == b"old"
    assert copy.pending == {}


def test_keys_that_would_leave_the_folder_are_left_out(s3: S3Client) -> None:
    for key in ("dags/../x.py", "dags//x.py", "dags/folder/"):
        s3.put_object(Bucket="live", Key=key, Body=b"x")
    assert set(folder(s3).copy(FACTS, "judged.py", b"").files) == {"judged.py"}


def test_a_large_data_file_is_left_out_and_said_so(s3: S3Client) -> None:
    s3.put_object(Bucket="live", Key="dags/data.csv", Body=bytes(1024**2 + 1))
    copy = folder(s3).copy(FACTS, "judged.py", b"")
    assert (set(copy.files), copy.partial) == ({"judged.py"}, True)
