"""Starting the run of one dispatched message, or saying why not.

Every message ends as one of: started, duplicate (its run was there), skipped, waiting (aside of its lane),
dead-lettered with the reason; or it stays on the queue because `dispatch` raised: a TransientError holds the lane for
a while. Only trouble of the whole environment does that.

The order of the steps makes it safe to die between any two of them; docs/delivery.md goes through them one by one:
look into the ledger, start the run, tell the bus, write the row, and only then does the message leave the queue.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from jetway.airflow import RunAlreadyExistsError
from jetway.airflow.refusals import dag_stale
from jetway.dispatch.announcements import announcement, because_of
from jetway.dispatch.backoff import wait_before_retry
from jetway.dispatch.dead_letters import reason_of, send_dead_letter
from jetway.dispatch.rates import has_place
from jetway.dispatch.run import INTERACTIVE, derive_run_id, parse_message, plan
from jetway.dispatch.unread import unread_entry
from jetway.dispatch.waiting import next_waits
from jetway.errors import (
    AnswerLostError,
    DagNotFoundError,
    EventTooOldError,
    PermanentError,
    RunCollisionError,
    TransientError,
)
from jetway.events_out import EventsOutError
from jetway.ledger import Decision, Entry, entry_id
from jetway.observability import logger

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

    from jetway.airflow import AirflowClient, DagRun, DagRunRequest, DagState
    from jetway.dispatch.messages import Message
    from jetway.dispatch.rates import Rates, Window
    from jetway.dispatch.run import DispatchMessage
    from jetway.dispatch.waiting import Waiting
    from jetway.events_out import OutEvent
    from jetway.ledger import Ledger

# An error that nobody foresaw is retried so often before it is a dead letter: it must not hold a lane for days.
UNFORESEEN_TRIES = 5

# No answer may mean that the environment is ill, or that this one DAG is: after so many tries the lane goes on.
LOST_ANSWERS = 3

# For so long a DAG that Airflow did not know is not asked for again: ten thousand files for it must not cost ten
# thousand commands of three seconds each. Shorter than the first wait aside.
MISSING_FOR = timedelta(seconds=7)

# Of a call's run that was there before the ledger knew of a start: a call names its run itself, so both can be.
WHOSE = ": Airflow had it already, of another caller or of an earlier try of this call whose answer was lost"

# Tries that a first wait aside counts as: 8 to 16 seconds. MWAA needs 30 s and more to see a new file.
FIRST_ASIDE = 4
LONGEST_ASIDE = 120.0  # seconds


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds all dispatching.

    Attributes:
        max_event_age: an event must have its run by then; triggers may have a limit of their own.
        grace: an unknown DAG may become known for so long.
    """

    max_event_age: timedelta
    grace: timedelta = timedelta(0)


class Dags(Protocol):
    """What is known of DAGs around the start of a run (`jetway.airflow.watch`)."""

    def is_stale(self, dag_id: str) -> bool:
        """Whether no file makes the DAG any more, as far as that is cheaply known."""
        ...

    def dag_state(self, dag_id: str) -> DagState | None:
        """The DAG's state as of some minutes ago at most; None when it is not to be learnt."""
        ...


@dataclass(frozen=True, slots=True)
class Case:
    """One message in hand: as received, as understood, and the run that it asks for, as far as each is known."""

    message: Message
    read: DispatchMessage | None = None
    request: DagRunRequest | None = None
    run_id: str | None = None


@dataclass(frozen=True, slots=True)
class Missing:
    """A DAG that was not there a moment ago, why, and until when it is not asked for again."""

    error: DagNotFoundError
    until: datetime


