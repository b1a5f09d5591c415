"""The ledger: one row for every event, with what became of it and why.

It answers "why did nothing run?", lets a second delivery end without asking Airflow, and remembers the runs whose end
is still to be told. Exactly-once does not rest on it: Airflow's unique (dag_id, run_id) does (docs/delivery.md).

A row is found by `id`, which is `<trigger>#<digest>` with the digest that is in the run id. "started" is final: no
later delivery of the event overwrites it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

from boto3.dynamodb.conditions import Attr, Key
from botocore.exceptions import BotoCoreError, ClientError

from jetway.aws.dynamodb import write_if
from jetway.errors import TransientError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

Decision = Literal["started", "duplicate", "held", "waiting", "batched", "skipped", "dead-lettered"]

# Global secondary indexes of the table.
BY_DAY = "by_day"
BY_TRIGGER = "by_trigger"
OPEN_RUNS = "open_runs"  # sparse: only rows of runs that have not ended are in it

MOST_LOOKED_AT = 5000  # rows, for a reader who may see some only

# Decisions that an event does not leave the queues with: trying again is no second delivery.
_NOT_AN_END = frozenset({"held", "waiting"})


class LedgerUnavailableError(TransientError):
    """DynamoDB did not answer, throttled or refused."""

    reason = "ledger-unavailable"
    longest_wait = 900.0


@dataclass(frozen=True, slots=True)
class Entry:
    """One row. All times are timezone-aware.

    Attributes:
        id: `<trigger>#<digest>`.
        identity: the texts that make the event that one event; empty when it could not be read.
        because: why it is held, waits, was skipped or is a dead letter; on "started" what is worth knowing.
        state: of the run, as last seen.
        occurred_at: when the event happened, as its source says.
        decided_at: when this was decided.
        latency: seconds from the event to its acceptance by Airflow.
        deliveries: how often the event came to an end here; more than 1 when it was delivered more than once.
        ended_at: when the run ended, once that was seen.
        message_id: SQS's id of the message that this was decided on.
        until: when Jetway gives up; of an event that is held or waits.
    """

    id: str
    trigger: str
    kind: str
    identity: tuple[str, ...]
    decision: Decision
    decided_at: datetime
    because: str | None = None
    dag_id: str | None = None
    dag_run_id: str | None = None
    batch_id: str | None = None
    state: str | None = None
    occurred_at: datetime | None = None
    latency: float | None = None
    deliveries: int = 0
    ended_at: datetime | None = None
    message_id: str | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class OpenEntry:
    """A row with which something is still to be done: a run to be followed, an event to be sent.

    Attributes:
        since: no end of the run lies before this moment.
        untold: its event out (DagRunStarted, EventDeadLettered) was not taken by the bus.
    """

    entry: Entry
    since: datetime
    untold: bool


def entry_id(trigger: str, digest: str) -> str:
    """Return the key of an event's row.

    >>> entry_id("orders", "neao5nwq7jut2lxa4mqj")
    'orders#neao5nwq7jut2lxa4mqj'
    """
    return f"{trigger}#{digest}"


class Ledger:
    """The rows of one stack.

    Every method raises LedgerUnavailableError when DynamoDB does not do its part.
    """

    def __init__(
        self,
        table: Table,
        *,
        retention: timedelta = timedelta(days=30),
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Take the parts; nothing is called.

        Args:
            table: boto3's Table of the stack's ledger.
            retention: how long a row is kept after its last decision.
            clock: tells now, timezone-aware.
        """
        self.table = table
        self._retention = retention
        self._clock = clock

    def get(self, id_: str) -> Entry | None:
        """Return the row as the last write left it, or None."""
        with _translated("GetItem"):
            item = self.table.get_item(Key={"id": id_}, ConsistentRead=True).get("Item")
        return _entry(item) if item else None

    def why_dead(self, id_: str, *, since: datetime) -> str | None:
        """Return why an event has become a dead letter since then; None when it has not."""
        entry = self.get(id_)
        if entry is None or entry.decision != "dead-lettered" or entry.decided_at < since:
            return None
        return entry.because or "unforeseen"

    def record(self, entry: Entry, *, run_since: datetime | None = None, untold: bool = False) -> Decision:
        """Write a decision, unless the event's run was started before; return what counts.

        Args:
            entry: its `deliveries` is not read: the row counts by itself.
            run_since: for "started": no end of the run lies before it. With it the run's end is looked for.
            untold: the event out on this decision is still to be sent.

        Returns:
            the entry's decision; "duplicate" when it says "started" and the row said so already.
        """
        values: dict[str, Any] = {
            "trigger": entry.trigger,
            "kind": entry.kind,
            "identity": list(entry.identity),
            "decision": entry.decision,
            "because": entry.because,
            "dag_id": entry.dag_id,
            "dag_run_id": entry.dag_run_id,
            "batch_id": entry.batch_id,
            "state": entry.state,
            "occurred_at": _text(entry.occurred_at),
            "decided_at": _text(entry.decided_at),
            "day": f"{entry.decided_at.astimezone(UTC):%Y-%m-%d}",
            "latency": None if entry.latency is None else Decimal(str(round(entry.latency, 3))),
            "ended_at": _text(entry.ended_at),
            "message_id": entry.message_id,
            "until": _text(entry.until),
            "ttl": int((entry.decided_at + self._retention).timestamp()),
        }
        is_open = run_since is not None or untold
        values |= {
            "open": "open" if is_open else None,
            "look_at": _text(entry.decided_at) if is_open else None,
            "since": _text(run_since or entry.decided_at) if is_open else None,
            "untold": untold or None,
        }
        not_started = Attr("decision").not_exists() | Attr("decision").ne("started")
        ends = entry.decision not in _NOT_AN_END
        if self._update(entry.id, values, add=1 if ends else 0, condition=not_started) or not ends:
            return entry.decision
        if not self._update(entry.id, {}, add=1, condition=Attr("id").exists()):
            raise LedgerUnavailableError(f"the row {entry.id!r} was there and is gone: its time to live is over.")
        return "duplicate" if entry.decision == "started" else entry.decision

    def list_events(self, trigger: str | None = None, since: datetime | None = None) -> Iterator[Entry]:
        """Yield the events decided since then, oldest decision first.

        Args:
            trigger: only this trigger's.
            since: timezone-aware; the last 24 hours when not given.
        """
        now = self._clock()
        since = since or now - timedelta(days=1)
        if trigger is not None:
            yield from self._query(BY_TRIGGER, Key("trigger").eq(trigger) & Key("decided_at").gte(_text(since) or ""))
            return
        day = since.astimezone(UTC).date()
        while day <= now.astimezone(UTC).date():
            yield from self._query(BY_DAY, Key("day").eq(f"{day}") & Key("decided_at").gte(_text(since) or ""))
            day += timedelta(days=1)

    def newest(
        self,
        trigger: str | None = None,
        since: datetime | None = None,
        *,
        limit: int,
        keep: Callable[[Entry], bool] | None = None,
    ) -> list[Entry]:
        """Return the newest decisions since then, newest first.

        Args:
            trigger: only this trigger's.
            since: timezone-aware; the last 24 hours when not given, 31 days ago at the most.
            limit: so many at most.
            keep: tells which; of all by default. The newest MOST_LOOKED_AT a day are asked.
        """
        now = self._clock()
        since = max(since or now - timedelta(days=1), now - timedelta(days=31))
        if trigger is not None:
            condition = Key("trigger").eq(trigger) & Key("decided_at").gte(_text(since) or "")
            return self._newest(BY_TRIGGER, condition, limit, keep)
        found: list[Entry] = []
        day = now.astimezone(UTC).date()
        while day >= since.astimezone(UTC).date() and len(found) < limit:
            condition = Key("day").eq(f"{day}") & Key("decided_at").gte(_text(since) or "")
            found += self._newest(BY_DAY, condition, limit - len(found), keep)
            day -= timedelta(days=1)
        return found

    def _newest(self, index: str, condition: Any, limit: int, keep: Callable[[Entry], bool] | None) -> list[Entry]:
        page = limit if keep is None else None
        rows = map(_entry, self._items(index, condition, limit=page, newest=True))
        return list(islice(filter(keep, islice(rows, MOST_LOOKED_AT)), limit))

    def open_entries(self, *, limit: int) -> list[OpenEntry]:
        """Return the open rows that are due for a look, longest due first."""
        found: list[OpenEntry] = []
        due = Key("open").eq("open") & Key("look_at").lte(_text(self._clock()) or "")
        for item in self._items(OPEN_RUNS, due, limit=limit):
            found.append(OpenEntry(_entry(item), _time(item["since"]), untold="untold" in item))
            if len(found) == limit:
                break
        return found

    def look_again(self, row: OpenEntry, *, state: str | None, since: datetime, at: datetime) -> None:
        """Note that the run had not ended, and that its start is told.

        Args:
            state: as seen, or None when it was not seen.
            since: no end of the run lies before it.
            at: when to look again.
        """
        values = {"look_at": _text(at), "since": _text(since), "untold": None}
        if state is not None:
            values["state"] = state
        self._update_open(row.entry.id, values)

    def close(self, row: OpenEntry, *, state: str | None = None, ended_at: datetime | None = None) -> None:
        """Note that nothing is left to be done with the row: its run has ended, or its event is sent.

        Args:
            state: that the run has ended with.
            ended_at: when it did.
        """
        values: dict[str, Any] = dict.fromkeys(("open", "look_at", "since", "untold"))
        if state is not None:
            values |= {"state": state, "ended_at": _text(ended_at)}
        self._update_open(row.entry.id, values)

    def _update_open(self, id_: str, values: Mapping[str, Any]) -> None:
        # Where it does not hold another invocation has closed it, or its time to live is over.
        self._update(id_, values, add=0, condition=Attr("open").exists())

    def _update(self, id_: str, values: Mapping[str, Any], *, add: int, condition: Any) -> bool:
        """Change a row; False when the condition does not hold."""
        present = {name: value for name, value in values.items() if value is not None}
        absent = [name for name, value in values.items() if value is None]
        parts = []
        if present:
            parts.append("SET " + ", ".join(f"#{name} = :{name}" for name in present))
        if absent:
            parts.append("REMOVE " + ", ".join(f"#{name}" for name in absent))
        parts.append("ADD #deliveries :add")
        with _translated("UpdateItem"):
            return write_if(
                self.table.update_item,
                Key={"id": id_},
                UpdateExpression=" ".join(parts),
                ConditionExpression=condition,
                ExpressionAttributeNames={f"#{name}": name for name in (*values, "deliveries")},
                ExpressionAttributeValues={**{f":{name}": value for name, value in present.items()}, ":add": add},
            )

    def _query(self, index: str, condition: Any) -> Iterator[Entry]:
        yield from map(_entry, self._items(index, condition))

    def _items(
        self, index: str, condition: Any, *, limit: int | None = None, newest: bool = False
    ) -> Iterator[Mapping[str, Any]]:
        more: dict[str, Any] = {} if limit is None else {"Limit": limit}
        if newest:
            more["ScanIndexForward"] = False
        while True:
            with _translated("Query"):
                answer = self.table.query(IndexName=index, KeyConditionExpression=condition, **more)
            yield from answer["Items"]
            if "LastEvaluatedKey" not in answer:
                return
            more["ExclusiveStartKey"] = answer["LastEvaluatedKey"]


