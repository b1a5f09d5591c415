"""The trigger files of the drop bucket, read and judged."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jetway.objects import ObjectVersion, head, read
from jetway.triggers.file import LARGEST_FILE, PREFIX, Parsed, parse

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_AT_ONCE = 8


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
        ClientError, BotoCoreError: S3 is in trouble.
    """

    def read_one(key: str) -> File | None:
        source = head(s3, bucket, key)
        content = read(s3, source, LARGEST_FILE) if source else None
        if source is None or content is None:
            return None  # changed or deleted since: another event is on its way
        started = clock()
        parsed = parse(content, key)
        return File(source, parsed, clock() - started)

    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=PREFIX)
    keys = [item["Key"] for page in pages for item in page.get("Contents", []) if not item["Key"].endswith("/")]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return [file for file in pool.map(read_one, sorted(keys)) if file is not None]
