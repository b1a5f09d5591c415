"""Dead letters of the dispatch and collect queues: what one says, and the message that it goes back as. Pure functions.

`jetway.dispatch.dead_letters` writes them: {"reason", "error", "trigger", "dag_id", "dag_run_id", "first_try",
"last_try", "tries", "message"}. What SQS itself moved there, after far too many receives, is the bare dispatch message.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from jetway.dispatch.run import bulk_lane, call_lane, schedule_lane
from jetway.errors import PermanentError
from jetway.events.incoming import parse_time

# Kinds whose sender waits for the run: they go back to the lane that they came from.
MOVED_BY_SQS = "received-too-often"
UNDELIVERED = "undelivered"  # what EventBridge or Scheduler could not put on a queue
UNFORESEEN = "unforeseen"  # an error that is none of Jetway's own


def known_reasons() -> list[str]:
    """Return every reason that a dead letter can have, sorted."""
    return sorted({MOVED_BY_SQS, UNDELIVERED, UNFORESEEN, *(kind.reason for kind in _family(PermanentError))})


def _family(kind: type[PermanentError]) -> Iterator[type[PermanentError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _family(child)


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter.

    Attributes:
        id: SQS's id of the message.
        receipt: handle of this receive.
        message: the dispatch message, or None when it was cut or never was one.
        last_try: when it was given up, timezone-aware.
        hopeless: why it cannot be sent back, or None when it can.
    """

    id: str
    receipt: str
    reason: str
    error: str
    trigger: str | None
    dag_id: str | None
    dag_run_id: str | None
    last_try: datetime
    message: Mapping[str, Any] | None
    hopeless: str | None = None

    @property
    def redriven_at(self) -> str | None:
        """When it was sent back before, as it stands in the message."""
        return (self.message or {}).get("redriven_at")


def read_letter(record: Mapping[str, Any]) -> Letter:
    """Read a message of the dead-letter queue as boto3's receive_message returns it."""
    body = json_object(record["Body"])
    sent = datetime.fromtimestamp(int(record["Attributes"]["SentTimestamp"]) / 1000, tz=UTC)
    if "reason" not in body:
        body = {"reason": MOVED_BY_SQS, "message": body}
    message = body.get("message")
    if not isinstance(message, dict) or "message_cut_at" in body or not _is_ours(message):
        message = None
    trigger = message.get("trigger", {}) if message else {}
    return Letter(
        id=record["MessageId"],
        receipt=record["ReceiptHandle"],
        reason=str(body["reason"]),
        error=str(body.get("error") or ""),
        trigger=_text(body.get("trigger")) or _text(trigger.get("name")),
        dag_id=_text(body.get("dag_id")) or _text(trigger.get("dag")),
        dag_run_id=_text(body.get("dag_run_id")),
        last_try=_time(body.get("last_try")) or sent,
        message=message,
        hopeless=None if message else ("its message was too large to be kept whole, or was never a dispatch message"),
    )


def matches(letter: Letter, *, trigger: str | None, reasons: Collection[str], since: datetime | None) -> bool:
    """Whether a letter is one of those that are meant; what is not given does not count."""
    return (
        (trigger is None or letter.trigger == trigger)
        and (not reasons or letter.reason in reasons)
        and (since is None or letter.last_try >= since)
    )


def is_for_a_batch(message: Mapping[str, Any]) -> bool:
    """Whether a message belongs on the collect queue: its trigger has `batch`, or it is a hint of the collector's."""
    return "look_at" in message or "batch" in message["trigger"]


def lane_of(message: Mapping[str, Any], *, one_bulk_lane: bool = False) -> str:
    """Return the lane of a dispatch message; the letter's own message group is not it.

    Args:
        message: the message.
        one_bulk_lane: whether files and events of all triggers share one lane.
    """
    trigger, event = message["trigger"], message.get("event")
    if trigger.get("kind") == "http":
        caller = event.get("caller") if isinstance(event, Mapping) else None
        return call_lane(trigger["name"], str(caller), one_for_all=one_bulk_lane)
    lane = schedule_lane if trigger.get("kind") == "schedule" else bulk_lane
    return lane(trigger["name"], one_for_all=one_bulk_lane)


def body_again(message: Mapping[str, Any], *, now: str, force: str | None = None, by: str | None = None) -> str:
    """Return the body to send: the same event, its age counted from now, its waits forgotten.

    Args:
        by: who sends it.
    """
    again = {name: value for name, value in message.items() if name != "waits"} | {"redriven_at": now}
    if force:
        again["force"] = force
    if by:
        again["redriven_by"] = by
    return json.dumps(again)  # in ASCII: SQS refuses some characters that JSON can hold


def deduplication_id(letter: Letter) -> str:
    """Return the id under which SQS takes a letter's message once in five minutes.

    It is not that of the first sending, or SQS would drop the redrive; and it is the same however often this very
    letter is sent, so that a redrive that was killed before it could delete the letter sends nothing twice when it
    is run again soon. Later than that, the run id sees to it.
    """
    return f"redrive-{letter.id}"


def _is_ours(message: Mapping[str, Any]) -> bool:
    return isinstance(message.get("trigger"), dict) or isinstance(message.get("look_at"), dict)


def json_object(text: str) -> dict[str, Any]:
    """Read a JSON object; an empty one when the text is none."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _time(value: object) -> datetime | None:
    try:
        return parse_time(value) if isinstance(value, str) else None
    except ValueError:
        return None
