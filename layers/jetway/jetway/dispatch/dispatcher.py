"""Starting the run of one dispatched message, or saying why not.

Every message ends as one of: started, duplicate (its event has its outcome), skipped, waiting (aside of its lane),
dead-lettered with the reason; or it stays on the queue because `dispatch` raised: a TransientError holds the lane for
a while. Only trouble of the whole environment does that.

The order of the steps makes it safe to die between any two of them; docs/delivery.md goes through them one by one:
write down that a run may be asked for, ask for it, tell the bus, write the outcome, and only then does the message
leave the queue. `jetway.dispatch.outcomes` has what is known of an event before that.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from jetway.airflow import RunAlreadyExistsError
from jetway.airflow.cli_errors import dag_paused
from jetway.aws.crashes import CrashedError
from jetway.dispatch import outcomes
from jetway.dispatch.chains import plan_in_chain
from jetway.dispatch.dead_lettering import Letters
from jetway.dispatch.dead_letters import reason_of
from jetway.dispatch.expiry import Denied
from jetway.dispatch.limits import Limits
from jetway.dispatch.not_found import MissingDags, QuestionRefusedError, run_in
from jetway.dispatch.outcomes import Case
from jetway.dispatch.paused_dags import next_try
from jetway.dispatch.rate_slots import RateSlots
from jetway.dispatch.run import is_interactive, parse_message
from jetway.dispatch.run_creation import ask_for_run
from jetway.dispatch.run_events import announcement, because_of
from jetway.errors import (
    AnswerLostError,
    CommandRejectedError,
    DagNotFoundError,
    EventTooOldError,
    NewerFormatError,
    PermanentError,
    PermissionMissingError,
    RunCollisionError,
    TransientError,
)
from jetway.events.outgoing import is_taken
from jetway.ledger import Attempt, Decision, Entry
from jetway.observability import logger

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

    from jetway.airflow import AirflowClient, DagRun, DagRunRequest
    from jetway.airflow.watch import Dags
    from jetway.aws.crashes import Crashes
    from jetway.dispatch.loop_bound import HourlyStarts
    from jetway.dispatch.messages import Message
    from jetway.dispatch.rates import Rates
    from jetway.dispatch.run import Dispatch
    from jetway.dispatch.waiting import Waiting
    from jetway.events.outgoing import OutEvent
    from jetway.ledger import Ledger

__all__ = ["Dispatcher", "Limits"]

# An error that nobody foresaw is retried so often before it is a dead letter: it must not hold a lane for days.
UNFORESEEN_TRIES = 5


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
        major: Callable[[], int],
        crashes: Crashes | None = None,
        starts: HourlyStarts | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Take the parts; nothing is called.

        Args:
            environment: name of the MWAA environment.
            tell: sends an event out; raises EventsOutError when it is not taken.
            dags: tells whether a run would start.
            major: returns Airflow's major version, on which the dates of schedules depend; may raise TransientError.
            crashes: knows which messages end the function time and again; None: none is known to.
            starts: counts those after runs that Jetway has not started; None: there is no bound.
        """
        self._airflow = airflow
        self._ledger = ledger
        self._waiting = waiting
        self._places = RateSlots(ledger, rates)
        self._limits = limits
        self._environment = environment
        self._letters = Letters(sqs, dead_letters_url, ledger, self._told)
        self._tell = tell
        self._dags = dags
        self._crashes = crashes
        self._starts = starts
        self._major = major
        self._clock = clock
        self._missing = MissingDags()
        self._denied = Denied()

    def dispatch(self, message: Message) -> Entry:
        """Start the message's run; return what became of it, as it stands in the ledger.

        Raises:
            TransientError: not now; the message stays on the queue and its lane waits.
        """
        case = Case(message)
        try:
            case = replace(case, read=parse_message(message.body, sent_at=message.sent_at))
        except PermanentError as exc:
            return self._dead_letter(case, exc)
        if self._crashes is None:
            return self._try(case, crashed=False)
        with self._crashes.trying(case.message_id, outcomes.receives_of(case)) as crashed:
            return self._try(case, crashed=crashed)

    def _try(self, case: Case, *, crashed: bool) -> Entry:
        try:
            return self._dispatch(case, crashed=crashed)
        except TransientError:
            raise
        except NewerFormatError as exc:  # the event's row: it stays as the newer version has left it
            return self._dead_letter(case, exc)
        except Exception as exc:
            if case.message.tries < UNFORESEEN_TRIES:
                raise
            case = replace(case, before=self._ledger.begin(case.id))  # this try may have made the run
            return self._outcome_before(case) or self._refuse(case, exc)

    def held(self, message: Message, exc: Exception) -> Entry:
        """Write down that the message is held with its lane; return the entry, also when the ledger is what fails."""
        case = Case(message)
        self._denied.note(exc, self._clock())
        with suppress(PermanentError, TransientError):  # `dispatch` will say so
            case = replace(case, read=parse_message(message.body, sent_at=message.sent_at))
            case = replace(case, request=self._plan(case).request)
        entry = self._entry(case, "held", because=f"{reason_of(exc)}: {exc}")
        if case.read is not None:
            entry = replace(entry, until=self._latest(case))
        try:
            return replace(entry, decision=self._ledger.record(entry, redriven_at=case.redriven_at))
        except TransientError as ledger_exc:
            logger.warning("the row could not be written to the ledger", extra={"error": str(ledger_exc)})
            return entry

    def _plan(self, case: Case) -> Dispatch:
        return plan_in_chain(case.known, self._limits.longest_chain, major=self._major)

    def _dispatch(self, case: Case, *, crashed: bool) -> Entry:
        planned: Dispatch | PermanentError
        try:
            planned = self._plan(case)
            case = replace(case, request=planned.request)
        except PermanentError as exc:
            planned = exc
        if crashed:
            planned = CrashedError()
        now, request = self._clock(), case.request
        attempt = None
        if request and not isinstance(planned, PermanentError) and not case.asks_later:
            attempt = Attempt.begin(request.dag_id, now)
        before = self._ledger.begin(case.id, "dispatch", attempt)
        case = replace(case, before=before, attempt=attempt, is_first=before.number == 1)
        if (outcome := self._outcome_before(case)) is not None:
            return outcome
        if isinstance(planned, PermanentError):
            return self._refuse(case, planned)
        if request is None:
            return self._record(self._entry(case, "skipped", because=planned.skipped_because))
        return self._start(case, request, now)

    def _outcome_before(self, case: Case) -> Entry | None:
        """Return what an earlier delivery has come to, when that is the event's outcome; it is counted."""
        outcome = outcomes.outcome_before(case)
        if outcome is None:
            return None
        if outcome.is_unsent_letter:
            return self._letters.send(case.message, outcome.entry)
        self._ledger.count(case.id, settled=case.attempt)
        seen, entry = outcome.entry, self._entry(case, "duplicate", because=outcome.because)
        return replace(entry, dag_id=seen.dag_id, dag_run_id=seen.dag_run_id, batch_id=seen.batch_id, state=seen.state)

    def _start(self, case: Case, request: DagRunRequest, now: datetime) -> Entry:
        """Start the run, unless it is too late, too early, or an earlier try has made it."""
        latest = self._latest(case)
        if now > latest:
            return self._refuse(case, self._denied.too_old(case, latest, now))
        if (found := self._made_before(case, request, now)) is not None:
            return found
        if self._starts is not None and (loop := self._starts.refusal(case.known, now)) is not None:
            return self._refuse(case, loop)
        missing = self._missing.recall(request.dag_id, now)
        if missing is not None and not is_interactive(case.message.group):
            return self._not_found(case, missing)
        if (paused := self._behind_pause(case, request, now)) is not None:
            return paused
        return self._in_turn(case, request, now, latest)

    def _behind_pause(self, case: Case, request: DagRunRequest, now: datetime) -> Entry | None:
        """Return what becomes of an event of a paused DAG that its trigger wants no run of; None for all others."""
        when_paused = case.known.trigger.when_paused
        if when_paused == "start" or not self._dags.is_paused(request.dag_id):
            return None
        exc = dag_paused(request.dag_id)
        if when_paused == "wait":
            return self._aside(case, f"{exc.reason}: {exc}", not_before=next_try(case.known.waits, now))
        return self._refuse(case, exc, skips=when_paused == "skip")

    def _in_turn(self, case: Case, request: DagRunRequest, now: datetime, latest: datetime) -> Entry:
        """Start the run when the trigger's rate lets it."""
        try:
            begins = self._places.of(case, now, latest)
        except EventTooOldError as exc:
            return self._refuse(case, exc)
        if begins is not None and begins > now.timestamp():
            turn = datetime.fromtimestamp(begins, tz=UTC)
            trigger = case.known.trigger
            because = f"rate: trigger {trigger.name!r} can start {trigger.rate}; its turn is {turn.isoformat()}"
            return self._aside(case, because, not_before=turn)
        if not case.asks_later:
            return self._create(case, request, begins)
        if case.is_first_of_chosen and (theirs := self._look(case, request.dag_id)) is not None:
            return theirs if isinstance(theirs, Entry) else self._of_others(case, theirs, begins)
        attempt = Attempt.begin(request.dag_id, now)
        case = replace(case, attempt=attempt, before=self._ledger.begin(case.id, "dispatch", attempt, place=begins))
        if (outcome := self._outcome_before(case)) is not None:
            self._places.give_back(case, begins)
            return outcome
        return self._create(case, request, begins)

    def _made_before(self, case: Case, request: DagRunRequest, now: datetime) -> Entry | None:
        """Return what became of an event whose earlier try may have made its run where asking again would not show it.

        That is in another DAG, when the trigger has changed since; and of a trigger with a rate, the run would need a
        place that it may have had.
        """
        elsewhere = any(attempt.dag_id != request.dag_id for attempt in case.before.attempts)
        if not elsewhere and (case.rate is None or not case.before.attempts):
            return None
        found = self._earlier_run(case, also_own=False)
        return self._doubt(case) if found is None and elsewhere and outcomes.is_in_doubt(case, now) else found

    def _create(self, case: Case, request: DagRunRequest, begins: int | None) -> Entry:
        """Ask Airflow for the run."""
        try:
            run = ask_for_run(self._airflow, self._dags, request, case.known.waits)
        except RunAlreadyExistsError as exc:
            if case.is_of_others:
                return self._of_others(case, exc.run, begins)
            # The ledger knows of no start, so it was an earlier try of ours that died before it could say so.
            return self._started(case, exc.run, since=case.known.event.occurred_at)
        except AnswerLostError as exc:
            # The run may be there: the try stays in the row, and the place is taken.
            if (redundant := outcomes.redundant_attempt(case)) is not None:
                self._ledger.settle(case.id, redundant, keep_place=True)
            if exc.unreachable or (len(case.before.attempts) + 1 < outcomes.LOST_ANSWERS and case.known.waits is None):
                raise
            return self._aside(case, f"{exc.reason}: {exc}", settles=False)
        except (TransientError, PermanentError) as exc:
            return self._not_made(case, request, begins, exc)
        return self._started(case, run, since=outcomes.since_of(case))

    def _not_made(
        self, case: Case, request: DagRunRequest, begins: int | None, exc: TransientError | PermanentError
    ) -> Entry:
        """Return what becomes of an event whose run Airflow has not made.

        Raises:
            TransientError: its lane must wait.
        """
        if isinstance(exc, PermanentError) and not isinstance(exc, DagNotFoundError):
            return self._refuse(case, exc, begins)
        self._places.give_back(case, begins)
        if isinstance(exc, DagNotFoundError):
            self._missing.remember(request.dag_id, exc, self._clock())
            return self._not_found(case, exc)
        if isinstance(exc, RunCollisionError):
            return self._aside(case, f"{exc.reason}: {exc}")
        raise exc

    def _refuse(self, case: Case, exc: Exception, begins: int | None = None, *, skips: bool = False) -> Entry:
        """Say that there is no run, once Airflow has said that no try made one.

        Args:
            begins: the place that this try has; None when it has none any more.
            skips: the event is skipped, not a dead letter.

        Raises:
            TransientError: Airflow does not say.
        """
        # A command that died of what nobody foresaw may have made the run before.
        if (found := self._earlier_run(case, also_own=isinstance(exc, CommandRejectedError))) is not None:
            return found
        self._places.give_back(case, begins)
        if isinstance(exc, PermanentError) and outcomes.is_in_doubt(case, self._clock()):
            return self._doubt(case)
        return self._skip(case, exc) if skips else self._dead_letter(case, exc)

    def _earlier_run(self, case: Case, *, also_own: bool) -> Entry | None:
        """Look for a run that an earlier try of the event has made; when it is there, it is started."""
        for dag_id in outcomes.dags_to_look_in(case, also_own=also_own):
            try:
                found = self._look(case, dag_id, settles=not also_own)
            except TransientError as exc:
                if isinstance(exc, PermissionMissingError) and not (also_own or case.before.attempts):
                    return None  # every try was denied, and so is the look
                if not also_own:
                    self._places.give_back(case, None)  # this try has asked for no run
                raise
            if isinstance(found, Entry):
                return found
            if found is not None:
                return self._started(case, found, since=case.known.event.occurred_at)
        return None

    def _look(self, case: Case, dag_id: str, *, settles: bool = True) -> DagRun | Entry | None:
        """Look for the event's run; an entry when the event waits aside, for of this DAG Airflow does not answer.

        Args:
            settles: this try has made no run.
        """
        try:
            return run_in(self._airflow, dag_id, case.run_id)
        except TransientError as exc:
            if isinstance(exc, QuestionRefusedError) and outcomes.is_refused_for_good(case, self._clock()):
                return None
            if outcomes.holds_its_lane(case, exc):
                raise
            return self._aside(case, f"{exc.reason}: {exc}", settles=settles)

    def _doubt(self, case: Case) -> Entry:
        """Let some minutes pass: another delivery may be about to start the run, or Airflow about to make it."""
        return self._aside(case, f"{AnswerLostError.reason}: {outcomes.DOUBT}", until=outcomes.doubted_until(case))

    def _of_others(self, case: Case, run: DagRun, begins: int | None) -> Entry:
        """Say that a run is somebody else's, unless another delivery of the event has asked for it meanwhile."""
        before = self._ledger.begin(case.id)
        asked = tuple(attempt for attempt in before.attempts if attempt != case.attempt)
        case = replace(case, before=replace(before, attempts=asked))
        outcome = self._outcome_before(case)
        if outcome is None and asked:
            return self._started(case, run, since=case.known.event.occurred_at)
        self._places.give_back(case, begins)
        if outcome is not None:
            return outcome
        entry = self._entry(case, "duplicate", because=f"duplicate of run {run.dag_run_id}{outcomes.WHOSE}")
        return self._record(replace(entry, dag_id=run.dag_id, state=run.state), settled=case.attempt)

    def _started(self, case: Case, run: DagRun, *, since: datetime) -> Entry:
        self._denied.over()
        # Stamped before the question about the DAG, which can take longer than all the rest.
        entry = self._entry(case, "started")
        entry = replace(
            entry,
            dag_id=run.dag_id,
            dag_run_id=run.dag_run_id,
            state=run.state,
            latency=(entry.decided_at - case.known.event.occurred_at).total_seconds(),
        )
        if run.state == "queued":
            entry = replace(entry, because=because_of(self._dags.dag_state(run.dag_id)))
        untold = not self._told(entry)
        decision = self._ledger.record(entry, run_since=min(since, entry.decided_at), untold=untold)
        return replace(entry, decision=decision)

    def _not_found(self, case: Case, exc: DagNotFoundError) -> Entry:
        """Let an unknown DAG become known: it may have been promoted a moment ago. After its grace it is refused."""
        waits, now = case.known.waits, self._clock()
        since = (waits and waits.since_of(exc.reason)) or now
        if now - since >= self._limits.grace:
            return self._refuse(case, exc)
        until = max(since + self._limits.grace, outcomes.doubted_until(case))
        return self._aside(case, f"{exc.reason}: {exc}", until=until)

    def _latest(self, case: Case) -> datetime:
        """Return when the event is too old to be started."""
        return case.known.age_from + (case.known.trigger.max_event_age or self._limits.max_event_age)

    def _aside(
        self,
        case: Case,
        because: str,
        *,
        not_before: datetime | None = None,
        until: datetime | None = None,
        settles: bool = True,
    ) -> Entry:
        """Send the message aside; it comes back by `until` at the latest.

        Args:
            settles: this try has made no run, and never will.
        """
        self._waiting.aside(case.message, case.known.waits, because=because, not_before=not_before, by=until)
        until = min(filter(None, (until, self._latest(case))))
        entry = replace(self._entry(case, "waiting", because=because), until=until)
        return self._record(entry, settled=case.attempt if settles else None)

    def _dead_letter(self, case: Case, exc: Exception) -> Entry:
        return self._letters.decide(case, self._entry(case, "dead-lettered", because=f"{reason_of(exc)}: {exc}"), exc)

    def _skip(self, case: Case, exc: Exception) -> Entry:
        entry = self._entry(case, "skipped", because=f"{reason_of(exc)}: {exc}")
        decision = self._ledger.record(entry, settled=case.attempt, alone=case.before.number or None)
        return replace(entry, decision=decision)

    def _told(self, entry: Entry) -> bool:
        """Tell the bus; what it does not take now, `follow_runs` sends later: no event out may hold a lane."""
        return is_taken(self._tell, announcement(self._environment, entry))

    def _record(self, entry: Entry, *, settled: Attempt | None = None) -> Entry:
        return replace(entry, decision=self._ledger.record(entry, settled=settled))

    def _entry(self, case: Case, decision: Decision, *, because: str | None = None) -> Entry:
        return outcomes.entry_of(case, decision, because=because, now=self._clock())
