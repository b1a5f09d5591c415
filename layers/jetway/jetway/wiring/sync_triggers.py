"""What sync_triggers is made of."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING

from jetway.aws.crashes import Crashes
from jetway.observability import metrics
from jetway.sync.dags import KnownDags
from jetway.sync.reconcile import Clients, SyncSettings
from jetway.sync.webhooks import Hooks
from jetway.triggers.resources import Targets
from jetway.wiring.airflow import is_cli
from jetway.wiring.clients import THROTTLED, bounded, client, tag_what_is_made
from jetway.wiring.variables import Env, FromEnv, either, flag, number, optional, variable

Tag = tuple[str, str]


def _tags(env: Env, name: str) -> tuple[Tag, ...]:
    """Read tags as key=value, separated by commas."""
    pairs = [part.partition("=") for part in env.get(name, "").split(",") if part.strip()]
    return tuple((key.strip(), value.strip()) for key, _, value in pairs)


if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


@dataclass(frozen=True, slots=True)
class Config(FromEnv):
    """Configuration of sync_triggers.

    Attributes:
        collect_queue_arn: of batched events; None when the stack has no such queue.
        alarm_topic_arn: SNS topic that absence alarms tell; None for none.
        max_rules_per_bus: the account's quota.
        one_bulk_lane: whether files and events of all triggers share one lane.
        webhooks: whether the stack takes webhooks.
        tags: of the rules and alarms that it makes, which are none of the stack's.
    """

    environment_name: str = variable("ENVIRONMENT_NAME")
    drop_bucket: str = variable("DROP_BUCKET")
    environment_bucket: str | None = variable("ENVIRONMENT_BUCKET", optional)
    event_bus: str = variable("EVENT_BUS_NAME")
    tags: tuple[Tag, ...] = variable("TAGS", _tags)
    artifact_table: str = variable("ARTIFACT_TABLE")
    one_bulk_lane: bool = variable("TRANSPORT", is_cli)
    webhooks: bool = variable("WEBHOOKS", either("enabled", "disabled"))
    stack_name: str = variable("STACK_NAME")
    schedule_group: str = variable("SCHEDULE_GROUP")
    scheduler_role_arn: str = variable("SCHEDULER_ROLE_ARN")
    dispatch_queue_arn: str = variable("DISPATCH_QUEUE_ARN")
    collect_queue_arn: str | None = variable("COLLECT_QUEUE_ARN", optional)
    undelivered_events_arn: str = variable("UNDELIVERED_EVENTS_ARN")
    alarm_topic_arn: str | None = variable("ALARM_TOPIC_ARN", optional)
    max_rules_per_bus: int = variable("MAX_RULES_PER_BUS", number)
    metrics_by_trigger: bool = variable("METRICS_BY_TRIGGER", flag)
    metrics_namespace: str = variable("POWERTOOLS_METRICS_NAMESPACE")
    sync_queue_url: str = variable("SYNC_QUEUE_URL")


@dataclass(frozen=True, slots=True)
class Parts:
    """Parts of sync_triggers."""

    clients: Clients
    settings: SyncSettings
    sqs: SQSClient
    queue_url: str
    crashes: Crashes


@cache
def wired() -> Parts:
    """Return the parts. Nothing is sent before the first run."""
    config = Config.from_env()
    metrics.set_default_dimensions(Environment=config.environment_name)
    clients = Clients(
        client("s3", THROTTLED),
        client("events", THROTTLED),
        client("scheduler", THROTTLED),
        client("cloudwatch", THROTTLED),
    )
    if config.tags:
        tag_what_is_made(clients.events, "PutRule", config.tags)
        tag_what_is_made(clients.cloudwatch, "PutMetricAlarm", config.tags)
    places = Targets(
        stack=config.stack_name,
        dispatch_queue=config.dispatch_queue_arn,
        collect_queue=config.collect_queue_arn,
        undelivered=config.undelivered_events_arn,
        scheduler_role=config.scheduler_role_arn,
        group=config.schedule_group,
        one_bulk_lane=config.one_bulk_lane,
    )
    hooks_prefix = f"{config.stack_name}/webhooks/"  # as WEBHOOK_SECRET_PREFIX of the HTTP API
    settings = SyncSettings(
        bucket=config.drop_bucket,
        environment=config.environment_name,
        namespace=config.metrics_namespace,
        places=places,
        environment_bucket=config.environment_bucket,
        event_bus=config.event_bus,
        topic=config.alarm_topic_arn,
        most_rules=config.max_rules_per_bus,
        metrics_by_trigger=config.metrics_by_trigger,
        hooks=partial(Hooks, client("secretsmanager", bounded(attempts=1)) if config.webhooks else None, hooks_prefix),
        dags=partial(KnownDags, client("dynamodb", THROTTLED), config.artifact_table),
    )
    crashes = Crashes(client("dynamodb"), config.artifact_table, key="pk", ttl="expires_at")
    return Parts(clients, settings, client("sqs"), config.sync_queue_url, crashes)
