"""The ledger: one row for every event, with what became of it and why.

It answers "why did nothing run?", lets a second delivery end without asking Airflow, and remembers the runs whose end
is still to be told. That an event has one run does not rest on it: Airflow's unique (dag_id, run_id) does. That it has
one outcome does: before a run is asked for, its row says so (docs/delivery.md).

A row is found by `id`, which is `<trigger>#<digest>` with the digest that is in the run id. "started" is final: no
later delivery of the event overwrites it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import islice
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from boto3.dynamodb.conditions import Attr, Key
from botocore.exceptions import BotoCoreError, ClientError

from jetway.aws.dynamodb import write_if
from jetway.errors import AnswerLostError, TransientError
from jetway.formats import ITEM, MEMBER, is_known
from jetway.ledger_rows import (
    Attempt,
    Before,
    Decision,
    Entry,
    OpenEntry,
    Way,
    entry_id,
    has_no_outcome,
    is_not_started,
    read_before,
    read_entry,
    read_time,
    time_text,
    update_of,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

__all__ = [
    "Attempt",
    "Before",
    "Decision",
    "Entry",
    "Ledger",
    "LedgerUnavailableError",
    "OpenEntry",
    "Way",
    "entry_id",
]

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
        item = self._item(id_)
        return read_entry(item) if "decision" in item else None

    def begin(
        self, id_: str, way: Way = "dispatch", attempt: Attempt | None = None, *, place: int | None = None
    ) -> Before:
        """Note that a try of an event begins; return what was there before. One write, so that all tries have an order.

        Args:
            id_: of the event's row.
            way: the queue that the message came by. The first one counts for good.
            attempt: from now on Airflow may be asked for the run; None when it is not to be asked yet.
            place: the window in which the event has a place of its rate.
        """
        now = self._clock()
        sets = {"way": way, MEMBER: ITEM, "ttl": int((now + self._retention).timestamp())}
        expression = "SET " + ", ".join(f"#{name} = if_not_exists(#{name}, :{name})" for name in sets)
        adds: dict[str, Any] = {"begun": 1}
        if place is not None:
            sets["place"] = place
            expression += ", #place = :place"
        if attempt is not None:
            adds["attempts"] = {str(attempt)}
        expression += " ADD " + ", ".join(f"#{name} :{name}" for name in adds)
        values: dict[str, Any] = {**sets, **adds}
        with _translated("UpdateItem"):
            answer = self.table.update_item(
                Key={"id": id_},
                UpdateExpression=expression,
                ExpressionAttributeNames={f"#{name}": name for name in values},
                ExpressionAttributeValues={f":{name}": value for name, value in values.items()},
                ReturnValues="ALL_OLD",
            )
        return read_before(answer.get("Attributes") or {}, attempt)

    def settle(self, id_: str, attempt: Attempt | None, *, keep_place: bool = False, alone: int | None = None) -> bool:
        """Note that a try has made no run, and never will; its event has no place any more, unless it keeps it.

        Args:
            alone: `Before.number` of the try: nothing is noted, and False returned, when another one has begun since or
                made the run.
        """
        condition = Attr("id").exists() if alone is None else is_not_started(alone)
        return self._update(id_, {} if keep_place else {"place": None}, add=0, condition=condition, settled=attempt)

    def keep_place(self, id_: str, place: int) -> None:
        """Note the window in which an event has a place."""
        self._update(id_, {"place": place}, add=0, condition=Attr("id").exists())

    def count(self, id_: str, *, settled: Attempt | None = None) -> None:
        """Count one delivery more, of an event whose outcome stands.

        Args:
            settled: the try that came to know it; it has made no run.
        """
        if not self._update(id_, {}, add=1, condition=Attr("id").exists(), settled=settled):
            raise LedgerUnavailableError(f"the row {id_!r} no longer exists: its time to live is over.")

    def why_dead(self, id_: str, *, since: datetime, message_id: str | None = None) -> str | None:
        """Return why an event has become a dead letter; None when it has not.

        Args:
            since: an older dead letter does not count.
            message_id: with it only the dead letter of this very message counts, whenever it was decided.
        """
        entry = self.get(id_)
        if entry is None or entry.decision != "dead-lettered":
            return None
        if entry.message_id != message_id if message_id else entry.decided_at < since:
            return None
        return entry.because or "unforeseen"

    def record(
        self,
        entry: Entry,
        *,
        run_since: datetime | None = None,
        untold: bool = False,
        settled: Attempt | None = None,
        alone: int | None = None,
        redriven_at: datetime | None = None,
    ) -> Decision:
        """Write a decision, unless the event's run was started before; return what counts.

        Args:
            entry: its `deliveries` is not read: the row counts by itself.
            run_since: for "started": no end of the run lies before it. With it the run's end is looked for.
            untold: the event out on this decision is still to be sent.
            settled: the try that the decision is of; it has made no run, and never will.
            alone: `Before.number` of the try; the decision stands only if no other try has begun since.
            redriven_at: when the message was redriven that this was decided on. A message that is held changes nothing
                of an event that has its outcome, for it may be a late copy; but one that was redriven since may.

        Returns:
            the entry's decision; "duplicate" when the row says "started" already, and the entry says "started" as well
            or was to stand alone.

        Raises:
            AnswerLostError: it was to stand alone, and another try has begun.
        """
        token = token_hex(8)  # of this very call: boto3 may repeat a write that was made
        values: dict[str, Any] = {
            "token": token,
            MEMBER: ITEM,
            "trigger": entry.trigger,
            "kind": entry.kind,
            "identity": list(entry.identity),
            "decision": entry.decision,
            "because": entry.because,
            "dag_id": entry.dag_id,
            "dag_run_id": entry.dag_run_id,
            "batch_id": entry.batch_id,
            "state": entry.state,
            "occurred_at": time_text(entry.occurred_at),
            "decided_at": time_text(entry.decided_at),
            "day": f"{entry.decided_at.astimezone(UTC):%Y-%m-%d}",
            "latency": None if entry.latency is None else Decimal(str(round(entry.latency, 3))),
            "ended_at": time_text(entry.ended_at),
            "message_id": entry.message_id,
            "until": time_text(entry.until),
            "chain": entry.chain,
            "by": dict(entry.by) or None,
            "redriven_at": time_text(redriven_at),
            "ttl": int((entry.decided_at + self._retention).timestamp()),
        }
        is_open = run_since is not None or untold
        values |= {
            "open": "open" if is_open else None,
            "look_at": time_text(entry.decided_at) if is_open else None,
            "since": time_text(run_since or entry.decided_at) if is_open else None,
            "untold": untold or None,
        }
        if entry.decision == "started":
            values |= dict.fromkeys(("attempts", "place"))  # whichever try it was: the run is there
        condition = is_not_started(alone)
        if entry.decision == "held":
            condition &= has_no_outcome(redriven_at)
        ends = entry.decision not in _NOT_AN_END
        try:
            written = self._update(entry.id, values, add=1 if ends else 0, condition=condition, settled=settled)
        except LedgerUnavailableError:
            if entry.decision == "started" and self._holds(entry.id, token):
                return "started"  # it was written; only the answer was lost
            raise
        if written or not ends:
            return entry.decision
        row = self._item(entry.id)
        if row.get("token") == token:
            return entry.decision  # boto3 tried again what it had already done
        if alone is not None and row.get("decision") != "started":
            raise AnswerLostError("another delivery of the event is being processed, and might start its run.")
        self.count(entry.id)
        return "duplicate" if entry.decision == "started" or alone is not None else entry.decision

    def _holds(self, id_: str, token: str) -> bool:
        """Whether a row is as a call of `record` would have it, as far as that can be told."""
        with suppress(LedgerUnavailableError):
            return self._item(id_).get("token") == token
        return False

    def _item(self, id_: str) -> Mapping[str, Any]:
        with _translated("GetItem"):
            found: Mapping[str, Any] = self.table.get_item(Key={"id": id_}, ConsistentRead=True).get("Item") or {}
        return found

    def list_events(self, trigger: str | None = None, since: datetime | None = None) -> Iterator[Entry]:
        """Yield the events decided since then, oldest decision first.

        Args:
            trigger: only this trigger's.
            since: timezone-aware; the last 24 hours when not given.
        """
        now = self._clock()
        since = since or now - timedelta(days=1)
        if trigger is not None:
            yield from self._query(
                BY_TRIGGER, Key("trigger").eq(trigger) & Key("decided_at").gte(time_text(since) or "")
            )
            return
        day = since.astimezone(UTC).date()
        while day <= now.astimezone(UTC).date():
            yield from self._query(BY_DAY, Key("day").eq(f"{day}") & Key("decided_at").gte(time_text(since) or ""))
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
            condition = Key("trigger").eq(trigger) & Key("decided_at").gte(time_text(since) or "")
            return self._newest(BY_TRIGGER, condition, limit, keep)
        found: list[Entry] = []
        day = now.astimezone(UTC).date()
        while day >= since.astimezone(UTC).date() and len(found) < limit:
            condition = Key("day").eq(f"{day}") & Key("decided_at").gte(time_text(since) or "")
            found += self._newest(BY_DAY, condition, limit - len(found), keep)
            day -= timedelta(days=1)
        return found

    def _newest(self, index: str, condition: Any, limit: int, keep: Callable[[Entry], bool] | None) -> list[Entry]:
        page = limit if keep is None else None
        rows = map(read_entry, self._items(index, condition, limit=page, newest=True))
        return list(islice(filter(keep, islice(rows, MOST_LOOKED_AT)), limit))

    def open_entries(self, *, limit: int) -> list[OpenEntry]:
        """Return the open rows that are due for a look, longest due first."""
        found: list[OpenEntry] = []
        due = Key("open").eq("open") & Key("look_at").lte(time_text(self._clock()) or "")
        for item in filter(is_known, self._items(OPEN_RUNS, due, limit=limit)):
            found.append(OpenEntry(read_entry(item), read_time(item["since"]), untold="untold" in item))
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
        values = {"look_at": time_text(at), "since": time_text(since), "untold": None}
        if state is not None:
            values["state"] = state
        self._update_open(row.entry, values)

    def explain(self, row: OpenEntry, because: str) -> None:
        """Note why a run that was started does not run."""
        self._update_open(row.entry, {"because": because})

    def hurry(self, entry: Entry) -> None:
        """Let a row be due now, since its run has been seen to have ended; nothing when it is closed."""
        self._update_open(entry, {"look_at": time_text(self._clock())})

    def told(self, row: OpenEntry) -> None:
        """Note that the event out on the row's decision was sent."""
        self._update_open(row.entry, {"untold": None})

    def close(self, row: OpenEntry, *, state: str | None = None, ended_at: datetime | None = None) -> None:
        """Note that nothing is left to be done with the row: its run has ended, or its event is sent.

        Args:
            state: that the run has ended with.
            ended_at: when it did.
        """
        values: dict[str, Any] = dict.fromkeys(("open", "look_at", "since", "untold"))
        if state is not None:
            values |= {"state": state, "ended_at": time_text(ended_at)}
        self._update_open(row.entry, values)

    def _update_open(self, seen: Entry, values: Mapping[str, Any]) -> None:
        # Where it does not hold another invocation has closed it, its time to live is over, or something else was
        # decided since it was read: a dead letter that has started meanwhile is to be followed.
        as_seen = Attr("decision").eq(seen.decision) & Attr("decided_at").eq(time_text(seen.decided_at))
        self._update(seen.id, values, add=0, condition=Attr("open").exists() & as_seen)

    def _update(
        self, id_: str, values: Mapping[str, Any], *, add: int, condition: Any, settled: Attempt | None = None
    ) -> bool:
        """Change a row; False when the condition does not hold."""
        request = update_of(values, add=add, settled=settled)
        with _translated("UpdateItem"):
            return write_if(self.table.update_item, Key={"id": id_}, ConditionExpression=condition, **request)

    def _query(self, index: str, condition: Any) -> Iterator[Entry]:
        yield from map(read_entry, self._items(index, condition))

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
