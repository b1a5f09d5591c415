"""The replay cache: a signature that was accepted is accepted once.

It is remembered when its run is on the queue, not before: a function that died in between would have lost the event,
since a sender whose signature carries no time (GitHub) repeats the very same one. Two copies at the same moment are
both accepted, and are one run: the run's id is made of what the signature covers.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from jetway.http.signatures import WINDOW, Signed

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

# Twice the window: the sender's clock may be ahead by one. A signature without a time could come back any day.
KEPT_WITH_TIME = 2 * WINDOW + 60
KEPT_WITHOUT_TIME = 30 * 24 * 3600.0


class ReplayCache:
    """One DynamoDB item for each accepted signature, until it could not be accepted again anyway."""

    def __init__(self, client: DynamoDBClient, table: str, *, clock: Callable[[], float] = time.time) -> None:
        self._client = client
        self._table = table
        self._clock = clock

    def knows(self, trigger: str, signed: Signed) -> bool:
        """Whether a signature was remembered: then this is a replay.

        Raises:
            ClientError, BotoCoreError: DynamoDB refuses or does not answer; then nothing may be accepted.
        """
        key = {"id": {"S": _key(trigger, signed)}}
        item = self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True).get("Item")
        # DynamoDB deletes what is past its time within days, not at once.
        return item is not None and int(item["ttl"]["N"]) >= int(self._clock())

    def remember(self, trigger: str, signed: Signed) -> None:
        """Remember a signature whose run is accepted.

        Raises:
            ClientError, BotoCoreError: DynamoDB refuses or does not answer.
        """
        kept = KEPT_WITHOUT_TIME if signed.timestamp is None else KEPT_WITH_TIME
        self._client.put_item(
            TableName=self._table,
            Item={"id": {"S": _key(trigger, signed)}, "ttl": {"N": str(int(self._clock() + kept))}},
        )


def _key(trigger: str, signed: Signed) -> str:
    return f"{trigger}#{signed.proof}"
