"""scale_workers: every five minutes, whether MinWorkers and MaxWorkers should move; in mode `act` they do.

Every decision is a log line and an event, each with its reason.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools.metrics import MetricUnit

from jetway.airflow.environment import Environment
from jetway.batches.table import BatchTable
from jetway.events_out import OutEvent, put
from jetway.live.table import StandingTable
from jetway.live.update_record import UpdateTable
from jetway.observability import logger, metrics
from jetway.updates import Updates
from jetway.wiring.clients import bounded
from jetway.wiring.variables import ScaleWorkersConfig
from jetway.workers.bursts import Backlog
from jetway.workers.floors_file import FloorsFile
from jetway.workers.scaler import Outcome, WorkerScaler

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext
    from mypy_boto3_events import EventBridgeClient


@logger.inject_lambda_context
@metrics.log_metrics
def handler(_event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Decide once, act if told to, and say so."""
    config, scaler, events = _wired()
    now = datetime.now(UTC)
    outcome = scaler.scale(now)
    detail = {**asdict(outcome), "environment": config.environment_name}
    _count(outcome)
    if outcome.floors_error:
        logger.error("floors.yaml is not in force, the last good one is", extra={"error": outcome.floors_error})
    logger.info(f"workers {outcome.decision.action}", extra=detail)
    identity = _identity(config.environment_name, outcome, now)
    put(events, config.event_bus, [OutEvent(_event_name(outcome), identity, now, detail)])
    return detail


def _event_name(outcome: Outcome) -> str:
    if outcome.applied:
        return "WorkersScaled"
    return "WorkersKept" if outcome.decision.action == "none" else "WorkerScalingAdvised"


def _identity(environment: str, outcome: Outcome, now: datetime) -> str:
    """The same advice, given every five minutes, is one event a day to those who tell copies apart."""
    when = f"{now:%Y-%m-%dT%H:%M}" if outcome.applied else f"{now:%Y-%m-%d}"
    decision = outcome.decision
    return f"workers:{environment}:{when}:{decision.action}:{decision.min_workers}-{decision.max_workers}"


def _count(outcome: Outcome) -> None:
    metrics.add_metric("WantedMinWorkers", MetricUnit.Count, outcome.decision.min_workers)
    metrics.add_metric("WantedMaxWorkers", MetricUnit.Count, outcome.decision.max_workers)
    metrics.add_metric("WorkersScaled", MetricUnit.Count, int(outcome.applied))
    metrics.add_metric("TasksToCome", MetricUnit.Count, outcome.tasks_to_come)
    metrics.add_metric("FloorsInvalid", MetricUnit.Count, int(outcome.floors_error is not None))
    if outcome.cost_per_hour is not None:
        metrics.add_metric("WorkerCostPerHour", MetricUnit.NoUnit, outcome.cost_per_hour)
    if outcome.cost_per_month is not None:
        metrics.add_metric("AdvisedCostPerMonth", MetricUnit.NoUnit, outcome.cost_per_month)


@cache
def _wired() -> tuple[ScaleWorkersConfig, WorkerScaler, EventBridgeClient]:
    config = ScaleWorkersConfig.from_env()
    metrics.set_default_dimensions(Environment=config.environment_name)
    patient = bounded(read_timeout=15, attempts=2)
    batches = BatchTable(boto3.client("dynamodb", config=patient), config.batch_table)
    backlog = Backlog(boto3.client("sqs", config=patient), config.event_queue_urls, batches)
    mwaa, dynamodb = boto3.client("mwaa", config=patient), boto3.client("dynamodb", config=patient)
    updates = Updates(
        mwaa,
        Environment(mwaa, config.environment_name, max_age=0, max_age_unusable=0),
        UpdateTable(dynamodb, config.artifact_table),
        StandingTable(dynamodb, config.artifact_table),
        automatic=config.automatic,
        worker_replacement=config.worker_replacement,
        clock=lambda: datetime.now(UTC),
    )
    scaler = WorkerScaler(
        config.environment_name,
        config.policy,
        mode=config.mode,
        floors=FloorsFile(boto3.client("s3", config=patient), config.drop_bucket).read,
        events_waiting=backlog.count,
        tasks_per_event=config.tasks_per_event,
        prices=config.prices,
        mwaa=mwaa,
        cloudwatch=boto3.client("cloudwatch", config=patient),
        update=updates.scale,
    )
    return config, scaler, boto3.client("events", config=patient)
