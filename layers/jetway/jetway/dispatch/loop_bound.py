"""A bound for loops through runs of which Jetway does not know what has started them.

The event on the end of a run that Jetway has started says what had started it; that on any other run cannot. A DAG that
Jetway starts may start another one by an operator of Airflow's, whose end starts the first one again. So starts are
counted, for each trigger, DAG and hour: a loop comes by the same DAG time and again.

    {"id": "starts/<trigger>/<dag_id>/<hour>", "events": {"<digest>", …}, "ttl": …}     in the ledger's table

The set holds events, not a number: an event that is delivered again is counted once.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from jetway.aws.dynamodb import write_if
from jetway.dispatch.run import derive_digest
from jetway.errors import LoopError
from jetway.events.outgoing import SOURCE
from jetway.ledger import LedgerUnavailableError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

    from jetway.dispatch.run import DispatchMessage

_KEPT = timedelta(hours=2)
_ENDS = frozenset({"DagRunSucceeded", "DagRunFailed", "DagRunMissing"})
_FREE = "attribute_not_exists(#events) OR size(#events) < :most OR contains(#events, :event)"


class HourlyStarts:
    """Counts them."""

    def __init__(self, table: Table, *, most: int) -> None:
        """Take the parts; nothing is called.

        Args:
            table: boto3's Table of the stack's ledger.
            most: runs that a trigger may start in an hour after the ends of one DAG's runs.
        """
        self._table = table
        self._most = most

    def refusal(self, message: DispatchMessage, now: datetime) -> LoopError | None:
        """Count a start; return why it is one too many. Nothing is asked for other events than such ends.

        Args:
            now: timezone-aware.

        Raises:
            LedgerUnavailableError: DynamoDB does not do its part.
        """
        dag_id = dag_of_others(message.event.facts)
        if dag_id is None:
            return None
        digest = derive_digest(message.trigger.name, message.identity)
        names = {"#events": "events", "#ttl": "ttl"}
        try:
            is_free = write_if(
                self._table.update_item,
                Key={"id": f"starts/{message.trigger.name}/{dag_id}/{now.astimezone(UTC):%Y-%m-%dT%H}"},
                UpdateExpression="SET #ttl = :ttl ADD #events :events",
                ConditionExpression=_FREE,
                ExpressionAttributeNames=names,
                ExpressionAttributeValues={
                    ":ttl": int((now + _KEPT).timestamp()),
                    ":events": {digest},
                    ":event": digest,
                    ":most": self._most,
                },
            )
        except (ClientError, BotoCoreError) as exc:
            raise LedgerUnavailableError(
                f"starts of trigger {message.trigger.name!r} cannot be counted: {exc}"
            ) from exc
        return None if is_free else _too_many(message.trigger.name, dag_id, self._most)


def dag_of_others(facts: Mapping[str, Any]) -> str | None:
    """Return the DAG whose run an event tells of, when Jetway had not started that run; None of all others. Pure.

    >>> dag_of_others({"source": "jetway", "detail-type": "DagRunFailed", "detail": {"trigger": None, "dag_id": "x"}})
    'x'
    """
    detail = facts.get("detail")
    if facts.get("source") != SOURCE or facts.get("detail-type") not in _ENDS or not isinstance(detail, Mapping):
        return None
    dag_id = detail.get("dag_id")
    return dag_id if detail.get("trigger") is None and isinstance(dag_id, str) else None


def _too_many(trigger: str, dag_id: str, most: int) -> LoopError:
    return LoopError(
        f"trigger {trigger!r} has started {most} runs in this hour after runs of DAG {dag_id!r}, which Jetway "
        "does not start, and that is the limit. The two probably start one another endlessly: check what "
        "starts the DAG. If it is intended to run this often, raise the parameter "
        "MaxStartsAfterOneDagPerHour, and redrive."
    )
