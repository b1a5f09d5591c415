"""How often a message has ended the function that worked on it: out of memory, out of time, a crash in C.

Who is killed cannot write that down afterwards, and a receive count does not tell it: a lane's messages come back
untried, and trouble of the environment lets one be tried a hundred times. So a try is written down before it begins,
and struck out when it ends, however it ends. What is there and not struck out was a crash. The first try of a message
is not written down, which would cost a write for every event: a crash in it is concluded from there being no item.

    {<key>: "crash#<name>", "tries": 2, <ttl>: …}    in a table that the function writes to anyway
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from jetway.errors import PermanentError
from jetway.observability import logger

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

MOST = 3  # so many crashes are one message's fault
_KEPT = 15 * 86400  # seconds; SQS keeps no message for longer than 14 days


class CrashedError(PermanentError):
    """The function was ended each time that it worked on the message."""

    reason = "crashed"

    def __init__(self) -> None:
        """Say what that means."""
        super().__init__(
            f"the function was ended {MOST} times while it worked on this: it was out of memory, out of time, or "
            "crashed. The function's log shows which."
        )


class Crashes:
    """The tries of messages that have not ended.

    Trouble of DynamoDB is logged and nothing more: then no crash is counted.
    """

    def __init__(
        self,
        dynamodb: DynamoDBClient,
        table: str,
        *,
        key: str,
        ttl: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take the parts; nothing is called.

        Args:
            key: name of the table's partition key.
            ttl: name of its attribute with the time to live.
        """
        self._dynamodb = dynamodb
        self._table = table
        self._key = key
        self._ttl = ttl
        self._clock = clock

    @contextmanager
    def trying(self, name: str, receives: int, *, conclude: bool = True) -> Iterator[bool]:
        """A context in which something is tried; says whether it has crashed too often to be tried once more.

        Whatever is raised inside says that it will be tried again. What has crashed too often stays so.

        Args:
            name: of what is tried: the message's id, or what the message is about.
            receives: how often the message was received, this time included.
            conclude: whether a first try that was not written down was a crash. Not so of what may have come, or have
                met trouble outside of this context, since: then it takes one crash more.
        """
        tries = self._write(name, "ADD tries :n SET #ttl = :ttl", 1) if receives >= 2 else 0
        if tries >= MOST + (not conclude):
            yield True
            return
        try:
            yield False
        except Exception:
            # Its first try, unwritten, has not crashed either: that is one crash more to come.
            self._write(name, "SET tries = :n, #ttl = :ttl", -1)
            raise
        if receives >= 2:
            self._write(name, "SET tries = :n, #ttl = :ttl", -1)  # it may be tried again, as a file is

    def _write(self, name: str, expression: str, number: int) -> int:
        try:
            answer = self._dynamodb.update_item(
                TableName=self._table,
                Key={self._key: {"S": f"crash#{name}"}},
                UpdateExpression=expression,
                ExpressionAttributeNames={"#ttl": self._ttl},
                ExpressionAttributeValues={
                    ":n": {"N": str(number)},
                    ":ttl": {"N": str(int(self._clock()) + _KEPT)},
                },
                ReturnValues="UPDATED_NEW",
            )
        except (BotoCoreError, ClientError) as exc:
            logger.warning("the tries of a message could not be counted", extra={"error": str(exc)})
            return 0
        return int(answer.get("Attributes", {}).get("tries", {}).get("N", 0))
