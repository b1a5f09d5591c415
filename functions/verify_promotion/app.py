"""verify_promotion: every minute, whether what went live works in the environment; what does not is rolled back."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.metrics import MetricUnit

from jetway.errors import PermissionMissingError, TransientError
from jetway.observability import logger, metrics
from jetway.wiring.verify_promotion import wired

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from jetway.verification.verifier import Verified

METRICS = {
    "good": "ArtifactsVerified",
    "rolled-back": "ArtifactsRolledBack",
    "never-appeared": "ArtifactsNeverAppeared",
}


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> None:  # noqa: ARG001 - a schedule says nothing
    """Look at what is due; what could not be looked at is due again in a minute."""
    parts = wired()
    parts.time_left.of(context)
    for name in set(METRICS.values()):
        metrics.add_metric(name, MetricUnit.Count, 0)  # an alarm needs data to see that it is over
    try:
        parts.verifier.look(on_verified=_report)
    except PermissionMissingError as exc:
        parts.denials.report(exc)  # nothing is rolled back for it: what is due stays due
    except TransientError as exc:
        logger.info("artifacts cannot be verified now", extra={"because": f"{exc.reason}: {exc}"})


def _report(found: Verified) -> None:
    logger.info(f"artifact {found.outcome}", extra=asdict(found))
    if found.outcome in METRICS:
        metrics.add_metric(METRICS[found.outcome], MetricUnit.Count, 1)
