"""What each function is told by its environment, read once at the edge into typed facts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Literal, Self

if TYPE_CHECKING:
    from jetway.worker_scaling import Policy

Transport = Literal["cli", "rest"]
ScalingMode = Literal["off", "advise", "act"]


class ConfigError(ValueError):
    """An environment variable is missing or wrong; template.yaml sets them all."""


@dataclass(frozen=True, slots=True)
class LedgerConfig:
    """Where the ledger is, and how long it remembers."""

    table: str
    retention: timedelta

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> Self:
        """Read the function's environment variables.

        Raises:
            ConfigError: one is missing or wrong.
        """
        return cls(table=_text(env, "LEDGER_TABLE"), retention=timedelta(days=_number(env, "LEDGER_RETENTION_DAYS")))


@dataclass(frozen=True, slots=True)
class StartDagRunConfig:
    """Configuration of start_dag_run."""

    environment_name: str
    transport: Transport
    dispatch_queue_url: str
    dead_letters_url: str
    waiting_queue_url: str
    max_event_age: timedelta
    grace: timedelta
    ledger: LedgerConfig
    event_bus: str
    metrics_by_trigger: bool

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> Self:
        """Read the function's environment variables.

        Raises:
            ConfigError: one is missing or wrong.
        """
        return cls(
            environment_name=_text(env, "ENVIRONMENT_NAME"),
            transport=_transport(env),
            dispatch_queue_url=_text(env, "DISPATCH_QUEUE_URL"),
            dead_letters_url=_text(env, "DEAD_LETTERS_URL"),
            waiting_queue_url=_text(env, "WAITING_QUEUE_URL"),
            max_event_age=timedelta(hours=_number(env, "MAX_EVENT_AGE_HOURS")),
            grace=timedelta(minutes=_number(env, "GRACE_MINUTES")),
            ledger=LedgerConfig.from_env(env),
            event_bus=_text(env, "EVENT_BUS_NAME"),
            metrics_by_trigger=_text(env, "METRICS_BY_TRIGGER") == "true",
        )


@dataclass(frozen=True, slots=True)
class ResumeWaitingConfig:
    """Configuration of resume_waiting."""

    waiting_queue_url: str
    dispatch_queue_url: str

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> Self:
        """Read the function's environment variables.

        Raises:
            ConfigError: one is missing or wrong.
        """
        return cls(
            waiting_queue_url=_text(env, "WAITING_QUEUE_URL"), dispatch_queue_url=_text(env, "DISPATCH_QUEUE_URL")
        )


@dataclass(frozen=True, slots=True)
class FollowRunsConfig:
    """Configuration of follow_runs."""

    environment_name: str
    transport: Transport
    ledger: LedgerConfig
    event_bus: str

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> Self:
        """Read the function's environment variables.

        Raises:
            ConfigError: one is missing or wrong.
        """
        return cls(
            environment_name=_text(env, "ENVIRONMENT_NAME"),
            transport=_transport(env),
            ledger=LedgerConfig.from_env(env),
            event_bus=_text(env, "EVENT_BUS_NAME"),
        )


@dataclass(frozen=True, slots=True)
class HttpApiConfig:
    """Configuration of http_api."""

    environment_name: str
    transport: Transport
    dispatch_queue_url: str
    drop_bucket: str
    ledger_table: str
    replay_table: str
    webhook_secret_prefix: str

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> Self:
        """Read the function's environment variables.

        Raises:
            ConfigError: one is missing or wrong.
        """
        return cls(
            environment_name=_text(env, "ENVIRONMENT_NAME"),
            transport=_transport(env),
            dispatch_queue_url=_text(env, "DISPATCH_QUEUE_URL"),
            drop_bucket=_text(env, "DROP_BUCKET"),
            ledger_table=_text(env, "LEDGER_TABLE"),
            replay_table=_text(env, "REPLAY_TABLE"),
            webhook_secret_prefix=_text(env, "WEBHOOK_SECRET_PREFIX"),
        )


@dataclass(frozen=True, slots=True)
class ValidateArtifactConfig:
    """Configuration of validate_artifact."""

    environment_name: str
    drop_bucket: str
    artifact_table: str
    max_dag_file_bytes: int

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> Self:
        """Read the function's environment variables.

        Raises:
            ConfigError: one is missing or wrong.
        """
        return cls(
            environment_name=_text(env, "ENVIRONMENT_NAME"),
            drop_bucket=_text(env, "DROP_BUCKET"),
            artifact_table=_text(env, "ARTIFACT_TABLE"),
            max_dag_file_bytes=_number(env, "MAX_DAG_FILE_KILOBYTES") * 1024,
        )


@dataclass(frozen=True, slots=True)
class CollectBatchConfig:
    """Configuration of collect_batch."""

    environment_name: str
    batch_table: str
    drop_bucket: str
    collect_queue_url: str
    dispatch_queue_url: str
    dead_letters_url: str
    ledger: LedgerConfig

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> Self:
        """Read the function's environment variables.

        Raises:
            ConfigError: one is missing or wrong.
        """
        return cls(
            environment_name=_text(env, "ENVIRONMENT_NAME"),
            batch_table=_text(env, "BATCH_TABLE"),
            drop_bucket=_text(env, "DROP_BUCKET"),
            collect_queue_url=_text(env, "COLLECT_QUEUE_URL"),
            dispatch_queue_url=_text(env, "DISPATCH_QUEUE_URL"),
            dead_letters_url=_text(env, "DEAD_LETTERS_URL"),
            ledger=LedgerConfig.from_env(env),
        )


@dataclass(frozen=True, slots=True)
class SyncTriggersConfig:
    """Configuration of sync_triggers.

    Attributes:
        collect_queue_arn: of batched events; None when the stack has no such queue.
        alarm_topic_arn: SNS topic that absence alarms tell; None for none.
        max_rules_per_bus: the account's quota.
    """

    environment_name: str
    drop_bucket: str
    stack_name: str
    schedule_group: str
    scheduler_role_arn: str
    dispatch_queue_arn: str
    collect_queue_arn: str | None
    undelivered_events_arn: str
    alarm_topic_arn: str | None
    max_rules_per_bus: int
    metrics_by_trigger: bool
    metrics_namespace: str

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> Self:
        """Read the function's environment variables.

        Raises:
            ConfigError: one is missing or wrong.
        """
        return cls(
            environment_name=_text(env, "ENVIRONMENT_NAME"),
            drop_bucket=_text(env, "DROP_BUCKET"),
            stack_name=_text(env, "STACK_NAME"),
            schedule_group=_text(env, "SCHEDULE_GROUP"),
            scheduler_role_arn=_text(env, "SCHEDULER_ROLE_ARN"),
            dispatch_queue_arn=_text(env, "DISPATCH_QUEUE_ARN"),
            collect_queue_arn=env.get("COLLECT_QUEUE_ARN") or None,
            undelivered_events_arn=_text(env, "UNDELIVERED_EVENTS_ARN"),
            alarm_topic_arn=env.get("ALARM_TOPIC_ARN") or None,
            max_rules_per_bus=_number(env, "MAX_RULES_PER_BUS"),
            metrics_by_trigger=_text(env, "METRICS_BY_TRIGGER") == "true",
            metrics_namespace=_text(env, "POWERTOOLS_METRICS_NAMESPACE"),
        )


@dataclass(frozen=True, slots=True)
class MeasureWorkersConfig:
    """Configuration of measure_workers: whose metrics it looks at (`worker_metrics.Watched`)."""

    environment_name: str
    pools: tuple[str, ...]
    queues: tuple[str, ...]
    dead_letters: tuple[str, ...]
    functions: tuple[str, ...]

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> Self:
        """Read the function's environment variables.

        Raises:
            ConfigError: one is missing or wrong.
        """
        return cls(
            environment_name=_text(env, "ENVIRONMENT_NAME"),
            pools=_names(env, "POOLS"),
            queues=_names(env, "QUEUES"),
            dead_letters=_names(env, "DEAD_LETTER_QUEUES"),
            # A function cannot name itself in its own template: that would be a circle.
            functions=(*_names(env, "FUNCTIONS"), _text(env, "AWS_LAMBDA_FUNCTION_NAME")),
        )


@dataclass(frozen=True, slots=True)
class ScaleWorkersConfig:
    """Configuration of scale_workers (`worker_scaler.WorkerScaler`)."""

    environment_name: str
    mode: ScalingMode
    policy: Policy
    drop_bucket: str
    dispatch_queue_url: str
    event_bus: str
    tasks_per_event: float
    prices: Mapping[str, float]

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> Self:
        """Read the function's environment variables.

        Raises:
            ConfigError: one is missing or wrong.
        """
        from jetway.worker_scaling import RAISE_COOL_DOWN, Policy

        mode = _text(env, "SCALING_MODE")
        if mode not in {"off", "advise", "act"}:
            raise ConfigError(f"environment variable SCALING_MODE is {mode!r}; it must be off, advise or act.")
        lowest, highest = _number(env, "SCALING_MIN_WORKERS"), _number(env, "SCALING_MAX_WORKERS")
        if lowest > highest:
            raise ConfigError(f"SCALING_MIN_WORKERS ({lowest}) is greater than SCALING_MAX_WORKERS ({highest}).")
        cool_down = timedelta(minutes=_number(env, "SCALING_COOL_DOWN_MINUTES"))
        return cls(
            environment_name=_text(env, "ENVIRONMENT_NAME"),
            mode=mode,  # type: ignore[arg-type]  # mypy does not narrow a text by a set
            policy=Policy(
                lowest=lowest,
                usual=max(lowest, min(_number(env, "SCALING_USUAL_MAX_WORKERS"), highest)),
                highest=highest,
                raise_after=_number(env, "SCALING_RAISE_AFTER_MINUTES"),
                lower_after=_number(env, "SCALING_LOWER_AFTER_MINUTES"),
                cool_down=cool_down,
                raise_cool_down=min(cool_down, RAISE_COOL_DOWN),
            ),
            drop_bucket=_text(env, "DROP_BUCKET"),
            dispatch_queue_url=_text(env, "DISPATCH_QUEUE_URL"),
            event_bus=_text(env, "EVENT_BUS"),
            tasks_per_event=float(_number(env, "TASKS_PER_EVENT")),
            prices=_prices(env, "WORKER_PRICES"),
        )


def _text(env: Mapping[str, str], name: str) -> str:
    value = env.get(name, "")
    if not value:
        raise ConfigError(f"environment variable {name} is not set.")
    return value


def _names(env: Mapping[str, str], name: str) -> tuple[str, ...]:
    """Names separated by commas; of a queue its URL will do as well."""
    return tuple(part.strip().rpartition("/")[2] for part in env.get(name, "").split(",") if part.strip())


def _prices(env: Mapping[str, str], name: str) -> Mapping[str, float]:
    """Read "mw1.small=0.055,mw1.medium=0.11"."""
    prices = {}
    for part in env.get(name, "").split(","):
        key, _, value = part.strip().partition("=")
        try:
            prices[key] = float(value) if key else 0.0
        except ValueError:
            raise ConfigError(f"environment variable {name} has {part.strip()!r}; write class=price.") from None
    return prices


def _number(env: Mapping[str, str], name: str) -> int:
    value = _text(env, name)
    if not value.isdecimal():
        raise ConfigError(f"environment variable {name} is {value!r}, not a whole number.")
    return int(value)


def _transport(env: Mapping[str, str]) -> Transport:
    value = _text(env, "TRANSPORT")
    if value == "cli":
        return "cli"
    if value == "rest":
        return "rest"
    raise ConfigError(f"environment variable TRANSPORT is {value!r}; it must be cli or rest.")
