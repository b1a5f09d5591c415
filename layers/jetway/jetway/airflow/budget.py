"""The budget: how many calls of InvokeRestApi a second all functions of the stack make together, counted in DynamoDB.

AWS takes about ten calls a second (Support raises it) and throttles the rest. Two shares, so that files by the thousand
do not keep people waiting, nor the other way round:

    interactive   calls and schedules, and what people ask over the HTTP API
    bulk          files and events, and what Jetway asks for itself

Commands of the command line, which lanes send beside one another where REST does not work or a dag_id does not fit into
its path, have a share apart: the web server runs about four at once, and one takes some three seconds.

A share is one item of the ledger's table: the moment until which its turns are taken. A call takes the next turn in one
write, and sleeps until it comes. A share that is idle lends its turns to the other one, so that either has the whole
budget while nobody needs the other. https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from botocore.exceptions import BotoCoreError, ClientError

from jetway.errors import OutOfTurnError
from jetway.observability import logger

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Share = Literal["bulk", "interactive"]
_Item = Literal["bulk", "interactive", "commands"]

_PARTS: dict[_Item, float] = {"bulk": 0.7, "interactive": 0.3}
_LENDS: dict[_Item, _Item] = {"bulk": "interactive", "interactive": "bulk"}  # to the one, what the other has not used
_COMMANDS_PER_SECOND = 1.0

# Calls of a share may be so much ahead of their turns: half of what AWS's own bucket may hold, so that calls which
# bunch on their way are not throttled.
_AHEAD = 500_000  # microseconds

# A share lends a turn that begins within this time: then its own next call still comes at once.
_LENT = 150_000

_SECOND = 1_000_000  # moments are whole microseconds: DynamoDB's numbers are decimal, and so exact
_KEY = "budget/"  # `/` is in no trigger's name and no row of an event has it


class Budget:
    """Spends calls of one share.

    Attributes:
        waited: seconds that calls have waited for their turns since `begin`.
    """

    def __init__(
        self,
        client: DynamoDBClient,
        table: str,
        *,
        calls_per_second: float,
        longest: float,
        share: Share = "bulk",
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Take the parts; nothing is called.

        Args:
            client: of DynamoDB; better one that gives up soon.
            table: with the string key `id`.
            calls_per_second: of all functions together.
            longest: seconds that a call waits for its turn at most.
            share: whose calls they are.
            clock: seconds since 1970, about the same in all functions.
            sleep: waits so many seconds.
        """
        self.waited = 0.0
        self._share: Share = share
        self._client = client
        self._table = table
        self._calls_per_second = calls_per_second
        self._longest = longest
        self._clock = clock
        self._sleep = sleep

    def begin(self, share: Share) -> None:
        """Begin work of a share."""
        self._share = share
        self.waited = 0.0

    def spend(self) -> None:
        """Wait for the turn of one call.

        What cannot be counted is not held up: MWAA throttles by itself, and that is backed off from.

        Raises:
            OutOfTurnError: its turn would come too late.
        """
        if not self._wait_for_turn(self._share):
            raise OutOfTurnError(
                f"The share of InvokeRestApi that this stack uses ({self._share} of {self._calls_per_second:g} calls "
                f"per second) has been used up for {self._longest:g} s or more. Jetway tries again later. If AWS "
                "Support has raised your quota, raise the parameter RestCallsPerSecond."
            )

    def spend_command(self) -> None:
        """Wait for the turn of one command, unless people wait for it.

        Raises:
            OutOfTurnError: its turn would come too late.
        """
        if self._share != "interactive" and not self._wait_for_turn("commands"):
            raise OutOfTurnError("Other lanes are running commands on the web server. Jetway tries again later.")

    def _wait_for_turn(self, item: _Item) -> bool:
        """Wait for the turn of one call; False when it comes too late."""
        now = int(self._clock() * _SECOND)
        try:
            wait = self._take(item, now)
        except (ClientError, BotoCoreError) as exc:
            logger.warning("a call of Airflow is not counted", extra={"error": str(exc)})
            return True
        if wait:
            self.waited += wait / _SECOND
            self._sleep(wait / _SECOND)
        return wait is not None

    def _take(self, share: _Item, now: int) -> int | None:
        """Take the next turn; return microseconds until it comes, None when that is too far away."""
        every = self._every(share)
        ahead = max(_AHEAD, every + _LENT)
        until = self._take_idle(share, now)
        if until is None:
            return 0
        if until > now + ahead and share in _LENDS and (lent := self._take_lent(_LENDS[share], now)) is not None:
            return lent
        latest = now + ahead + int(self._longest * _SECOND)
        if until > latest:
            return None
        begins = self._queue(share, latest)
        return None if begins is None else max(0, begins - ahead - now)

    def _take_lent(self, share: _Item, now: int) -> int | None:
        """Take a turn of a share that nobody needs; return microseconds until it comes, None when there is none."""
        until = self._take_idle(share, now)
        if until is None:
            return 0
        if until > now + _LENT:
            return None
        begins = self._queue(share, now + _LENT)
        return None if begins is None else max(0, begins - now)

    def _take_idle(self, share: _Item, now: int) -> int | None:
        """Take a turn of a share whose turns are all over; None when that is done, else until when they are taken."""
        try:
            self._client.update_item(
                TableName=self._table,
                Key={"id": {"S": _KEY + share}},
                UpdateExpression="SET #until = :until",
                ConditionExpression="attribute_not_exists(#until) OR #until < :now",
                ExpressionAttributeNames={"#until": "until"},
                ExpressionAttributeValues={":now": _number(now), ":until": _number(now + self._every(share))},
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as exc:
            answer = _not_so(exc)
            return int(answer["Item"]["until"]["N"]) if "Item" in answer else now
        return None

    def _queue(self, share: _Item, latest: int) -> int | None:
        """Take the turn behind all others; return when it begins, None when that is after `latest`."""
        every = self._every(share)
        try:
            answer = self._client.update_item(
                TableName=self._table,
                Key={"id": {"S": _KEY + share}},
                UpdateExpression="SET #until = #until + :every",
                ConditionExpression="#until <= :latest",
                ExpressionAttributeNames={"#until": "until"},
                ExpressionAttributeValues={":every": _number(every), ":latest": _number(latest)},
                ReturnValues="UPDATED_NEW",
            )
        except ClientError as exc:
            _not_so(exc)
            return None
        return int(answer["Attributes"]["until"]["N"]) - every

    def _every(self, share: _Item) -> int:
        """Microseconds from one turn of a share to the next."""
        part = _PARTS.get(share)
        return int(_SECOND / (_COMMANDS_PER_SECOND if part is None else self._calls_per_second * part))


def _not_so(exc: ClientError) -> Mapping[str, Any]:
    """Return the answer that says that a condition does not hold; raise any other."""
    if exc.response["Error"]["Code"] != "ConditionalCheckFailedException":
        raise exc
    return exc.response


def _number(value: int) -> Any:
    return {"N": str(value)}
