"""The previous version comes back, as a copy on top, or the object goes: both can be taken back by hand.

Everything is conditional on the live object still being the version that is rolled back: what somebody uploads
meanwhile is not touched.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from botocore.exceptions import ClientError

from jetway.live.standing import BY_HAND
from jetway.objects import ObjectVersion, head, is_changed, is_gone, unchanged
from jetway.promotion import REPORT, SOURCE_VERSION
from jetway.reports import amend_report
from jetway.verdict_tag import tag_verdict

if TYPE_CHECKING:
    from datetime import datetime

    from mypy_boto3_s3 import S3Client

    from jetway.live.in_force import InForce
    from jetway.live.standing import Live, Standing

# On the copy that came back: which version it came back for.
INSTEAD_OF = "jetway-instead-of"

_MOST_VERSIONS = 1000  # one page; so many versions without a good one mean that there is none


@dataclass(frozen=True, slots=True)
class Restored:
    """What became of the key in the environment's bucket.

    Attributes:
        outcome: "superseded" - something else is live already.
        live: what came back.
    """

    outcome: Literal["restored", "removed", "superseded"]
    live: Live | None = None


def restore(s3: S3Client, bad: Live, good: Live | None, rolled_back: Collection[str], now: datetime) -> Restored:
    """Put back what was live before a version; called again, it finds its work done.

    Args:
        bad: what is rolled back.
        good: the newest version that was verified.
        rolled_back: sources that must not come back.

    Raises:
        ClientError, BotoCoreError: S3 is in trouble.
    """
    live = head(s3, bad.bucket, bad.key)
    if live is not None and live.metadata.get(INSTEAD_OF) == bad.source:
        return Restored("restored", _as_live(live, bad, good, now))
    previous = previous_version(s3, bad, good, rolled_back)
    if live is None:
        return Restored("removed" if previous is None else "superseded")
    if live.metadata.get(SOURCE_VERSION) != bad.source:
        return Restored("superseded")
    if previous is None:
        return _remove(s3, live)
    try:
        answer = s3.copy_object(
            Bucket=bad.bucket,
            Key=bad.key,
            CopySource=previous.address,  # type: ignore[arg-type]
            MetadataDirective="REPLACE",
            Metadata={**previous.metadata, INSTEAD_OF: bad.source},
            TaggingDirective="REPLACE",
            **previous.headers,  # type: ignore[arg-type]
            **unchanged(live),
        )
    except ClientError as exc:
        if is_changed(exc) or is_gone(exc):
            return Restored("superseded")
        raise
    restored = replace(previous, version_id=answer.get("VersionId"))
    return Restored("restored", _as_live(restored, bad, good, now))


def report_rollback(
    s3: S3Client,
    drop_bucket: str,
    standing: Standing,
    bad: Live,
    back: Live | None,
    *,
    at: datetime,
    step: InForce | None = None,
) -> None:
    """Write into the report and the tag of a version that it was rolled back; called again, it changes nothing.

    Args:
        standing: with the problems.
        back: what is live again; None for nothing.
        step: where an update of the environment brings versions into force, how far that is.

    Raises:
        ClientError, BotoCoreError: S3 is in trouble.
    """
    placed = None if back is None else {"bucket": back.bucket, "key": back.key, "version": back.version_id}
    verification = {
        "at": at.isoformat(),
        "problems": [asdict(problem) for problem in standing.problems],
        "restored": None if back is None else {"version": back.source, "placed": placed},
    }
    changes: dict[str, Any] = {"outcome": "rolled-back", "placed": None, "verification": verification}
    if step is not None:
        changes["in_force"] = step.as_dict()
    amend_report(s3, drop_bucket, standing.key, bad.source, changes)
    tag_verdict(s3, drop_bucket, standing.key, bad.drop_version_id, "rolled-back")


def _remove(s3: S3Client, live: ObjectVersion) -> Restored:
    """Delete the object; in the versioned bucket that is a marker on top of it."""
    try:
        s3.delete_object(Bucket=live.bucket, Key=live.key, IfMatch=live.etag)
    except ClientError as exc:
        if is_changed(exc):
            return Restored("superseded")
        raise
    return Restored("removed")


def previous_version(s3: S3Client, bad: Live, good: Live | None, rolled_back: Collection[str]) -> ObjectVersion | None:
    """The version to come back: the last good one, else the one before; None when there was none."""
    if good is not None and good.source not in rolled_back and good.version_id:
        found = head(s3, good.bucket, good.key, good.version_id)
        if found is not None:
            return found
    below = False
    for version in _versions(s3, bad):
        found = None if version is None else head(s3, bad.bucket, bad.key, version)
        source = None if found is None else found.metadata.get(SOURCE_VERSION)
        if source == bad.source:
            below = True
        elif below and (found is None or source not in rolled_back):
            return found  # None: it was deleted before, which is what comes back
    return None


def _versions(s3: S3Client, live: Live) -> Iterator[str | None]:
    """Version ids of the key, newest first; None for a delete marker."""
    answer = s3.list_object_versions(Bucket=live.bucket, Prefix=live.key, MaxKeys=_MOST_VERSIONS)
    entries: list[tuple[datetime, int, str | None]] = []
    # Both lists are newest first; a time is cut to whole seconds, and a marker of the same second came last.
    for order, version in enumerate(answer.get("Versions", [])):
        if version["Key"] == live.key:
            entries.append((version["LastModified"], -order, version["VersionId"]))
    markers = (marker for marker in answer.get("DeleteMarkers", []) if marker["Key"] == live.key)
    entries += ((marker["LastModified"], 1, None) for marker in markers)
    entries.sort(key=lambda entry: entry[:2], reverse=True)
    for _, _, version_id in entries:
        yield version_id


def _as_live(found: ObjectVersion, bad: Live, good: Live | None, now: datetime) -> Live:
    source = found.metadata.get(SOURCE_VERSION)
    if good is not None and source == good.source:
        return replace(good, version_id=found.version_id, at=now)
    details: dict[str, Any] = {"dags": (), "guessed": True, "clean": False, "first": False}
    return replace(
        bad,
        # What was put there by hand has no source; its version id names it as well.
        source=source or f"{BY_HAND}{found.version_id}",
        version_id=found.version_id,
        report=found.metadata.get(REPORT, ""),
        verdict="unknown",
        at=now,
        **details,
    )
