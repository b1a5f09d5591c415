"""floors.yaml in the drop bucket: read, judged, and reported on; what was good last stays in force (`last_good`)."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from jetway.configuration.last_good import LastGoodFile, ParsedFile
from jetway.workers.floors import KEY, MOST_BYTES, Floor, check_floors, read_floors

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ACCEPTED = f"accepted/{KEY}"


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
        nothing: tuple[Floor, ...] = ()
        self._file = LastGoodFile(s3, bucket, KEY, parse=_parse, nothing=nothing, most_bytes=MOST_BYTES, clock=clock)

    def read(self, now: datetime) -> FloorsFound:
        """Return the floors in force; report on a version that this process has not seen yet.

        Args:
            now: timezone-aware.

        Raises:
            TransientError, ClientError, BotoCoreError: S3 is in trouble.
        """
        found = self._file.read(now)
        return FloorsFound(found.value, found.error)


def _parse(content: bytes) -> ParsedFile[tuple[Floor, ...]]:
    judged = check_floors(content)
    return ParsedFile(None if judged.verdict == "rejected" else read_floors(content), judged)
