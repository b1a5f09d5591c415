"""What invokes functions: records of queues, schedules, and messages as triggers send them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.unit.sample_events import sample_event

from .edge import ACCOUNT, REGION


def records(
    *bodies: object, groups: str = "", receives: int = 1, ids: str = "m", tried_for: timedelta = timedelta()
) -> dict[str, Any]:
    """Return what Lambda reads from a queue; the messages are m0, m1 and so on.

    Args:
        bodies: texts, or anything else as JSON.
        groups: a letter for each message's group.
        receives: how often each was received.
        tried_for: since it was received first.
    """
    now, first = (str(int((datetime.now(UTC) - ago).timestamp() * 1000)) for ago in (timedelta(), tried_for))
    (sample, *_) = sample_event("dispatch_batch")["Records"]
    found = []
    for number, body in enumerate(bodies):
        attributes = {
            "ApproximateReceiveCount": str(receives),
            "SentTimestamp": now,
            "ApproximateFirstReceiveTimestamp": first,
            **({"MessageGroupId": groups[number]} if groups else {}),
        }
        record = {
            "messageId": f"{ids}{number}",
            "receiptHandle": f"handle-{ids}{number}",
            "body": body if isinstance(body, str) else json.dumps(body),
            "attributes": attributes,
            "messageAttributes": {},
        }
        found.append(sample | record)
    return {"Records": found}


def scheduled() -> dict[str, Any]:
    """Return what a schedule of EventBridge sends.

    https://docs.aws.amazon.com/eventbridge/latest/ref/events-ref-scheduled-event.html
    """
    return {
        "version": "0",
        "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa",
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": ACCOUNT,
        "time": "2026-11-22T06:00:00Z",
        "region": REGION,
        "resources": [f"arn:aws:events:{REGION}:{ACCOUNT}:rule/jetway-EveryMinute"],
        "detail": {},
    }


def chained_event(place: int, **more: Any) -> dict[str, Any]:
    """Return the message of a trigger that saw Jetway's event on a run with this place in its chain."""
    time = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    detail = {"id": f"orders#r{place}", "dag_id": "orders", "dag_run_id": f"r{place}", "chain": place}
    event = {"id": "1", "source": "jetway", "detail-type": "DagRunSucceeded", "time": time, "detail": detail}
    return {"trigger": {"name": "again", "kind": "event", "dag": "ingest", **more}, "event": event}


def file_event(key: str, *, time: str = "", trigger: str = "orders", **more: Any) -> dict[str, Any]:
    """Return the message of a trigger whose rule saw an upload, a moment ago by default; `more` is of the trigger."""
    detail = {"bucket": {"name": "acme-landing"}, "object": {"key": key, "size": 5, "etag": "e", "version-id": key}}
    event = {"id": "1", "time": time or f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", "detail": detail}
    return {"trigger": {"name": trigger, "kind": "s3", "dag": "ingest", **more}, "event": event}
