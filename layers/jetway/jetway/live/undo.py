"""Versions of requirements.txt, plugins.zip and startup.sh that did not work are given up, and told of."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from jetway.live import news
from jetway.live.in_force import InForce, say
from jetway.live.restore import Restored, previous_version, report_rollback
from jetway.live.standing import BY_HAND, MOST_PROBLEMS, NOTHING, Live, Problem, Standing, to_roll_back
from jetway.live.update_record import command, members
from jetway.promotion import SOURCE_VERSION
from jetway.reports import amend_report

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from jetway.live.news import News
    from jetway.live.table import StandingTable
    from jetway.live.update_record import UpdateRecord, WorkerReplacement


_STILL_IN_FORCE = "It is still in force: the environment is being updated back, which takes 10 to 30 minutes."
_TO_GO_BACK = "It is still in force, because ApplyUpdates is manual. To go back, run:"


@dataclass(frozen=True, slots=True)
class Undo:
    """Gives up the versions of one update.

    Attributes:
        automatic: whether Jetway goes back by itself; otherwise the message names the command.
        worker_replacement: what that command asks for.
    """

    s3: S3Client
    standings: StandingTable
    tell: Callable[[News], None]
    environment: str
    drop_bucket: str
    automatic: bool
    worker_replacement: WorkerReplacement
    clock: Callable[[], datetime]

    def give_up(
        self, record: UpdateRecord, problems: Sequence[Problem], *, gone_back: bool = False
    ) -> dict[str, tuple[str, str]]:
        """Write down, report and tell that the versions of an update do not work; done again, it changes nothing.

        Args:
            gone_back: MWAA has gone back by itself, or has never taken them.

        Returns:
            Path and object version to go back to, by key of the drop bucket.
        """
        now, before = self.clock(), {}
        for key, bad in record.artifacts.items():
            back = self._previous(key, bad, record, gone_back=gone_back)
            standing = self.standings.change(key, _given_up(key, bad, back, problems, now))
            told = replace(standing, stage="rolling-back", live=bad, problems=tuple(problems)[:MOST_PROBLEMS])
            none = back is None or back.source == NOTHING
            restored = Restored("removed") if none else Restored("restored", back)
            if bad.dropped:
                step = InForce("not-applied" if gone_back else "going-back", now)
                if not gone_back and not self.automatic:
                    step = replace(step, because="ApplyUpdates is manual: the message says which command goes back.")
                report_rollback(self.s3, self.drop_bucket, told, bad, restored.live, at=now, step=step)
            note = None
            if back is not None:
                before[key] = (back.key, back.version_id or "")
                if not gone_back:
                    note = _STILL_IN_FORCE
                    if not self.automatic:
                        changes = members(key, *before[key])
                        note = f"{_TO_GO_BACK}\n\n{command(self.environment, changes, self.worker_replacement)}"
            self.tell(
                news.rolled_back(
                    self.environment, self.drop_bucket, told, restored, now, note=note, was_live=not gone_back
                )
            )
        return before

    def gone_back(self, record: UpdateRecord, because: str) -> None:
        """Write into the reports of the versions of an update that what was before is in force again, or why not.

        Args:
            because: why the way back failed; empty when it did not.
        """
        for key, bad in record.artifacts.items():
            if because:
                say(self.s3, self.drop_bucket, key, bad, InForce("going-back", self.clock(), None, because))
            elif bad.dropped:
                amend_report(self.s3, self.drop_bucket, key, bad.source, {"outcome": "rolled-back"})

    def _previous(self, key: str, bad: Live, record: UpdateRecord, *, gone_back: bool) -> Live | None:
        standing = self.standings.get(key)
        found = record.before.get(key)
        good = standing.good if standing is not None else None
        if found is None:
            # MWAA cannot clear a path: https://docs.aws.amazon.com/mwaa/latest/userguide/mwaa-faqs.html
            return None if gone_back else self._nothing(key, bad, standing)
        path, version = found
        if good is not None and (good.key, good.version_id) == found:
            return good
        if not version and not gone_back:
            # The environment took the newest version of its path: the one below ours.
            below = previous_version(self.s3, bad, None, () if standing is None else standing.rolled_back)
            if below is None or not below.version_id:
                return self._nothing(key, bad, standing)
            version = below.version_id
        before = replace(bad, source=f"{BY_HAND}{version or 'newest'}", key=path, version_id=version or None)
        return replace(before, verdict="unknown", at=self.clock(), report="", dags=())

    def _nothing(self, key: str, bad: Live, standing: Standing | None) -> Live:
        """Put an empty file where the path must name something; once."""
        if standing is not None and standing.live is not None and standing.live.source == NOTHING:
            return standing.live
        version = put_nothing(self.s3, bad.bucket, bad.key, key, NOTHING)
        nothing = replace(bad, source=NOTHING, version_id=version, verdict="accepted")
        return replace(nothing, at=self.clock(), report="", dags=())


def _given_up(
    key: str, bad: Live, back: Live | None, problems: Sequence[Problem], now: datetime
) -> Callable[[Standing | None], Standing]:
    def change(standing: Standing | None) -> Standing:
        standing = standing or Standing(key, "removed")
        given_up = to_roll_back(replace(standing, live=bad), problems, now)
        kept = {bad.source} if back is None else {bad.source, back.source}
        if standing.live is not None and standing.live.source not in kept:
            return replace(standing, rolled_back=given_up.rolled_back)  # a newer version waits already
        good = standing.good if back is not None and standing.good and standing.good.source == back.source else None
        return replace(given_up, stage="rolled-back", live=back, good=good, due_at=None)

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
