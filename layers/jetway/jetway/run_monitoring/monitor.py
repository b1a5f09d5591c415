"""The look of every minute: what has ended of all DAGs since the last one, and what was to have run and did not.

Runs that Jetway has started are told by `dispatch.following`, which knows their events; here they are made due at once.
A run's end has one id, whoever tells it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from jetway.airflow.finished_runs import pages_of_ends
from jetway.dispatch.run_events import completion
from jetway.errors import DagNotFoundError
from jetway.observability import logger
from jetway.run_monitoring import notifications as news
from jetway.run_monitoring.deadlines import due
from jetway.run_monitoring.state_table import LONGEST_BACK, MonitorState, OvertakenError, mark_of

if TYPE_CHECKING:
    from jetway.airflow import DagRun
    from jetway.airflow.environment import EnvironmentFacts
    from jetway.airflow.rest import RestClient
    from jetway.events.outgoing import OutEvent
    from jetway.ledger import Entry, Ledger
    from jetway.run_monitoring.alarms_file import RunAlarms
    from jetway.run_monitoring.deadlines import Deadline
    from jetway.run_monitoring.state_table import Memory

# A deadline is looked at so much later: a run that ended a moment before it may not show yet.
GRACE = timedelta(minutes=1)


@dataclass(slots=True)
class MonitorSummary:
    """What one look saw and did; of runs that Jetway has started, too."""

    succeeded: int = 0
    failed: int = 0
    missed: int = 0
    complete: bool = True


@dataclass(frozen=True, slots=True)
class MonitoredEnvironment:
    """Where is looked.

    Attributes:
        facts: of the environment, for links.
        alarms: what alarms.yaml says.
    """

    airflow: RestClient
    facts: EnvironmentFacts
    alarms: RunAlarms


class RunMonitor:
    """Looks at the runs of all DAGs."""

    def __init__(
        self,
        memory: Memory,
        ledger: Ledger,
        run_of: Callable[[Ledger, str, str], Entry | None],
        *,
        tell: Callable[[Sequence[OutEvent]], None],
        alarm: Callable[[news.Mail], None],
        seconds_left: Callable[[], float],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Take the parts; nothing is called.

        Args:
            run_of: returns the ledger's row of a run; None of one that Jetway has not started.
            tell: sends events out; raises EventsOutError when one is not taken.
            alarm: tells people; raises AlarmNotSentError.
            seconds_left: for looking; without any no page is begun, and the next look goes on from there.
            clock: tells now, timezone-aware.
        """
        self._memory = memory
        self._ledger = ledger
        self._run_of = run_of
        self._tell = tell
        self._alarm = alarm
        self._seconds_left = seconds_left
        self._clock = clock

    def look(self, place: MonitoredEnvironment) -> MonitorSummary:
        """Look once. The first look tells nothing: what has ended before is nobody's news.

        Events and mails go out before the row says so: to die in between sends a page of them again, events with the
        same ids.

        Raises:
            TransientError: Airflow, the bus, SNS or DynamoDB did not do its part; the next look goes on from there.
        """
        summary, now = MonitorSummary(), self._clock()
        seen = self._memory.recall()
        try:
            if seen is None:
                self._memory.keep(MonitorState.at(now), None)
                return summary
            before, seen = self._ends(place, seen.not_before(now - LONGEST_BACK), summary)
            if summary.complete:
                before, seen = self._deadlines(place, before, seen, summary)
            self._memory.keep(seen, before)
        except OvertakenError as exc:
            logger.info("another check is running", extra={"because": str(exc)})
            summary.complete = False
        return summary

    def _ends(
        self, place: MonitoredEnvironment, seen: MonitorState, summary: MonitorSummary
    ) -> tuple[MonitorState, MonitorState]:
        """Tell what has ended, page by page; return the row as it is written, and as it is to be."""
        looked_from = self._clock()
        for page in pages_of_ends(place.airflow, seen.since):
            fresh = {_mark(run): run for run in page if _mark(run) not in seen.told}
            if fresh:
                self._tell_ends(place, list(fresh.values()), summary)
                told = {mark: _end(run, looked_from) for mark, run in fresh.items()}
                until = min(max(seen.until, *told.values()), looked_from)
                seen = self._memory.keep(replace(seen.with_told(told), until=until), seen)
            if fresh and self._seconds_left() <= 0:  # a page at the least, or what overlaps would be all that is seen
                summary.complete = False
                return seen, seen
        return seen, replace(seen, until=looked_from)

    def _tell_ends(self, place: MonitoredEnvironment, runs: Sequence[DagRun], summary: MonitorSummary) -> None:
        now = self._clock()
        events = [event for run in runs if (event := self._event(place, run, now))]
        self._tell(events)
        failed = [run for run in runs if run.state == "failed"]
        if loud := [run for run in failed if run.dag_id not in place.alarms.silent]:
            self._alarm(news.mail_on_failures(place.facts, loud, place.alarms.owners))
        summary.failed += len(failed)
        summary.succeeded += len(runs) - len(failed)

    def _event(self, place: MonitoredEnvironment, run: DagRun, now: datetime) -> OutEvent | None:
        """Return the event on a run's end; None when `following` has told it, or will now that it is due."""
        row = self._run_of(self._ledger, run.dag_id, run.dag_run_id)
        if row is None or row.decision != "started":
            return news.ended(place.facts, run, place.alarms.owners, now)
        if row.ended_at is None:
            self._ledger.hurry(row)
            return None
        if row.state == run.state:
            return None
        # It was cleared, and has ended in another way since it was told.
        start, end = (datetime.fromisoformat(each) if each else None for each in (run.start_date, run.end_date))
        return completion(place.facts.name, row, state=run.state, start=start, end=end, now=now)

    def _deadlines(
        self, place: MonitoredEnvironment, before: MonitorState, seen: MonitorState, summary: MonitorSummary
    ) -> tuple[MonitorState, MonitorState]:
        """Tell what was missed, one deadline after the other; return the row as it is written, and as it is to be."""
        until = max(seen.expected_until, self._clock() - GRACE)
        for deadline in due(place.alarms.expected, seen.expected_until, until):
            mark = mark_of(deadline.mark)
            if mark in seen.told:
                continue
            if self._seconds_left() <= 0:
                summary.complete = False
                return before, seen
            if self._is_missed(place, deadline):
                before = seen = self._memory.keep(seen.with_told({mark: deadline.at}), before)
                summary.missed += 1
        return before, replace(seen, expected_until=until)

    def _is_missed(self, place: MonitoredEnvironment, deadline: Deadline) -> bool:
        """Whether no run has succeeded in time; then it is told."""
        if _succeeded(place.airflow, deadline):
            return False
        last = _newest(place.airflow, deadline.dag_id)
        self._tell([news.missed(place.facts, deadline, last, place.alarms.owners)])
        self._alarm(news.mail_on_missed(place.facts, deadline, last, place.alarms.owners))
        return True


def _mark(run: DagRun) -> str:
    # With the date: a run that is cleared and fails again is a failure again, though its event is the same one.
    return mark_of(run.dag_id, run.dag_run_id, run.state, run.end_date or "")


def _end(run: DagRun, default: datetime) -> datetime:
    return datetime.fromisoformat(run.end_date) if run.end_date else default


def _succeeded(airflow: RestClient, deadline: Deadline) -> bool:
    since, until = deadline.since, deadline.at
    try:
        runs, _ = airflow.list_ends(since=since, until=until, dag_id=deadline.dag_id, states=["success"])
    except DagNotFoundError:
        return False
    return bool(runs)


def _newest(airflow: RestClient, dag_id: str) -> DagRun | None:
    try:
        runs, _ = airflow.list_dag_runs(dag_id, limit=1)
    except DagNotFoundError:
        return None
    return next(iter(runs), None)
