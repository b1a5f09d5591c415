"""One version of an S3 object as a seekable stream: ranged GETs into a bounded buffer."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, BinaryIO, cast

from botocore.exceptions import ClientError, IncompleteReadError, ReadTimeoutError, ResponseStreamingError

from jetway.aws.ranged_stream import RangedStream
from jetway.aws.s3 import ObjectVersion, is_changed, is_gone

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from mypy_boto3_s3 import S3Client

# So much in one request: a gigabyte is 128 of them. Two such blocks are held at a time.
BLOCK = 8 * 1024 * 1024
_MOST_TRIES = 3


class VersionGoneError(Exception):
    """The version was deleted while it was read."""


def open_version(s3: S3Client, version: ObjectVersion, *, block: int = BLOCK) -> BinaryIO:
    """Return a stream over exactly this version. Nothing is asked before the first read.

    Reading raises VersionGoneError when it is deleted meanwhile, ClientError or BotoCoreError when S3 is in trouble.

    Args:
        s3: the client.
        version: which one.
        block: bytes in one request.
    """
    return cast("BinaryIO", io.BufferedReader(_ObjectStream(s3, version), block))


class _ObjectStream(RangedStream):
    def __init__(self, s3: S3Client, version: ObjectVersion) -> None:
        super().__init__(version.size)
        self._s3 = s3
        self._version = version

    def read_range(self, start: int, length: int) -> bytes:
        """Return a range; a connection that breaks while the body comes is tried again, as botocore does not."""
        for left in reversed(range(_MOST_TRIES)):
            try:
                answer = self._s3.get_object(
                    **self._version.address, IfMatch=self._version.etag, Range=f"bytes={start}-{start + length - 1}"
                )
                with answer["Body"] as body:
                    if "ContentRange" not in answer:
                        # A server may ignore a range (RFC 9110, 14.2), and some that speak S3 do for versions.
                        _skip(body, start)
                    return body.read(length)
            except (IncompleteReadError, ReadTimeoutError, ResponseStreamingError):
                if not left:
                    raise
            except ClientError as exc:
                if is_gone(exc) or is_changed(exc):
                    raise VersionGoneError from exc
                raise
        raise AssertionError("unreachable")


def _skip(body: StreamingBody, length: int) -> None:
    while length > 0 and (skipped := body.read(min(length, BLOCK))):
        length -= len(skipped)
