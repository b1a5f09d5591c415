"""The trigger files of the drop bucket, read and judged."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from jetway.artifacts.findings import Finding, internal_error, judgement
from jetway.aws.crashes import MOST
from jetway.aws.s3 import ObjectVersion, head, read
from jetway.errors import TransientError
from jetway.observability import logger
from jetway.triggers.file import LARGEST_FILE, PREFIX, ParsedTrigger, parse

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# Tries a version of a file by its name; says whether it has ended the function so often that it is not tried again.
WatchBucket = Callable[[str], AbstractContextManager[bool]]

CRASHED = Finding(
    "crashed",
    "error",
    (
        f"The function that syncs triggers was ended {MOST} times while it read this version: it was out of "
        "memory or out of time, or it crashed."
    ),
    None,
    ("Make the file smaller or simpler and drop it again. The log of sync_triggers shows how the function ended."),
)

_AT_ONCE = 8
_MOST_TRIES = 3


@dataclass(frozen=True, slots=True)
class File:
    """One file, as it is now.

    Attributes:
        seconds: that judging took.
        crashed: it is not read any more.
    """

    source: ObjectVersion
    parsed: ParsedTrigger
    seconds: float
    crashed: bool = False

    @property
    def key(self) -> str:
        """Its key in the drop bucket."""
        return self.source.key


def passed_over(source: ObjectVersion) -> File:
    """Return a file that is not read, for it has ended the function time and again."""
    return File(source, ParsedTrigger(None, judgement("trigger", [CRASHED])), 0.0, crashed=True)


def read_files(
    s3: S3Client,
    bucket: str,
    *,
    crashed: Mapping[str, str] = MappingProxyType({}),
    watch: WatchBucket | None = None,
    parser: Callable[[bytes, str], ParsedTrigger] = parse,
    clock: Callable[[], float] = time.perf_counter,
) -> list[File]:
    """Read all trigger files, in the order of their keys.

    Args:
        crashed: versions that are passed over, by key.
        watch: tries a file; with it they are read one by one, so that a crash is one file's.

    Raises:
        TransientError: a file changes faster than it can be read.
        ClientError, BotoCoreError: S3 is in trouble.
    """

    def read_one(key: str) -> File | None:
        for _ in range(_MOST_TRIES):
            source = head(s3, bucket, key)
            if source is None:
                return None  # deleted since it was listed
            if crashed.get(key) == source.label:
                return passed_over(source)
            with watch(f"{key}#{source.label}") if watch else nullcontext(False) as has_crashed:
                if has_crashed:
                    return passed_over(source)
                content = read(s3, source, LARGEST_FILE)
                if content is not None:
                    started = clock()
                    parsed = _judged(parser, content, key)
                    return File(source, parsed, clock() - started)
        # It is there: to take it for deleted would delete its trigger.
        raise TransientError(f"s3://{bucket}/{key} changes faster than it can be read.")

    with ThreadPoolExecutor(1 if watch else _AT_ONCE) as pool:
        return [file for file in pool.map(read_one, sorted(list_files(s3, bucket))) if file is not None]


def _judged(parser: Callable[[bytes, str], ParsedTrigger], content: bytes, key: str) -> ParsedTrigger:
    """Judge one file; a fault of ours with it is its finding, and the others are put in force."""
    try:
        return parser(content, key)
    except Exception as exc:  # noqa: BLE001 - whatever it is, the other files go on
        logger.exception("a trigger file could not be checked", extra={"key": key})
        return ParsedTrigger(None, judgement("trigger", [internal_error(exc)]))


def list_files(s3: S3Client, bucket: str) -> dict[str, str]:
    """Return the ETags of all trigger files, by key.

    Raises:
        ClientError, BotoCoreError: S3 is in trouble.
    """
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=PREFIX)
    there = (item for page in pages for item in page.get("Contents", []))
    return {item["Key"]: item["ETag"] for item in there if not item["Key"].endswith("/")}
