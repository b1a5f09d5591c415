"""apply_updates: every minute, and when the environment's status changes, its one update goes on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import cache
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.metrics import MetricUnit

from jetway.errors import TransientError
from jetway.live.assembly import connect_updates
from jetway.observability import logger, metrics
from jetway.wiring.variables import ApplyUpdatesConfig

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from jetway.airflow import ImportProblem
    from jetway.live.undo import Undo
    from jetway.updates import Updates

METRICS = {"begun": "UpdatesBegun", "failed": "UpdatesFailed", "undo-failed": "UpdatesFailed"}


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> None:  # noqa: ARG001 - the table says what is to be done
    """Do the next step; what cannot be done now is tried again in a minute."""
    config, updates, undo, errors = _wired()
    for name in {*METRICS.values(), "ArtifactsRolledBack"}:
        metrics.add_metric(name, MetricUnit.Count, 0)  # an alarm needs data to see that it is over
    try:
        for step in updates.advance(errors, undo, config.verify_after, config.quiet):
            log = logger.error if step.step == "undo-failed" else logger.info
            log(f"update {step.step}", extra=asdict(step))
            if step.step in METRICS:
                metrics.add_metric(METRICS[step.step], MetricUnit.Count, 1)
            if step.step == "failed":
                metrics.add_metric("ArtifactsRolledBack", MetricUnit.Count, len(step.artifacts))
    except TransientError as exc:
        logger.info("the update cannot go on now", extra={"because": f"{exc.reason}: {exc}"})


@cache
def _wired() -> tuple[ApplyUpdatesConfig, Updates, Undo, Callable[[], Sequence[ImportProblem]]]:
    config = ApplyUpdatesConfig.from_env()
    metrics.set_default_dimensions(Environment=config.environment_name)
    return config, *connect_updates(config)
