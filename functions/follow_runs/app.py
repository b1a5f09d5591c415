"""follow_runs: every minute, tells the end of the runs that Jetway has started."""

from __future__ import annotations

from dataclasses import asdict
from functools import cache
from typing import TYPE_CHECKING, Any

from jetway.dispatch.assembly import make_follower
from jetway.errors import EnvironmentBusyError, EnvironmentUnavailableError
from jetway.observability import logger, metrics
from jetway.wiring.variables import FollowRunsConfig

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from jetway.dispatch.following import Follower

# Of the function's time, so much is left for the ledger when the last look is over.
SECONDS_TO_WRITE = 10.0


class _TimeLeft:
    """The time that this invocation has; the follower outlives it."""

    context: LambdaContext | None = None

    def __call__(self) -> float:
        return self.context.get_remaining_time_in_millis() / 1000 - SECONDS_TO_WRITE if self.context else 0.0


_time_left = _TimeLeft()


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> None:  # noqa: ARG001 - a schedule says nothing
    """Look at what is due; what could not be looked at is due again in a minute."""
    config, follower = _wired()
    _time_left.context = context
    metrics.set_default_dimensions(Environment=config.environment_name)
    try:
        summary = follower.follow()
    except (EnvironmentUnavailableError, EnvironmentBusyError) as exc:
        logger.info("runs cannot be looked at now", extra={"because": f"{exc.reason}: {exc}"})
        metrics.add_metric("RunsNotFollowed", "Count", 1)
        return
    metrics.add_metric("DagRunsSucceeded", "Count", summary.succeeded)
    metrics.add_metric("DagRunsFailed", "Count", summary.failed)
    metrics.add_metric("DagRunsOpen", "Count", summary.still_open)
    logger.info("followed", extra=asdict(summary))


@cache
def _wired() -> tuple[FollowRunsConfig, Follower]:
    config = FollowRunsConfig.from_env()
    return config, make_follower(config, _time_left)
