"""Starting the run of one dispatched message, or saying why not.

Every message ends as one of: started, duplicate (its run was there), skipped, dead-lettered with the reason, or
it stays on the queue because `dispatch` raised: a TransientError holds the lane for a while.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from jetway.dispatch import parse_dispatch
from jetway.errors import EventTooOldError, JetwayError, PermanentError, RunAlreadyExistsError, TransientError

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

    from jetway.airflow import AirflowClient, DagRun
    from jetway.dispatch import Dispatch

# An error that nobody foresaw is retried so often before it is a dead letter: it must not hold a lane for days.
UNFORESEEN_TRIES = 5

# SQS takes 1 MiB a message. A dead letter adds to its original; where both together are more, the original is cut.
LONGEST_LETTER = 1024 * 1024 - 1024  # bytes; the rest is for the message's attributes
LONGEST_CUT = 100_000  # characters, any of which may take six bytes

Decision = Literal["started", "duplicate", "skipped", "dead-lettered"]


@dataclass(frozen=True, slots=True)
class Message:
    """One message of the dispatch queue, with the parts of its SQS record that matter.

    Attributes:
        sent_at, first_tried_at: timezone-aware.
        tries: how often it was received, this time included.
    """

    body: str
    message_id: str
    group: str
    sent_at: datetime
    first_tried_at: datetime
    tries: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a message; its fields are those of the log line.

    Attributes:
        latency: seconds from the event to its acceptance by Airflow, when a run was started.
    """

    decision: Decision
    trigger: str | None = None
    dag_id: str | None = None
    dag_run_id: str | None = None
    state: str | None = None
    because: str | None = None
    latency: float | None = None


class Dispatcher:
    """Starts runs and writes dead letters."""

    def __init__(
        self,
        airflow: AirflowClient,
        sqs: SQSClient,
        *,
        dead_letters_url: str,
        max_event_age: timedelta,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._airflow = airflow
        self._sqs = sqs
        self._dead_letters_url = dead_letters_url
        self._max_event_age = max_event_age
        self._clock = clock

    def dispatch(self, message: Message) -> Outcome:
        """Start the message's run.

        Raises:
            TransientError: not now; the message stays on the queue.
        """
        dispatch: Dispatch | None = None
        try:
            dispatch = parse_dispatch(message.body, sent_at=message.sent_at)
            return self._start(dispatch)
        except PermanentError as exc:
            return self._dead_letter(message, dispatch, exc)
        except TransientError:
            raise
        except Exception as exc:
            if message.tries < UNFORESEEN_TRIES:
                raise
            return self._dead_letter(message, dispatch, exc)

    def _start(self, dispatch: Dispatch) -> Outcome:
        request = dispatch.request
        if request is None:
            return Outcome("skipped", trigger=dispatch.trigger.name, because=dispatch.skipped_because)
        if self._clock() - dispatch.event.occurred_at > self._max_event_age:
            raise EventTooOldError(
                f"the event of {dispatch.event.occurred_at.isoformat()} could not be started within "
                f"{self._max_event_age}; redrive it if it is still wanted."
            )
        try:
            run = self._airflow.trigger_dag_run(request)
        except RunAlreadyExistsError as exc:
            return self._accepted("duplicate", dispatch, exc.run)
        return self._accepted("started", dispatch, run)

    def _accepted(self, decision: Decision, dispatch: Dispatch, run: DagRun) -> Outcome:
        return Outcome(
            decision,
            trigger=dispatch.trigger.name,
            dag_id=run.dag_id,
            dag_run_id=run.dag_run_id,
            state=run.state,
            latency=(self._clock() - dispatch.event.occurred_at).total_seconds(),
        )

    def _dead_letter(self, message: Message, dispatch: Dispatch | None, exc: Exception) -> Outcome:
        """Keep the message with its reason; only then does it leave the dispatch queue.

        SQS drops a second copy of one dead letter within five minutes: the id is the message's own.
        """
        reason = exc.reason if isinstance(exc, JetwayError) else "unforeseen"
        request = dispatch.request if dispatch else None
        letter: dict[str, Any] = {
            "reason": reason,
            "error": f"{type(exc).__name__}: {exc}"[:4096],
            "trigger": dispatch.trigger.name if dispatch else None,
            "dag_id": request.dag_id if request else None,
            "dag_run_id": request.dag_run_id if request else None,
            "first_try": message.first_tried_at.isoformat(),
            "last_try": self._clock().isoformat(),
            "tries": message.tries,
            "message": _parsed(message.body),
        }
        body = json.dumps(letter)  # in ASCII: SQS refuses some characters that JSON can hold
        if len(body) > LONGEST_LETTER:
            body = json.dumps(letter | {"message": message.body[:LONGEST_CUT], "message_cut_at": LONGEST_CUT})
        self._sqs.send_message(
            QueueUrl=self._dead_letters_url,
            MessageBody=body,
            MessageGroupId=hashlib.sha256((message.group + message.message_id).encode()).hexdigest(),
            MessageDeduplicationId=message.message_id,
            MessageAttributes={"reason": {"DataType": "String", "StringValue": reason}},
        )
        return Outcome(
            "dead-lettered",
            trigger=letter["trigger"],
            dag_id=letter["dag_id"],
            dag_run_id=letter["dag_run_id"],
            because=f"{reason}: {exc}",
        )


def _parsed(body: str) -> Any:
    """Return the body as JSON where it is JSON: read by people, and not escaped to twice its size."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return body
