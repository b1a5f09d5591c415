"""What is known of an event before a try of it: has it its outcome, may a run of it be there, and whose is it?

Pure functions over the event's row. An event has one outcome: a run, a place in a batch, or a dead letter. A try that
may have made a run stays in the row until its end is known, so that nobody has to guess from a count of deliveries.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from jetway.dispatch.unreadable import unread_entry
from jetway.errors import AnswerLostError, DagPausedError
from jetway.ledger import Attempt, Before, Decision, Entry, entry_id

if TYPE_CHECKING:
    from jetway.airflow import DagRunRequest
    from jetway.dispatch.limits import Rate
    from jetway.dispatch.messages import Message
    from jetway.dispatch.run import DispatchMessage
    from jetway.errors import TransientError

# A try may still be at work for so long, or Airflow with what it was asked: start_dag_run has 240 s.
LONGEST_TRY = timedelta(minutes=5)

# Of a run that was there before its event was tried: a caller who chooses a run id can meet another one's, and who
# makes runs in Airflow itself can take any id.
WHOSE = ": Airflow already had it when this event was first tried, so it belongs to someone else"
DOUBT = "an earlier try of the event has not ended, and might still start its run"

NEVER = datetime.min.replace(tzinfo=UTC)

# A question that Airflow refuses or dies of may do so for ever. So long it is asked; then the event goes on without.
LONGEST_REFUSED = timedelta(hours=1)

# No answer may mean that the environment is ill, or that this one DAG is: after so many tries the lane goes on.
LOST_ANSWERS = 3

# Tries without an end that a row keeps. When Airflow answers nothing for days, there is one a minute.
MOST_ATTEMPTS = 20


@dataclass(frozen=True, slots=True)
class Case:
    """One message in hand: as received, as understood, and what is known of its event.

    Attributes:
        read: None while it has not been read.
        request: the run that it asks for; None when it asks for none, or that is not known.
        before: what the event's row said before this try.
        attempt: this try, once it may make a run.
        is_first: no try of the event has ever begun before this one.
    """

    message: Message
    read: DispatchMessage | None = None
    request: DagRunRequest | None = None
    before: Before = field(default_factory=Before)
    attempt: Attempt | None = None
    is_first: bool = False

    @property
    def known(self) -> DispatchMessage:
        """The message as it was read."""
        if self.read is None:
            raise ValueError("the message has not been read")
        return self.read

    @property
    def id(self) -> str:
        """The key of the event's row."""
        return entry_id(self.known.trigger.name, self.known.digest)

    @property
    def run_id(self) -> str:
        """Id of the run."""
        return self.known.run_id

    @property
    def rate(self) -> Rate | None:
        """The trigger's rate."""
        return self.known.trigger.rate

    @property
    def message_id(self) -> str:
        """SQS's id of the message, as it first came."""
        waits = self.read.waits if self.read else None
        return (waits and waits.message_id) or self.message.message_id

    @property
    def redriven_at(self) -> datetime | None:
        """When somebody sent the message again."""
        return self.read.redriven_at if self.read else None

    @property
    def asks_later(self) -> bool:
        """Whether something comes between the row and the question: a place to take, or a look at whose the run is."""
        return self.rate is not None or self.known.is_run_id_chosen

    @property
    def is_first_of_chosen(self) -> bool:
        """Whether a run of that id, if there is one, is somebody else's: nobody has asked for it on our side."""
        return self.known.is_run_id_chosen and not self.before.attempts

    @property
    def is_of_others(self) -> bool:
        """Whether a run of that id that Airflow has already is somebody else's: nobody on our side has asked for it."""
        return self.is_first_of_chosen or (self.is_first and not self.before.attempts)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an event has come to.

    Attributes:
        entry: as its row has it.
        because: why this delivery starts nothing.
        is_unsent_letter: this very message is a dead letter, and may not have been sent as one.
    """

    entry: Entry
    because: str
    is_unsent_letter: bool = False


def outcome_before(case: Case) -> Outcome | None:
    """Return the outcome that an earlier delivery has brought; None when the event is still to be started."""
    row, way = case.before.entry, case.before.way
    if row is not None and row.decision == "started":
        return Outcome(row, f"duplicate of run {row.dag_run_id}")
    of_letter = f"duplicate of a dead letter ({row.because}); redrive that one" if row else ""
    if way == "collect":
        if row is not None and row.decision == "dead-lettered":
            return Outcome(row, of_letter)  # the collect queue is where its redrive goes
        entry = row or entry_of(case, "batched", now=case.message.sent_at)
        batch = f"batch {entry.batch_id}" if entry.batch_id else "a batch"
        return Outcome(entry, f"duplicate of an event in {batch}")
    if row is None or row.decision not in {"dead-lettered", "skipped"} or _is_wanted_anew(case, row):
        return None
    if row.decision == "skipped":
        # The DAG may be unpaused by now. What is skipped for what it is will be so again.
        of_skip = f"duplicate of a skipped event ({row.because})"
        return Outcome(row, of_skip) if (row.because or "").startswith(DagPausedError.reason) else None
    is_unsent = row.message_id == case.message_id
    return Outcome(row, (row.because or "") if is_unsent else of_letter, is_unsent_letter=is_unsent)


def _is_wanted_anew(case: Case, row: Entry) -> bool:
    """Whether a message asks for the run of an event once more that is a dead letter."""
    redriven_at, before = case.known.redriven_at, case.before.redriven_at
    if redriven_at is not None and (before is None or before < redriven_at):
        return True
    return case.known.trigger.kind == "http" and row.message_id != case.message_id  # a call is a request of its own


def dags_to_look_in(case: Case, *, also_own: bool) -> list[str]:
    """Return the DAGs in which an earlier try of the event may have made its run.

    Args:
        also_own: this try may have made one.
    """
    found = {attempt.dag_id for attempt in case.before.attempts}
    if also_own and case.attempt is not None:
        found.add(case.attempt.dag_id)
    if case.request is not None and case.message.tries > 1 and not case.known.is_run_id_chosen:
        found.add(case.request.dag_id)  # tried before rows knew of it
    return sorted(found)


def doubted_until(case: Case) -> datetime:
    """Return until when an earlier try may still make the run, although it is not there; long ago if none can."""
    return max((attempt.at + LONGEST_TRY for attempt in case.before.attempts), default=NEVER)


def is_in_doubt(case: Case, now: datetime) -> bool:
    """Whether an earlier try may still make the run, although it is not there."""
    return now < doubted_until(case)


def receives_of(case: Case) -> int:
    """Return how often a message was received, as far as that tells of crashes.

    What has waited aside for an answer is a new message of an old one, which may have crashed.
    """
    waits = case.known.waits
    return case.message.tries + (waits is not None and waits.because == AnswerLostError.reason)


def holds_its_lane(case: Case, exc: TransientError) -> bool:
    """Whether its lane waits for an event whose run could not be looked for; else it waits aside."""
    of_one_dag = isinstance(exc, AnswerLostError) and not exc.unreachable
    return not of_one_dag or (case.message.tries < LOST_ANSWERS and case.known.waits is None)


def is_refused_for_good(case: Case, now: datetime) -> bool:
    """Whether an event has waited long enough for the answer to a question that Airflow refuses."""
    waits = case.known.waits
    since = None if waits is None else waits.since_of(AnswerLostError.reason)
    return since is not None and now - since >= LONGEST_REFUSED


def redundant_attempt(case: Case) -> Attempt | None:
    """Return a try that the row need not keep: the first one says since when, and a later one in which DAG."""
    attempts = case.before.attempts
    if len(attempts) < MOST_ATTEMPTS or case.attempt is None:
        return None
    return next((attempt for attempt in attempts[1:] if attempt.dag_id == case.attempt.dag_id), None)


def since_of(case: Case) -> datetime:
    """Return a moment before which the run that is there now cannot have ended: when it was asked for first."""
    waits = case.known.waits
    asked = [attempt.at for attempt in case.before.attempts]
    return min([case.message.first_tried_at, *([waits.first] if waits and waits.first else []), *asked])


def entry_of(case: Case, decision: Decision, *, because: str | None = None, now: datetime) -> Entry:
    """Return the ledger's row on a decision.

    Args:
        now: timezone-aware.
    """
    read, request, message = case.read, case.request, case.message
    if read is None:
        return unread_entry(message, decision, because=because, now=now)
    return Entry(
        id=case.id,
        trigger=read.trigger.name,
        kind=read.trigger.kind,
        identity=read.identity,
        decision=decision,
        decided_at=now,
        because=because,
        dag_id=request.dag_id if request else read.trigger.dag,
        dag_run_id=read.run_id,
        batch_id=read.event.facts.get("batch_id") if read.trigger.kind == "batch" else None,
        occurred_at=read.event.occurred_at,
        message_id=case.message_id,
        chain=read.event.chain + 1,
        by=read.by,
    )
