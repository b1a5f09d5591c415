"""What scale_workers is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING

from jetway.airflow.environment import Environment
from jetway.batches.table import BatchTable
from jetway.observability import metrics
from jetway.promotion.state_table import ArtifactStateTable
from jetway.updates.apply import Updates
from jetway.updates.record import UpdateTable
from jetway.wiring.airflow import mwaa_client
from jetway.wiring.clients import ASKED_ONCE, COMES_AGAIN, client
from jetway.wiring.parts import AUTOMATIC, WORKER_REPLACEMENT, now
from jetway.wiring.variables import ConfigError, Env, FromEnv, number, one_of, part, text, variable
from jetway.workers.backlog import Backlog
from jetway.workers.floors_file import FloorsFile
from jetway.workers.scaler import Mode, WorkerScaler
from jetway.workers.scaling import RAISE_COOL_DOWN, Policy

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

    from jetway.updates.record import WorkerReplacement


def _prices(env: Env, name: str) -> Mapping[str, float]:
    """Read "mw1.small=0.055,mw1.medium=0.11"."""
    prices = {}
    for each in env.get(name, "").split(","):
        key, _, value = each.strip().partition("=")
        try:
            prices[key] = float(value) if key else 0.0
        except ValueError:
            raise ConfigError(f"environment variable {name} has {each.strip()!r}; write class=price.") from None
    return prices


def _decimal(env: Env, name: str) -> float:
    return float(number(env, name))


def _urls(env: Env, name: str) -> tuple[str, ...]:
    return tuple(text(env, name).split(","))


def _policy(env: Env) -> Policy:
    lowest, highest = number(env, "SCALING_MIN_WORKERS"), number(env, "SCALING_MAX_WORKERS")
    if lowest > highest:
        raise ConfigError(f"SCALING_MIN_WORKERS ({lowest}) is greater than SCALING_MAX_WORKERS ({highest}).")
    cool_down = timedelta(minutes=number(env, "SCALING_COOL_DOWN_MINUTES"))
    return Policy(
        lowest=lowest,
        usual=max(lowest, min(number(env, "SCALING_USUAL_MAX_WORKERS"), highest)),
        highest=highest,
        raise_after=number(env, "SCALING_RAISE_AFTER_MINUTES"),
        lower_after=number(env, "SCALING_LOWER_AFTER_MINUTES"),
        cool_down=cool_down,
        raise_cool_down=min(cool_down, RAISE_COOL_DOWN),
    )


@dataclass(frozen=True, slots=True)
class Config(FromEnv):
    """Configuration of scale_workers (`workers.scaler.WorkerScaler`)."""

    environment_name: str = variable("ENVIRONMENT_NAME")
    mode: Mode = variable("SCALING_MODE", one_of("off", "advise", "act"))
    policy: Policy = part(_policy)
    drop_bucket: str = variable("DROP_BUCKET")
    event_queue_urls: tuple[str, ...] = variable("EVENT_QUEUE_URLS", _urls)
    batch_table: str = variable("BATCH_TABLE")
    event_bus: str = variable("EVENT_BUS_NAME")
    tasks_per_event: float = variable("TASKS_PER_EVENT", _decimal)
    prices: Mapping[str, float] = variable("WORKER_PRICES", _prices)
    artifact_table: str = variable("ARTIFACT_TABLE")
    automatic: bool = variable("APPLY_UPDATES", AUTOMATIC)
    worker_replacement: WorkerReplacement = variable("WORKER_REPLACEMENT_STRATEGY", WORKER_REPLACEMENT)


@dataclass(frozen=True, slots=True)
class Parts:
    """Parts of scale_workers."""

    config: Config
    scaler: WorkerScaler
    events: EventBridgeClient


@cache
def wired() -> Parts:
    """Return the parts. Nothing is sent before the first decision."""
    config = Config.from_env()
    metrics.set_default_dimensions(Environment=config.environment_name)
    mwaa, dynamodb = mwaa_client(), client("dynamodb", COMES_AGAIN)
    batches = BatchTable(dynamodb, config.batch_table)
    updates = Updates(
        client("mwaa", ASKED_ONCE),
        Environment(mwaa, config.environment_name, max_age=0, max_age_unusable=0),
        UpdateTable(dynamodb, config.artifact_table),
        ArtifactStateTable(dynamodb, config.artifact_table),
        automatic=config.automatic,
        worker_replacement=config.worker_replacement,
        clock=now,
    )
    scaler = WorkerScaler(
        config.environment_name,
        config.policy,
        mode=config.mode,
        floors=FloorsFile(client("s3", COMES_AGAIN), config.drop_bucket).read,
        events_waiting=Backlog(client("sqs", COMES_AGAIN), config.event_queue_urls, batches).count,
        tasks_per_event=config.tasks_per_event,
        prices=config.prices,
        mwaa=mwaa,
        cloudwatch=client("cloudwatch", COMES_AGAIN),
        update=updates.scale,
    )
    return Parts(config, scaler, client("events", COMES_AGAIN))
