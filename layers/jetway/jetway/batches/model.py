"""What a batch is made of: collect messages, members, manifest, dispatch message. Pure functions.

The batch id is a digest over the members that opened the batch, and no event is ever claimed twice: so no two batches
share an id, and none comes from chance or from the clock. Membership is final when a batch is closed: whoever
finishes it, however often, comes to the same manifest byte by byte, and to the same run id.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from jetway.airflow.names import encode_conf
from jetway.dispatch.run import TRIGGER_NAME, by_of, derive_digest, derive_run_id
from jetway.errors import InvalidConfError, InvalidRequestError, UnknownEventError
from jetway.events.incoming import chain_of, parse_event, parse_time
from jetway.events.principals import By, cause
from jetway.formats import MEMBER, MESSAGE, check_message

MANIFESTS = "batches/"  # prefix in the drop bucket
MANIFEST_FORMAT = "jetway-batch/1"

MOST_EVENTS = 10_000  # that `max_events` may ask for
LONGEST_WITHIN = timedelta(days=1)

# A page of members is one DynamoDB item (400 KB at most), and one event must fit on a page.
LARGEST_MEMBER = 256 * 1024  # bytes of its facts as JSON

# conf takes 64 KiB (jetway.airflow.names); a conf template may repeat some of it.
LARGEST_LIST_IN_CONF = 32 * 1024  # bytes of the events' facts as JSON


@dataclass(frozen=True, slots=True)
class BatchMember:
    """One event that belongs in a batch.

    Attributes:
        digest: names the event among those of its trigger, as in the ledger's key.
        facts: as JSON in ASCII.
        identity: as in `jetway.dispatch.run.DispatchMessage`, for the ledger; a batch's pages do not keep it.
        redriven_at: when somebody sent the event's dead letter again; a batch's pages do not keep it either.
        chain: as in `jetway.events.Event`; a batch's pages do not keep it, for its facts say it.
        by: who caused it; for the ledger, as identity.
    """

    digest: str
    occurred_at: datetime
    facts: str
    identity: tuple[str, ...] = ()
    redriven_at: datetime | None = None
    chain: int = 0
    by: By = field(default_factory=dict, hash=False)

    @property
    def size(self) -> int:
        """Bytes that its facts take in a page."""
        return len(self.facts)


@dataclass(frozen=True, slots=True)
class Stream:
    """The events that may share a batch: those of one trigger, under one and the same definition of it.

    A trigger that is changed opens new batches; those of its old definition end by their own deadline.

    Attributes:
        trigger: as it stands in the message, as JSON.
        max_events: events that close a batch.
        within: time after its first event that closes a batch.
    """

    name: str
    trigger: str
    max_events: int
    within: timedelta

    @property
    def id(self) -> str:
        """Name and digest of the definition."""
        return f"{self.name}#{_digest(self.trigger)}"


@dataclass(frozen=True, slots=True)
class Closed:
    """A batch that takes no more events.

    Attributes:
        trigger: as in `Stream`.
        opened_at, closed_at: ISO 8601.
        members: all of them, in the order of the manifest.
    """

    batch_id: str
    name: str
    trigger: str
    opened_at: str
    closed_at: str
    members: tuple[BatchMember, ...]

    @property
    def manifest_key(self) -> str:
        """Where in the drop bucket the manifest is."""
        return f"{MANIFESTS}{self.name}/{self.batch_id}.json"

    @property
    def dag_run_id(self) -> str:
        """Id of the batch's run."""
        return run_id_of_batch(self.name, self.batch_id)


def run_id_of_batch(name: str, batch_id: str) -> str:
    """Return the id of a batch's run, which is known as soon as the batch is open.

    The dispatcher derives the same from the dispatch message (`jetway.events`).
    """
    return derive_run_id(name, ("batch", batch_id))


def batch_id_of(name: str, members: Iterable[BatchMember]) -> str:
    """Return the id of the batch that these members open, the first that are put into it."""
    return _digest(json.dumps([name, *sorted(member.digest for member in members)]))