class _translated:  # noqa: N801 - reads as a word of the with statement
    """Turn what DynamoDB raises into errors of ours."""

    def __init__(self, operation: str) -> None:
        self._operation = operation

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, exc: BaseException | None, _traceback: object) -> None:
        if isinstance(exc, ClientError | BotoCoreError):
            raise LedgerUnavailableError(f"{self._operation} on the ledger failed: {exc}") from exc


def _entry(item: Mapping[str, Any]) -> Entry:
    latency = item.get("latency")
    return Entry(
        id=item["id"],
        trigger=item["trigger"],
        kind=item["kind"],
        identity=tuple(item["identity"]),
        decision=item["decision"],
        decided_at=_time(item["decided_at"]),
        because=item.get("because"),
        dag_id=item.get("dag_id"),
        dag_run_id=item.get("dag_run_id"),
        batch_id=item.get("batch_id"),
        state=item.get("state"),
        occurred_at=_time(item["occurred_at"]) if "occurred_at" in item else None,
        latency=None if latency is None else float(latency),
        deliveries=int(item.get("deliveries", 0)),
        ended_at=_time(item["ended_at"]) if "ended_at" in item else None,
        message_id=item.get("message_id"),
        until=_time(item["until"]) if "until" in item else None,
    )


def _text(time: datetime | None) -> str | None:
    # One width and one offset, so that texts sort as times do.
    return None if time is None else time.astimezone(UTC).isoformat(timespec="microseconds")


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
