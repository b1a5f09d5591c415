"""One version of an S3 object as a seekable stream: ranged GETs into a bounded buffer."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, BinaryIO, cast

from botocore.exceptions import ClientError, IncompleteReadError, ReadTimeoutError, ResponseStreamingError

from jetway.objects import ObjectVersion, is_changed, is_gone

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from mypy_boto3_s3 import S3Client

    Buffer = bytearray | memoryview

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


class _ObjectStream(io.RawIOBase):
    def __init__(self, s3: S3Client, version: ObjectVersion) -> None:
        self._s3 = s3
        self._version = version
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._version.size}[whence]
        if start + offset < 0:
            raise ValueError(f"negative seek position {start + offset}")
        self._at = start + offset
        return self._at

    def readinto(self, buffer: Buffer) -> int:  # type: ignore[override]  # the protocol's Buffer is of Python 3.12
        length = min(len(buffer), self._version.size - self._at)
        if length <= 0:
            return 0
        found = self._get(self._at, length)
        buffer[: len(found)] = found
        self._at += len(found)
        return len(found)

    def _get(self, start: int, length: int) -> bytes:
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
