"""Idempotency keys: a key belongs to the payload that it first came with.

The run's id is made of the key alone, so one key is one run whatever is written here. What this adds is the word: a
key that comes again with another payload is refused (422), instead of being taken for a repetition.
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

from jetway.aws.dynamodb import put_if
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
    """

    key: str
    id: str
    fingerprint: str


class IdempotencyKeys:
    """One DynamoDB item for each key, with the fingerprint of its payload.

    Every method raises ClientError or BotoCoreError when DynamoDB does not do its part; then nothing may be accepted.
    """

    def __init__(self, client: DynamoDBClient, table: str, *, clock: Callable[[], float] = time.time) -> None:
        self._client = client
        self._table = table
        self._clock = clock

    def claim(self, use: KeyUse) -> None:
        """Write down what a key is used for; of several uses at once, one payload wins.

        It is not taken back when the run is not accepted after all: an answer that was lost may have been a yes.

        Raises:
            ProblemError: 422, the key is another payload's.
        """
        now = self._clock()
        item = {
            "id": {"S": use.id},
            "fingerprint": {"S": use.fingerprint},
            "ttl": {"N": str(int(now + KEPT.total_seconds()))},
        }
        # DynamoDB deletes what is past its time within days, not at once.
        condition = "attribute_not_exists(id) OR fingerprint = :fingerprint OR #ttl < :now"
        values = {":fingerprint": {"S": use.fingerprint}, ":now": {"N": str(int(now))}}
        if not put_if(self._client, self._table, item, condition, values=values, names={"#ttl": "ttl"}):
            raise _reused(use)

    def check(self, use: KeyUse) -> None:
        """Say whether `claim` would take a use, and claim nothing.

        Raises:
            ProblemError: 422, the key is another payload's.
        """
        found = self._client.get_item(TableName=self._table, Key={"id": {"S": use.id}}, ConsistentRead=True)
        item = found.get("Item")
        if item and int(item["ttl"]["N"]) >= int(self._clock()) and item["fingerprint"]["S"] != use.fingerprint:
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
        f"Idempotency-Key {use.key!r} came with another body before; this call started nothing. Repeat that body to "
        "get that call's answer, or take a new key for another run.",
    )
