"""What measure_workers is made of."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from jetway.airflow.environment import Environment
from jetway.observability import metrics
from jetway.wiring.airflow import mwaa_client
from jetway.wiring.clients import COMES_AGAIN, client
from jetway.wiring.variables import Env, FromEnv, text, variable
from jetway.workers.metrics import Watched

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient


def _names(env: Env, name: str) -> tuple[str, ...]:
    """Names separated by commas; of a queue its URL will do as well."""
    return tuple(part.strip().rpartition("/")[2] for part in env.get(name, "").split(",") if part.strip())


def _with_own(env: Env, name: str) -> tuple[str, ...]:
    # A function cannot name itself in its own template: that would be a circle.
    return (*_names(env, name), text(env, "AWS_LAMBDA_FUNCTION_NAME"))


@dataclass(frozen=True, slots=True)
class Config(FromEnv):
    """Configuration of measure_workers: whose metrics it looks at (`workers.metrics.Watched`)."""

    environment_name: str = variable("ENVIRONMENT_NAME")
    pools: tuple[str, ...] = variable("POOLS", _names)
    queues: tuple[str, ...] = variable("QUEUES", _names)
    work_queues: tuple[str, ...] = variable("WORK_QUEUES", _names)
    dead_letters: tuple[str, ...] = variable("DEAD_LETTER_QUEUES", _names)
    functions: tuple[str, ...] = variable("FUNCTIONS", _with_own)
    readers: tuple[str, ...] = variable("QUEUE_FUNCTIONS", _names)


@dataclass(frozen=True, slots=True)
class Parts:
    """Parts of measure_workers."""

    watched: Watched
    environment: Environment
    cloudwatch: CloudWatchClient


@cache
def wired() -> Parts:
    """Return the parts. Nothing is sent before the first measurement."""
    config = Config.from_env()
    metrics.set_default_dimensions(Environment=config.environment_name)
    watched = Watched(
        config.environment_name,
        config.pools,
        config.queues,
        config.dead_letters,
        config.functions,
        config.work_queues,
        config.readers,
    )
    environment = Environment(mwaa_client(), config.environment_name, max_age=0)
    return Parts(watched, environment, client("cloudwatch", COMES_AGAIN))
