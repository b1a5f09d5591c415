"""A configuration file of the drop bucket: read, judged, and reported on; what was good last stays in force.

    <key>              the people's
    accepted/<key>     the copy of the last good version
    reports/<key>/     a report of each version

All of it may be done again by anybody: one version leads to one copy and one report.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Generic, TypeVar

from jetway.artifacts.findings import Finding, Judgement, internal_error, judgement
from jetway.aws.s3 import head, read
from jetway.events.principals import claimed_in
from jetway.observability import logger
from jetway.promotion.reports import report_on, write_report

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from jetway.aws.s3 import ObjectVersion

T = TypeVar("T")
_OF_VERSION = "of-version"  # metadata of the copy


@dataclass(frozen=True, slots=True)
class ParsedFile(Generic[T]):
    """What reading a file's bytes gave.

    Attributes:
        value: None when the file has errors.
    """

    value: T | None
    judgement: Judgement


@dataclass(frozen=True, slots=True)
class InForceFile(Generic[T]):
    """What is in force.

    Attributes:
        error: what is wrong with the newest version; the value is then that of the last good one.
        version: label of the version that was read; None where there is no file.
    """

    value: T
    error: str | None = None
    version: str | None = None


class LastGoodFile(Generic[T]):
    """One such file in one drop bucket. A version is read and judged once while the function is warm."""

    def __init__(
        self,
        s3: S3Client,
        bucket: str,
        key: str,
        *,
        parse: Callable[[bytes], ParsedFile[T]],
        nothing: T,
        most_bytes: int,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Take the parts; nothing is called.

        Args:
            parse: reads the file's bytes, `most_bytes` + 1 at the most.
            nothing: what is in force without a file.
            clock: seconds.
        """
        self._s3, self._bucket, self._key = s3, bucket, key
        self._parse = parse
        self._nothing = nothing
        self._most_bytes = most_bytes
        self._clock = clock
        self._known: InForceFile[T] | None = None

    def read(self, now: datetime, *, also: Callable[[T], list[Finding]] = lambda _value: []) -> InForceFile[T]:
        """Return what is in force; report on a version that this process has not seen yet.

        Args:
            now: timezone-aware.
            also: looks at the value of a new version for more findings; an error among them refuses it.

        Raises:
            TransientError, ClientError, BotoCoreError: S3 is in trouble, or what `also` has asked.
        """
        version = head(self._s3, self._bucket, self._key)
        if self._known is not None and version is not None and self._known.version == version.label:
            return self._known
        content = None if version is None else read(self._s3, version, self._most_bytes)
        if version is None or content is None:
            self._known = None
            self._accept(b"", "none")  # deleted: nothing of it shall come back
            return InForceFile(self._nothing)
        begun = self._clock()
        parsed = self._judged(content, also)
        seconds = self._clock() - begun
        by = claimed_in(version.metadata)  # no event leads here, and who put it S3 tells nobody else
        report = report_on(self._key, parsed.judgement, seconds, source=version, judged_at=now, by=by)
        write_report(self._s3, report, version)
        self._known = self._in_force(parsed, content, version)
        return self._known

    def _judged(self, content: bytes, also: Callable[[T], list[Finding]]) -> ParsedFile[T]:
        try:
            parsed = self._parse(content)
        except Exception as exc:  # noqa: BLE001 - whatever it is, it is this file's, and stops nothing else
            logger.exception("a file could not be checked", extra={"key": self._key})
            return ParsedFile(None, judgement(self._key.partition(".")[0], [internal_error(exc)]))
        if parsed.value is None:
            return parsed
        findings = [*parsed.judgement.findings, *also(parsed.value)]
        judged = judgement(parsed.judgement.kind, findings)
        return ParsedFile(None if judged.verdict == "rejected" else parsed.value, judged)

    def _in_force(self, parsed: ParsedFile[T], content: bytes, version: ObjectVersion) -> InForceFile[T]:
        if parsed.value is not None:
            self._accept(content, version.label)
            return InForceFile(parsed.value, version=version.label)
        worst = next(finding for finding in parsed.judgement.findings if finding.severity == "error")
        said = f"{self._key}:{worst.line or 1}: {worst.message} {worst.remedy}"
        return InForceFile(self._last_good(), said, version.label)

    def _last_good(self) -> T:
        accepted = head(self._s3, self._bucket, f"accepted/{self._key}")
        content = accepted and read(self._s3, accepted, self._most_bytes)
        value = self._parse(content).value if content else None
        return self._nothing if value is None else value

    def _accept(self, content: bytes, label: str) -> None:
        key = f"accepted/{self._key}"
        there = head(self._s3, self._bucket, key)
        if (there is None and not content) or (there and there.metadata.get(_OF_VERSION) == label):
            return
        self._s3.put_object(Bucket=self._bucket, Key=key, Body=content, Metadata={_OF_VERSION: label})
