"""A right that is missing, told where people look: an ERROR line and a metric each time, an event on the bus once.

Nothing mends it but a person, so it must not hide among what passes by itself. The function that was denied goes on
with everything else, and asks again later.

    {<key>: "denied#<function>#<action>", "seen": 1796000000, <ttl>: …}    in a table that the function writes to anyway
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from aws_lambda_powertools.metrics import MetricUnit
from botocore.exceptions import BotoCoreError, ClientError

from jetway.errors import PermissionMissingError
from jetway.events.outgoing import LONGEST_TEXT, OutEvent, is_taken
from jetway.observability import logger, metrics

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

METRIC = "PermissionMissing"

# Asked for every 15 minutes at the least: one that was not seen for so long had been given meanwhile.
OVER_AFTER = timedelta(hours=1)
_KEPT = timedelta(days=1)


def denial_in(exc: BaseException | None) -> PermissionMissingError | None:
    """Return the denial that an error is, or comes of; None when it is none."""
    while exc is not None and not isinstance(exc, PermissionMissingError):
        exc = exc.__cause__
    return exc


def say(exc: PermissionMissingError) -> None:
    """Write the ERROR line and count; on the metric stands an alarm."""
    logger.error("permission missing", extra={"action": exc.action, "resource": exc.resource, "because": str(exc)})
    metrics.add_metric(METRIC, MetricUnit.Count, 1)


class Denials:
    """What one function has been denied.

    Trouble of DynamoDB is logged and nothing more: then the event may be sent more than once.
    """

    def __init__(
        self,
        dynamodb: DynamoDBClient,
        table: str,
        *,
        key: str,
        ttl: str,
        environment: str,
        function: str,
        tell: Callable[[OutEvent], None],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Take the parts; nothing is called.

        Args:
            key: name of the table's partition key.
            ttl: name of its attribute with the time to live.
            environment: name of the MWAA environment.
            function: name of the function that was denied, as docs/ have it.
            tell: sends an event out; raises EventsOutError when it is not taken.
        """
        self._dynamodb = dynamodb
        self._table = table
        self._key = key
        self._ttl = ttl
        self._environment = environment
        self._function = function
        self._tell = tell
        self._clock = clock

    def report(self, exc: PermissionMissingError) -> None:
        """Say it; the event is sent when it was not missing a while ago."""
        say(exc)
        now = self._clock()
        if not self._is_new(exc.action, now):
            return
        detail = {
            "environment": self._environment,
            "function": self._function,
            "action": exc.action,
            "resource": exc.resource,
            "error": str(exc)[:LONGEST_TEXT],
        }
        id_ = f"permission-missing:{self._environment}:{self._function}:{exc.action}:{now:%Y-%m-%dT%H:%M:%SZ}"
        if not is_taken(self._tell, OutEvent("PermissionMissing", id_, now, detail)):
            self._see(exc.action, datetime.fromtimestamp(0, tz=UTC), now)  # the next denial tells it

    def _is_new(self, action: str, now: datetime) -> bool:
        seen = self._see(action, now, now)
        return seen is None or now - seen > OVER_AFTER

    def _see(self, action: str, at: datetime, now: datetime) -> datetime | None:
        """Note that it was missing at a moment; return when it was before."""
        item = {
            self._key: {"S": f"denied#{self._function}#{action}"},
            "seen": {"N": str(int(at.timestamp()))},
            self._ttl: {"N": str(int((now + _KEPT).timestamp()))},
        }
        try:
            answer = self._dynamodb.put_item(TableName=self._table, Item=item, ReturnValues="ALL_OLD")
        except (BotoCoreError, ClientError) as exc:
            logger.warning("it is not known whether a denial was published", extra={"error": str(exc)})
            return None
        seen = answer.get("Attributes", {}).get("seen", {}).get("N")
        return None if seen is None else datetime.fromtimestamp(int(seen), tz=UTC)
