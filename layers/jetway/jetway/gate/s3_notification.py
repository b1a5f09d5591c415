"""What arrives at the gate: a message about an object put in the drop bucket, or deleted from it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime

from jetway.errors import UnknownEventError
from jetway.events.incoming import parse_event
from jetway.events.principals import By, of_upload

_SHOWN = 200
_TYPES = ("Object Created", "Object Deleted")


@dataclass(frozen=True, slots=True)
class Arrival:
    """An object that was put in a bucket, or deleted from it.

    Attributes:
        key: as it stands in the bucket, not URL-encoded.
        version_id: None when the event names none; of a deletion, the delete marker's.
        expired: a lifecycle rule of the bucket deleted it, and nobody asked for that.
        by: who put or deleted it, as far as S3 tells (`jetway.events.principals`).
    """

    bucket: str
    key: str
    version_id: str | None
    deleted: bool = False
    expired: bool = False
    by: By = field(default_factory=dict)


def settle_again(bucket: str, key: str, version_id: str | None = None) -> str:
    """The body of a message that has the gate settle a key anew, as S3 tells of an object: of this version, or any."""
    of_version = {"version-id": version_id} if version_id else {}
    event = {
        "id": f"settle-again/{bucket}/{key}",
        "source": "aws.s3",
        "detail-type": _TYPES[0],
        "time": datetime.now(UTC).isoformat(),
        "detail": {"bucket": {"name": bucket}, "object": {"key": key, "etag": "any", "sequencer": "0", **of_version}},
    }
    return json.dumps(event)


def parse_arrival(body: str) -> Arrival:
    """Read the body of a message: S3's "Object Created" or "Object Deleted" as EventBridge sends it.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html

    Raises:
        UnknownEventError: the message is something else.
    """
    try:
        event = json.loads(body)
    except (ValueError, RecursionError) as exc:
        raise UnknownEventError(f"the message is not JSON: {body[:_SHOWN]!r}") from exc
    if not isinstance(event, dict) or event.get("source") != "aws.s3" or event.get("detail-type") not in _TYPES:
        raise UnknownEventError(f"the message is not a {' or '.join(_TYPES)} event of S3: {body[:_SHOWN]!r}")
    if event["detail-type"] == _TYPES[0]:
        read = parse_event("s3", event, sent_at=datetime.now(UTC))
        facts = read.facts
        return Arrival(facts["bucket"], facts["key"], facts["version_id"], by=read.by)
    try:
        detail = event["detail"]
        bucket, key, reason = detail["bucket"]["name"], detail["object"]["key"], detail.get("reason", "")
        version_id = detail["object"].get("version-id")
    except (KeyError, TypeError, AttributeError) as exc:
        raise UnknownEventError(f"invalid S3 deletion event: {body[:_SHOWN]!r}") from exc
    if not all(isinstance(text, str) and text for text in (bucket, key)):
        raise UnknownEventError(f"the deletion event names no object: {body[:_SHOWN]!r}")
    expired = str(reason).startswith("Lifecycle")
    return Arrival(bucket, key, version_id, deleted=True, expired=expired, by=of_upload(detail))
