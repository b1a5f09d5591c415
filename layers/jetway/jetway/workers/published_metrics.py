"""What is published of one measurement: namespace Jetway, dimension Environment.

A number that could not be told is not published: an alarm then knows that data is missing, and no dashboard draws a
zero that nobody measured.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aws_lambda_powertools.metrics import MetricUnit

from jetway.workers.assessment import VERDICT_CODES

if TYPE_CHECKING:
    from jetway.airflow.environment import EnvironmentFacts
    from jetway.workers.assessment import Saturation
    from jetway.workers.metrics import Operations


@dataclass(frozen=True, slots=True)
class Metric:
    """One value of one metric."""

    name: str
    unit: MetricUnit
    value: float


def published(saturation: Saturation, operations: Operations, facts: EnvironmentFacts) -> Iterator[Metric]:
    """Yield the metrics of one measurement; always at least one."""
    count, seconds = MetricUnit.Count, MetricUnit.Seconds
    values: tuple[tuple[str, MetricUnit, float | None], ...] = (
        ("RequiredWorkers", count, saturation.required),
        ("RunningWorkers", count, saturation.running),
        ("WorkerShortfall", count, saturation.shortfall),
        ("IdleWorkers", count, saturation.idle),
        ("WorkerUtilization", MetricUnit.Percent, saturation.utilization),
        ("BacklogPerWorker", count, saturation.backlog_per_worker),
        ("EstimatedDrainTime", seconds, saturation.drain_seconds),
        ("ScalingHeadroom", count, saturation.headroom),
        ("QueueWait", seconds, saturation.queue_wait),
        ("Verdict", MetricUnit.NoUnit, VERDICT_CODES.get(saturation.verdict)),
        ("MinWorkers", count, facts.min_workers),
        ("MaxWorkers", count, facts.max_workers),
        ("UpdateFailed", count, int(facts.last_update == "FAILED")),
        ("DispatchQueueAge", seconds, operations.queue_age),
        ("WorkQueueAge", seconds, operations.work_queue_age),
        ("DeadLetters", count, operations.dead_letters),
        ("FunctionErrors", count, operations.errors),
        ("FunctionThrottles", count, operations.throttles),
    )
    for name, unit, value in values:
        if value is not None:
            yield Metric(name, unit, value)
