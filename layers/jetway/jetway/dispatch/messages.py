"""One message of the dispatch queue as its reader sees it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


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
