"""The replay cache: a signature that was accepted is accepted once."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

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

    def claim(self, trigger: str, signed: Signed) -> bool:
        """Remember a signature; False when it was remembered already: a replay.

        Raises:
            ClientError, BotoCoreError: DynamoDB refuses or does not answer; then nothing may be accepted.
        """
        now = self._clock()
        kept = KEPT_WITHOUT_TIME if signed.timestamp is None else KEPT_WITH_TIME
        try:
            self._client.put_item(
                TableName=self._table,
                Item={"id": {"S": _key(trigger, signed)}, "ttl": {"N": str(int(now + kept))}},
                # DynamoDB deletes what is past its time within days, not at once.
                ConditionExpression="attribute_not_exists(id) OR #ttl < :now",
                ExpressionAttributeNames={"#ttl": "ttl"},
                ExpressionAttributeValues={":now": {"N": str(int(now))}},
            )
        except ClientError as exc:
            if exc.response["Error"]["Code"] == "ConditionalCheckFailedException":
                return False
            raise
        return True

    def release(self, trigger: str, signed: Signed) -> None:
        """Forget a signature whose request could not be served after all, so that the sender's next try counts."""
        with suppress(ClientError, BotoCoreError):  # then it is refused as a replay; a new signature is not
            self._client.delete_item(TableName=self._table, Key={"id": {"S": _key(trigger, signed)}})


def _key(trigger: str, signed: Signed) -> str:
    return f"{trigger}#{signed.proof}"
