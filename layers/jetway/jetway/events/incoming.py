"""AWS events as facts: what happened, when, and what makes it that one event.

An event's identity is what stays the same however often it is delivered. The run id is derived from it
(`jetway.dispatch.run`), so a second delivery meets its own run. Facts are what a trigger's conf is made of.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from jetway.errors import UnknownEventError
from jetway.events.principals import By, cause, of_upload

# What an event claims beyond that is no count of runs.
LONGEST_CHAIN = 1_000_000


@dataclass(frozen=True, slots=True)
class Event:
    """One event.

    Attributes:
        identity: texts that name this event and no other; equal for every delivery of it.
        occurred_at: when it happened, timezone-aware.
        facts: a JSON object, flat where possible: the default conf of its run.
        chain: how many runs in a row have led to it, each started by the event of the one before; 0 for an event that
            is none of Jetway's.
        by: who caused it (`jetway.events.principals`).
        newest_at: of many events together, when the newest happened.
    """

    identity: tuple[str, ...]
    occurred_at: datetime
    facts: Mapping[str, Any]
    chain: int = 0
    by: By = field(default_factory=dict)
    newest_at: datetime | None = None

    @property
    def dated_at(self) -> datetime:
        """The moment that its run is of."""
        return self.newest_at or self.occurred_at


def parse_event(kind: str, body: object, *, sent_at: datetime) -> Event:
    """Read the `event` part of a dispatch message.

    Args:
        kind: s3, event, schedule, http or batch.
        body: the event as its source wrote it.
        sent_at: when it was put on the queue; stands in where the source gives no time.

    Raises:
        UnknownEventError: the body is not of that kind.
    """
    read = _READERS.get(kind)
    if read is None:
        raise UnknownEventError(f"trigger kind {kind!r} is unknown; Jetway knows {', '.join(sorted(_READERS))}.")
    if not isinstance(body, dict):
        raise UnknownEventError(f"the {kind} event is a JSON {type(body).__name__}, not an object.")
    try:
        return read(body, sent_at)
    except KeyError as exc:
        raise UnknownEventError(f"the {kind} event has no {exc.args[0]!r} where its source writes one.") from exc
    except (TypeError, AttributeError, ValueError) as exc:
        raise UnknownEventError(f"invalid {kind} event: {exc!r}.") from exc


def parse_time(text: str) -> datetime:
    """Read an ISO 8601 time; one without an offset is UTC.

    Raises:
        ValueError: the text is no such time.
    """
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def chain_of(body: Mapping[str, Any]) -> int:
    """Return how many runs in a row have led to an event of EventBridge, as Jetway says in its own; 0 in all others."""
    detail = body.get("detail")
    told = detail.get("chain") if body.get("source") == "jetway" and isinstance(detail, Mapping) else None
    return told if isinstance(told, int) and not isinstance(told, bool) and 0 < told <= LONGEST_CHAIN else 0


def _read_s3(body: Mapping[str, Any], _sent_at: datetime) -> Event:
    """S3 "Object Created" through EventBridge.

    The key is taken as it stands: unlike S3's own notifications, EventBridge's are not URL-encoded. A bucket
    without versioning sends no version-id; etag and sequencer then tell one upload from the next.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
    """
    detail = body["detail"]
    bucket, obj = detail["bucket"]["name"], detail["object"]
    key, version_id = obj["key"], obj.get("version-id")
    _require_text(bucket, key)
    version = ("version-id", version_id) if version_id else ("sequencer", obj["sequencer"], obj.get("etag") or "")
    _require_text(*version)
    return Event(
        identity=("s3", bucket, key, *version),
        occurred_at=parse_time(body["time"]),
        facts={
            "bucket": bucket,
            "key": key,
            "version_id": version_id,
            "etag": obj.get("etag"),
            "size": obj.get("size"),
            "event_time": body["time"],
            "event_id": body.get("id"),
        },
        by=of_upload(detail),
    )


def _read_event(body: Mapping[str, Any], _sent_at: datetime) -> Event:
    """Any event of EventBridge: its id is its identity, and it is the facts itself.

    Jetway's own events are sent at least once, each copy with an id of EventBridge's; `detail.id` is what the copies
    have in common (docs/events.md), so that one run's end starts one run.
    """
    _require_text(body["id"], body["source"], body["detail-type"])
    id_ = body["detail"]["id"] if body["source"] == "jetway" and "id" in body["detail"] else body["id"]
    _require_text(id_)
    return Event(
        identity=("event", body["source"], id_),
        occurred_at=parse_time(body["time"]),
        facts=dict(body),
        chain=chain_of(body),
        by=cause(account=body.get("account")),
    )


def _read_schedule(body: Mapping[str, Any], _sent_at: datetime) -> Event:
    """A firing of EventBridge Scheduler, which delivers at least once: name and planned time identify it.

    https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html
    """
    arn, scheduled_time = body["schedule-arn"], body["scheduled-time"]
    _require_text(arn)
    return Event(
        identity=("schedule", arn, scheduled_time),
        occurred_at=parse_time(scheduled_time),
        facts={"schedule": arn.rpartition("/")[2], "scheduled_time": scheduled_time},
    )


def _read_http(body: Mapping[str, Any], sent_at: datetime) -> Event:
    """A call that `http_api` has accepted and given a run id."""
    run_id = body["dag_run_id"]
    _require_text(run_id)
    time = body.get("time")
    return Event(
        identity=("http", run_id),
        occurred_at=parse_time(time) if time else sent_at,
        facts={name: body.get(name) for name in ("dag_run_id", "conf", "note")}
        # A call without the member has left the date to Jetway; null asks for none.
        | {name: body[name] for name in ("logical_date", "data_interval") if name in body},
        by=cause(principal=body.get("by") or body.get("caller"), request_id=body.get("request_id")),
    )


def _read_batch(body: Mapping[str, Any], _sent_at: datetime) -> Event:
    """A batch of events that is complete (`jetway.batches`): its facts name the manifest that lists the events."""
    _require_text(body["batch_id"], body["manifest"])
    return Event(
        identity=("batch", body["batch_id"]),
        occurred_at=parse_time(body["time"]),
        facts={name: value for name, value in body.items() if name != "chain"},
        newest_at=parse_time(body["newest_time"]) if "newest_time" in body else None,
        chain=int(body.get("chain", 0)),
    )


def _require_text(*values: object) -> None:
    for value in values:
        if not isinstance(value, str) or not value:
            raise ValueError(f"expected a string, found {json.dumps(value, default=repr)}")


_READERS: dict[str, Callable[[Mapping[str, Any], datetime], Event]] = {
    "s3": _read_s3,
    "event": _read_event,
    "schedule": _read_schedule,
    "http": _read_http,
    "batch": _read_batch,
}
