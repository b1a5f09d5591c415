"""measure_workers: once a minute, how many workers are needed, how many run, and what limits the environment.

One GetMetricData, one GetEnvironment, and metrics out. Nothing is remembered: a bound of five minutes ago gives a false
verdict.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from jetway.errors import PermissionMissingError
from jetway.events.denials import say
from jetway.observability import logger, metrics
from jetway.wiring.measure_workers import wired
from jetway.workers.assessment import measure, settings_of
from jetway.workers.metrics import ask, operations, readings
from jetway.workers.published_metrics import published

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@logger.inject_lambda_context
@metrics.log_metrics
def handler(_event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Measure once, publish, and return the measurement; or why there is none, when that is a right that is missing."""
    parts = wired()
    now = datetime.now(UTC)
    try:
        facts = parts.environment.facts()
    except PermissionMissingError as exc:
        say(exc)
        return {"because": f"{exc.reason}: {exc}"}
    watched = replace(parts.watched, environment_class=facts.environment_class)
    found = ask(parts.cloudwatch, watched, now)
    settings = settings_of(facts)
    saturation = measure(readings(found, watched, now), settings)
    for metric in published(saturation, operations(found, watched, now), facts):
        metrics.add_metric(metric.name, metric.unit, metric.value)
    measured = asdict(saturation)
    logger.info(f"workers {saturation.verdict}", extra={**measured, "settings": asdict(settings)})
    return measured
