"""The dags folder follows the bucket, and nothing leads out of it."""

from __future__ import annotations

import io
import logging
import threading
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.response import StreamingBody
from botocore.stub import Stubber
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws

from tools.emulator import processes
from tools.emulator.gateway.sync import DagSync, plan, relative_path

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BUCKET = "environment-bucket"


@pytest.fixture
def s3(boto_session: boto3.Session) -> Iterator[S3Client]:
    with mock_aws():
        client = boto_session.client("s3")
        client.create_bucket(Bucket=BUCKET)
        client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        yield client


@pytest.fixture
def sync(s3: S3Client, tmp_path: Path) -> DagSync:
    (tmp_path / "dags").mkdir()
    return make(s3, tmp_path)


def make(s3: S3Client, tmp_path: Path, dags_path: str = "dags") -> DagSync:
    return DagSync(s3, BUCKET, lambda: dags_path, tmp_path / "dags", tmp_path / "memory.json")


def put(s3: S3Client, key: str, body: bytes = b"x") -> None:
    s3.put_object(Bucket=BUCKET, Key=key, Body=body)


def files(tmp_path: Path) -> dict[str, bytes]:
    folder = tmp_path / "dags"
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_additions_changes_and_deletions_arrive(s3: S3Client, sync: DagSync, tmp_path: Path) -> None:
    put(s3, "dags/a.py", b"1")
    put(s3, "dags/deep/er/b.py", b"2")
    put(s3, "plugins.zip", b"not a DAG")
    put(s3, "dags-of-another/c.py", b"not ours")
    put(s3, "dags/folder/", b"")
    assert sync.look()
    assert files(tmp_path) == {"a.py": b"1", "deep/er/b.py": b"2"}
    put(s3, "dags/a.py", b"changed")
    s3.delete_object(Bucket=BUCKET, Key="dags/deep/er/b.py")
    assert sync.look()
    assert files(tmp_path) == {"a.py": b"changed"}
    assert not (tmp_path / "dags" / "deep").exists()


def test_more_than_one_page_is_read(boto_session: boto3.Session, tmp_path: Path) -> None:
    (tmp_path / "dags").mkdir()
    client = boto_session.client("s3")
    with Stubber(client) as stub:
        wanted = {"Bucket": BUCKET, "Prefix": "dags/"}
        pages: tuple[dict[str, Any], ...] = (
            {"IsTruncated": True, "NextContinuationToken": "more"},
            {"IsTruncated": False},
        )
        for name, page, token in zip("ab", pages, ({}, {"ContinuationToken": "more"}), strict=True):
            contents = [{"Key": f"dags/{name}.py", "ETag": name}]
            stub.add_response("list_objects_v2", {**page, "Contents": contents}, wanted | token)
        for name in "ab":
            body = StreamingBody(io.BytesIO(b"x"), 1)
            stub.add_response("get_object", {"Body": body}, {"Bucket": BUCKET, "Key": f"dags/{name}.py"})
        assert make(client, tmp_path).look()
        stub.assert_no_pending_responses()
    assert files(tmp_path) == {"a.py": b"x", "b.py": b"x"}


def test_a_file_laid_there_by_hand_stays(s3: S3Client, sync: DagSync, tmp_path: Path) -> None:
    (tmp_path / "dags" / "mine.py").write_bytes(b"mine")
    put(s3, "dags/a.py")
    assert sync.look()
    s3.delete_object(Bucket=BUCKET, Key="dags/a.py")
    assert sync.look()
    assert files(tmp_path) == {"mine.py": b"mine"}


def test_an_unchanged_file_is_not_written_again(s3: S3Client, sync: DagSync, tmp_path: Path) -> None:
    put(s3, "dags/a.py")
    assert sync.look()
    (tmp_path / "dags" / "a.py").write_bytes(b"touched")
    assert sync.look()
    assert files(tmp_path) == {"a.py": b"touched"}


def test_a_restart_forgets_nothing_and_repairs_what_is_gone(s3: S3Client, sync: DagSync, tmp_path: Path) -> None:
    put(s3, "dags/a.py")
    put(s3, "dags/b.py")
    assert sync.look()
    (tmp_path / "dags" / "a.py").unlink()
    s3.delete_object(Bucket=BUCKET, Key="dags/b.py")
    assert make(s3, tmp_path).look()
    assert files(tmp_path) == {"a.py": b"x"}


def test_another_prefix_replaces_the_files(s3: S3Client, sync: DagSync, tmp_path: Path) -> None:
    put(s3, "dags/a.py")
    put(s3, "new/place/b.py")
    assert sync.look()
    assert make(s3, tmp_path, "/new/place/").look()
    assert files(tmp_path) == {"b.py": b"x"}


def test_no_key_leads_out_of_the_folder(
    s3: S3Client, sync: DagSync, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "dags" / "link").symlink_to(tmp_path / "elsewhere")
    for key in ("dags/../out.py", "dags//out.py", "dags/./out.py", "dags/a/../../out.py", "dags/link/out.py"):
        put(s3, key)
    put(s3, "dags/good.py")
    with caplog.at_level(logging.WARNING):
        assert sync.look()
        assert sync.look()
    assert {path.name for path in tmp_path.rglob("*.py")} == {"good.py"}
    assert len(caplog.records) == 5, "each is said once"


def test_a_key_that_no_file_can_have_holds_up_no_other(s3: S3Client, sync: DagSync, tmp_path: Path) -> None:
    put(s3, "dags/a", b"a file")
    put(s3, "dags/a/b.py", b"under the file")
    put(s3, f"dags/{'n' * 300}.py")
    put(s3, "dags/z.py")
    assert sync.look()
    assert files(tmp_path) == {"a": b"a file", "z.py": b"x"}


@given(st.text())
def test_a_relative_path_is_within_and_true_to_the_key(text: str) -> None:
    path = relative_path(f"dags/{text}", "dags/")
    if path is not None:
        assert path == text
        assert not PurePosixPath(path).is_absolute()
        assert not {"..", "."} & set(path.split("/"))


@given(
    st.dictionaries(st.text(max_size=3), st.text(max_size=2)), st.dictionaries(st.text(max_size=3), st.text(max_size=2))
)
def test_carrying_out_a_plan_gives_what_was_found(found: dict[str, str], have: dict[str, str]) -> None:
    todo = plan(found, have)
    after = {path: etag for path, etag in have.items() if path not in todo.remove} | dict(todo.fetch)
    assert after == found


def test_s3_that_is_down_is_outlived(
    boto_session: boto3.Session, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "a.py").write_bytes(b"kept")
    (tmp_path / "memory.json").write_text('{"a.py": "etag"}')
    client = boto_session.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{processes.free_port()}",
        config=Config(retries={"total_max_attempts": 1}, connect_timeout=1),
    )
    sync = make(client, tmp_path)
    with caplog.at_level(logging.WARNING):
        assert not sync.look()
        assert not sync.look()
    assert files(tmp_path) == {"a.py": b"kept"}
    assert len(caplog.records) == 1
    client.close()


def test_it_looks_until_told_to_stop(s3: S3Client, sync: DagSync, tmp_path: Path) -> None:
    stop = threading.Event()
    put(s3, "dags/a.py")
    thread = threading.Thread(target=sync.run, args=(0.01, stop))
    thread.start()
    for _ in range(500):
        if files(tmp_path):
            break
        stop.wait(0.02)
    stop.set()
    thread.join(10)
    assert not thread.is_alive()
    assert files(tmp_path) == {"a.py": b"x"}