def parse_member(body: str, *, sent_at: datetime) -> tuple[Stream, BatchMember]:
    """Read one message of the collect queue: a dispatch message whose trigger has `batch`.

    Args:
        sent_at: when SQS took it.

    Raises:
        UnknownEventError: no such message, or an event of unknown shape.
        NewerFormatError: a newer version of Jetway has written it.
        InvalidRequestError: a trigger that has no DAG of its own, or bounds that no batch can have.
        InvalidConfError: an event too large for a batch.
    """
    try:
        message = json.loads(body)
        check_message(message)
        trigger, event_body, forced = message["trigger"], message["event"], message.get("force")
        name, kind = trigger["name"], trigger["kind"]
        max_events, within = trigger["batch"]["max_events"], trigger["batch"]["within"]
        redriven_at = parse_time(message["redriven_at"]) if message.get("redriven_at") else None
        definition = json.dumps(trigger, sort_keys=True, allow_nan=False)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
        raise UnknownEventError(
            f'not a message of a batch ({exc!r}): it must be {{"trigger": {{…, "batch": {{"max_events": …, '
            '"within": seconds}}, "event": {…}}.'
        ) from exc
    if not isinstance(name, str) or not TRIGGER_NAME.fullmatch(name) or not isinstance(kind, str):
        raise UnknownEventError(f"trigger name {name!r} or kind {kind!r} is not one that Jetway knows.")
    if not isinstance(trigger.get("dag"), str):
        raise InvalidRequestError(f"trigger {name!r} has `batch` and must name its DAG with `dag`.")
    event = parse_event(kind, event_body, sent_at=sent_at)
    identity = (*event.identity, "force", forced) if isinstance(forced, str) else event.identity
    member = BatchMember(
        digest=derive_digest(name, identity),
        occurred_at=event.occurred_at,
        facts=_encode(event.facts),
        identity=identity,
        redriven_at=redriven_at,
        chain=event.chain,
        by=cause(**{**event.by, **by_of(name, trigger.get("version")), "redriven_by": message.get("redriven_by")}),
    )
    seconds = _bounded("within", within, int(LONGEST_WITHIN.total_seconds()))
    return Stream(name, definition, _bounded("max_events", max_events, MOST_EVENTS), timedelta(seconds=seconds)), member


def in_order(members: Iterable[BatchMember]) -> tuple[BatchMember, ...]:
    """Return the members in the order of the manifest: by time, then by digest."""
    return tuple(sorted(members, key=lambda member: (member.occurred_at, member.digest)))


def manifest(batch: Closed) -> bytes:
    """Return the manifest: one JSON object, the same bytes whenever it is made.

    Its `events` are the members' facts, in the order of `in_order`.
    """
    head = {
        "format": MANIFEST_FORMAT,
        "batch_id": batch.batch_id,
        "trigger": batch.name,
        "dag_run_id": batch.dag_run_id,
        "opened_at": batch.opened_at,
        "closed_at": batch.closed_at,
        "count": len(batch.members),
    }
    events = ",\n".join(member.facts for member in batch.members)
    return f'{json.dumps(head)[:-1]}, "events": [\n{events}\n]}}\n'.encode()


def dispatch_message(batch: Closed, bucket: str) -> str:
    """Return the body of the one message that starts the batch's run."""
    trigger = json.loads(batch.trigger)
    definition = {name: value for name, value in trigger.items() if name not in {"batch", "kind"}}
    event: dict[str, Any] = {
        "batch_id": batch.batch_id,
        "manifest": f"s3://{bucket}/{batch.manifest_key}",
        "count": len(batch.members),
        "time": batch.closed_at,  # a run's latency and age count from when its batch was complete
        "newest_time": max(member.occurred_at for member in batch.members).isoformat(),  # the run's logical date
    }
    if chain := max(map(_chain_of, batch.members), default=0):
        event["chain"] = chain
    listed = _list_for_conf(batch.members)
    if listed is not None:
        event["events"] = listed
    described = {**definition, "kind": "batch", "of": trigger["kind"]}
    return json.dumps({MEMBER: MESSAGE, "trigger": described, "event": event})


def _list_for_conf(members: Sequence[BatchMember]) -> list[Any] | None:
    """Return the members' facts when they are small, and such that Airflow can hold them: else the manifest is all."""
    if sum(member.size + 1 for member in members) > LARGEST_LIST_IN_CONF:
        return None
    events = [json.loads(member.facts) for member in members]
    try:
        encode_conf({"events": events})
    except InvalidConfError:
        return None
    return events


def _chain_of(member: BatchMember) -> int:
    # What is none of Jetway's own events need not be parsed.
    return chain_of(json.loads(member.facts)) if '"source": "jetway"' in member.facts else 0


def _encode(facts: Mapping[str, Any]) -> str:
    try:
        text = json.dumps(dict(facts), allow_nan=False)
    except ValueError as exc:
        raise UnknownEventError(f"the event is not JSON: {exc}.") from exc
    if len(text) > LARGEST_MEMBER:
        raise InvalidConfError(
            f"the event has {len(text)} bytes as JSON; a batch accepts {LARGEST_MEMBER} per event. Put the data in S3."
        )
    return text


def _bounded(what: str, value: object, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise InvalidRequestError(f"batch.{what} is {value!r}; it must be a whole number from 1 to {most}.")
    return value


def _digest(text: str) -> str:
    """Return 100 bits of SHA-256, in characters that ids, keys and URLs take."""
    return base64.b32encode(hashlib.sha256(text.encode()).digest()).decode().lower()[:20]
