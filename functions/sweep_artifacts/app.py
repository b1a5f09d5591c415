"""sweep_artifacts: every quarter of an hour, whether something was dropped of which no event has come."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.metrics import MetricUnit

from jetway.observability import logger, metrics
from jetway.wiring.sweep_artifacts import wired

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

SECONDS_TO_WRITE = 90.0  # of the function's time: for a page of a thousand reports, and to note where the pass stands


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Sweep once, or a part of it: what is left is for the next invocation.

    Args:
        event: of a schedule; or of `jetway sync`: with `whole` everything is looked at, with `at_once` also what came
            just now.
        context: how much time there is.
    """
    parts = wired()

    def seconds_left() -> float:
        return context.get_remaining_time_in_millis() / 1000 - SECONDS_TO_WRITE

    whole, at_once = event.get("whole") is True, event.get("at_once") is True
    swept = parts.sweep.run(whole=whole, at_once=at_once, seconds_left=seconds_left)
    metrics.add_metric("ArtifactsFoundUnseen", MetricUnit.Count, swept.queued)
    if swept.queued:
        found = {"queued": swept.queued, "deleted": swept.deleted}
        logger.warning("artifacts without an event were found, and are processed now", extra=found)
    if swept.still_live:
        why = "live, though a lifecycle rule might have deleted them: delete them again to remove them"
        logger.warning(why, extra={"keys": swept.still_live})
    logger.info("swept", extra=asdict(swept))
    return asdict(swept)
