"""verify_promotion: every minute, whether what went live works in the environment; what does not is rolled back."""

from __future__ import annotations

from dataclasses import asdict
from functools import cache
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.metrics import MetricUnit

from jetway.errors import TransientError
from jetway.live.assembly import connect_verifier
from jetway.observability import logger, metrics
from jetway.wiring.variables import VerifyPromotionConfig

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from jetway.live.verifier import Verifier

METRICS = {"good": "ArtifactsVerified", "rolled-back": "ArtifactsRolledBack"}


class _TimeLeft:
    """The time that this invocation has; the verifier outlives it."""

    context: LambdaContext | None = None

    def __call__(self) -> float:
        return self.context.get_remaining_time_in_millis() / 1000 if self.context else 0.0


_time_left = _TimeLeft()


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> None:  # noqa: ARG001 - a schedule says nothing
    """Look at what is due; what could not be looked at is due again in a minute."""
    verifier = _verifier()
    _time_left.context = context
    for name in METRICS.values():
        metrics.add_metric(name, MetricUnit.Count, 0)  # an alarm needs data to see that it is over
    try:
        for found in verifier.look():
            logger.info(f"artifact {found.outcome}", extra=asdict(found))
            if found.outcome in METRICS:
                metrics.add_metric(METRICS[found.outcome], MetricUnit.Count, 1)
    except TransientError as exc:
        logger.info("artifacts cannot be verified now", extra={"because": f"{exc.reason}: {exc}"})


@cache
def _verifier() -> Verifier:
    config = VerifyPromotionConfig.from_env()
    metrics.set_default_dimensions(Environment=config.environment_name)
    return connect_verifier(config, _time_left)
