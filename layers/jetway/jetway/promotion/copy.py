"""Promotion and quarantine: server-side copies of exactly the version that was judged.

Older never overwrites newer. A copy goes ahead only if, after looking at what is live, the version is still
the one that is wanted: the newest of its key that is not known to be bad; and only onto what was looked at. The
original stays where it is: deleting a key of the drop bucket means taking it out of the environment, and `aws s3 sync`
would upload it again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from botocore.exceptions import ClientError

from jetway.artifacts.findings import Finding
from jetway.artifacts.keys import LARGEST_COPY
from jetway.aws.s3 import ObjectVersion, find, head, is_changed, is_gone, unchanged
from jetway.errors import TransientError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

Placed = Literal["promoted", "quarantined", "superseded", "vanished", "rolled-back"]

_MOST_TRIES = 5

# S3 takes 2 KB of metadata, and a key of 1,024 bytes may be three times that when quoted.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html
_LONGEST_METADATA = 1024

SOURCE_VERSION = "jetway-source-version"
_SOURCE_ETAG = "jetway-source-etag"
REPORT = "jetway-report"

NO_VERSIONS = "bucket-without-versions"  # rule of the finding on a copy that has no version
_ONTO_BY_HAND = Finding(
    rule="onto-by-hand",
    severity="warning",
    message="An object that did not come through the drop bucket was in this place; this version replaces it.",
    line=None,
    remedy="The bucket's versions keep it. Change the file only in the drop bucket: the live file is a copy of it.",
)


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a version ended up.

    Attributes:
        outcome: "superseded" - a newer version came, which is dealt with on its own; "vanished" - deleted.
        bucket, key, version_id: of the copy, where there is one.
        fresh: the copy was made just now, and not by an earlier delivery of the same event.
        first: a fresh copy, and nothing was there before.
        onto_by_hand: a fresh copy, on top of an object that somebody had put there by hand.
    """

    outcome: Placed
    bucket: str | None = None
    key: str | None = None
    version_id: str | None = None
    fresh: bool = False
    first: bool = False
    onto_by_hand: bool = False


def promote(
    s3: S3Client,
    source: ObjectVersion,
    bucket: str,
    key: str,
    *,
    report: str,
    wanted: Callable[[], str | None] | None = None,
) -> Placement:
    """Make this version live, unless it is live already or another one is wanted.

    Args:
        s3: the client.
        source: the version that was judged.
        bucket, key: where it goes live.
        report: key of its report.
        wanted: tells the version that is to be live, None for none; without it that is the newest one.

    Raises:
        TransientError: others keep writing to the same key.
        ClientError, BotoCoreError: S3 is in trouble.
    """
    for _ in range(_MOST_TRIES):
        live = head(s3, bucket, key)
        if live is not None and carries(live, source):
            return Placement("promoted", bucket, key, live.version_id)
        newest = head(s3, source.bucket, source.key)
        if newest is None:
            return Placement("vanished")
        if newest.label != source.label and (wanted is None or wanted() != source.label):
            return Placement("superseded")
        if newest.label != source.label and find(s3, source.bucket, source.key, source.label) is None:
            return Placement("vanished")
        placement = _copy(s3, source, bucket, key, "promoted", report=report, onto=live)
        if placement is not None:
            return placement
    raise TransientError(f"s3://{bucket}/{key} is written by others again and again.")


def quarantine(s3: S3Client, source: ObjectVersion, key: str, *, report: str) -> Placement:
    """Keep a copy of a rejected version under `key` of the same bucket, once; the largest stay where they are.

    Raises:
        ClientError, BotoCoreError: S3 is in trouble.
    """
    if source.size > LARGEST_COPY:
        return Placement("quarantined")
    kept = head(s3, source.bucket, key)
    if kept is not None and carries(kept, source):
        return Placement("quarantined", source.bucket, key, kept.version_id)
    placement = _copy(s3, source, source.bucket, key, "quarantined", report=report, onto=kept)
    if placement is not None:
        return placement
    # Only another delivery of the same event writes this key: both reports name its copy.
    theirs = head(s3, source.bucket, key)
    version = theirs.version_id if theirs is not None and carries(theirs, source) else None
    return Placement("quarantined", source.bucket, key, version)


def carries(copy: ObjectVersion, source: ObjectVersion) -> bool:
    """Whether an object is a copy of that version, by its metadata."""
    return copy.metadata.get(SOURCE_VERSION) == source.label


def warnings_of(source: ObjectVersion, placement: Placement, *, by_version: bool) -> list[Finding]:
    """What a report says of where a version came from and went.

    Args:
        by_version: MWAA takes it by its object version: without one nothing brings it into force.
    """
    found = [_ONTO_BY_HAND] if placement.onto_by_hand else []
    if source.version_id is None:
        message = (
            f"The drop bucket {source.bucket} has no versioning: the next upload overwrites this version, and it "
            "cannot be restored."
        )
        found.append(Finding("drop-bucket-without-versions", "warning", message, None, switch_on(source.bucket)))
    if placement.outcome == "promoted" and placement.version_id is None:
        found.append(_without_versions(placement.bucket or "NAME", by_version=by_version))
    return found


def _without_versions(bucket: str, *, by_version: bool) -> Finding:
    message = f"The environment's bucket {bucket} has no versioning"
    if by_version:
        message += ", and MWAA needs the object version of this file, so it cannot take effect."
        return Finding(NO_VERSIONS, "warning", message, None, f"{switch_on(bucket)} Then upload the file again.")
    message += ": if this version does not work, the previous one cannot be restored."
    return Finding(NO_VERSIONS, "warning", message, None, switch_on(bucket))


def switch_on(bucket: str) -> str:
    """What a person does where a bucket keeps no versions."""
    command = f"aws s3api put-bucket-versioning --bucket {bucket} --versioning-configuration Status=Enabled"
    return f"Turn on versioning: {command}"


def _copy(
    s3: S3Client,
    source: ObjectVersion,
    bucket: str,
    key: str,
    outcome: Placed,
    *,
    report: str,
    onto: ObjectVersion | None,
) -> Placement | None:
    """Copy, if what is there is still `onto`; None when it is not."""
    kept: dict[str, Any] = {**source.headers, **unchanged(onto)}
    try:
        answer = s3.copy_object(
            Bucket=bucket,
            Key=key,
            CopySource=source.address,  # type: ignore[arg-type]
            CopySourceIfMatch=source.etag,
            MetadataDirective="REPLACE",
            Metadata=_metadata(source, report),
            # Tags are not copied: reading and writing them would take two more permissions.
            TaggingDirective="REPLACE",
            **kept,
        )
    except ClientError as exc:
        if is_changed(exc):
            return None
        if is_gone(exc):
            # The source; or what was to be copied onto, and then the next look tells.
            return Placement("vanished") if onto is None else None
        raise
    made = answer.get("VersionId")
    by_hand = onto is not None and SOURCE_VERSION not in onto.metadata
    return Placement(
        outcome, bucket, key, None if made == "null" else made, fresh=True, first=onto is None, onto_by_hand=by_hand
    )


def _metadata(source: ObjectVersion, report: str) -> Mapping[str, str]:
    metadata = {SOURCE_VERSION: source.label, _SOURCE_ETAG: source.etag.strip('"')}
    # Metadata travels in HTTP headers: ASCII only. A longer one is left out; the report is found by key and version.
    location = quote(report)
    return metadata | {REPORT: location} if len(location) <= _LONGEST_METADATA else metadata
