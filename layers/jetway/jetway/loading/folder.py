"""A copy of the dags folder as it will be: what is live, and above it what has just been dropped and not judged yet.

So the files of one `aws s3 sync` see each other, in whatever order they are judged.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from jetway.artifacts.kinds import DAGS, LARGEST_DATA_FILE
from jetway.aws.s3 import head, is_changed, is_gone, read
from jetway.promotion.copy import SOURCE_VERSION
from jetway.promotion.reports import is_reported

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from jetway.airflow.environment import EnvironmentFacts
    from jetway.aws.s3 import ObjectVersion

# What was dropped longer ago than that is settled: live, quarantined, or in the dead letters.
PENDING = timedelta(minutes=15)

# Bounds of a copy. Beyond them data files are left out first, so a missing one proves nothing.
_MOST_FILES = 5000
_MOST_BYTES = 48 * 1024**2
LARGEST_ZIP = 32 * 1024**2  # of packed DAGs that are judged
_MOST_REMEMBERED = 96 * 1024**2
_THREADS = 8


@dataclass(frozen=True, slots=True)
class Listed:
    """An object of one of the two buckets, as a listing shows it."""

    bucket: str
    key: str
    etag: str
    size: int
    last_modified: datetime


@dataclass(frozen=True, slots=True)
class FolderCopy:
    """A copy of the dags folder.

    Attributes:
        files: path relative to the folder → content.
        pending: paths that were dropped and are neither live nor judged yet, with when they came.
        partial: the folder is too large to be copied whole.
        by_hand: paths that are live and that the drop bucket has no object for.
        live: paths that are live.
    """

    files: Mapping[str, bytes]
    pending: Mapping[str, datetime] = field(default_factory=dict)
    partial: bool = False
    by_hand: frozenset[str] = frozenset()
    live: frozenset[str] = frozenset()

    def zipped(self) -> bytes:
        """The copy as a zip file."""
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as bundle:
            for path, content in self.files.items():
                bundle.writestr(path, content)
        return packed.getvalue()


class DagsFolder:
    """The dags folder of one environment, read from the two buckets; contents are remembered by etag."""

    def __init__(self, s3: S3Client, drop_bucket: str, *, now: Callable[[], datetime]) -> None:
        self._s3 = s3
        self._drop_bucket = drop_bucket
        self._now = now
        self._remembered: dict[tuple[str, str, str], bytes] = {}
        self._judged: set[tuple[str, str, datetime]] = set()

    def copy(self, facts: EnvironmentFacts, path: str = "", content: bytes | None = None) -> FolderCopy:
        """Return a copy with one file as given.

        Args:
            facts: of the environment; tells its bucket and folder.
            path: of the judged file, relative to the folder; "" when it is none of the folder's.
            content: what it is judged with; None for a copy with the file as it is live, or without it.

        Raises:
            ClientError, BotoCoreError: S3 is in trouble.
        """
        prefix = f"{facts.dags_path}/" if facts.dags_path else ""
        files = dict(self._list(facts.source_bucket, prefix))
        all_live = frozenset(files)
        by_hand = set(files) - {path}
        coming = {}
        for name, dropped in self._list(self._drop_bucket, DAGS):
            live = files.get(name)
            by_hand.discard(name)
            recent = self._now() - dropped.last_modified < PENDING
            if name != path and recent and (live is None or live.last_modified <= dropped.last_modified):
                coming[name] = dropped
        pending = self._not_judged(coming)
        files |= {name: coming[name] for name in pending}
        if content is not None:
            files.pop(path, None)
        chosen, partial = _within_bounds(files)
        contents = self._contents(chosen)
        if content is not None:
            contents[path] = content
        return FolderCopy(contents, pending, partial, frozenset(by_hand), all_live)

    def packed_dags(self, version: ObjectVersion) -> bytes | None:
        """Return a zip that was dropped; None when it is too large to be loaded, or gone.

        Raises:
            ClientError, BotoCoreError: S3 is in trouble.
        """
        return read(self._s3, version, LARGEST_ZIP) if version.size <= LARGEST_ZIP else None

    def _not_judged(self, coming: Mapping[str, Listed]) -> dict[str, datetime]:
        """Which of the files that are not live have no report yet, and when they came; a refused one has one."""

        def judged(listed: Listed) -> bool:
            known = (listed.key, listed.etag, listed.last_modified) in self._judged
            return known or is_reported(self._s3, listed.bucket, listed.key, listed.etag, listed.last_modified)

        with ThreadPoolExecutor(_THREADS) as pool:
            found = dict(zip(coming, pool.map(judged, coming.values()), strict=True))
        done = (listed for name, listed in coming.items() if found[name])
        self._judged = {(listed.key, listed.etag, listed.last_modified) for listed in done}  # a report stays
        return {name: listed.last_modified for name, listed in coming.items() if not found[name]}

    def is_by_hand(self, facts: EnvironmentFacts, key: str) -> bool:
        """Whether an object of the environment's bucket is there and did not come through the drop bucket.

        Raises:
            ClientError, BotoCoreError: S3 is in trouble.
        """
        there = head(self._s3, facts.source_bucket, key)
        return there is not None and SOURCE_VERSION not in there.metadata

    def _list(self, bucket: str, prefix: str) -> Iterable[tuple[str, Listed]]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        for page in pages:
            for found in page.get("Contents", []):
                key = found["Key"]
                if not key.endswith("/") and _is_plain(key.removeprefix(prefix)):
                    listed = Listed(bucket, key, found["ETag"], found["Size"], found["LastModified"])
                    yield key.removeprefix(prefix), listed

    def _contents(self, files: Mapping[str, Listed]) -> dict[str, bytes]:
        def content(listed: Listed) -> bytes | None:
            known = self._remembered.get((listed.bucket, listed.key, listed.etag))
            return known if known is not None else self._read(listed)

        with ThreadPoolExecutor(_THREADS) as pool:
            found = dict(zip(files, pool.map(content, files.values()), strict=True))
        contents = {path: content for path, content in found.items() if content is not None}
        # What is in the folder now is remembered, and nothing else.
        self._remembered, room = {}, _MOST_REMEMBERED
        for path, content_ in contents.items():
            room -= len(content_)
            if room >= 0:
                listed = files[path]
                self._remembered[listed.bucket, listed.key, listed.etag] = content_
        return contents

    def _read(self, listed: Listed) -> bytes | None:
        """The object's content; None when it is not there any more as it was listed."""
        try:
            answer = self._s3.get_object(Bucket=listed.bucket, Key=listed.key, IfMatch=listed.etag)
        except ClientError as exc:
            if is_gone(exc) or is_changed(exc):
                return None
            raise
        with answer["Body"] as body:
            return body.read()


def _is_plain(path: str) -> bool:
    """Whether a key becomes one file inside the folder."""
    return bool(path) and "\0" not in path and not any(part in {"", ".", ".."} for part in path.split("/"))


def _within_bounds(files: Mapping[str, Listed]) -> tuple[dict[str, Listed], bool]:
    """Python files first, then the smallest others, as far as the bounds go; and whether some were left out."""
    chosen: dict[str, Listed] = {}
    room = _MOST_BYTES
    order = sorted(files.items(), key=lambda item: (not item[0].endswith(".py"), item[1].size))
    for path, listed in order:
        is_code = path.endswith((".py", ".airflowignore", ".zip"))
        if len(chosen) < _MOST_FILES and listed.size <= room and (is_code or listed.size <= LARGEST_DATA_FILE):
            chosen[path] = listed
            room -= listed.size
    return chosen, len(chosen) < len(files)
