"""Versions of requirements.txt, plugins.zip and startup.sh that did not work are given up, and told of."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from jetway.aws.s3 import head, is_changed, unchanged
from jetway.promotion import notifications as news
from jetway.promotion.artifact_state import (
    BY_HAND,
    MOST_PROBLEMS,
    NOTHING,
    ArtifactState,
    Defect,
    LiveVersion,
    overtaken,
    to_roll_back,
)
from jetway.promotion.copy import SOURCE_VERSION
from jetway.promotion.reports import amend_report, read_report
from jetway.promotion.restore import Restored, previous_version, report_rollback, tell_live
from jetway.promotion.rollout import Rollout, say
from jetway.promotion.state_table import StandingChangedError
from jetway.updates.record import Debt, command, members, place_of

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from jetway.promotion.notifications import Notification
    from jetway.promotion.state_table import ArtifactStateTable
    from jetway.updates.record import UpdateRecord, WorkerReplacement


_VERIFIED = ("promoted", "verified")  # outcome and state of a report
_STILL_IN_FORCE = "It is still in force. The environment is updating back, which takes 10 to 30 minutes or more."
_ONE_BEFORE = "The version before it does not work either, and stays in force until an earlier version is restored."
_TO_GO_BACK = "It is still in force, because ApplyUpdates is manual. To roll back, run:"


@dataclass(frozen=True, slots=True)
class Undo:
    """Gives up the versions of one update.

    Attributes:
        automatic: whether Jetway goes back by itself; otherwise the message names the command.
        worker_replacement: what that command asks for.
    """

    s3: S3Client
    standings: ArtifactStateTable
    tell: Callable[[Notification], None]
    environment: str
    drop_bucket: str
    automatic: bool
    worker_replacement: WorkerReplacement
    clock: Callable[[], datetime]

    def give_up(self, record: UpdateRecord) -> dict[str, Debt]:
        """Write down, report and tell that versions of an update do not work; done again, it changes nothing.

        Args:
            record: in phase "undo": with what is blamed, and why.

        Returns:
            What is in force still, and has to go back.
        """
        now, owed = self.clock(), {}
        for key in record.blamed:
            bad = record.artifacts[key]
            back = self._previous(key, bad, record)
            standing = self.standings.change(key, _given_up(key, bad, back, record.problems, now))
            told = replace(standing, stage="rolling-back", live=bad, problems=record.problems[:MOST_PROBLEMS])
            none = back is None or back.source == NOTHING
            restored = Restored("removed") if none else Restored("restored", back)
            if not record.gone_back:
                owed[key] = Debt(bad, None if back is None else place_of(back), since=now)
            self._report(told, bad, restored.live, record, now)
            self.tell(
                news.rolled_back(
                    self.environment,
                    self.drop_bucket,
                    told,
                    restored,
                    now,
                    note=self._note(key, record, owed.get(key)),
                    was_live=not record.gone_back,
                )
            )
        return owed

    def live_again(self, key: str, debt: Debt) -> None:
        """Write into the report of a version that what was before it is in force again."""
        if debt.bad.dropped:
            amend_report(self.s3, self.drop_bucket, key, debt.bad.source, {"outcome": "rolled-back"})
        standing = self.standings.get(key)
        live = standing.live if standing is not None and standing.stage == "rolled-back" else None
        if live is not None and place_of(live) == debt.back:
            self._say_live(key, live)

    def not_back(self, key: str, debt: Debt) -> None:
        """Write into the report of a version that the way back from it has failed."""
        step = Rollout("going-back", self.clock(), None, f"The rollback failed: {debt.because}")
        say(self.s3, self.drop_bucket, key, debt.bad, step)

    def overtaken(self, key: str, ours: LiveVersion, there: tuple[str, str] | None) -> None:
        """Write down, report and tell that somebody else's is in force, and is left alone."""
        now = self.clock()
        self.standings.change(key, _overtaken(key, ours))
        say(self.s3, self.drop_bucket, key, ours, Rollout("replaced-by-hand", now))
        self.told_of_change(key, ours, there, again="")

    def told_of_change(self, key: str, ours: LiveVersion, there: tuple[str, str] | None, *, again: str) -> None:
        """Tell that somebody has changed what is in force, and what Jetway does about it."""
        self.tell(
            news.overtaken(self.environment, self.drop_bucket, key, ours, there=there, at=self.clock(), again=again)
        )

    def known_bad(self, key: str, bucket: str, there: tuple[str, str] | None) -> LiveVersion | None:
        """What is in force, if it is a version that did not work and whose way back was forgotten.

        Args:
            bucket: the environment's.
            there: path and object version in force.
        """
        standing = self.standings.get(key)
        found = head(self.s3, bucket, *there) if there is not None and there[1] else None
        if standing is None or standing.live is None or found is None:
            return None
        source = found.metadata.get(SOURCE_VERSION, "")
        if source not in standing.rolled_back:
            return None
        return replace(standing.live, source=source, key=found.key, version_id=found.version_id, report="", dags=())

    def brought(self, bucket: str, there: tuple[str, str] | None) -> bool:
        """Whether what is in force came through the gate, or stands for what was deleted.

        Args:
            bucket: the environment's.
            there: path and object version in force; the version may be empty, which is the newest.
        """
        found = head(self.s3, bucket, there[0], there[1] or None) if there is not None else None
        return found is not None and SOURCE_VERSION in found.metadata

    def _report(
        self, told: ArtifactState, bad: LiveVersion, back: LiveVersion | None, record: UpdateRecord, now: datetime
    ) -> None:
        key = told.key
        if bad.dropped:
            step = Rollout("not-applied" if record.gone_back else "going-back", now)
            if not record.gone_back and not self.automatic:
                step = replace(step, because="ApplyUpdates is manual: the message has the command that rolls back.")
            report_rollback(self.s3, self.drop_bucket, told, bad, back, at=now, step=step)
        if record.gone_back and key not in record.owed:
            self._say_live(key, back)

    def _say_live(self, key: str, back: LiveVersion | None) -> None:
        """Have the report of what is in force again say so: it may say that it was removed or superseded, or waits."""
        if back is None or not back.dropped:
            return
        report = read_report(self.s3, self.drop_bucket, key, back.source)
        if report is not None and (report["outcome"], (report.get("in_force") or {}).get("state")) != _VERIFIED:
            because = "The version after it, or its deletion, did not work. It is in force again."
            step = Rollout("verified", self.clock(), None, because)
            tell_live(self.s3, self.drop_bucket, key, back, step)

    def _note(self, key: str, record: UpdateRecord, debt: Debt | None) -> str | None:
        """What it takes until the environment is back."""
        if debt is None:
            # It was to replace a version that does not work either, and is in force still.
            return _ONE_BEFORE if key in record.owed else None
        if self.automatic:
            return _STILL_IN_FORCE
        return f"{_TO_GO_BACK}\n\n{self.command_back({key: debt})}"

    def command_back(self, owed: Mapping[str, Debt]) -> str:
        """The command that a person can run to go back."""
        changes: dict[str, str] = {}
        for key, debt in owed.items():
            changes |= members(key, *debt.back) if debt.back else {}
        return command(self.environment, changes, self.worker_replacement)

    def _previous(self, key: str, bad: LiveVersion, record: UpdateRecord) -> LiveVersion | None:
        standing = self.standings.get(key)
        found = record.before.get(key)
        good = standing.good if standing is not None else None
        if found is None:
            # MWAA cannot clear a path: https://docs.aws.amazon.com/mwaa/latest/userguide/mwaa-faqs.html
            return None if record.gone_back else self._nothing(key, bad)
        path, version = found
        if good is not None and place_of(good) == found:
            return good
        if not version and not record.gone_back:
            # The environment took the newest version of its path: the one below ours.
            below = previous_version(self.s3, bad, None, () if standing is None else standing.rolled_back)
            if below is None or not below.version_id:
                return self._nothing(key, bad)
            version = below.version_id
        before = replace(bad, source=f"{BY_HAND}{version or 'newest'}", key=path, version_id=version or None)
        return replace(before, verdict="unknown", at=self.clock(), report="", dags=())

    def nothing(self, key: str, bad: LiveVersion) -> LiveVersion:
        """Put an empty file where the path must name something; once, whoever is faster.

        Raises:
            StandingChangedError: the object has changed meanwhile.
        """
        there = head(self.s3, bad.bucket, bad.key)
        version = there.version_id if there is not None and there.metadata.get(SOURCE_VERSION) == NOTHING else None
        if version is None:
            try:
                version = put_nothing(self.s3, bad.bucket, bad.key, key, NOTHING, **unchanged(there))
            except ClientError as exc:
                if is_changed(exc):
                    raise StandingChangedError(f"s3://{bad.bucket}/{bad.key} has changed in the meantime.") from exc
                raise
        nothing = replace(bad, source=NOTHING, version_id=version, verdict="accepted")
        return replace(nothing, at=self.clock(), report="", dags=())

    def _nothing(self, key: str, bad: LiveVersion) -> LiveVersion | None:
        """The empty file; None while a newer version is there, which goes over the bad one."""
        there = head(self.s3, bad.bucket, bad.key)
        if there is not None and there.metadata.get(SOURCE_VERSION) not in {bad.source, NOTHING}:
            return None
        return self.nothing(key, bad)


