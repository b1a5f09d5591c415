"""From a dispatch message to the run that it asks for: identity, run id, conf. Pure functions.

A message on `dispatch.fifo` is self-contained, so that dispatching reads no configuration:

    {"trigger": {"name": "orders", "kind": "s3", "dag": "ingest_orders"}, "event": {…as its source wrote it…}}

Exactly-once rests on one rule: the run id is a function of the trigger and the event's identity, never random and
never from the clock. Delivery is at-least-once; Airflow's unique (dag_id, run_id) makes it one run.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from jetway.airflow import DagRunRequest
from jetway.errors import InvalidRequestError, UnknownEventError
from jetway.events import Event, parse_event, parse_time

TRIGGER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}", re.ASCII)

# Lanes: message groups of dispatch.fifo. SQS hands out one batch of a group at a time.
INTERACTIVE = "interactive"  # somebody waits: HTTP calls, schedules
BULK = "bulk"  # files and events, by the thousand


@dataclass(frozen=True, slots=True)
class Trigger:
    """What a message says of the trigger that sent it.

    Attributes:
        name: the trigger's name; part of the run id.
        kind: s3, event, schedule or http.
        dag: the DAG to run, or None when `dag_from_key` tells it.
        dag_from_key: key prefix; the next part of an S3 event's key is the dag_id.
    """

    name: str
    kind: str
    dag: str | None = None
    dag_from_key: str | None = None


@dataclass(frozen=True, slots=True)
class Dispatch:
    """One message, understood.

    Attributes:
        request: the run to create, or None when the event starts none.
        skipped_because: why it starts none.
    """

    trigger: Trigger
    event: Event
    request: DagRunRequest | None
    skipped_because: str | None = None


def parse_dispatch(body: str, *, sent_at: datetime) -> Dispatch:
    """Read one message of the dispatch queue.

    Args:
        body: the message's body.
        sent_at: when SQS took it.

    Raises:
        UnknownEventError: not a dispatch message, or an event of unknown shape.
        InvalidRequestError: it asks for a run that Airflow could never have.
    """
    try:
        message = json.loads(body)
        trigger = _parse_trigger(message["trigger"])
        event_body = message["event"]
    except (ValueError, KeyError, TypeError, RecursionError) as exc:
        raise UnknownEventError(
            f'not a dispatch message ({exc!r}): it must be {{"trigger": {{…}}, "event": {{…}}}}.'
        ) from exc
    event = parse_event(trigger.kind, event_body, sent_at=sent_at)
    if trigger.kind == "http":
        return Dispatch(trigger, event, _request_of_call(trigger, event.facts))
    if trigger.dag_from_key is not None and str(event.facts["key"]).endswith("/"):
        return Dispatch(trigger, event, None, skipped_because="the object is a folder marker (its key ends in /)")
    dag_id = trigger.dag or dag_id_of_key(str(event.facts.get("key", "")), trigger.dag_from_key or "")
    run_id = derive_run_id(trigger.name, event.identity)
    return Dispatch(trigger, event, DagRunRequest(dag_id=dag_id, dag_run_id=run_id, conf=event.facts))


def derive_run_id(trigger: str, identity: Iterable[str]) -> str:
    """Derive the run id of an event: readable trigger name, then 100 bits of a digest over name and identity.

    >>> derive_run_id("orders", ["s3", "acme", "a.csv", "version-id", "1"])
    'jetway__orders__neao5nwq7jut2lxa4mqj'
    """
    # JSON keeps the parts apart: ("a/b", "c") and ("a", "b/c") differ.
    digest = hashlib.sha256(json.dumps([trigger, *identity]).encode()).digest()
    return f"jetway__{trigger}__{base64.b32encode(digest).decode().lower()[:20]}"


def dag_id_of_key(key: str, prefix: str) -> str:
    """Return the dag_id that a key under `prefix` names: data/<dag_id>/anything.

    Raises:
        InvalidRequestError: the key names no DAG.
    """
    dag_id, slash, _name = key.removeprefix(prefix).partition("/")
    if not key.startswith(prefix) or not slash or not dag_id:
        raise InvalidRequestError(
            f"key {key!r} names no DAG; put the file under {prefix}<dag_id>/, for example {prefix}my_dag/file.csv."
        )
    return dag_id


def _parse_trigger(value: Mapping[str, Any]) -> Trigger:
    trigger = Trigger(value["name"], value["kind"], value.get("dag"), value.get("dag_from_key"))
    if not isinstance(trigger.kind, str):
        raise TypeError("a trigger's kind is a text")
    for text in (trigger.dag, trigger.dag_from_key):
        if text is not None and not isinstance(text, str):
            raise TypeError("a trigger's dag and dag_from_key are texts")
    if not TRIGGER_NAME.fullmatch(trigger.name):
        raise ValueError(f"trigger name {trigger.name!r} does not match {TRIGGER_NAME.pattern}")
    if trigger.dag is None and (trigger.dag_from_key is None or trigger.kind != "s3"):
        raise ValueError("the trigger names no DAG")
    return trigger


def _request_of_call(trigger: Trigger, facts: Mapping[str, Any]) -> DagRunRequest:
    logical_date = facts["logical_date"]
    try:
        return DagRunRequest(
            dag_id=trigger.dag or "",
            dag_run_id=facts["dag_run_id"],
            conf=facts["conf"] or {},
            logical_date=parse_time(logical_date) if logical_date else None,
            note=facts["note"],
        )
    except (ValueError, TypeError) as exc:
        raise InvalidRequestError(f"logical_date {logical_date!r} is no ISO 8601 time with an offset: {exc}.") from exc
