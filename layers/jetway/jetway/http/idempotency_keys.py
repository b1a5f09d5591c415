"""Idempotency keys: a key belongs to the request that it first came with.

The run's id is made of the key alone, so one key is one run whatever is written here. What this adds is the word: a
key that comes again with another payload is refused (422), instead of being taken for a repetition. So is one whose
trigger file asks for something else by now: another DAG, or another conf of the same payload.
https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from jetway.aws.dynamodb import write_if
from jetway.http.problems import ProblemError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

# After its last use. Airflow still knows the key's run then, unless its database is cleaned.
KEPT = timedelta(days=366)


@dataclass(frozen=True, slots=True)
class KeyUse:
    """One use of a key.

    Attributes:
        key: as the caller sent it.
        id: of the key, the caller, and the DAG or trigger that is called.
        fingerprint: of the payload.
        made_by: of what makes a run of the payload, for a trigger file; a call for a DAG has none.
    """

    key: str
    id: str
    fingerprint: str
    made_by: str | None = None


class IdempotencyKeys:
    """One DynamoDB item for each key, with the fingerprint of its payload.

    Every method raises ClientError or BotoCoreError when DynamoDB does not do its part; then nothing may be accepted.
    """

    def __init__(self, client: DynamoDBClient, table: str, *, clock: Callable[[], float] = time.time) -> None:
        self._client = client
        self._table = table
        self._clock = clock

    def claim(self, use: KeyUse) -> bool:
        """Write down what a key is used for; return whether it was used for the same before.

        Of several uses at once, one payload wins. It is not taken back when the run is not accepted after all: an
        answer that was lost may have been a yes.

        Raises:
            ProblemError: 422, the key is another payload's.
        """
        now = self._clock()
        item = {
            "id": {"S": use.id},
            "fingerprint": {"S": use.fingerprint},
            "ttl": {"N": str(int(now + KEPT.total_seconds()))},
        }
        same, values = "fingerprint = :fingerprint", {":fingerprint": {"S": use.fingerprint}}
        if use.made_by is not None:
            item["made_by"] = {"S": use.made_by}
            values[":made_by"] = {"S": use.made_by}
            same = f"({same} AND (attribute_not_exists(made_by) OR made_by = :made_by))"
        # DynamoDB deletes what is past its time within days, not at once.
        condition = f"attribute_not_exists(id) OR {same} OR #ttl < :now"
        values[":now"] = {"N": str(int(now))}
        before: dict[str, Any] = {}

        def put(**request: Any) -> None:
            before.update(self._client.put_item(**request, ReturnValues="ALL_OLD").get("Attributes", {}))

        if not write_if(
            put,
            TableName=self._table,
            Item=item,
            ConditionExpression=condition,
            ExpressionAttributeValues=values,
            ExpressionAttributeNames={"#ttl": "ttl"},
        ):
            raise _reused(use)
        # An item past its time may still be there, of whatever payload.
        return bool(before) and int(before["ttl"]["N"]) >= int(now)

    def check(self, use: KeyUse) -> None:
        """Say whether `claim` would take a use, and claim nothing.

        Raises:
            ProblemError: 422, the key is another payload's.
        """
        found = self._client.get_item(TableName=self._table, Key={"id": {"S": use.id}}, ConsistentRead=True)
        item = found.get("Item")
        if not item or int(item["ttl"]["N"]) < int(self._clock()):
            return
        made_by = item.get("made_by", {}).get("S", use.made_by)
        if (item["fingerprint"]["S"], made_by) != (use.fingerprint, use.made_by):
            raise _reused(use)


def fingerprint(payload: Mapping[str, Any]) -> str:
    """Return the same text for the same JSON value, however it was written.

    >>> fingerprint({"a": 1.0, "b": [True]}) == fingerprint({"b": [True], "a": 1})
    True
    """
    return hashlib.sha256(json.dumps(_plain(payload), sort_keys=True).encode()).hexdigest()


def _plain(value: Any) -> Any:
    """JSON has one kind of numbers: 1.0 is 1, as in RFC 8785. The value's depth is bounded by its reader."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _reused(use: KeyUse) -> ProblemError:
    return ProblemError(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "idempotency-key-reused",
        (
            f"Idempotency-Key {use.key!r} was used before with another body. This call started nothing. Repeat the "
            "earlier body to get its response, or use a new key to start another run."
        )
        if use.made_by is None
        else (
            f"Idempotency-Key {use.key!r} was used before with another body, or the trigger's dag or conf has "
            "changed since then. This call started nothing. Use a new key to start another run."
        ),
    )
