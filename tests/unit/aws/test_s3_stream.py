"""An S3 object as a stream: exactly that version, in few and bounded requests."""

from __future__ import annotations

import io
import random
import zipfile
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from jetway.aws.s3 import ObjectVersion, head
from jetway.aws.s3_stream import VersionGoneError, open_version
from tests.unit.artifacts.buckets import DROP, Buckets
from tests.unit.artifacts.zips import zip_of

KEY = "plugins.zip"


def version_of(world: Buckets, body: bytes) -> ObjectVersion:
    version_id = world.drop(KEY, body)
    found = head(world.s3, DROP, KEY, version_id)
    assert found is not None
    return found


def ranges(world: Buckets) -> list[str]:
    asked: list[str] = []
    world.s3.meta.events.register(
        "before-parameter-build.s3.GetObject", lambda params, **_: asked.append(params["Range"])
    )
    return asked


def test_reading_and_seeking_are_those_of_a_file(world: Buckets) -> None:
    body = random.Random(1).randbytes(10_000)
    version, expected, dice = version_of(world, body), io.BytesIO(body), random.Random(2)
    with open_version(world.s3, version, block=1000) as stream:
        assert stream.read() == body
        for _ in range(100):
            whence = dice.choice([io.SEEK_SET, io.SEEK_END])
            offset = dice.randrange(0, 12_000) if whence == io.SEEK_SET else -dice.randrange(0, 10_000)
            size = dice.randrange(0, 3000)
            assert stream.seek(offset, whence) == expected.seek(offset, whence)
            assert stream.read(size) == expected.read(size)
        with pytest.raises((ValueError, OSError)):
            stream.seek(-1)


def test_a_zip_is_read_in_a_few_ranges(world: Buckets) -> None:
    body = zip_of({f"{number}.bin": random.Random(number).randbytes(5_000) for number in range(100)})
    version, asked = version_of(world, body), ranges(world)
    with open_version(world.s3, version, block=100_000) as stream, zipfile.ZipFile(stream) as found:
        assert found.testzip() is None
    assert len(asked) <= len(body) / 100_000 + 8


def test_it_is_that_version_whatever_is_uploaded_meanwhile(world: Buckets) -> None:
    version = version_of(world, b"old")
    with open_version(world.s3, version) as stream:
        world.drop(KEY, b"new and longer")
        assert stream.read() == b"old"


def test_a_version_that_is_deleted_has_gone(world: Buckets) -> None:
    version = version_of(world, b"old")
    world.s3.delete_object(Bucket=DROP, Key=KEY, VersionId=version.label)
    with open_version(world.s3, version) as stream, pytest.raises(VersionGoneError):
        stream.read()


def test_without_versioning_a_new_upload_has_replaced_it(unversioned: Buckets) -> None:
    version = version_of(unversioned, b"old")
    unversioned.drop(KEY, b"new")
    with open_version(unversioned.s3, version) as stream, pytest.raises(VersionGoneError):
        stream.read()


@pytest.mark.parametrize(("breaks", "works"), [(2, True), (3, False)])
def test_a_connection_that_breaks_is_tried_again(world: Buckets, breaks: int, works: bool) -> None:
    version = version_of(world, b"content")
    left = [breaks]

    def broken(parsed: dict[str, Any], **_: Any) -> None:
        if left[0]:
            left[0] -= 1
            parsed["Body"] = Breaking()

    world.s3.meta.events.register("after-call.s3.GetObject", broken)
    with open_version(world.s3, version) as stream:
        if works:
            assert stream.read() == b"content"
        else:
            with pytest.raises(ReadTimeoutError):
                stream.read()


def test_a_server_that_ignores_ranges_is_understood(world: Buckets) -> None:
    body = random.Random(3).randbytes(5_000)
    version = version_of(world, body)

    def without_range(params: dict[str, Any], **_: Any) -> None:
        del params["headers"]["Range"]

    world.s3.meta.events.register("before-call.s3.GetObject", without_range)
    with open_version(world.s3, version, block=1_000) as stream:
        assert stream.read() == body
        stream.seek(4_321)
        assert stream.read(50) == body[4_321:4_371]


class Breaking(io.BytesIO):
    """A body that never comes."""

    def read(self, size: int | None = -1, /) -> bytes:
        raise ReadTimeoutError(endpoint_url="https://s3.example")
