"""Lanes: the message groups of dispatch.fifo, each with one batch in flight and its order kept.

When a message cannot be dispatched now, its whole lane waits: SQS hands out nothing of a group while a message of
it is invisible, so holding the messages that came back in this batch holds the lane.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from jetway.dispatch.backoff import longest_hold, wait_before_retry
from jetway.dispatch.messages import Message
from jetway.dispatch.run import is_interactive
from jetway.errors import (
    AnswerLostError,
    EnvironmentBusyError,
    EnvironmentUnavailableError,
    OutOfTimeError,
    OutOfTurnError,
    PermissionMissingError,
    TokenRefusedError,
    TransientError,
)
from jetway.observability import logger

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import (
        ChangeMessageVisibilityBatchRequestEntryTypeDef,
        DeleteMessageBatchRequestEntryTypeDef,
    )

    from jetway.airflow.budget import Share
    from jetway.ledger import Entry

# A command whose answer is lost and the look-ups after it, each to its timeout (COMMAND_TIMEOUT): with less time left
# than this a message is better left to the next batch.
COMMAND_TIMEOUT = 30.0
SECONDS_FOR_ONE_MESSAGE = 3 * COMMAND_TIMEOUT + 20.0

LONGEST_WAIT_UNFORESEEN = 60.0  # seconds

MOST_OF_A_BATCH = 10  # messages that Lambda takes from a FIFO queue at once

# More lanes than the budget of REST calls bears keep one another waiting. One that has waited so long in all gives its
# place to those that have none, or it would keep it until nothing of it is left.
LONGEST_TURN = 5.0  # seconds
OUT_OF_TURN = (5, 15)  # seconds until it tries again

# A web server that is busy for a moment answers 503. Holding the lane for it costs seconds for all that is behind, and
# counts as a try of messages that were never tried; so a refusal that came at once is tried again in place first.
PAUSES = (0.5, 1.5)  # seconds, the longest each
BRIEF = (EnvironmentBusyError, EnvironmentUnavailableError)

# What is not of one message holds the other lanes of the batch as well: each would meet it, and ask for it again.
OF_ALL_LANES = (*BRIEF, PermissionMissingError, TokenRefusedError)


class Lanes:
    """The lanes of one invocation: dispatches records and remembers which lanes must wait, and how long."""

    def __init__(
        self,
        dispatch: Callable[[Message], Entry],
        *,
        seconds_left: Callable[[], float],
        on_held: Callable[[Message, TransientError, int], None] = lambda _message, _exc, _wait: None,
        waited: Callable[[], float] = lambda: 0.0,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Take the parts.

        Args:
            dispatch: starts a message's run; raises TransientError when its lane must wait.
            seconds_left: until the function is ended.
            on_held: told of each message whose lane must wait, why, and how many seconds.
            waited: seconds that the lane in hand has waited for its turns in the budget of REST calls.
            sleep: waits so many seconds.
            clock: tells now, timezone-aware.
        """
        self._dispatch = dispatch
        self._seconds_left = seconds_left
        self._on_held = on_held
        self._waited = waited
        self._sleep = sleep
        self._clock = clock
        self._trouble: TransientError | None = None
        self.waits: dict[str, int] = {}

    def handle(self, record: SQSRecord) -> Entry:
        """Dispatch one record.

        Raises:
            TransientError, Exception: the record stays on the queue and its lane waits.
        """
        message = read_message(record)
        if self._seconds_left() < SECONDS_FOR_ONE_MESSAGE:
            self.waits[message.group] = 0
            raise OutOfTimeError(
                "the function's time is nearly over; the rest of the batch returns to the queue immediately"
            )
        if self._waited() > LONGEST_TURN and not is_interactive(message.group):
            self._pass_the_turn(message)
            raise OutOfTurnError(
                "other lanes also wait for the budget of REST calls; the rest of the batch returns to the queue"
            )
        try:
            return self._dispatch_patiently(message)
        except TransientError as exc:
            is_out_of_turn = isinstance(exc, OutOfTurnError) and not is_interactive(message.group)
            if is_out_of_turn or _is_of_all_lanes(exc):
                self._trouble = exc
            if is_out_of_turn:
                wait = self._pass_the_turn(message)
            else:
                longest = longest_hold(exc.longest_wait, self._clock() - message.first_tried_at)
                wait = self._hold(message, longest=longest, shortest=exc.shortest_wait)
            self._on_held(message, exc, wait)
            raise
        except Exception:
            wait = self._hold(message, longest=LONGEST_WAIT_UNFORESEEN)
            logger.exception("unforeseen", extra={"lane": message.group, "tries": message.tries, "next_try_in": wait})
            raise

    def _dispatch_patiently(self, message: Message) -> Entry:
        if self._trouble is not None:
            raise self._trouble
        for pause in PAUSES:
            try:
                return self._dispatch(message)
            except BRIEF:
                if self._seconds_left() < SECONDS_FOR_ONE_MESSAGE + pause:
                    raise
                self._sleep(random.uniform(pause / 2, pause))  # noqa: S311 - no secret
        return self._dispatch(message)

    def _pass_the_turn(self, message: Message) -> int:
        # The same for who has just had a turn as for who had none yet, or those would hardly ever have one.
        wait = random.randint(*OUT_OF_TURN)  # noqa: S311 - no secret
        self.waits[message.group] = wait
        return wait

    def _hold(self, message: Message, *, longest: float, shortest: float = 0.0) -> int:
        wait = wait_before_retry(message.tries, longest=longest, shortest=shortest)
        self.waits[message.group] = wait
        return wait


