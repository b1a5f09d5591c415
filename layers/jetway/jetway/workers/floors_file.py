"""floors.yaml in the drop bucket: read, judged, and reported on; what was good last stays in force.

`floors.yaml` is the people's, `accepted/floors.yaml` the copy of the last good version, `reports/floors.yaml/` has
a report of each version. All of it may be done again by anybody: one version leads to one copy and one report.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from jetway.objects import ObjectVersion, head, read
from jetway.principals import claimed_in
from jetway.reports import report_on, write_report
from jetway.workers.floors import KEY, MOST_BYTES, Floor, FloorsError, check_floors, read_floors

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ACCEPTED = f"accepted/{KEY}"
_OF_VERSION = "of-version"  # metadata of the copy


@dataclass(frozen=True, slots=True)
class FloorsFound:
    """What is in force.

    Attributes:
        error: what is wrong with the newest version; the floors are then those of the last good one.
    """

    floors: tuple[Floor, ...] = ()
    error: str | None = None


class FloorsFile:
    """The file in one drop bucket."""

    def __init__(self, s3: S3Client, bucket: str, *, clock: Callable[[], float] = time.perf_counter) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._clock = clock
        self._reported: str | None = None

    def read(self, now: datetime) -> FloorsFound:
        """Return the floors in force; report on a version that this process has not seen yet.

        Args:
            now: timezone-aware.

        Raises:
            TransientError, ClientError, BotoCoreError: S3 is in trouble.
        """
        version = head(self._s3, self._bucket, KEY)
        content = b"" if version is None else read(self._s3, version, MOST_BYTES)
        if version is None or content is None:
            self._accept(b"", "none")  # deleted: nothing of it shall come back
            return FloorsFound()
        self._report(version, content, now)
        try:
            floors = read_floors(content)
        except FloorsError as exc:
            return FloorsFound(self._last_good(), str(exc))
        self._accept(content, version.label)
        return FloorsFound(floors)

    def _last_good(self) -> tuple[Floor, ...]:
        accepted = head(self._s3, self._bucket, ACCEPTED)
        content = accepted and read(self._s3, accepted, MOST_BYTES)
        return read_floors(content) if content else ()

    def _accept(self, content: bytes, label: str) -> None:
        there = head(self._s3, self._bucket, ACCEPTED)
        if (there is None and not content) or (there and there.metadata.get(_OF_VERSION) == label):
            return
        self._s3.put_object(Bucket=self._bucket, Key=ACCEPTED, Body=content, Metadata={_OF_VERSION: label})

    def _report(self, version: ObjectVersion, content: bytes, now: datetime) -> None:
        if self._reported == version.label:
            return
        begun = self._clock()
        judged = check_floors(content)
        by = claimed_in(version.metadata)  # no event leads here, and who put it S3 tells nobody else
        report = report_on(KEY, judged, self._clock() - begun, source=version, judged_at=now, by=by)
        write_report(self._s3, report, version)
        self._reported = version.label