def _given_up(
    key: str, bad: LiveVersion, back: LiveVersion | None, problems: Sequence[Defect], now: datetime
) -> Callable[[ArtifactState | None], ArtifactState]:
    def change(standing: ArtifactState | None) -> ArtifactState:
        standing = standing or ArtifactState(key, "removed")
        given_up = to_roll_back(replace(standing, live=bad), problems, now)
        kept = {bad.source} if back is None else {bad.source, back.source}
        if standing.live is not None and standing.live.source not in kept:
            return replace(standing, rolled_back=given_up.rolled_back)  # a newer version waits already
        good = standing.good if back is not None and standing.good and standing.good.source == back.source else None
        return replace(given_up, stage="rolled-back", live=back, good=good, due_at=None)

    return change


def _overtaken(key: str, live: LiveVersion) -> Callable[[ArtifactState | None], ArtifactState]:
    def change(standing: ArtifactState | None) -> ArtifactState:
        standing = standing or ArtifactState(key, "removed")
        newer = standing.live is None or standing.live.source != live.source
        return standing if newer else overtaken(standing)

    return change


def put_nothing(s3: S3Client, bucket: str, path: str, key: str, source: str, **condition: Any) -> str:
    """Put the file that stands for none of its kind, and return its object version.

    Args:
        key: requirements.txt, plugins.zip or startup.sh.
        source: what its metadata says it came from.
    """
    answer = s3.put_object(Bucket=bucket, Key=path, Body=_empty(key), Metadata={SOURCE_VERSION: source}, **condition)
    return answer.get("VersionId", "")


def _empty(key: str) -> bytes:
    if key == "plugins.zip":
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as made:
            # `unzip` fails on a zip without members.
            made.writestr(zipfile.ZipInfo("README.txt"), "There are no plugins.\n")
        return content.getvalue()
    return b"#!/bin/sh\n# There is no startup script.\n" if key == "startup.sh" else b"# There are no requirements.\n"