def _is_of_all_lanes(exc: TransientError) -> bool:
    return isinstance(exc, OF_ALL_LANES) or (isinstance(exc, AnswerLostError) and exc.unreachable)


def read_message(record: SQSRecord) -> Message:
    """Read an SQS record of the dispatch queue."""
    attributes = record.attributes
    return Message(
        body=record.body,
        message_id=record.message_id,
        group=attributes.message_group_id or "",
        sent_at=_from_milliseconds(attributes.sent_timestamp),
        first_tried_at=_from_milliseconds(attributes.approximate_first_receive_timestamp),
        tries=int(attributes.approximate_receive_count),
    )


def interactive_first(records: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put the records of interactive lanes first; within a lane the order stays."""
    return sorted(records, key=lambda record: not is_interactive(lane_of(record)))


def by_lane(records: Iterable[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Part a batch into its lanes, interactive ones first, the shorter the sooner; within a lane the order stays."""
    lanes: dict[str, list[dict[str, Any]]] = {}
    for record in interactive_first(records):
        lanes.setdefault(lane_of(record), []).append(record)
    # Of many calls and one firing of a schedule that came in one batch, the firing goes first.
    return sorted(lanes.values(), key=lambda lane: len(lane) if is_interactive(lane_of(lane[0])) else MOST_OF_A_BATCH)


def share_of(records: Sequence[dict[str, Any]]) -> Share:
    """Return whose calls of Airflow's REST API the records of one lane make."""
    return "interactive" if is_interactive(lane_of(records[0])) else "bulk"


def lane_of(record: Mapping[str, Any]) -> str:
    """Return the lane of a record."""
    group: str = record["attributes"].get("MessageGroupId", "")
    return group


def free_lane(sqs: SQSClient, queue_url: str, records: Sequence[SQSRecord]) -> None:
    """Delete what a lane has done while other lanes of the batch still have work.

    SQS hands out nothing of a group while one of its messages is in flight, and Lambda would delete them at the end of
    the whole batch only: a call would wait for the files that happened to come in one batch with another call. A
    failure to delete costs only that time; Lambda deletes them once more, which does no harm.

    Args:
        records: what succeeded, 10 at most, as one call takes.
    """
    entries: list[DeleteMessageBatchRequestEntryTypeDef] = [
        {"Id": str(number), "ReceiptHandle": record.receipt_handle} for number, record in enumerate(records)
    ]
    if not entries:
        return
    try:
        sqs.delete_message_batch(QueueUrl=queue_url, Entries=entries)
    except (BotoCoreError, ClientError) as exc:
        logger.warning("could not free the lane early", extra={"error": str(exc)})


def hold_lanes(sqs: SQSClient, queue_url: str, records: Sequence[SQSRecord], waits: Mapping[str, int]) -> None:
    """Make the records that failed invisible for as long as their lane must wait.

    A failure to do so costs only time: the records then come back after the queue's visibility timeout.

    Args:
        records: what failed in this batch, 10 at most, as one call takes.
        waits: seconds by lane.
    """
    entries: list[ChangeMessageVisibilityBatchRequestEntryTypeDef] = [
        {
            "Id": str(number),
            "ReceiptHandle": record.receipt_handle,
            "VisibilityTimeout": waits[record.attributes.message_group_id or ""],
        }
        for number, record in enumerate(records)
    ]
    try:
        failures = sqs.change_message_visibility_batch(QueueUrl=queue_url, Entries=entries).get("Failed", [])
    except (BotoCoreError, ClientError) as exc:
        logger.warning("could not hold the lane", extra={"error": str(exc)})
        return
    for failure in failures:
        logger.warning("could not hold a message", extra={"error": failure["Code"]})


def _from_milliseconds(text: str) -> datetime:
    return datetime.fromtimestamp(int(text) / 1000, tz=UTC)
