"""scale_workers: every five minutes, whether MinWorkers and MaxWorkers should move; in mode `act` they do.

Every decision is a log line and an event, each with its reason.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.metrics import MetricUnit

from jetway.errors import TransientError
from jetway.events.denials import denial_in, say
from jetway.events.outgoing import OutEvent, put
from jetway.observability import logger, metrics
from jetway.wiring.scale_workers import wired

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from jetway.workers.scaler import ScalingOutcome


@logger.inject_lambda_context
@metrics.log_metrics
def handler(_event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Decide once, act if told to, and say so; or say which right is missing for it."""
    parts = wired()
    config = parts.config
    now = datetime.now(UTC)
    try:
        outcome = parts.scaler.scale(now)
    except TransientError as exc:
        denial = denial_in(exc)
        if denial is None:
            raise
        say(denial)
        return {"because": f"{denial.reason}: {denial}"}
    detail = {**asdict(outcome), "environment": config.environment_name}
    _count(outcome)
    if outcome.floors_error:
        logger.error("floors.yaml is not in force, but the last good version is", extra={"error": outcome.floors_error})
    logger.info(f"workers {outcome.decision.action}", extra=detail)
    identity = _identity(config.environment_name, outcome, now)
    put(parts.events, config.event_bus, [OutEvent(_event_name(outcome), identity, now, detail)])
    return detail


def _event_name(outcome: ScalingOutcome) -> str:
    if outcome.applied:
        return "WorkersScaled"
    return "WorkersKept" if outcome.decision.action == "none" else "WorkerScalingAdvised"


def _identity(environment: str, outcome: ScalingOutcome, now: datetime) -> str:
    """The same advice, given every five minutes, is one event a day to those who tell copies apart."""
    when = f"{now:%Y-%m-%dT%H:%M}" if outcome.applied else f"{now:%Y-%m-%d}"
    decision = outcome.decision
    return f"workers:{environment}:{when}:{decision.action}:{decision.min_workers}-{decision.max_workers}"


def _count(outcome: ScalingOutcome) -> None:
    metrics.add_metric("WantedMinWorkers", MetricUnit.Count, outcome.decision.min_workers)
    metrics.add_metric("WantedMaxWorkers", MetricUnit.Count, outcome.decision.max_workers)
    metrics.add_metric("WorkersScaled", MetricUnit.Count, int(outcome.applied))
    metrics.add_metric("TasksToCome", MetricUnit.Count, outcome.tasks_to_come)
    metrics.add_metric("FloorsInvalid", MetricUnit.Count, int(outcome.floors_error is not None))
    if outcome.cost_per_hour is not None:
        metrics.add_metric("WorkerCostPerHour", MetricUnit.NoUnit, outcome.cost_per_hour)
    if outcome.cost_per_month is not None:
        metrics.add_metric("AdvisedCostPerMonth", MetricUnit.NoUnit, outcome.cost_per_month)
