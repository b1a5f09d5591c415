"""measure_workers: once a minute, how many workers are needed, how many run, and what limits the environment.

One GetMetricData, one GetEnvironment, and metrics out. Nothing is remembered: a bound of five minutes ago gives a false
verdict.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3

from jetway.airflow.environment import Environment
from jetway.observability import logger, metrics
from jetway.wiring.clients import bounded
from jetway.wiring.variables import MeasureWorkersConfig
from jetway.workers.assessment import measure
from jetway.workers.metrics import Watched, ask, operations, readings
from jetway.workers.reports import published

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext
    from mypy_boto3_cloudwatch import CloudWatchClient


@logger.inject_lambda_context
@metrics.log_metrics
def handler(_event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Measure once, publish, and return the measurement."""
    watched, environment, cloudwatch = _wired()
    now = datetime.now(UTC)
    facts = environment.facts()
    found = ask(cloudwatch, watched, now)
    saturation = measure(readings(found, watched, now), facts.workers)
    for metric in published(saturation, operations(found, watched, now), facts):
        metrics.add_metric(metric.name, metric.unit, metric.value)
    measured = asdict(saturation)
    logger.info(f"workers {saturation.verdict}", extra={**measured, "settings": asdict(facts.workers)})
    return measured


@cache
def _wired() -> tuple[Watched, Environment, CloudWatchClient]:
    config = MeasureWorkersConfig.from_env()
    metrics.set_default_dimensions(Environment=config.environment_name)
    patient = bounded(read_timeout=15, attempts=2)
    environment = Environment(boto3.client("mwaa", config=patient), config.environment_name, max_age=0)
    watched = Watched(
        config.environment_name,
        config.pools,
        config.queues,
        config.dead_letters,
        config.functions,
        config.work_queues,
    )
    return watched, environment, boto3.client("cloudwatch", config=patient)
