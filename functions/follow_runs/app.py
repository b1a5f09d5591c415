"""follow_runs: every minute, tells the end of the runs that Jetway has started."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from jetway.errors import EnvironmentBusyError, EnvironmentUnavailableError, PermissionMissingError
from jetway.observability import logger, metrics
from jetway.wiring.follow_runs import wired

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> None:  # noqa: ARG001 - a schedule says nothing
    """Look at what is due; what could not be looked at is due again in a minute."""
    parts = wired()
    parts.time_left.of(context)
    try:
        summary = parts.follower.follow()
    except PermissionMissingError as exc:
        parts.denials.report(exc)
        metrics.add_metric("RunsNotFollowed", "Count", 1)
        return
    except (EnvironmentUnavailableError, EnvironmentBusyError) as exc:
        logger.info("runs cannot be looked at now", extra={"because": f"{exc.reason}: {exc}"})
        metrics.add_metric("RunsNotFollowed", "Count", 1)
        return
    metrics.add_metric("DagRunsSucceeded", "Count", summary.succeeded)
    metrics.add_metric("DagRunsFailed", "Count", summary.failed)
    metrics.add_metric("DagRunsOpen", "Count", summary.still_open)
    if summary.behind_paused:
        metrics.add_metric("RunsBehindPausedDag", "Count", summary.behind_paused)
    if summary.behind_stale or summary.deleted:
        metrics.add_metric("RunsBehindStaleDag", "Count", summary.behind_stale + summary.deleted)
    logger.info("followed", extra=asdict(summary))
