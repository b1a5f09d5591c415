"""follow_runs: every minute, tells the ends of runs: of those that Jetway has started, and of all other DAGs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from jetway.errors import (
    EnvironmentBusyError,
    EnvironmentUnavailableError,
    OutOfTurnError,
    PermissionMissingError,
)
from jetway.observability import logger, metrics
from jetway.wiring.follow_runs import wired

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from jetway.wiring.follow_runs import Parts


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> None:  # noqa: ARG001 - a schedule says nothing
    """Look at what is due; what could not be looked at is due again in a minute."""
    parts = wired()
    parts.time_left.of(context)
    can_ask = True
    try:
        can_ask = _asking(parts, _follow)
    finally:  # trouble with one row must not keep the alarms of all others
        if can_ask:
            _asking(parts, _look_at_all)


def _asking(parts: Parts, step: Callable[[Parts], None]) -> bool:
    """Take a step that asks Airflow; False when it cannot be asked now."""
    try:
        step(parts)
    except PermissionMissingError as exc:
        parts.denials.report(exc)
    except (EnvironmentUnavailableError, EnvironmentBusyError, OutOfTurnError) as exc:
        logger.info("runs cannot be read now", extra={"because": f"{exc.reason}: {exc}"})
    else:
        return True
    metrics.add_metric("RunsNotFollowed", "Count", 1)
    return False


def _follow(parts: Parts) -> None:
    summary = parts.follower.follow()
    metrics.add_metric("DagRunsSucceeded", "Count", summary.succeeded)
    metrics.add_metric("DagRunsFailed", "Count", summary.failed)
    metrics.add_metric("DagRunsOpen", "Count", summary.still_open)
    if summary.behind_paused:
        metrics.add_metric("RunsBehindPausedDag", "Count", summary.behind_paused)
    if summary.behind_stale or summary.deleted:
        metrics.add_metric("RunsBehindStaleDag", "Count", summary.behind_stale + summary.deleted)
    logger.info("followed", extra=asdict(summary))


def _look_at_all(parts: Parts) -> None:
    summary = parts.all_runs.look()
    if summary is None:
        return
    for name, count in (
        ("AllDagRunsSucceeded", summary.succeeded),
        ("AllDagRunsFailed", summary.failed),
        ("DagRunsMissing", summary.missed),
    ):
        if count:
            metrics.add_metric(name, "Count", count)
    logger.info("all DAGs were checked", extra=asdict(summary))
