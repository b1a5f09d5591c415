"""Following the runs that were started until they end, and sending out what the bus did not take at once.

Called every minute. A run is looked at every minute while it is young, later after a tenth of its age, at most every
15 minutes: its end is told within a tenth of its duration, and a run of a day costs no 1,440 looks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from jetway.dispatch.run_events import DELETED, announcement, because_of, completion, never_ran
from jetway.errors import JetwayError
from jetway.observability import logger

if TYPE_CHECKING:
    from jetway.airflow import DagRun
    from jetway.airflow.blocked import Blocked
    from jetway.airflow.watch import Sighting, Watch
    from jetway.events.outgoing import OutEvent
    from jetway.ledger import Ledger, OpenEntry

ROWS = 500  # at most in one invocation, longest due first
SOONEST = timedelta(seconds=50)  # a little less than the schedule, so that every one of its firings counts
LATEST = timedelta(minutes=15)
SHARE = 0.1  # of a run's age

# A run that is queued may be so for want of a slot. So long after its start its DAG is asked for.
BLOCKED_AFTER = timedelta(minutes=5)
QUEUED = frozenset({None, "queued"})  # as last seen; over REST only ends are seen


@dataclass(slots=True)
class FollowSummary:
    """What one invocation saw and did."""

    due: int = 0
    told_late: int = 0
    succeeded: int = 0
    failed: int = 0
    gone: int = 0
    still_open: int = 0
    behind_paused: int = 0
    behind_stale: int = 0
    deleted: int = 0


class RunFollower:
    """Looks at the open rows of the ledger."""

    def __init__(
        self,
        ledger: Ledger,
        watch: Watch,
        *,
        environment: str,
        tell: Callable[[Sequence[OutEvent]], None],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Take the parts; nothing is called.

        Args:
            environment: name of the MWAA environment.
            tell: sends events out; raises EventsOutError when one is not taken.
        """
        self._ledger = ledger
        self._watch = watch
        self._environment = environment
        self._tell = tell
        self._clock = clock

    def follow(self) -> FollowSummary:
        """Look at what is due, once.

        An event is sent before its row says so: to die in between sends it twice, with the same id.

        Raises:
            TransientError: the bus, the ledger or Airflow did not do its part; what is left is due again.
        """
        rows = self._ledger.open_entries(limit=ROWS)
        summary = FollowSummary(due=len(rows))
        rows = self._tell_late(rows, summary)
        by_run = {(row.entry.dag_id or "", row.entry.dag_run_id or ""): row for row in rows}
        wanted: dict[str, list[str]] = {}
        for dag_id, run_id in by_run:
            wanted.setdefault(dag_id, []).append(run_id)
        if not rows:
            return summary
        looked_from = self._clock()
        for sighting in self._watch.look(wanted, since=min(row.since for row in rows)):
            self._note(sighting, by_run, looked_from, summary)
            for key in {(run.dag_id, run.dag_run_id) for run in sighting.ended} | sighting.gone:
                del by_run[key]
        self._tell_blocked(by_run, summary)
        return summary

    def _tell_blocked(self, by_run: dict[tuple[str, str], OpenEntry], summary: FollowSummary) -> None:
        """Tell of runs that were started some time ago and do not run, for what has become of their DAG.

        Once for each run and reason: the row keeps the reason. What was known at the start is told by then.
        """
        now = self._clock()
        wanted: dict[str, list[str]] = {}
        for (dag_id, run_id), row in by_run.items():
            if row.entry.state in QUEUED and now - row.entry.decided_at >= BLOCKED_AFTER:
                wanted.setdefault(dag_id, []).append(run_id)
        if not wanted:
            return
        for found in self._blocked(wanted):
            row = by_run[found.dag_id, found.dag_run_id]
            because = DELETED if found.by == "deleted" else because_of(found.by)
            if because is None or row.entry.because == because:
                continue
            self._tell([never_ran(self._environment, row.entry, because=because, now=now)])
            if found.by == "deleted":
                self._ledger.close(row, state="deleted", ended_at=now)
            else:
                self._ledger.explain(row, because)
            summary.deleted += found.by == "deleted"
            summary.behind_stale += found.by == "stale"
            summary.behind_paused += found.by == "paused"

    def _tell_late(self, rows: Iterable[OpenEntry], summary: FollowSummary) -> list[OpenEntry]:
        """Send what was not taken before; return the rows of runs.

        That it is sent is noted before Airflow is asked, which may not answer for hours.
        """
        rows = list(rows)
        late = [row for row in rows if row.untold]
        self._tell([announcement(self._environment, row.entry) for row in late])
        summary.told_late = len(late)
        for row in late:
            if row.entry.decision == "started":
                self._ledger.told(row)
            else:
                self._ledger.close(row)
        return [row for row in rows if row.entry.decision == "started"]

    def _blocked(self, wanted: dict[str, list[str]]) -> list[Blocked]:
        """Ask for them; trouble must not cost what was seen before, and they are asked for again in a minute."""
        found: list[Blocked] = []
        try:
            found.extend(self._watch.blocked(wanted))
        except JetwayError as exc:
            logger.warning("runs that do not begin cannot be read", extra={"error": f"{exc.reason}: {exc}"})
        return found

    def _note(
        self,
        sighting: Sighting,
        by_run: dict[tuple[str, str], OpenEntry],
        looked_from: datetime,
        summary: FollowSummary,
    ) -> None:
        now = self._clock()
        ended = [(by_run[run.dag_id, run.dag_run_id], run) for run in sighting.ended]
        self._tell([self._completion(row, run, now) for row, run in ended])
        for row, run in ended:
            self._ledger.close(row, state=run.state, ended_at=_time(run.end_date) or now)
            summary.succeeded += run.state == "success"
            summary.failed += run.state == "failed"
        for key in sighting.gone:
            self._ledger.close(by_run[key], state="deleted", ended_at=now)
            summary.gone += 1
        states = {(run.dag_id, run.dag_run_id): run.state for run in sighting.open}
        done = {(run.dag_id, run.dag_run_id) for run in sighting.ended} | sighting.gone
        for key in sighting.looked_at - done:
            row = by_run[key]
            since = max(row.since, sighting.until or looked_from)
            self._ledger.look_again(row, state=states.get(key), since=since, at=next_look(row.entry.decided_at, now))
            summary.still_open += 1

    def _completion(self, row: OpenEntry, run: DagRun, now: datetime) -> OutEvent:
        start, end = _time(run.start_date), _time(run.end_date)
        return completion(self._environment, row.entry, state=run.state, start=start, end=end, now=now)


def next_look(started: datetime, now: datetime) -> datetime:
    """Return when to look at a run again that had not ended. Pure."""
    return now + max(SOONEST, min(LATEST, (now - started) * SHARE))


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
