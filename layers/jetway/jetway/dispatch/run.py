"""From a dispatch message to the run that it asks for: identity, run id, conf. Pure functions.

A message on `dispatch.fifo` is self-contained, so that dispatching reads no configuration:

    {"format": 1, "trigger": {"name": "orders", "kind": "s3", "dag": "ingest_orders"},
     "event": {…as its source wrote it…}}

docs/delivery.md lists its other members: conf (a template) and limits in the trigger; `waits`,
`redriven_at` and `force` beside it.

Exactly-once rests on one rule: the run id is a function of the trigger and the event's identity, never random and
never from the clock. Delivery is at-least-once; Airflow's unique (dag_id, run_id) makes it one run.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal, get_args

from jetway.airflow import DagRunRequest
from jetway.dispatch.conf_template import render
from jetway.dispatch.dates import DateRule, dated, derived, parse_dates_of_call
from jetway.dispatch.limits import Rate, WaitingState, parse_age
from jetway.errors import InvalidRequestError, UnknownEventError
from jetway.events.incoming import Event, parse_event, parse_time
from jetway.events.principals import By, cause, note_of
from jetway.formats import check_message

TRIGGER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}", re.ASCII)

# The trigger of calls for a DAG itself; no trigger file may have its name.
CALLS = "http"

# No caller may choose a run id that begins so: the run of an event would be taken for the caller's, or be missing.
DERIVED_PREFIX = "jetway__"
# What `derive_run_id` makes: the trigger's name, and the digest.
DERIVED = re.compile(r"jetway__([A-Za-z0-9][A-Za-z0-9_-]{0,62})__([a-z2-7]{20})", re.ASCII)

# Lanes: message groups of dispatch.fifo. SQS hands out one batch of a group at a time. Whose lane it is stands behind,
# but where Airflow is told one thing at a time.
INTERACTIVE = "interactive"  # somebody waits: HTTP calls and schedules
SCHEDULES = "schedules"  # so that no number of calls holds them up
BULK = "bulk"  # files and events, by the thousand: of all triggers, or with the trigger's name behind it, of one


# What becomes of an event whose DAG is paused: its run is created and queued; or it waits aside; or it has none.
WhenPaused = Literal["start", "wait", "skip", "dead-letter"]


@dataclass(frozen=True, slots=True)
class Trigger:
    """What a message says of the trigger that sent it.

    Attributes:
        name: the trigger's name; part of the run id.
        kind: s3, event, schedule or http.
        dag: the DAG to run, or None when `dag_from_key` tells it.
        dag_from_key: key prefix; the next part of an S3 event's key is the dag_id.
        conf: template of the run's conf; None for the event's facts as they are.
        max_event_age: how old an event may be when its run starts; None for the stack's own limit.
        rate: how many runs may start in which time; None for no limit.
        version: of its file in the drop bucket; None when it has none.
        dates: of its runs.
        when_paused: what becomes of an event whose DAG is paused.
    """

    name: str
    kind: str
    dag: str | None = None
    dag_from_key: str | None = None
    conf: Mapping[str, Any] | None = None
    max_event_age: timedelta | None = None
    rate: Rate | None = None
    version: str | None = None
    dates: DateRule = field(default_factory=DateRule)
    when_paused: WhenPaused = "start"


@dataclass(frozen=True, slots=True)
class DispatchMessage:
    """One message, read; what run it asks for is another question (`plan`).

    Attributes:
        identity: the event's, and what else makes its run that one run: the DAG of a call, `force`.
        digest: of trigger and identity; part of the run id and of the ledger's key.
        age_from: the event's age counts from here: when it happened, or when it was redriven.
        waits: how it has waited aside of its lane since then.
        force: makes a new run of an event that had one.
        redriven_at: when somebody sent it again.
        by: who caused it, by what trigger, and who sent it again (`jetway.events.principals`).
    """

    trigger: Trigger
    event: Event
    identity: tuple[str, ...]
    digest: str
    age_from: datetime
    waits: WaitingState | None = None
    force: str | None = None
    redriven_at: datetime | None = None
    by: By = field(default_factory=dict)

    @property
    def run_id(self) -> str:
        """Id of the run that it asks for; of a call it is the one that its caller was told."""
        if self.trigger.kind == "http" and self.force is None:
            return str(self.event.facts["dag_run_id"])
        return derive_run_id(self.trigger.name, self.identity)

    @property
    def is_run_id_chosen(self) -> bool:
        """Whether a caller chose the run id, so that others may have a run of that id. A derived one is ours alone."""
        derived = DERIVED.fullmatch(self.run_id)
        return derived is None or derived[1] != self.trigger.name  # else of another event


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


def parse_message(body: str, *, sent_at: datetime) -> DispatchMessage:
    """Read one message of the dispatch queue, without asking what run it means.

    Args:
        body: the message's body.
        sent_at: when SQS took it.

    Raises:
        UnknownEventError: not a dispatch message, or an event of unknown shape.
        NewerFormatError: a newer version of Jetway has written it.
    """
    try:
        message = json.loads(body)
        check_message(message)
        trigger = _parse_trigger(message["trigger"])
        event_body = message["event"]
        force = _parse_force(message.get("force"))
        redriven_at = parse_time(message["redriven_at"]) if message.get("redriven_at") else None
        waits = WaitingState.parse(message["waits"]) if message.get("waits") else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
        raise UnknownEventError(
            f'not a dispatch message ({exc!r}): it must be {{"trigger": {{…}}, "event": {{…}}}}.'
        ) from exc
    event = parse_event(trigger.kind, event_body, sent_at=sent_at)
    identity = _identity(trigger, event, force)
    if redriven_at is not None and waits is not None and waits.since < redriven_at:
        waits = None  # it waited in its former life; now it has all its time again
    return DispatchMessage(
        trigger=trigger,
        event=event,
        identity=identity,
        digest=derive_digest(trigger.name, identity),
        age_from=max(event.occurred_at, redriven_at) if redriven_at else event.occurred_at,
        waits=waits,
        force=force,
        redriven_at=redriven_at,
        by=cause(**{**event.by, **by_of(trigger.name, trigger.version), "redriven_by": message.get("redriven_by")}),
    )


def plan(message: DispatchMessage, *, major: Callable[[], int]) -> Dispatch:
    """Say what run a message asks for.

    Args:
        message: as `parse_message` returns it.
        major: returns Airflow's major version; called only where the run's dates depend on it.

    Raises:
        InvalidRequestError: it asks for a run that Airflow could never have.
        InvalidConfError: the trigger's conf asks for what the event does not have.
        TransientError: the version is not to be learnt now.
    """
    trigger, event = message.trigger, message.event
    run_id = derive_run_id(trigger.name, message.identity)
    note = note_of(message.by)
    if trigger.kind == "http":
        call = _request_of_call(trigger, event.facts, run_id if message.force else None)
        call = replace(call, note="\n".join(filter(None, (call.note, note))) or None)
        return Dispatch(trigger, event, derived(call, trigger.dates, event, major=major))
    if trigger.kind == "s3" and _is_folder_marker(trigger, event.facts):
        return Dispatch(trigger, event, None, skipped_because="the object is a folder marker (its key ends in /)")
    dag_id = trigger.dag or dag_id_of_key(str(event.facts.get("key", "")), trigger.dag_from_key or "")
    facts = _nameable(trigger, event.facts)
    conf = event.facts if trigger.conf is None else render(trigger.conf, facts)
    request = DagRunRequest(dag_id=dag_id, dag_run_id=run_id, conf=conf, note=note)
    return Dispatch(trigger, event, dated(request, trigger.dates, event, facts, major=major))


def bulk_lane(trigger: str, *, one_for_all: bool = False) -> str:
    """Return the lane of a trigger's files and events.

    Args:
        trigger: its name.
        one_for_all: the lane of all triggers, where Airflow is told one thing at a time (Transport: cli).

    >>> bulk_lane("orders"), bulk_lane("orders", one_for_all=True)
    ('bulk/orders', 'bulk')
    """
    return BULK if one_for_all else f"{BULK}/{trigger}"


def schedule_lane(trigger: str, *, one_for_all: bool = False) -> str:
    """Return the lane of a schedule.

    Args:
        trigger: its name.
        one_for_all: as for `bulk_lane`.

    >>> schedule_lane("nightly"), schedule_lane("nightly", one_for_all=True)
    ('interactive/nightly', 'interactive/schedules')
    """
    return f"{INTERACTIVE}/{SCHEDULES if one_for_all else trigger}"


def call_lane(trigger: str, caller: str, *, one_for_all: bool = False) -> str:
    """Return the lane of a call: that of its trigger file; of calls for a DAG itself, that of its caller.

    Args:
        trigger: its name.
        caller: who makes it, the same from call to call.
        one_for_all: as for `bulk_lane`.

    >>> call_lane("orders", "x"), call_lane("http", "arn:aws:iam::111122223333:user/ann")
    ('interactive/orders', 'interactive/http/733ols3rebdxlhfwsyms')
    """
    if one_for_all:
        return INTERACTIVE
    return f"{INTERACTIVE}/{trigger}" + (f"/{derive_digest(CALLS, [caller])}" if trigger == CALLS else "")


def is_interactive(lane: str) -> bool:
    """Whether somebody waits for the messages of a lane."""
    return lane.partition("/")[0] == INTERACTIVE


def derive_digest(trigger: str, identity: Iterable[str]) -> str:
    """Derive 100 bits from the trigger's name and an event's identity, as 20 characters.

    >>> derive_digest("orders", ["s3", "acme", "a.csv", "version-id", "1"])
    'neao5nwq7jut2lxa4mqj'
    """
    # JSON keeps the parts apart: ("a/b", "c") and ("a", "b/c") differ.
    digest = hashlib.sha256(json.dumps([trigger, *identity]).encode()).digest()
    return base64.b32encode(digest).decode().lower()[:20]


def derive_run_id(trigger: str, identity: Iterable[str]) -> str:
    """Derive the run id of an event: readable trigger name, then 100 bits of a digest over name and identity.

    >>> derive_run_id("orders", ["s3", "acme", "a.csv", "version-id", "1"])
    'jetway__orders__neao5nwq7jut2lxa4mqj'
    """
    return f"{DERIVED_PREFIX}{trigger}__{derive_digest(trigger, identity)}"


def dag_id_of_key(key: str, prefix: str) -> str:
    """Return the dag_id that a key under `prefix` names: data/<dag_id>/anything.

    Raises:
        InvalidRequestError: the key names no DAG.
    """
    dag_id, slash, _name = key.removeprefix(prefix).partition("/")
    if not key.startswith(prefix) or not slash or not dag_id:
        raise InvalidRequestError(
            f"key {key!r} names no DAG. Put the file under {prefix}<dag_id>/, for example {prefix}my_dag/file.csv."
        )
    return dag_id


def _parse_trigger(value: Mapping[str, Any]) -> Trigger:
    rate = value.get("rate")
    trigger = Trigger(
        value["name"],
        value["kind"],
        value.get("dag"),
        value.get("dag_from_key"),
        conf=value.get("conf"),
        max_event_age=parse_age(value.get("max_event_age")),
        rate=None if rate is None else Rate.parse(rate),
        version=value.get("version"),
        dates=DateRule.parse(value),
        when_paused=value.get("when_paused", "start"),
    )
    if trigger.when_paused not in get_args(WhenPaused):
        raise ValueError(f"when_paused is {trigger.when_paused!r}")
    if not isinstance(trigger.kind, str):
        raise TypeError("a trigger's kind must be a string")
    if trigger.conf is not None and not isinstance(trigger.conf, dict):
        raise TypeError("a trigger's conf must be a JSON object")
    for text in (trigger.dag, trigger.dag_from_key, trigger.version):
        if text is not None and not isinstance(text, str):
            raise TypeError("a trigger's dag, dag_from_key and version must be strings")
    if not TRIGGER_NAME.fullmatch(trigger.name):
        raise ValueError(f"trigger name {trigger.name!r} does not match {TRIGGER_NAME.pattern}")
    if trigger.dag is None and (trigger.dag_from_key is None or trigger.kind != "s3"):
        raise ValueError("the trigger names no DAG")
    return trigger


def by_of(trigger: str, version: object) -> By:
    """Return the cause that a trigger file is.

    Args:
        trigger: its name.
        version: as a message has it; None of a trigger that is no file.
    """
    return {"trigger": f"triggers/{trigger}.yaml@{version}"} if isinstance(version, str) else {}


def _is_folder_marker(trigger: Trigger, facts: Mapping[str, Any]) -> bool:
    """Whether the object is what the S3 console makes of a "folder": no file that anybody waits for."""
    return str(facts["key"]).endswith("/") and (trigger.dag_from_key is not None or facts["size"] == 0)


def _nameable(trigger: Trigger, facts: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a template may name: a batch whose list of events is too long for conf still has the name `events`."""
    return {"events": None, **facts} if trigger.kind == "batch" else facts


def _parse_force(value: object) -> str | None:
    if value is not None and (not isinstance(value, str) or not value):
        raise TypeError("force must be a string")
    return value


def _identity(trigger: Trigger, event: Event, force: str | None) -> tuple[str, ...]:
    identity = event.identity
    if trigger.kind == "http" and trigger.name == CALLS:
        identity = (*identity, trigger.dag or "")  # callers choose run ids, which are unique in one DAG only
    return identity if force is None else (*identity, "force", force)


def _request_of_call(trigger: Trigger, facts: Mapping[str, Any], forced_run_id: str | None) -> DagRunRequest:
    return DagRunRequest(
        dag_id=trigger.dag or "",
        dag_run_id=forced_run_id or facts["dag_run_id"],
        conf=facts["conf"] or {},
        note=facts["note"],
        **parse_dates_of_call(facts),
    )
