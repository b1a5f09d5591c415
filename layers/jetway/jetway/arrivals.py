"""What arrives at the gate: a message about an object put in the drop bucket."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime

from jetway.errors import UnknownEventError
from jetway.events import parse_event

_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Arrival:
    """An object that was put in a bucket.

    Attributes:
        key: as it stands in the bucket, not URL-encoded.
        version_id: None when the event names none.
    """

    bucket: str
    key: str
    version_id: str | None


def parse_arrival(body: str) -> Arrival:
    """Read the body of a message: S3's "Object Created" as EventBridge sends it.

    Deletions have no place here yet; they would come as "Object Deleted".

    Raises:
        UnknownEventError: the message is something else.
    """
    try:
        event = json.loads(body)
    except (ValueError, RecursionError) as exc:
        raise UnknownEventError(f"the message is not JSON: {body[:_SHOWN]!r}") from exc
    if not isinstance(event, dict) or (event.get("source"), event.get("detail-type")) != ("aws.s3", "Object Created"):
        raise UnknownEventError(f"the message is no 'Object Created' event of S3: {body[:_SHOWN]!r}")
    facts = parse_event("s3", event, sent_at=datetime.now(UTC)).facts
    return Arrival(facts["bucket"], facts["key"], facts["version_id"])
