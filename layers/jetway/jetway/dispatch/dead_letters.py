"""Dead letters: what could not become a run, whole, with the reason."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from jetway.dispatch.unreadable import UNKNOWN
from jetway.errors import JetwayError

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

    from jetway.dispatch.messages import Message
    from jetway.ledger import Entry

# SQS takes 1 MiB a message. A dead letter adds to its original; where both together are more, the original is cut.
LONGEST_LETTER = 1024 * 1024 - 1024  # bytes; the rest is for the message's attributes
LONGEST_CUT = 100_000  # characters, any of which may take six bytes
LONGEST_ERROR = 4096  # characters


def reason_of(exc: Exception) -> str:
    """Return the stable word for an error."""
    return exc.reason if isinstance(exc, JetwayError) else "unforeseen"


def send_dead_letter(sqs: SQSClient, url: str, message: Message, exc: Exception | None = None, *, entry: Entry) -> None:
    """Keep the message with its reason; only then may it leave the dispatch queue.

    SQS drops a second copy of one dead letter within five minutes: the id is that of the message as it first came.

    Args:
        exc: the reason; None when an earlier try knew it, and the entry has it.
        entry: what became of the event, and when: its row in the ledger.
    """
    reason, _, text = (entry.because or "").partition(": ")
    letter: dict[str, Any] = {
        "reason": reason,
        "error": (text if exc is None else f"{type(exc).__name__}: {exc}")[:LONGEST_ERROR],
        "trigger": None if entry.trigger == UNKNOWN else entry.trigger,
        "dag_id": entry.dag_id,
        "dag_run_id": entry.dag_run_id,
        "first_try": _first_try(message).isoformat(),
        "last_try": entry.decided_at.isoformat(),
        "tries": message.tries,
        "message": _parsed(message.body),
    }
    body = json.dumps(letter)  # in ASCII: SQS refuses some characters that JSON can hold
    if len(body) > LONGEST_LETTER:
        body = json.dumps(letter | {"message": message.body[:LONGEST_CUT], "message_cut_at": LONGEST_CUT})
    sqs.send_message(
        QueueUrl=url,
        MessageBody=body,
        MessageGroupId=hashlib.sha256((message.group + message.message_id).encode()).hexdigest(),
        MessageDeduplicationId=entry.message_id or message.message_id,
        MessageAttributes={"reason": {"DataType": "String", "StringValue": reason}},
    )


def _first_try(message: Message) -> datetime:
    """Return when the message was tried first, also when it has waited aside since then."""
    from jetway.dispatch.limits import WaitingState

    try:
        waits = WaitingState.parse(json.loads(message.body)["waits"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return message.first_tried_at
    return min(waits.first or waits.since, message.first_tried_at)


def _parsed(body: str) -> Any:
    """Return the body as JSON where it is JSON: read by people, and not escaped to twice its size."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return body
