"""What the ledger's rows hold: decisions, tries that are not over, and how both are read from DynamoDB's items."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from secrets import token_hex
from typing import Any, Literal, Self

from jetway.events.principals import By, read_cause
from jetway.formats import ITEM, MEMBER, check_item

Decision = Literal["started", "duplicate", "held", "waiting", "batched", "skipped", "dead-lettered"]

# The queue that an event goes by: a change of its trigger must not send it the other way as well.
Way = Literal["dispatch", "collect"]


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
        chain: which run in a row its run is, each started by the event of the one before; None where it is not known.
        by: who caused it (`jetway.events.principals`).
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
    chain: int | None = None
    by: By = field(default_factory=dict, hash=False)


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


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try that may have made a run: it has asked Airflow for it, or is about to.

    Attributes:
        at: when it began, timezone-aware.
        dag_id: of the run.
        token: makes it that one try.
    """

    at: datetime
    dag_id: str
    token: str

    @classmethod
    def begin(cls, dag_id: str, at: datetime) -> Self:
        """Return a new one."""
        return cls(at, dag_id, token_hex(4))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read one from a row."""
        at, token, dag_id = text.split(" ", 2)
        return cls(datetime.fromisoformat(at), dag_id, token)

    def __str__(self) -> str:
        return f"{time_text(self.at)} {self.token} {self.dag_id}"


@dataclass(frozen=True, slots=True)
class Before:
    """What an event's row said before a try of it began.

    Attributes:
        entry: the row; None when nothing was decided yet.
        way: the queue that the event has gone by from its first delivery on; None when this is the first.
        attempts: tries whose end is not known: each may have made the run.
        place: the event has a place in the window of its rate that begins then, in seconds since 1970.
        number: how many tries have begun, this one included.
        redriven_at: of the message that the row was decided on.
    """

    entry: Entry | None = None
    way: Way | None = None
    attempts: tuple[Attempt, ...] = ()
    place: int | None = None
    number: int = 0
    redriven_at: datetime | None = None


def entry_id(trigger: str, digest: str) -> str:
    """Return the key of an event's row.

    >>> entry_id("orders", "neao5nwq7jut2lxa4mqj")
    'orders#neao5nwq7jut2lxa4mqj'
    """
    return f"{trigger}#{digest}"


def update_of(values: Mapping[str, Any], *, add: int, settled: Attempt | None) -> dict[str, Any]:
    """Return the expression of an UpdateItem, with its names and values.

    Args:
        values: to be set; what is None is removed.
        add: deliveries to be counted.
        settled: a try that is over.
    """
    present = {name: value for name, value in values.items() if value is not None}
    absent = [name for name, value in values.items() if value is None]
    parts = []
    if present:
        parts.append("SET " + ", ".join(f"#{name} = :{name}" for name in present))
    if absent:
        parts.append("REMOVE " + ", ".join(f"#{name}" for name in absent))
    parts.append("ADD #deliveries :add")
    names = {f"#{name}": name for name in (*values, "deliveries")}
    given: dict[str, Any] = {**{f":{name}": value for name, value in present.items()}, ":add": add}
    if settled is not None and "attempts" not in values:
        parts.append("DELETE #attempts :settled")
        names["#attempts"], given[":settled"] = "attempts", {str(settled)}
    return {
        "UpdateExpression": " ".join(parts),
        "ExpressionAttributeNames": names,
        "ExpressionAttributeValues": given,
    }


def is_not_started(alone: int | None) -> Any:
    """Return the condition of an event that has no run, as far as its row says, and the row can be read.

    Args:
        alone: `Before.number` of a try; with it, no other one has begun since.
    """
    from boto3.dynamodb.conditions import Attr  # late: the command line reads rows without boto3

    readable = Attr(MEMBER).not_exists() | Attr(MEMBER).lte(ITEM)
    condition = readable & (Attr("decision").not_exists() | Attr("decision").ne("started"))
    return condition if alone is None else condition & Attr("begun").eq(alone)


def has_no_outcome(redriven_at: datetime | None) -> Any:
    """Return the condition of an event that is open, also because its dead letter was redriven then."""
    from boto3.dynamodb.conditions import Attr

    decision, before = Attr("decision"), Attr("redriven_at")
    is_open = decision.not_exists() | decision.is_in(["held", "waiting"])
    if redriven_at is None:
        return is_open
    return is_open | (decision.eq("dead-lettered") & (before.not_exists() | before.lt(time_text(redriven_at))))


def read_before(item: Mapping[str, Any], attempt: Attempt | None) -> Before:
    """Return what a row said; the try that has begun just now, in case its write was made twice, is none before it.

    Raises:
        NewerFormatError: a newer version of Jetway has written it.
    """
    check_item(item, "the event's row in the ledger")
    entry = read_entry(item) if "decision" in item else None
    attempts = sorted(item.get("attempts", ()))
    way: Way | None = item.get("way")
    if entry is not None and entry.decision == "started":
        way = way or "dispatch"
    elif entry is not None and entry.decision == "batched":
        way = "collect"  # also in rows that are older than the attribute
    return Before(
        entry=entry,
        way=way,
        attempts=tuple(Attempt.parse(text) for text in attempts if text != str(attempt)),
        place=int(item["place"]) if "place" in item else None,
        number=int(item.get("begun", 0)) + 1,
        redriven_at=read_time(item["redriven_at"]) if "redriven_at" in item else None,
    )


def read_entry(item: Mapping[str, Any]) -> Entry:
    """Return the decision in an item that has one."""
    latency = item.get("latency")
    return Entry(
        id=item["id"],
        trigger=item["trigger"],
        kind=item["kind"],
        identity=tuple(item["identity"]),
        decision=item["decision"],
        decided_at=read_time(item["decided_at"]),
        because=item.get("because"),
        dag_id=item.get("dag_id"),
        dag_run_id=item.get("dag_run_id"),
        batch_id=item.get("batch_id"),
        state=item.get("state"),
        occurred_at=read_time(item["occurred_at"]) if "occurred_at" in item else None,
        latency=None if latency is None else float(latency),
        deliveries=int(item.get("deliveries", 0)),
        ended_at=read_time(item["ended_at"]) if "ended_at" in item else None,
        message_id=item.get("message_id"),
        until=read_time(item["until"]) if "until" in item else None,
        chain=int(item["chain"]) if "chain" in item else None,
        by=read_cause(item.get("by")),
    )


def time_text(time: datetime | None) -> str | None:
    """Return a time as rows have it."""
    # One width and one offset, so that texts sort as times do.
    return None if time is None else time.astimezone(UTC).isoformat(timespec="microseconds")


def read_time(text: str) -> datetime:
    """Read a time of a row."""
    return datetime.fromisoformat(text)
