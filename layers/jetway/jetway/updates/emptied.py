"""The deletion of requirements.txt, plugins.zip or startup.sh: an empty file of the kind takes its place.

MWAA cannot clear a path. So an empty file is put live, and the environment updated to it, like any version. MWAA takes
it by its object version: where the environment's bucket keeps none, what was deleted stays in force, and that is told.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from jetway.artifacts.kinds import kind_of
from jetway.aws.s3 import head, unchanged
from jetway.promotion import notifications as news
from jetway.promotion.artifact_state import DELETED, NOTHING, LiveVersion, promoted
from jetway.promotion.copy import SOURCE_VERSION, switch_on
from jetway.promotion.reports import amend_report, known_in_force, outcome_of
from jetway.promotion.rollout import Rollout
from jetway.promotion.verdict_tag import tag_verdict, verdict_tag
from jetway.updates.record import command, members
from jetway.updates.revert import put_nothing

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from jetway.aws.s3 import ObjectVersion
    from jetway.events.principals import By
    from jetway.promotion.artifact_state import ArtifactState
    from jetway.promotion.notifications import Notification
    from jetway.promotion.state_table import ArtifactStateTable
    from jetway.updates.record import WorkerReplacement


@dataclass(frozen=True, slots=True)
class Emptying:
    """What is done about the deletion of one file.

    Attributes:
        tell_again: has the report of a version that was rolled back say so, where somebody slower has written over it;
            tells whether it was rolled back, and has a report.
        automatic, quiet, worker_replacement: as the deployment wants updates.
        by: who deleted the file, as far as that is known.
    """

    s3: S3Client
    table: ArtifactStateTable
    tell: Callable[[Notification], None]
    tell_again: Callable[[str, ArtifactState | None, str, datetime], bool]
    environment: str
    automatic: bool
    quiet: timedelta
    worker_replacement: WorkerReplacement
    drop_bucket: str
    key: str
    at: datetime
    by: By

    def put_nothing(self, standing: ArtifactState | None, there: ObjectVersion | None) -> LiveVersion | None:
        """Put an empty file live, and tell of it; called again, it goes on where it was.

        Args:
            there: the object in the environment's bucket.

        Returns:
            What was taken out; None for nothing.

        Raises:
            ClientError, BotoCoreError: S3, DynamoDB or the bus is in trouble.
        """
        live = standing.live if standing is not None else None
        bad = standing.rolled_back if standing is not None else ()
        if bad:  # who was here before may have written over what report and tag say of it, and died
            self.tell_again(self.drop_bucket, standing, bad[-1], self.at)
        source = there.metadata.get(SOURCE_VERSION) if there is not None else None
        if there is None or source is None or source == NOTHING:
            return None  # nothing is there, or what was put there by hand
        gone = source.removeprefix(DELETED)
        if gone in bad:
            if live is None or not live.dropped:
                return None
            gone = live.source  # what is below it is in force
        deleted = f"{DELETED}{gone}"
        if deleted in bad or deleted == (source if live is None else live.source):
            if deleted not in bad and gone not in bad and self._is_deleted():
                self._say_removed_again(gone)
            return None  # it broke the environment, and what was before came back; or it is known already
        return self._put(standing, there, gone) if self._is_deleted() else None

    def _put(self, standing: ArtifactState | None, there: ObjectVersion, gone: str) -> LiveVersion | None:
        """Put the empty file in the place of what is there.

        Args:
            gone: the source that was deleted.
        """
        live, deleted = standing.live if standing is not None else None, f"{DELETED}{gone}"
        version_id = there.version_id
        if there.metadata.get(SOURCE_VERSION) != deleted or not version_id:
            version_id = put_nothing(self.s3, there.bucket, there.key, self.key, deleted, **unchanged(there))
        kind = kind_of(self.key).name
        nothing = LiveVersion(deleted, there.bucket, there.key, version_id, kind, "accepted", self.at, "")
        taken = live if live is not None and live.source == gone else replace(nothing, source=gone)
        self._say_removed(standing, taken, nothing)
        if not version_id:
            return taken  # the sweep finds every day that it is deleted, and in force: it is tried again
        known = {deleted, gone, None if live is None else live.source}

        def change(before: ArtifactState | None) -> ArtifactState:
            if before is not None and (before.live.source if before.live else None) not in known:
                return before  # something newer has been written down meanwhile
            return promoted(before, self.key, nothing, due_at=self.at, waits=True)

        after = self.table.change(self.key, change)
        failed = self.tell_again(self.drop_bucket, after, gone, self.at)
        if failed and (after.live is None or after.live.source != deleted):
            # It has failed meanwhile, and what was before it is back: that goes too.
            return self.put_nothing(after, head(self.s3, there.bucket, there.key))
        return taken

    def _is_deleted(self) -> bool:
        return head(self.s3, self.drop_bucket, self.key) is None

    def _say_removed(self, standing: ArtifactState | None, taken: LiveVersion, nothing: LiveVersion) -> None:
        """Write into report and tag that it was removed, unless it was rolled back meanwhile; and send the event."""
        changes: dict[str, Any] = {"outcome": "removed", "placed": None}
        changes |= {"removed_by": dict(self.by)} if self.by else {}
        # What never was in force is gone at once.
        in_force = standing is not None and (standing.stage != "waiting" or standing.good is not None)
        note = self._to_do(taken, nothing) if in_force else None
        if standing is not None and standing.stage != "waiting":
            until = self.at + self.quiet if note is None else None
            changes["in_force"] = Rollout("waiting", self.at, until, note).as_dict()
        if note is not None and self._is_said(taken.source, note):
            return  # the sweep has asked again, and nothing has changed
        now = self.table.get(self.key)
        is_its_fate = now is None or taken.source not in now.rolled_back
        if is_its_fate:
            amend_report(self.s3, self.drop_bucket, self.key, taken.source, changes)
        told = (self.environment, self.drop_bucket, self.key, taken, self.at, self.by)
        message = None if note is None else f"{self.key} was deleted. {note}"
        self.tell(news.removed(*told, note=message))
        if is_its_fate:
            tag_verdict(self.s3, self.drop_bucket, self.key, taken.source, "removed")

    def _is_said(self, gone: str, note: str) -> bool:
        """Whether all was told: the tag is the last that is written."""
        known = known_in_force(self.s3, self.drop_bucket, self.key, gone) or {}
        said = known.get("because") == note
        return said and verdict_tag(self.s3, self.drop_bucket, self.key, gone) == "removed"

    def _to_do(self, taken: LiveVersion, nothing: LiveVersion) -> str | None:
        """What a person has to do, so that what was deleted goes out of force."""
        if not nothing.version_id:
            return (
                f"The environment's bucket {taken.bucket} has no versioning, and MWAA needs the object version of the "
                f"empty file, so the deleted version stays in force. {switch_on(taken.bucket)} Jetway updates the "
                f"environment within a day after that, or immediately if you upload {self.key} and delete it again."
            )
        if self.automatic:
            return None
        changes = members(self.key, nothing.key, nothing.version_id)
        to_run = command(self.environment, changes, self.worker_replacement)
        return (
            f"ApplyUpdates is manual: it goes out of force when you run {to_run}. It is verified 10 to 30 minutes "
            "later."
        )

    def _say_removed_again(self, gone: str) -> None:
        """Have report and tag of what was deleted say so, where somebody slower has written over them."""
        if outcome_of(self.s3, self.drop_bucket, self.key, gone) not in {None, "removed"}:
            amend_report(self.s3, self.drop_bucket, self.key, gone, {"outcome": "removed", "placed": None})
        tag_verdict(self.s3, self.drop_bucket, self.key, gone, "removed")
