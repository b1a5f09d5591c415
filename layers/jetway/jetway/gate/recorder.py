"""What the gate writes down and tells of what it made live, and how an artifact is taken out again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from jetway.artifacts.kinds import kind_of
from jetway.aws.s3 import deleted_at, find, head, is_changed, is_gone
from jetway.events.principals import NOBODY, By, claimed_in, read_cause
from jetway.promotion import notifications as news
from jetway.promotion.artifact_state import (
    BY_HAND,
    CERTAIN,
    LONGEST_WORK,
    LiveVersion,
    looked_at_last,
    promoted,
    removed,
    rolling_back_again,
)
from jetway.promotion.copy import NO_VERSIONS, REPORT, SOURCE_VERSION
from jetway.promotion.manual_changes import overtake, source_of
from jetway.promotion.reports import ToldOtherwiseError, amend_report, known_in_force, outcome_of, read_report
from jetway.promotion.restore import tell_rollback_again
from jetway.promotion.rollout import of_standing, waiting
from jetway.promotion.state_table import StandingChangedError
from jetway.promotion.verdict_tag import tag_verdict, verdict_tag
from jetway.updates.emptied import Emptying
from jetway.updates.record import MEMBERS, command, members
from jetway.verification.outcome_records import OutcomeRecords

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from jetway.airflow.environment import EnvironmentFacts
    from jetway.artifacts.findings import Judgement
    from jetway.aws.s3 import ObjectVersion
    from jetway.promotion.artifact_state import ArtifactState
    from jetway.promotion.copy import Placement
    from jetway.promotion.notifications import Notification
    from jetway.promotion.reports import Report
    from jetway.promotion.state_table import ArtifactStateTable
    from jetway.updates.record import WorkerReplacement

# An unknown verdict is looked at before all others: so much sooner.
_UNKNOWN_SOONER = 3


@dataclass(frozen=True, slots=True)
class PromotionRecorder:
    """Everything that is kept of live artifacts, for the gate.

    Attributes:
        tell: sends news.
        verify_after: from a promotion to the first look at the environment.
        automatic: whether updates of the environment are applied without asking.
        worker_replacement: what the command asks for that a person runs instead.
        quiet: how long an update waits for more that may go along.
    """

    s3: S3Client
    table: ArtifactStateTable
    tell: Callable[[Notification], None]
    environment: str
    verify_after: timedelta
    automatic: bool = True
    worker_replacement: WorkerReplacement = "GRACEFUL"
    quiet: timedelta = timedelta()

    def standing(self, key: str) -> ArtifactState | None:
        """How an artifact stands now."""
        return self.table.get(key)

    def was_refused(self, drop_bucket: str, key: str, version: str) -> bool:
        """Whether the gate has rejected a version, as its report says."""
        return outcome_of(self.s3, drop_bucket, key, version) == "quarantined"

    def is_told(self, drop_bucket: str, key: str, version: str) -> bool:
        """Whether it was told that a version went live: its tag is the last that is written."""
        return verdict_tag(self.s3, drop_bucket, key, version) in {"accepted", "unknown"}

    def words(self, drop_bucket: str) -> OutcomeRecords:
        """What is told of the versions of a bucket."""
        return OutcomeRecords(self.s3, self.tell, self.environment, drop_bucket)

    def tell_again(self, drop_bucket: str, standing: ArtifactState | None, version: str, at: datetime) -> bool:
        """Have the report of a version that was rolled back say so, where somebody slower has written over it.

        Returns:
            False when it was not rolled back, or has no report.
        """
        if standing is None or version not in standing.rolled_back:
            return False
        return tell_rollback_again(self.s3, drop_bucket, standing, version, at)

    def roll_back_again(self, standing: ArtifactState, live: ObjectVersion, at: datetime) -> None:
        """Write down that a version that was rolled back is live again, and has to go."""
        with suppress(StandingChangedError):  # whoever was faster looks at the bucket, too
            self.table.put(rolling_back_again(standing, _as_live(standing.key, live, at), at))

    def adopt(self, key: str, live: ObjectVersion, at: datetime) -> None:
        """Write down what is live and gone from the drop bucket, where there is nothing better: it is verified."""
        found, due_at = _as_live(key, live, at), at + self.verify_after
        self.table.change(key, lambda before: promoted(before, key, found, due_at=due_at, waits=False))

    def overtake(self, drop_bucket: str, standing: ArtifactState, at: datetime) -> None:
        """Write down and tell that somebody has put something else live by hand."""
        overtake(self.s3, self.table, self.tell, standing, at, environment=self.environment, drop_bucket=drop_bucket)

    def note(
        self, version: ObjectVersion, judged: Judgement, placement: Placement, *, report: str, at: datetime
    ) -> ArtifactState:
        """Write down that a version is live, and when it is to be looked at; also when it is known already.

        A version that still waited for its update is superseded by it, and its report says so.

        Args:
            placement: of outcome "promoted".
        """
        if placement.bucket is None or placement.key is None:
            raise ValueError("a copy is needed")
        certain = [dag for dag in judged.dags if dag.dag_id is not None and dag.certainty in CERTAIN]
        exact = tuple(dag.dag_id for dag in certain if dag.dag_id is not None)
        live = LiveVersion(
            source=version.label,
            bucket=placement.bucket,
            key=placement.key,
            version_id=placement.version_id,
            kind=judged.kind,
            verdict=judged.verdict,
            at=at,
            report=report,
            dags=exact,
            guessed=len(exact) < len(judged.dags),
            clean=placement.first,
            first=placement.first,
            readers=judged.readers,
        )
        after = self.verify_after / _UNKNOWN_SOONER if judged.verdict == "unknown" else self.verify_after
        waits = version.key in MEMBERS
        due_at = at if waits else at + after
        overtaken: list[LiveVersion] = []

        def change(before: ArtifactState | None) -> ArtifactState:
            overtaken[:] = _passed_over(before, live)
            return promoted(before, version.key, live, due_at=due_at, waits=waits)

        if waits:  # before, so that who dies in between does it again; and after, for what came in between
            self._supersede(version, _passed_over(self.table.get(version.key), live))
            self.words(version.bucket).finish_superseded(version.key)
        standing = self.table.change(version.key, change)
        self._supersede(version, overtaken)
        return standing

    def _supersede(self, version: ObjectVersion, overtaken: list[LiveVersion]) -> None:
        for older in overtaken:
            self.words(version.bucket).superseded(version.key, older.source)

    def in_force(
        self, standing: ArtifactState, placement: Placement, facts: EnvironmentFacts, drop_bucket: str
    ) -> Mapping[str, Any] | None:
        """Return what the report of a version says of its way into force.

        Args:
            standing: as `note` returned it.
            placement: of outcome "promoted".
            facts: of the environment.
        """
        live, key = standing.live, standing.key
        if live is None or standing.stage == "rolling-back":
            return None
        if not placement.fresh:  # another delivery of the same event: what has been said since holds
            known = known_in_force(self.s3, drop_bucket, key, live.source)
            if known is not None:
                return known
        if key not in MEMBERS:
            return of_standing(standing, standing.due_at or live.at + self.verify_after).as_dict()
        if standing.stage != "waiting" or not live.version_id:
            return None
        by_hand = None
        if not self.automatic:
            by_hand = command(self.environment, members(key, live.key, live.version_id), self.worker_replacement)
        return waiting(live.at, facts, self.quiet, command=by_hand).as_dict()

    def announce(self, report: Report, report_key: str) -> None:
        """Tell of a version that was promoted, quarantined or superseded, or has vanished, and tag it."""
        placed = report.placement
        if report.source is None or placed is None:
            return
        note = None
        if report.path in MEMBERS and not self.automatic and placed.key and placed.version_id:
            changes = members(report.path, placed.key, placed.version_id)
            to_run = command(self.environment, changes, self.worker_replacement)
            note = (
                f"{report.path} was checked and copied to s3://{placed.bucket}/{placed.key}. ApplyUpdates is manual. "
                f"It takes effect when you run\n\n{to_run}\n\nand is verified 10 to 30 minutes later."
            )
        if report.path in MEMBERS and placed.outcome == "promoted" and not placed.version_id:
            note = "\n".join(f"{each.message} {each.remedy}" for each in report.findings if each.rule == NO_VERSIONS)
        if placed.outcome in news.OUTCOMES:
            document = report.as_dict()
            self.tell(news.judged(self.environment, document, report_key, note=note))
            # Last: by it whoever comes again knows that all is told.
            tag_verdict(self.s3, report.source.bucket, report.path, report.source.label, news.tag_of(document))

    def who(self, drop_bucket: str, version: ObjectVersion, told: By) -> By:
        """Return who put a version: as its own message tells, or as its report knows from then.

        Args:
            told: by the message in hand; nothing where it is none of S3's own.
        """
        if not told:
            known = read_report(self.s3, drop_bucket, version.key, version.label) or {}
            told = read_cause(known.get("by"))
        return {**told, **claimed_in(version.metadata)}

    def remove(  # noqa: PLR0917 - two places, when, and who
        self, drop_bucket: str, key: str, facts: EnvironmentFacts, destination: str, at: datetime, by: By = NOBODY
    ) -> LiveVersion | None:
        """Take out what a key had promoted: a delete marker on top of it.

        What was put there by hand stays, and so does what comes while we look.

        Args:
            by: who deleted the key, as far as that is known.

        Returns:
            What was taken out, now or by an earlier delivery that was not finished; None for nothing.
        """
        bucket = facts.source_bucket
        standing = self.table.get(key)
        there = head(self.s3, bucket, destination)
        if key in MEMBERS:
            return self._emptying(drop_bucket, key, at, by).put_nothing(standing, there)
        gone = None if standing is None else standing.live
        if there is not None:
            source = source_of(there)
            if source in {None, BY_HAND} or not self._take_out(there, drop_bucket, key):
                return None
            if gone is None or gone.source != source:
                report = there.metadata.get(REPORT, "")
                gone = LiveVersion(str(source), bucket, destination, there.version_id, "unknown", "unknown", at, report)
        rolled_back = () if standing is None else standing.rolled_back  # that is its fate then, and told
        # The same content uploaded again may have been taken out as well: whoever called looks, and brings it back.
        if (
            gone is None
            or not gone.dropped
            or gone.source in rolled_back
            or head(self.s3, drop_bucket, key) is not None
        ):
            return None
        self._tell_removed(drop_bucket, key, replace(gone, key=destination), facts, at, by)
        return gone

    def _emptying(self, drop_bucket: str, key: str, at: datetime, by: By) -> Emptying:
        return Emptying(
            s3=self.s3,
            table=self.table,
            tell=self.tell,
            tell_again=self.tell_again,
            environment=self.environment,
            automatic=self.automatic,
            quiet=self.quiet,
            worker_replacement=self.worker_replacement,
            drop_bucket=drop_bucket,
            key=key,
            at=at,
            by=by,
        )

    def may_have_expired(self, drop_bucket: str, key: str) -> bool:
        """Whether a lifecycle rule may have deleted what is live: nobody asked for that, so that it stays."""
        standing = self.table.get(key)
        live = standing.live if standing is not None else None
        if live is None or not live.dropped or outcome_of(self.s3, drop_bucket, key, live.source) != "promoted":
            return False
        at = deleted_at(self.s3, drop_bucket, key)
        return at is not None and self.table.expiry().has_rule(key, at)

    def tell_deleted(
        self, drop_bucket: str, key: str, version_id: str | None, facts: EnvironmentFacts, at: datetime
    ) -> None:
        """Tell of a version that lies below a deletion, and have the key looked at when nobody is at work on it."""
        words = self.words(drop_bucket)
        untold = words.below_deletion(key, version_id, facts, at)
        if key in MEMBERS:
            words.finish_superseded(key)
        elif untold and version_id is not None:
            self.table.change(key, lambda before: looked_at_last(before, key, last_look=at + LONGEST_WORK))

    def forget(self, drop_bucket: str, standing: ArtifactState, facts: EnvironmentFacts, at: datetime) -> None:
        """Write down and tell that what a standing names is gone: deleted, though something else was uploaded since."""
        live = standing.live
        if live is not None and live.dropped and live.source not in standing.rolled_back:
            self._tell_removed(drop_bucket, standing.key, live, facts, at)

    def _tell_removed(  # noqa: PLR0917 - what, where, when, and who
        self, drop_bucket: str, key: str, gone: LiveVersion, facts: EnvironmentFacts, at: datetime, by: By = NOBODY
    ) -> None:
        if outcome_of(self.s3, drop_bucket, key, gone.source) is None:
            self._report_unread(drop_bucket, key, gone.source, facts, at)  # who made it live has died before it told
        changes = {"outcome": "removed", "placed": None, **({"removed_by": dict(by)} if by else {})}
        amend_report(self.s3, drop_bucket, key, gone.source, changes)
        self.tell(news.removed(self.environment, drop_bucket, key, gone, at, by))
        tag_verdict(self.s3, drop_bucket, key, gone.source, "removed")
        last_look = at + LONGEST_WORK
        self.table.change(key, lambda before: removed(before, key, gone.source, last_look=last_look))

    def _report_unread(self, drop_bucket: str, key: str, source: str, facts: EnvironmentFacts, at: datetime) -> None:
        version = find(self.s3, drop_bucket, key, source)
        if version is not None:
            with suppress(ToldOtherwiseError):  # it is at work still
                self.words(drop_bucket).unread(version, facts, at)

    def _take_out(self, there: ObjectVersion, drop_bucket: str, key: str) -> bool:
        """Put a delete marker on top of an object; False when the file, or what is live, is another one by now."""
        if head(self.s3, drop_bucket, key) is not None:
            return False
        try:
            self.s3.delete_object(Bucket=there.bucket, Key=there.key, IfMatch=there.etag)
        except ClientError as exc:
            if is_changed(exc) or is_gone(exc):
                return False
            raise
        return True


def _as_live(key: str, live: ObjectVersion, at: datetime) -> LiveVersion:
    """What a copy in the environment's bucket says of itself."""
    return LiveVersion(
        source=live.metadata[SOURCE_VERSION],
        bucket=live.bucket,
        key=live.key,
        version_id=live.version_id,
        kind=kind_of(key).name,
        verdict="unknown",
        at=at,
        report=live.metadata.get(REPORT, ""),
    )


def _passed_over(before: ArtifactState | None, live: LiveVersion) -> list[LiveVersion]:
    """What waited for its update, and is superseded by another version."""
    if before is None or before.stage != "waiting" or before.live is None or before.live.source == live.source:
        return []
    return [before.live] if before.live.dropped else []
