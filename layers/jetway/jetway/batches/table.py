"""Claims and open batches in DynamoDB. The table is the truth; every message about a batch is only a hint.

| pk | sk | what |
| --- | --- | --- |
| `event#<trigger>#<digest>` | `claim` | the batch that has this event, or the dead letter; there until its ttl |
| `open` | stream id | the stream's open batch: its id, count, bytes and deadline |
| `batch#<id>` | `header` | trigger, times, and whether it went out |
| `batch#<id>` | `page#<digest>` | up to 90 members with their facts |
| `closed` | batch id | a closed batch that is not yet dispatched |

An event's claim, its place on a page and its share of the open batch's count are one transaction, and so are the
steps that open and close a batch. So no event has a claim without a place, and no batch changes after it closed.
Events are spread over items of their own: nothing grows towards the 400 KB of an item, and what all claims of a
stream share is one small counter, written once for up to 90 events.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from jetway.aws.dynamodb import ABSENT, Refusal, transact, write_if
from jetway.batches.model import BatchMember, Closed, Stream, batch_id_of, in_order
from jetway.errors import TransientError
from jetway.formats import OF_ITEM, check_item, is_known

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

# A transaction takes 100 items: claims, a page, the open batch and, when it opens one, the header.
MOST_CLAIMS = 90
LARGEST_PAGE = 300 * 1024  # bytes of facts; an item takes 400 KB

# A finisher holds all members in memory, and the manifest with them.
LARGEST_BATCH = 8 * 1024 * 1024  # bytes of facts

# An event can come back from the collect queue (14 days), and before it from the undelivered events (14 days) and
# from EventBridge's own retries (1 day). A claim outlives them all.
CLAIMS_KEPT = timedelta(days=45)

# DynamoDB removes what has expired within days, in no order. A header that outlives its pages keeps an event that
# returns after all that time from opening the same batch on top of them.
HEADERS_KEPT = CLAIMS_KEPT + timedelta(days=30)


class ContendedError(TransientError):
    """Other collectors were faster, time and again."""

    reason = "batch-contended"
    longest_wait = 10.0


@dataclass(frozen=True, slots=True)
class Open:
    """A stream's open batch.

    Attributes:
        stream_id: as in `Stream.id`.
        size: bytes of its members' facts.
    """

    stream_id: str
    batch_id: str
    count: int
    size: int
    max_events: int
    deadline: datetime

    def is_due(self, now: datetime) -> bool:
        """Whether it is to be closed."""
        return now >= self.deadline or self.count >= self.max_events or self.size > LARGEST_BATCH - LARGEST_PAGE


@dataclass(frozen=True, slots=True)
class Owner:
    """Who has an event: a batch, or a dead letter.

    Attributes:
        batch_id: of the batch; empty when it is a dead letter.
        letter: id of the message that is the dead letter; empty when it is in a batch.
    """

    batch_id: str = ""
    letter: str = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """How an attempt to claim ended.

    Attributes:
        batch_id: the batch that was to take the members; it has them if there are no duplicates.
        duplicates: digests that were claimed before, each with who has it; then nothing was written.
    """

    batch_id: str
    duplicates: Mapping[str, Owner]


class BatchTable:
    """The table, with one method for each step of a batch's life."""

    def __init__(self, dynamodb: DynamoDBClient, name: str) -> None:
        self._dynamodb = dynamodb
        self._name = name

    def find_open(self, stream_id: str) -> Open | None:
        """Return the stream's open batch."""
        answer = self._dynamodb.get_item(TableName=self._name, Key=_key("open", stream_id), ConsistentRead=True)
        return _read_open(answer["Item"]) if "Item" in answer else None

    def list_open(self) -> list[Open]:
        """Return the open batches of all streams."""
        return [_read_open(item) for item in self._query("open") if is_known(item)]

    def list_closed(self) -> list[tuple[str, datetime]]:
        """Return the ids of the batches that are closed and not yet dispatched, with the time they were closed."""
        closed = filter(is_known, self._query("closed"))
        return [(item["sk"]["S"], datetime.fromisoformat(item["closed_at"]["S"])) for item in closed]

    def count_waiting(self) -> int:
        """Return how many events are in batches that are not dispatched yet."""
        return sum(int(item["members"]["N"]) for state in ("open", "closed") for item in self._query(state))

    def claim(self, stream: Stream, batch: Open | None, members: Sequence[BatchMember], *, now: datetime) -> Claim:
        """Put members into the stream's open batch: all of them, or none.

        Args:
            batch: the open batch as last seen; None opens one.
            members: `MOST_CLAIMS` and `LARGEST_PAGE` at most, no digest twice, no more than the batch has room for.

        Raises:
            ContendedError: the open batch is not any more as it was seen, or DynamoDB takes no more just now.
        """
        batch_id = batch.batch_id if batch else batch_id_of(stream.name, members)
        ttl = _expiry(now + CLAIMS_KEPT)
        claims = [
            self._put(
                {**_claim_key(stream, member), "batch_id": {"S": batch_id}, "ttl": ttl},
                **_unclaimed(member),
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
            for member in members
        ]
        page_key = _key(f"batch#{batch_id}", _page_name(members))
        page = self._put({**page_key, **OF_ITEM, "members": {"S": _write_page(members)}, "ttl": ttl})
        count, size = len(members), sum(member.size for member in members)
        opening = self._open(stream, batch_id, count, size, now)
        changes = [self._grow(stream, batch, count, size)] if batch else opening
        steps: list[Any] = [*claims, page, *changes]
        refusals = transact(self._dynamodb, steps)
        return Claim(batch_id, _find_duplicates(refusals, batch_id, members) if refusals else {})

    def bury(self, stream: Stream, member: BatchMember, message_id: str, *, now: datetime) -> Owner:
        """Claim an event for a dead letter, unless it is claimed: from then on no batch takes it.

        Args:
            message_id: of the message that is the dead letter.

        Returns:
            who has the event now.
        """
        key = _claim_key(stream, member)
        letter: dict[str, Any] = {"letter": {"S": message_id}, "redriven_at": _seconds(member.redriven_at)}
        condition = _unclaimed(member)
        if write_if(
            self._dynamodb.put_item,
            TableName=self._name,
            Item={**key, **letter, "ttl": _expiry(now + CLAIMS_KEPT)},
            **condition,
        ):
            return Owner(letter=message_id)
        there = self._dynamodb.get_item(TableName=self._name, Key=key, ConsistentRead=True).get("Item", {})
        return _owner(there)

    def close(self, batch: Open, now: datetime) -> bool:
        """Close the batch; False when it is not any more as it was seen (closed by others, grown), or cannot be now."""
        closed_at = {"S": now.isoformat()}
        steps: list[Any] = [
            {
                "Delete": {
                    "TableName": self._name,
                    "Key": _key("open", batch.stream_id),
                    "ConditionExpression": "batch_id = :batch AND members = :count",
                    "ExpressionAttributeValues": {":batch": {"S": batch.batch_id}, ":count": _number(batch.count)},
                }
            },
            {
                "Update": {
                    "TableName": self._name,
                    "Key": _key(f"batch#{batch.batch_id}", "header"),
                    "UpdateExpression": "SET closed_at = :now, members = :count",
                    "ExpressionAttributeValues": {":now": closed_at, ":count": _number(batch.count)},
                }
            },
            self._put(
                {
                    **_key("closed", batch.batch_id),
                    **OF_ITEM,
                    "closed_at": closed_at,
                    "members": _number(batch.count),
                }
            ),
        ]
        return not transact(self._dynamodb, steps)

    def read_closed(self, batch_id: str) -> Closed | None:
        """Return a closed batch with all its members; None when it went out already.

        Raises:
            NewerFormatError: a newer version of Jetway has written it.
            RuntimeError: the members are not those that were counted: the table was changed by somebody else.
        """
        header: Mapping[str, Any] = {}
        members: list[BatchMember] = []
        for item in self._query(f"batch#{batch_id}"):
            check_item(item, f"batch {batch_id}")
            if item["sk"]["S"] == "header":
                header = item
            else:
                members += _read_page(item["members"]["S"])
        if "dispatched_at" in header or "closed_at" not in header:
            return None
        if len(members) != int(header["members"]["N"]):
            raise RuntimeError(f"batch {batch_id} has {len(members)} members; {header['members']['N']} were counted.")
        return Closed(
            batch_id=batch_id,
            name=header["name"]["S"],
            trigger=header["trigger"]["S"],
            opened_at=header["opened_at"]["S"],
            closed_at=header["closed_at"]["S"],
            members=in_order(members),
        )

    def mark_dispatched(self, batch_id: str, now: datetime) -> None:
        """Note that the batch went out: it needs no more care."""
        steps: list[Any] = [
            {
                "Update": {
                    "TableName": self._name,
                    "Key": _key(f"batch#{batch_id}", "header"),
                    "UpdateExpression": "SET dispatched_at = :now",
                    "ExpressionAttributeValues": {":now": {"S": now.isoformat()}},
                }
            },
            {"Delete": {"TableName": self._name, "Key": _key("closed", batch_id)}},
        ]
        self._dynamodb.transact_write_items(TransactItems=steps)

    def _grow(self, stream: Stream, batch: Open, count: int, size: int) -> dict[str, Any]:
        """Return the step that counts members in; it fails once the batch is closed or has no room for them."""
        return {
            "Update": {
                "TableName": self._name,
                "Key": _key("open", stream.id),
                "UpdateExpression": "SET members = members + :count, bytes_ = bytes_ + :size",
                "ConditionExpression": "batch_id = :batch AND members <= :room AND bytes_ <= :space",
                "ExpressionAttributeValues": {
                    ":batch": {"S": batch.batch_id},
                    ":count": _number(count),
                    ":room": _number(batch.max_events - count),
                    ":size": _number(size),
                    ":space": _number(LARGEST_BATCH - size),
                },
            }
        }

    def _open(self, stream: Stream, batch_id: str, count: int, size: int, now: datetime) -> list[dict[str, Any]]:
        """Return the steps that open a batch; the header's must be the last one."""
        pointer = {
            **_key("open", stream.id),
            **OF_ITEM,
            "batch_id": {"S": batch_id},
            "members": _number(count),
            "bytes_": _number(size),
            "max_events": _number(stream.max_events),
            "deadline": {"S": (now + stream.within).isoformat()},
        }
        header = {
            **_key(f"batch#{batch_id}", "header"),
            **OF_ITEM,
            "name": {"S": stream.name},
            "trigger": {"S": stream.trigger},
            "opened_at": {"S": now.isoformat()},
            "ttl": _expiry(now + HEADERS_KEPT),
        }
        return [self._put(pointer, ConditionExpression=ABSENT), self._put(header, ConditionExpression=ABSENT)]

    def _query(self, pk: str) -> Iterator[Mapping[str, Any]]:
        pages = self._dynamodb.get_paginator("query").paginate(
            TableName=self._name,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": pk}},
            ConsistentRead=True,  # a member that is overlooked would be lost
        )
        for page in pages:
            yield from page["Items"]

    def _put(self, item: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        return {"Put": {"TableName": self._name, "Item": dict(item), **more}}


def _find_duplicates(refusals: Sequence[Refusal], batch_id: str, members: Sequence[BatchMember]) -> Mapping[str, Owner]:
    """Return who has members already, by digest.

    Raises:
        ContendedError: no member is in one.
    """
    if len(refusals) > len(members) + 2 and refusals[-1].failed:
        # The very batch that these members would open was there once.
        return dict.fromkeys((member.digest for member in members), Owner(batch_id))
    duplicates = {
        member.digest: _owner(refusal.item)
        for member, refusal in zip(members, refusals, strict=False)
        if refusal.failed
    }
    if not duplicates:
        raise ContendedError("the open batch was changed by another collector, or DynamoDB throttles")
    return duplicates


def _owner(claim: Mapping[str, Any]) -> Owner:
    return Owner(*(claim.get(name, {}).get("S", "") for name in ("batch_id", "letter")))


def _unclaimed(member: BatchMember) -> dict[str, Any]:
    """Return the condition of an event's claim: there is none, or that of the dead letter which was redriven.

    That is known by the time of its redrive, not by clocks.
    """
    if member.redriven_at is None:
        return {"ConditionExpression": ABSENT}
    return {
        "ConditionExpression": f"{ABSENT} OR redriven_at < :redriven_at",
        "ExpressionAttributeValues": {":redriven_at": _seconds(member.redriven_at)},
    }


def _claim_key(stream: Stream, member: BatchMember) -> dict[str, Any]:
    return _key(f"event#{stream.name}#{member.digest}", "claim")


def _seconds(time: datetime | None) -> dict[str, str]:
    return {"N": str(time.timestamp() if time else 0)}


def _key(pk: str, sk: str) -> dict[str, Any]:
    return {"pk": {"S": pk}, "sk": {"S": sk}}


def _expiry(time: datetime) -> dict[str, str]:
    return {"N": str(int(time.timestamp()))}


def _number(value: int) -> dict[str, str]:
    return {"N": str(value)}


def _page_name(members: Iterable[BatchMember]) -> str:
    """Return the page's name: a digest of its members, so that no two pages of a batch share one."""
    text = " ".join(sorted(member.digest for member in members))
    return f"page#{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def _write_page(members: Iterable[BatchMember]) -> str:
    # The facts are JSON already; as text within JSON every quote in them would take two bytes.
    rows = (f'["{member.digest}","{member.occurred_at.isoformat()}",{member.facts}]' for member in members)
    return f"[{','.join(rows)}]"


def _read_page(text: str) -> list[BatchMember]:
    return [
        BatchMember(digest, datetime.fromisoformat(occurred_at), json.dumps(facts))
        for digest, occurred_at, facts in json.loads(text)
    ]


def _read_open(item: Mapping[str, Any]) -> Open:
    check_item(item, f"the open batch of {item['sk']['S']}")
    return Open(
        stream_id=item["sk"]["S"],
        batch_id=item["batch_id"]["S"],
        count=int(item["members"]["N"]),
        size=int(item["bytes_"]["N"]),
        max_events=int(item["max_events"]["N"]),
        deadline=datetime.fromisoformat(item["deadline"]["S"]),
    )
