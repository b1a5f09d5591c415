"""sync_triggers: trigger files become EventBridge rules and schedules. One run serves a whole batch of messages.

Messages only say that something may have changed; their queue has one group, so there is one run at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.metrics import MetricUnit
from botocore.exceptions import BotoCoreError, ClientError

from jetway.errors import TransientError
from jetway.observability import logger, metrics
from jetway.sync.run import sync
from jetway.wiring.sync_triggers import wired

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Sync once; when that was not all that there was to do, the messages come back."""
    parts = wired()
    metrics.add_metric("TriggerSyncFailures", MetricUnit.Count, 0)  # so that a sum exists
    try:
        synced = sync(parts.clients, parts.settings)
    except (TransientError, ClientError, BotoCoreError) as exc:
        return _come_back(event, [exc])
    metrics.add_metric("TriggersInForce", MetricUnit.Count, synced.in_force)
    metrics.add_metric("TriggersRejected", MetricUnit.Count, len(synced.rejected))
    metrics.add_metric("TriggerChanges", MetricUnit.Count, len(synced.changes))
    logger.info("triggers synced", extra={"changes": synced.changes, "rejected": synced.rejected})
    return _come_back(event, synced.troubles) if synced.troubles else {"batchItemFailures": []}


def _come_back(event: dict[str, Any], troubles: Sequence[Exception]) -> dict[str, Any]:
    for trouble in troubles:
        logger.error("triggers not synced, the messages come back", exc_info=trouble)
    metrics.add_metric("TriggerSyncFailures", MetricUnit.Count, 1)
    return {"batchItemFailures": [{"itemIdentifier": record["messageId"]} for record in event["Records"]]}
