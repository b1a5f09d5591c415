"""The previous version comes back, as a copy on top, or the object goes: both can be taken back by hand.

Everything is conditional on the live object still being what was seen there. S3 compares content, not versions: the
same bytes that were uploaded again may be taken out with the bad version. So whoever has written looks again: the
standing of what came meanwhile has changed, and the gate puts it right.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from jetway.aws.s3 import ObjectVersion, head, suppress_if_changed, unchanged, versions_of
from jetway.errors import TransientError
from jetway.promotion.artifact_state import BY_HAND, CERTAIN, MOST_DAGS
from jetway.promotion.copy import REPORT, SOURCE_VERSION
from jetway.promotion.reports import amend_report, outcome_of, read_report, verdict_of
from jetway.promotion.verdict_tag import tag_verdict

if TYPE_CHECKING:
    from datetime import datetime

    from mypy_boto3_s3 import S3Client

    from jetway.promotion.artifact_state import ArtifactState, LiveVersion
    from jetway.promotion.rollout import Rollout

# On the copy that came back: which version it came back for.
INSTEAD_OF = "jetway-instead-of"

_MOST_TRIES = 5


@dataclass(frozen=True, slots=True)
class Restored:
    """What became of the key in the environment's bucket.

    Attributes:
        outcome: "superseded" - something else is live already.
        live: what came back.
        by_hand: somebody has put something else live by hand.
    """

    outcome: Literal["restored", "removed", "superseded"]
    live: LiveVersion | None = None
    by_hand: bool = False


def restore(
    s3: S3Client, bad: LiveVersion, good: LiveVersion | None, rolled_back: Collection[str], now: datetime
) -> Restored:
    """Put back what was live before a version; called again, it finds its work done.

    Args:
        bad: what is rolled back.
        good: the newest version that was verified.
        rolled_back: sources that must not come back.

    Raises:
        TransientError: others keep writing to the same key.
        ClientError, BotoCoreError: S3 is in trouble.
    """
    for _ in range(_MOST_TRIES):
        live = head(s3, bad.bucket, bad.key)
        if live is None:
            return Restored("removed")
        if live.metadata.get(INSTEAD_OF) == bad.source:
            return Restored("restored", _as_live(live, bad, good, now))
        if live.metadata.get(SOURCE_VERSION) != bad.source:
            return Restored("superseded", by_hand=SOURCE_VERSION not in live.metadata)
        previous = previous_version(s3, bad, good, rolled_back)
        with suppress_if_changed():
            if previous is None:
                s3.delete_object(Bucket=live.bucket, Key=live.key, IfMatch=live.etag)
                return Restored("removed")
            return Restored("restored", _as_live(_copy(s3, previous, live, bad), bad, good, now))
    raise TransientError(f"s3://{bad.bucket}/{bad.key} is written by others again and again.")


def _copy(s3: S3Client, previous: ObjectVersion, live: ObjectVersion, bad: LiveVersion) -> ObjectVersion:
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
    return replace(previous, version_id=answer.get("VersionId"))


def report_rollback(
    s3: S3Client,
    drop_bucket: str,
    standing: ArtifactState,
    bad: LiveVersion,
    back: LiveVersion | None,
    *,
    at: datetime,
    step: Rollout | None = None,
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
    tag_verdict(s3, drop_bucket, standing.key, bad.source, "rolled-back")


def tell_live(s3: S3Client, drop_bucket: str, key: str, live: LiveVersion, step: Rollout) -> bool:
    """Have report and tag of the version that is live say so; called again, it changes nothing.

    A version that was passed over may be live again after the one that came over it did not work.

    Returns:
        False when it came through the drop bucket and has no report.

    Raises:
        ClientError, BotoCoreError: S3 is in trouble.
    """
    verdict = verdict_of(s3, drop_bucket, key, live.source) if live.dropped else None
    if verdict is None:
        return not live.dropped
    placed = {"bucket": live.bucket, "key": live.key, "version": live.version_id}
    changes = {"outcome": "promoted", "placed": placed, "in_force": step.as_dict()}
    amend_report(s3, drop_bucket, key, live.source, changes)
    tag_verdict(s3, drop_bucket, key, live.source, verdict)
    return True


def tell_rollback_again(s3: S3Client, drop_bucket: str, standing: ArtifactState, version: str, at: datetime) -> bool:
    """Have report and tag of a version that was rolled back say so, when they were written by somebody slower.

    Returns:
        False when the version has no report.

    Raises:
        ClientError, BotoCoreError: S3 is in trouble.
    """
    outcome = outcome_of(s3, drop_bucket, standing.key, version)
    if outcome is None:
        return False
    changes: dict[str, Any] = {}  # then the latest report says the same
    if outcome != "rolled-back":
        changes = {
            "outcome": "rolled-back",
            "placed": None,
            "verification": {
                "at": at.isoformat(),
                "problems": [asdict(problem) for problem in standing.problems],
                "restored": None,
            },
        }
    amend_report(s3, drop_bucket, standing.key, version, changes)
    tag_verdict(s3, drop_bucket, standing.key, version, "rolled-back")
    return True


def previous_version(
    s3: S3Client, bad: LiveVersion, good: LiveVersion | None, rolled_back: Collection[str]
) -> ObjectVersion | None:
    """The version to come back: the last good one, else the one before; None when there was none."""
    if good is not None and good.source not in rolled_back and good.version_id:
        found = head(s3, good.bucket, good.key, good.version_id)
        if found is not None:
            return found
    below = False
    for version in versions_of(s3, bad.bucket, bad.key):
        found = None if version is None else head(s3, bad.bucket, bad.key, version)
        source = None if found is None else found.metadata.get(SOURCE_VERSION)
        if source == bad.source:
            below = True
        elif below and (found is None or source not in rolled_back):
            return found  # None: it was deleted before, which is what comes back
    return None


def as_judged(s3: S3Client, drop_bucket: str, key: str, live: LiveVersion) -> LiveVersion:
    """What has come back, with what the gate has found out about it: its DAGs have to be seen, too.

    Raises:
        ClientError, BotoCoreError: S3 is in trouble.
    """
    report = read_report(s3, drop_bucket, key, live.source) if live.dropped else None
    if report is None:
        return live  # it has expired
    found = report["dags"]
    exact = tuple(each["dag_id"] for each in found if each["dag_id"] and each["certainty"] in CERTAIN)
    return replace(
        live, kind=report["kind"], verdict=report["verdict"], dags=exact[:MOST_DAGS], guessed=len(exact) < len(found)
    )


def _as_live(found: ObjectVersion, bad: LiveVersion, good: LiveVersion | None, now: datetime) -> LiveVersion:
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
