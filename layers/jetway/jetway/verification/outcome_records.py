"""Report, event and tag of a version say the same: the report decides, the event follows, and the tag is written last.

So a tag that says something else than the report shows that whoever wrote the report has died before all was told, or
that somebody slower has tagged the version. Whoever comes by tells again: delivery of events is at-least-once, and the
same fate has the same `detail.id`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from jetway.artifacts.findings import Finding, judgement
from jetway.artifacts.keys import report_key
from jetway.artifacts.kinds import kind_of
from jetway.aws.s3 import find, head, versions_of
from jetway.events.principals import read_cause
from jetway.promotion import notifications as news
from jetway.promotion.artifact_state import LiveVersion
from jetway.promotion.copy import Placement
from jetway.promotion.reports import (
    ToldOtherwiseError,
    amend_report,
    outcome_of,
    read_report,
    report_on,
    write_latest,
    write_report,
)
from jetway.promotion.restore import tell_live, tell_rollback_again
from jetway.promotion.rollout import Rollout
from jetway.promotion.verdict_tag import tag_verdict, verdict_tag
from jetway.verification.reinstatement import is_known

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from jetway.airflow.environment import EnvironmentFacts
    from jetway.aws.s3 import ObjectVersion
    from jetway.promotion.artifact_state import ArtifactState
    from jetway.promotion.notifications import Notification

# What a last look reads again. Whoever was killed at it has been followed by another one hours ago.
_LATELY = timedelta(days=1)
# So many versions of a file that waits are looked at: those of the last minutes.
_MOST_WAITING = 5

UNREAD = Finding(
    rule="deleted-unread",
    severity="warning",
    message="The file was deleted before it was checked. Nothing is known about it.",
    line=None,
    remedy="Upload it again if it should go live.",
)


@dataclass(frozen=True, slots=True)
class OutcomeRecords:
    """What is told of the versions of one drop bucket.

    Attributes:
        tell: sends news.
        environment: its name.
    """

    s3: S3Client
    tell: Callable[[Notification], None]
    environment: str
    drop_bucket: str

    def finish(self, key: str, version: str) -> None:
        """Tell what the report of a version says, unless its tag shows that this was done: latest report, event, tag.

        Not of what was rolled back or removed: its standing, or the message of the deletion, stays until that is told.

        Raises:
            EventsOutError: the bus did not take the event.
            ClientError, BotoCoreError: S3 is in trouble.
        """
        source = find(self.s3, self.drop_bucket, key, version)
        document = read_report(self.s3, self.drop_bucket, key, version)
        if source is None or document is None or document.get("outcome") not in news.OUTCOMES:
            return
        if self._tag(key, version) != news.tag_of(document):
            write_latest(self.s3, document, source)
            self._tell(key, version, document, news.judged(self.environment, document, report_key(key, version)))

    def below_deletion(self, key: str, version_id: str | None, facts: EnvironmentFacts, at: datetime) -> bool:
        """Tell of a version that lies below a deletion; of one that nobody has judged, that it has vanished.

        It is not read: whoever deleted it does not want to know, and it may be a mistake that is not to be copied.

        Args:
            version_id: of the drop bucket; the newest one, when it is not given.

        Returns:
            Whether another delivery of its event may still be at work on it.

        Raises: as `finish`.
        """
        versions = versions_of(self.s3, self.drop_bucket, key)
        below = versions[versions.index(None) :] if None in versions else []
        newest = next(filter(None, below), None) if versions[:1] == [None] else None
        wanted = version_id or newest
        version = head(self.s3, self.drop_bucket, key, wanted) if wanted in below and wanted else None
        outcome = outcome_of(self.s3, self.drop_bucket, key, version.label) if version else "gone"
        if version is not None and outcome is None:
            with suppress(ToldOtherwiseError):
                self.unread(version, facts, at)
        # Whoever told of another one that went with it may have died, too.
        for label in dict.fromkeys(filter(None, (wanted, *below[: _MOST_WAITING + 1]))):
            self._finish_deleted(key, label, facts, at)
        return outcome in {None, "vanished"}

    def _finish_deleted(self, key: str, version: str, facts: EnvironmentFacts, at: datetime) -> None:
        document = read_report(self.s3, self.drop_bucket, key, version)
        if document is not None and document["outcome"] == "removed":
            path = kind_of(key).destination(key, facts) or key
            amend_report(self.s3, self.drop_bucket, key, version, {})  # then the latest one says the same
            self._tell_removed(key, version, document, (facts.source_bucket, path), at)
        elif document is not None:
            self.finish(key, version)

    def unread(self, version: ObjectVersion, facts: EnvironmentFacts, at: datetime) -> None:
        """Write the report of a version that was deleted and has none."""
        found = judgement(kind_of(version.key).name, [UNREAD], uncertain=True)
        placement = Placement("vanished")
        report = report_on(
            version.key, found, 0.0, source=version, environment=facts, judged_at=at, placement=placement
        )
        write_report(self.s3, report, version)

    def live(self, key: str, live: LiveVersion, step: Rollout) -> bool:
        """Have report and tag of what is live say so; called again, it changes nothing.

        Returns:
            False when it has no report, or was told to be deleted: then the gate has to settle the key.

        Raises:
            ClientError, BotoCoreError: S3 is in trouble.
        """
        if live.dropped and outcome_of(self.s3, self.drop_bucket, key, live.source) in {"removed", "vanished"}:
            return False
        return tell_live(self.s3, self.drop_bucket, key, live, step)

    def back(self, standing: ArtifactState, back: LiveVersion, now: datetime, verify_after: timedelta) -> None:
        """Tell that a version is live again after a roll-back; of whoever dies before it, the last look does."""
        good = standing.good is not None and standing.good.source == back.source
        step = Rollout("verified", now) if good else Rollout("verifying", now, now + verify_after)
        self.live(standing.key, back, step)

    def superseded(self, key: str, version: str) -> None:
        """Tell of a version that went live, or was to do so, that a newer one has come over it."""
        amend_report(self.s3, self.drop_bucket, key, version, {"outcome": "superseded", "placed": None})
        self.finish(key, version)

    def finish_superseded(self, key: str) -> None:
        """Finish telling of versions that were superseded while they waited: an update may have begun since.

        Raises: as `finish`.
        """
        for version in versions_of(self.s3, self.drop_bucket, key)[:_MOST_WAITING]:
            if version and outcome_of(self.s3, self.drop_bucket, key, version) == "superseded":
                self.finish(key, version)

    def agree(self, standing: ArtifactState, now: datetime) -> None:
        """Have everything agree that was told of a key lately, once nobody is at work on it any more.

        Args:
            standing: closed.

        Raises: as `finish`.
        """
        for version in self._told_lately(standing.key, now):
            if version in standing.rolled_back:
                tell_rollback_again(self.s3, self.drop_bucket, standing, version, now)
            elif standing.live is None or standing.live.source != version:
                self._agree(standing, version, now)

    def _agree(self, standing: ArtifactState, version: str, now: datetime) -> None:
        key = standing.key
        document = read_report(self.s3, self.drop_bucket, key, version)
        if document is None or "outcome" not in document:
            return
        tag, changes = self._tag(key, version), dict[str, Any]()
        acquitted = document["outcome"] == "rolled-back" and is_known(standing, version)  # and it is not live again
        if acquitted and (standing.live or standing.stage == "by-hand"):
            self.superseded(key, version)
            return
        if acquitted and standing.trial is None and self._is_deleted(key, version):
            changes = {"outcome": "removed", "placed": None}
        if document["outcome"] == "promoted" and (tag == "removed" or self._was_last(standing, document)):
            changes = {"outcome": "removed", "placed": None}  # somebody slower has said that it is live
        amend_report(self.s3, self.drop_bucket, key, version, changes)
        if "removed" in {changes.get("outcome"), document["outcome"]}:
            was = standing.live
            place = (was.bucket, was.key) if was is not None else ("", key)
            self._tell_removed(key, version, {**document, **changes, "placed": document["placed"]}, place, now)
        elif document["outcome"] in news.OUTCOMES:
            self._tell(key, version, document, news.judged(self.environment, document, report_key(key, version)))

    def _is_deleted(self, key: str, version: str) -> bool:
        """Whether a version is gone, or lies below a deletion."""
        versions = versions_of(self.s3, self.drop_bucket, key)
        place = versions.index(version) if version in versions else len(versions)
        return place == len(versions) or None in versions[:place]

    def _was_last(self, standing: ArtifactState, document: Mapping[str, Any]) -> bool:
        """Whether a version was the last one that was live, and is out."""
        placed = document["placed"]
        if standing.stage != "removed" or standing.live is not None or not placed:
            return False
        there = versions_of(self.s3, placed["bucket"], placed["key"])
        return bool(there) and there[0] is None and next(filter(None, there), None) == placed["version"]

    def _tell_removed(
        self, key: str, version: str, document: Mapping[str, Any], place: tuple[str, str], at: datetime
    ) -> None:
        """Tell that a version was taken out.

        Args:
            document: its report; with the place where it was, if that is known.
            place: bucket and key of the copy, if it is not.
        """
        placed = document["placed"] or {"bucket": place[0], "key": place[1], "version": None}
        kind, verdict, report = document["kind"], document["verdict"], report_key(key, version)
        gone = LiveVersion(version, placed["bucket"], placed["key"], placed["version"], kind, verdict, at, report)
        by = read_cause(document.get("removed_by"))
        self._tell(key, version, document, news.removed(self.environment, self.drop_bucket, key, gone, at, by))

    def _tell(self, key: str, version: str, document: Mapping[str, Any], said: Notification) -> None:
        tag = news.tag_of(document)
        if self._tag(key, version) != tag:
            self.tell(said)
            tag_verdict(self.s3, self.drop_bucket, key, version, tag)
            # Whoever has written another fate since has tagged the version before this, and does not come again.
            now = news.tag_of(read_report(self.s3, self.drop_bucket, key, version) or document)
            if now != tag:
                tag_verdict(self.s3, self.drop_bucket, key, version, now)

    def _tag(self, key: str, version: str) -> str | None:
        return verdict_tag(self.s3, self.drop_bucket, key, version)

    def _told_lately(self, key: str, now: datetime) -> Iterator[str]:
        """The versions of a key whose reports were written within a day."""
        folder, end = report_key(key, "").removesuffix(".json"), ".json"
        for page in self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.drop_bucket, Prefix=folder):
            for found in page.get("Contents", []):
                version = found["Key"].removeprefix(folder).removesuffix(end)
                if found["Key"].endswith(end) and version != "latest" and now - found["LastModified"] < _LATELY:
                    yield version
