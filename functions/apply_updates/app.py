"""apply_updates: every minute, and when the environment's status changes, its one update goes on."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.metrics import MetricUnit

from jetway.errors import TransientError
from jetway.events.denials import denial_in
from jetway.observability import logger, metrics
from jetway.wiring.apply_updates import wired

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from jetway.updates.steps import UpdateStep

METRICS = {
    "begun": "UpdatesBegun",
    "failed": "UpdatesFailed",
    "undo-failed": "UpdatesFailed",
    "stalled": "UpdatesFailed",
}


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> None:  # noqa: ARG001 - the table says what is to be done
    """Do the next step; what cannot be done now is tried again in a minute."""
    parts = wired()
    config = parts.config
    for name in {*METRICS.values(), "ArtifactsRolledBack"}:
        metrics.add_metric(name, MetricUnit.Count, 0)  # an alarm needs data to see that it is over
    try:
        parts.updates.advance(parts.import_errors, parts.undo, config.verify_after, config.quiet, on_step=_report)
    except TransientError as exc:
        if (denial := denial_in(exc)) is not None:
            parts.denials.report(denial)
        logger.info("the update cannot continue now", extra={"because": f"{exc.reason}: {exc}"})


def _report(step: UpdateStep) -> None:
    log = logger.error if step.step in {"undo-failed", "stalled"} else logger.info
    log(f"update {step.step}", extra=asdict(step))
    if step.step in METRICS:
        metrics.add_metric(METRICS[step.step], MetricUnit.Count, 1)
    if step.step == "failed":
        metrics.add_metric("ArtifactsRolledBack", MetricUnit.Count, len(step.artifacts))
