"""Which messages were in the hands of invocations that have ended without a word: out of memory, out of time, a crash.

Up to 500 messages share an invocation of collect_batch. What comes for the first time is not written down. What comes
again may have ended the one before, so it is written down before it is worked on, and struck out when the work ends,
however it ends. What stands there was in hand at a crash. A few messages are worked on one by one; of many, which will
have come back for trouble, all are in one hand at first, and one by one after a crash. So it shows whose fault it is.

    {pk: "hands", sk: "<time>#<token>", messages: {<message id>, …}, ttl: …}    in the batch table
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from jetway.aws.crashes import MOST
from jetway.observability import logger

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

# A message comes back after ten minutes at the latest: three crashes of it, and some trouble, lie within an hour.
REMEMBERED = timedelta(hours=1)

MessageIds = frozenset[str]  # ids of the messages that were in hand together


class Hands:
    """The hands of invocations that have not ended.

    Trouble of DynamoDB is logged and nothing more: then no crash is known of.
    """

    def __init__(
        self, dynamodb: DynamoDBClient, table: str, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        """Take the parts; nothing is called."""
        self._dynamodb = dynamodb
        self._table = table
        self._clock = clock

    def left_behind(self) -> list[MessageIds]:
        """Return what was in hand when an invocation ended without a word; or is, of one that is at work."""
        since = (self._clock() - REMEMBERED).isoformat()
        try:
            pages = self._dynamodb.get_paginator("query").paginate(
                TableName=self._table,
                KeyConditionExpression="pk = :hands AND sk > :since",
                ExpressionAttributeValues={":hands": {"S": "hands"}, ":since": {"S": since}},
                ConsistentRead=True,
            )
            return [frozenset(item["messages"]["SS"]) for page in pages for item in page["Items"]]
        except (BotoCoreError, ClientError) as exc:
            logger.warning(
                "the messages that were being processed at a crash could not be read", extra={"error": str(exc)}
            )
            return []

    @contextmanager
    def holding(self, messages: Iterable[str]) -> Iterator[None]:
        """A context in which messages are worked on that have come before.

        Args:
            messages: their ids; at least one.
        """
        key: Any = {"pk": {"S": "hands"}, "sk": {"S": f"{self._clock().isoformat()}#{token_hex(8)}"}}
        ttl = {"N": str(int((self._clock() + REMEMBERED).timestamp()))}
        try:
            item: Any = {**key, "messages": {"SS": sorted(set(messages))}, "ttl": ttl}
            self._dynamodb.put_item(TableName=self._table, Item=item)
        except (BotoCoreError, ClientError) as exc:
            logger.warning("the messages that are being processed could not be recorded", extra={"error": str(exc)})
        try:
            yield
        except Exception:  # not finally: what ends the process is a crash, and leaves the hand behind
            self._open(key)
            raise
        self._open(key)

    def _open(self, key: Any) -> None:
        try:
            self._dynamodb.delete_item(TableName=self._table, Key=key)
        except (BotoCoreError, ClientError) as exc:
            logger.warning("the messages that were being processed could not be cleared", extra={"error": str(exc)})


def was_in(message_id: str, hands: Sequence[MessageIds]) -> bool:
    """Whether a message was in one of the hands."""
    return any(message_id in hand for hand in hands)


def crashes_alone(message_id: str, hands: Sequence[MessageIds]) -> int:
    """Return how often a message was in a hand alone: then the crash was nobody else's fault."""
    return sum(hand == {message_id} for hand in hands)


def has_crashed(message_id: str, receives: int, hands: Sequence[MessageIds]) -> bool:
    """Whether a message has ended the function as often as it may.

    Its first time is not written down. It counts as a crash unless it came more often since than there were crashes:
    then it has come back for trouble.

    Args:
        receives: how often it was received, this time included.
    """
    return crashes_alone(message_id, hands) + (receives - 2 <= len(hands)) >= MOST
