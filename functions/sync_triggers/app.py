"""sync_triggers: trigger files become EventBridge rules and schedules. One run serves a whole batch of messages.

Messages only say that something may have changed; their queue has one group, so there is one run at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools.metrics import MetricUnit
from botocore.exceptions import BotoCoreError, ClientError

from jetway.errors import TransientError
from jetway.observability import logger, metrics
from jetway.sync.dags import KnownDags
from jetway.sync.run import Clients, Settings, sync
from jetway.triggers.rules import Places
from jetway.wiring.clients import bounded
from jetway.wiring.variables import SyncTriggersConfig

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Sync once; when that was not all that there was to do, the messages come back."""
    clients, settings = _wired()
    metrics.set_default_dimensions(Environment=settings.environment)
    metrics.add_metric("TriggerSyncFailures", MetricUnit.Count, 0)  # so that a sum exists
    try:
        synced = sync(clients, settings)
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


@cache
def _wired() -> tuple[Clients, Settings]:
    config = SyncTriggersConfig.from_env()
    patient = bounded(read_timeout=15, attempts=5)
    clients = Clients(
        boto3.client("s3", config=patient),
        boto3.client("events", config=patient),
        boto3.client("scheduler", config=patient),
        boto3.client("cloudwatch", config=patient),
    )
    places = Places(
        stack=config.stack_name,
        dispatch_queue=config.dispatch_queue_arn,
        collect_queue=config.collect_queue_arn,
        undelivered=config.undelivered_events_arn,
        scheduler_role=config.scheduler_role_arn,
        group=config.schedule_group,
    )
    settings = Settings(
        bucket=config.drop_bucket,
        environment=config.environment_name,
        namespace=config.metrics_namespace,
        places=places,
        topic=config.alarm_topic_arn,
        most_rules=config.max_rules_per_bus,
        metrics_by_trigger=config.metrics_by_trigger,
        webhooks=config.webhooks,
        dags=partial(KnownDags, boto3.client("dynamodb", config=patient), config.artifact_table),
    )
    return clients, settings