class Dispatcher:
    """Starts runs, sends aside what must wait, writes dead letters, and tells what it did."""

    def __init__(
        self,
        airflow: AirflowClient,
        sqs: SQSClient,
        *,
        ledger: Ledger,
        waiting: Waiting,
        rates: Rates,
        limits: Limits,
        environment: str,
        dead_letters_url: str,
        tell: Callable[[OutEvent], None],
        dags: Dags,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Take the parts; nothing is called.

        Args:
            environment: name of the MWAA environment.
            tell: sends an event out; raises EventsOutError when it is not taken.
            dags: tells whether a run would start.
        """
        self._airflow = airflow
        self._sqs = sqs
        self._ledger = ledger
        self._waiting = waiting
        self._rates = rates
        self._limits = limits
        self._environment = environment
        self._dead_letters_url = dead_letters_url
        self._tell = tell
        self._dags = dags
        self._clock = clock
        self._missing: dict[str, Missing] = {}

    def dispatch(self, message: Message) -> Entry:
        """Start the message's run; return what became of it, as it stands in the ledger.

        Raises:
            TransientError: not now; the message stays on the queue and its lane waits.
        """
        case = Case(message)
        try:
            read = parse_message(message.body, sent_at=message.sent_at)
            case = replace(case, read=read, run_id=derive_run_id(read.trigger.name, read.identity))
            row = self._ledger.get(entry_id(read.trigger.name, read.digest))
            if row is not None and row.decision == "started":
                return self._duplicate(case, row.dag_id, row.dag_run_id, row.state)
            planned = plan(read)
            if planned.request is None:
                return self._record(self._entry(case, "skipped", because=planned.skipped_because))
            request = planned.request
            case = replace(case, request=request, run_id=request.dag_run_id)
            return self._start(case, read, request)
        except PermanentError as exc:
            return self._dead_letter(case, exc)
        except TransientError:
            raise
        except Exception as exc:
            if message.tries < UNFORESEEN_TRIES:
                raise
            return self._dead_letter(case, exc)

    def held(self, message: Message, exc: Exception) -> Entry:
        """Write down that the message is held with its lane; return the entry, also when the ledger is what fails."""
        case = Case(message)
        try:
            read = parse_message(message.body, sent_at=message.sent_at)
            case = replace(case, read=read)
            case = replace(case, request=plan(read).request)
        except PermanentError:
            pass  # `dispatch` will say so
        entry = self._entry(case, "held", because=f"{reason_of(exc)}: {exc}")
        if case.read is not None:
            entry = replace(entry, until=self._latest(case.read))
        try:
            return self._record(entry)
        except TransientError as ledger_exc:
            logger.warning("the ledger did not take a row", extra={"error": str(ledger_exc)})
            return entry

    def _start(self, case: Case, read: DispatchMessage, request: DagRunRequest) -> Entry:
        now = self._clock()
        latest = self._latest(read)
        if now > latest:
            raise EventTooOldError(
                f"the event of {read.event.occurred_at.isoformat()} could not be started by {latest.isoformat()}; "
                "redrive it if it is still wanted."
            )
        missing = self._missing.get(request.dag_id)
        if missing is not None and case.message.group != INTERACTIVE and missing.until > now:
            return self._not_found(case, read, missing.error)
        place: Window | None = None
        rate = read.trigger.rate
        if rate is not None and not has_place(read.waits, rate, now):
            place = self._rates.take(read.trigger.name, rate, latest=latest)
            if place.begins > now:
                because = (
                    f"rate: trigger {read.trigger.name!r} may start {rate}; its turn is {place.begins.isoformat()}"
                )
                return self._aside(case, read, because, not_before=place.begins)
        try:
            return self._trigger(case, read, request)
        except (TransientError, DagNotFoundError):
            if place is not None and rate is not None:
                self._rates.give_back(read.trigger.name, rate, place)
            raise

    def _trigger(self, case: Case, read: DispatchMessage, request: DagRunRequest) -> Entry:
        try:
            if self._dags.is_stale(request.dag_id):
                raise dag_stale(request.dag_id)  # Airflow would take the run, and never start it
            run = self._airflow.trigger_dag_run(request)
        except RunAlreadyExistsError as exc:
            if self._is_of_others(case, read):
                return self._duplicate(case, exc.run.dag_id, exc.run.dag_run_id, exc.run.state, more=WHOSE)
            # The ledger knows of no start, so it was an earlier try of ours that died before it could say so.
            return self._started(case, read, exc.run, since=read.event.occurred_at)
        except DagNotFoundError as exc:
            self._missing[request.dag_id] = Missing(exc, self._clock() + MISSING_FOR)
            return self._not_found(case, read, exc)
        except RunCollisionError as exc:
            return self._aside(case, read, f"{exc.reason}: {exc}")
        except AnswerLostError as exc:
            if case.message.tries < LOST_ANSWERS and read.waits is None:
                raise
            return self._aside(case, read, f"{exc.reason}: {exc}")
        return self._started(case, read, run, since=case.message.first_tried_at)

    @staticmethod
    def _is_of_others(case: Case, read: DispatchMessage) -> bool:
        """Whether a run that is there was made by somebody else: only callers choose run ids that others may have."""
        return read.trigger.kind == "http" and case.message.tries == 1 and read.waits is None

    def _started(self, case: Case, read: DispatchMessage, run: DagRun, *, since: datetime) -> Entry:
        # Stamped before the question about the DAG, which can take longer than all the rest.
        entry = self._entry(case, "started")
        entry = replace(
            entry,
            dag_id=run.dag_id,
            dag_run_id=run.dag_run_id,
            state=run.state,
            latency=(entry.decided_at - read.event.occurred_at).total_seconds(),
        )
        if run.state == "queued":
            entry = replace(entry, because=because_of(self._dags.dag_state(run.dag_id)))
        untold = not self._told(entry)
        decision = self._ledger.record(entry, run_since=min(since, entry.decided_at), untold=untold)
        return replace(entry, decision=decision)

    def _duplicate(
        self, case: Case, dag_id: str | None, run_id: str | None, state: str | None, *, more: str = ""
    ) -> Entry:
        entry = self._entry(case, "duplicate", because=f"duplicate of run {run_id}{more}")
        return self._record(replace(entry, dag_id=dag_id, dag_run_id=run_id, state=state))

    def _not_found(self, case: Case, read: DispatchMessage, exc: DagNotFoundError) -> Entry:
        """Let an unknown DAG become known: it may have been promoted a moment ago.

        Raises:
            DagNotFoundError: its grace is over.
        """
        waits, now = read.waits, self._clock()
        since = waits.since if waits and waits.because == exc.reason else now
        if now - since >= self._limits.grace:
            raise exc
        return self._aside(case, read, f"{exc.reason}: {exc}", until=since + self._limits.grace)

    def _latest(self, read: DispatchMessage) -> datetime:
        """Return when the event is too old to be started."""
        return read.age_from + (read.trigger.max_event_age or self._limits.max_event_age)

    def _aside(
        self,
        case: Case,
        read: DispatchMessage,
        because: str,
        *,
        not_before: datetime | None = None,
        until: datetime | None = None,
    ) -> Entry:
        waits = next_waits(
            read.waits,
            because=because.partition(":")[0],
            first=case.message.first_tried_at,
            now=self._clock(),
            not_before=not_before,
        )
        delay = wait_before_retry(waits.count - 1 + FIRST_ASIDE, longest=LONGEST_ASIDE)
        self._waiting.send(case.message, waits, delay=delay)
        latest = self._latest(read)
        entry = self._entry(case, "waiting", because=because)
        return self._record(replace(entry, until=min(until or latest, latest)))

    def _dead_letter(self, case: Case, exc: Exception) -> Entry:
        entry = self._entry(case, "dead-lettered", because=f"{reason_of(exc)}: {exc}")
        send_dead_letter(self._sqs, self._dead_letters_url, case.message, exc, entry=entry)
        return self._record(entry, untold=not self._told(entry))

    def _told(self, entry: Entry) -> bool:
        """Tell the bus; what it does not take now, `follow_runs` sends later: no event out may hold a lane."""
        try:
            self._tell(announcement(self._environment, entry))
        except EventsOutError as exc:
            logger.warning("an event out waits", extra={"id": entry.id, "error": str(exc)})
            return False
        return True

    def _record(self, entry: Entry, *, untold: bool = False) -> Entry:
        return replace(entry, decision=self._ledger.record(entry, untold=untold))

    def _entry(self, case: Case, decision: Decision, *, because: str | None = None) -> Entry:
        read, request, message = case.read, case.request, case.message
        if read is None:
            return unread_entry(message, decision, because=because, now=self._clock())
        return Entry(
            id=entry_id(read.trigger.name, read.digest),
            trigger=read.trigger.name,
            kind=read.trigger.kind,
            identity=read.identity,
            decision=decision,
            decided_at=self._clock(),
            because=because,
            dag_id=request.dag_id if request else read.trigger.dag,
            dag_run_id=request.dag_run_id if request else case.run_id,
            batch_id=read.event.facts.get("batch_id") if read.trigger.kind == "batch" else None,
            occurred_at=read.event.occurred_at,
            message_id=message.message_id,
        )
