"""The ledger's row of a message that could not be read: as much of it as still says whose it is."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING

from jetway.dispatch.run import TRIGGER_NAME
from jetway.ledger import Entry, entry_id

if TYPE_CHECKING:
    from jetway.dispatch.messages import Message
    from jetway.ledger import Decision

UNKNOWN = "unknown"
LONGEST = 250  # characters of what nobody has checked; as long as a dag_id can be


def unread_entry(message: Message, decision: Decision, *, because: str | None, now: datetime) -> Entry:
    """Return the row of a message whose event has no identity that could be read.

    Args:
        now: timezone-aware.
    """
    try:
        trigger = json.loads(message.body)["trigger"]
        name, kind, dag = trigger["name"], trigger.get("kind"), trigger.get("dag")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        name = kind = dag = None
    known = isinstance(name, str) and TRIGGER_NAME.fullmatch(name) is not None
    return Entry(
        id=entry_id(name if known else UNKNOWN, message.message_id),
        trigger=name if known else UNKNOWN,
        kind=_text(kind) or UNKNOWN,
        identity=(),
        decision=decision,
        decided_at=now,
        because=because,
        dag_id=_text(dag),
        message_id=message.message_id,
    )


def _text(value: object) -> str | None:
    return value[:LONGEST] if isinstance(value, str) and value else None
