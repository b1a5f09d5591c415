"""What Jetway tells the world: events on an EventBridge bus. docs/events.md describes them.

Delivery is at-least-once. `detail.id` is the same for every copy of one event, so that a consumer can tell; a trigger
of Jetway's own does (`jetway.events`), which makes chains of DAGs exactly-once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from jetway.errors import TransientError
from jetway.observability import logger

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_events.type_defs import PutEventsRequestEntryTypeDef

SOURCE = "jetway"

# https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html
ENTRIES_PER_CALL = 10
LONGEST_TEXT = 4096  # characters of one member; keeps an event far below the 256 KB that a call takes


class EventsOutError(TransientError):
    """EventBridge did not take an event."""

    reason = "events-out"


@dataclass(frozen=True, slots=True)
class OutEvent:
    """One event to be sent.

    Attributes:
        detail_type: DagRunStarted, EventDeadLettered, DagRunSucceeded, DagRunFailed, ArtifactPromoted….
        id: the same for every copy of this event; becomes `detail.id`.
        time: when it happened, timezone-aware.
        detail: a JSON object.
    """

    detail_type: str
    id: str
    time: datetime
    detail: Mapping[str, Any]


def put(client: EventBridgeClient, bus: str, events: Sequence[OutEvent]) -> None:
    """Send events, ten a call.

    Args:
        client: boto3's events client.
        bus: name or ARN of the bus.

    Raises:
        EventsOutError: at least one was not taken; the text says why. Those before it may have been.
    """
    for start in range(0, len(events), ENTRIES_PER_CALL):
        entries = [_entry(bus, event) for event in events[start : start + ENTRIES_PER_CALL]]
        try:
            answer = client.put_events(Entries=entries)
        except (ClientError, BotoCoreError) as exc:
            raise EventsOutError(f"PutEvents to bus {bus!r} failed: {exc}") from exc
        if answer["FailedEntryCount"]:
            failed = next(entry for entry in answer["Entries"] if "ErrorCode" in entry)
            raise EventsOutError(
                f"bus {bus!r} rejected {answer['FailedEntryCount']} of {len(entries)} events: "
                f"{failed.get('ErrorCode')}: {failed.get('ErrorMessage')}"
            )


def is_taken(tell: Callable[[OutEvent], None], event: OutEvent) -> bool:
    """Tell the bus; return whether it has taken it. What it has not is logged."""
    try:
        tell(event)
    except EventsOutError as exc:
        logger.warning("an outgoing event waits", extra={"id": event.id, "error": str(exc)})
        return False
    return True


def _entry(bus: str, event: OutEvent) -> PutEventsRequestEntryTypeDef:
    return {
        "EventBusName": bus,
        "Source": SOURCE,
        "DetailType": event.detail_type,
        "Time": event.time,
        "Detail": json.dumps({"id": event.id, **event.detail}),
    }
