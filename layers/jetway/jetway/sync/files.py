"""The trigger files of the drop bucket, read and judged."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jetway.errors import TransientError
from jetway.objects import ObjectVersion, head, read
from jetway.triggers.file import LARGEST_FILE, PREFIX, Parsed, parse

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_AT_ONCE = 8
_MOST_TRIES = 3


@dataclass(frozen=True, slots=True)
class File:
    """One file, as it is now.

    Attributes:
        seconds: that judging took.
    """

    source: ObjectVersion
    parsed: Parsed
    seconds: float

    @property
    def key(self) -> str:
        """Its key in the drop bucket."""
        return self.source.key


def read_files(s3: S3Client, bucket: str, *, clock: Callable[[], float] = time.perf_counter) -> list[File]:
    """Read all trigger files, in the order of their keys.

    Raises:
        TransientError: a file changes faster than it can be read.
        ClientError, BotoCoreError: S3 is in trouble.
    """

    def read_one(key: str) -> File | None:
        for _ in range(_MOST_TRIES):
            source = head(s3, bucket, key)
            if source is None:
                return None  # deleted since it was listed
            content = read(s3, source, LARGEST_FILE)
            if content is not None:
                started = clock()
                parsed = parse(content, key)
                return File(source, parsed, clock() - started)
        # It is there: to take it for deleted would delete its trigger.
        raise TransientError(f"s3://{bucket}/{key} changes faster than it can be read.")

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return [file for file in pool.map(read_one, sorted(list_files(s3, bucket))) if file is not None]


def list_files(s3: S3Client, bucket: str) -> dict[str, str]:
    """Return the ETags of all trigger files, by key.

    Raises:
        ClientError, BotoCoreError: S3 is in trouble.
    """
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=PREFIX)
    there = (item for page in pages for item in page.get("Contents", []))
    return {item["Key"]: item["ETag"] for item in there if not item["Key"].endswith("/")}
