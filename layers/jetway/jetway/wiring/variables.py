"""What each function is told by its environment, read once at the edge into typed facts.

A field says which variable it is and how that is read; `from_env` reads them all.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, Self

if TYPE_CHECKING:
    from jetway.live.update_record import WorkerReplacement
    from jetway.workers.scaling import Policy

Transport = Literal["cli", "rest"]
ScalingMode = Literal["off", "advise", "act"]


class ConfigError(ValueError):
    """An environment variable is missing or wrong; template.yaml sets them all."""


Env = Mapping[str, str]
_READ = "read"


def _text(env: Env, name: str) -> str:
    value = env.get(name, "")
    if not value:
        raise ConfigError(f"environment variable {name} is not set.")
    return value


def _names(env: Env, name: str) -> tuple[str, ...]:
    """Names separated by commas; of a queue its URL will do as well."""
    return tuple(part.strip().rpartition("/")[2] for part in env.get(name, "").split(",") if part.strip())


def _prices(env: Env, name: str) -> Mapping[str, float]:
    """Read "mw1.small=0.055,mw1.medium=0.11"."""
    prices = {}
    for part in env.get(name, "").split(","):
        key, _, value = part.strip().partition("=")
        try:
            prices[key] = float(value) if key else 0.0
        except ValueError:
            raise ConfigError(f"environment variable {name} has {part.strip()!r}; write class=price.") from None
    return prices


def _number(env: Env, name: str) -> int:
    value = _text(env, name)
    if not value.isdecimal():
        raise ConfigError(f"environment variable {name} is {value!r}, not a whole number.")
    return int(value)


def _transport(env: Env, name: str) -> Transport:
    value = _text(env, name)
    if value == "cli":
        return "cli"
    if value == "rest":
        return "rest"
    raise ConfigError(f"environment variable {name} is {value!r}; it must be cli or rest.")


def _optional(env: Env, name: str) -> str | None:
    return env.get(name) or None


def _flag(env: Env, name: str) -> bool:
    return _text(env, name) == "true"


def _automatic(env: Env, name: str) -> bool:
    value = _text(env, name)
    if value not in {"automatic", "manual"}:
        raise ConfigError(f"environment variable {name} is {value!r}; it must be automatic or manual.")
    return value == "automatic"


def _enabled(env: Env, name: str) -> bool:
    value = _text(env, name)
    if value not in {"enabled", "disabled"}:
        raise ConfigError(f"environment variable {name} is {value!r}; it must be enabled or disabled.")
    return value == "enabled"


def _worker_replacement(env: Env, name: str) -> WorkerReplacement:
    value = _text(env, name)
    if value not in {"GRACEFUL", "FORCED"}:
        raise ConfigError(f"environment variable {name} is {value!r}; it must be GRACEFUL or FORCED.")
    return value  # type: ignore[return-value]  # mypy does not narrow a text by a set


def _kilobytes(env: Env, name: str) -> int:
    return _number(env, name) * 1024


def _seconds(env: Env, name: str) -> timedelta:
    return timedelta(seconds=_number(env, name))


def _functions(env: Env, name: str) -> Mapping[int, str]:
    """Read "2=arn:…,3=arn:…": Airflow's major version and the function that has it."""
    functions = {}
    for part in env.get(name, "").split(","):
        major, _, function = part.strip().partition("=")
        if part.strip() and not (major.isdecimal() and function):
            raise ConfigError(f"environment variable {name} has {part.strip()!r}; write major=function.")
        if function:
            functions[int(major)] = function
    return functions


def _days(env: Env, name: str) -> timedelta:
    return timedelta(days=_number(env, name))


def _hours(env: Env, name: str) -> timedelta:
    return timedelta(hours=_number(env, name))


def _minutes(env: Env, name: str) -> timedelta:
    return timedelta(minutes=_number(env, name))


def _measured(env: Env, name: str) -> tuple[str, ...]:
    # A function cannot name itself in its own template: that would be a circle.
    return (*_names(env, name), _text(env, "AWS_LAMBDA_FUNCTION_NAME"))


def _env(name: str, read: Callable[[Env, str], object] = _text) -> Any:
    """Declare a field: which variable it is, and how that is read."""
    return field(metadata={_READ: lambda env: read(env, name)})


def _part(read: Callable[[Env], object]) -> Any:
    """Declare a field that is a configuration of its own."""
    return field(metadata={_READ: read})


@dataclass(frozen=True, slots=True)
class _FromEnv:
    @classmethod
    def from_env(cls, env: Env = os.environ) -> Self:
        """Read the function's environment variables.

        Raises:
            ConfigError: one is missing or wrong.
        """
        return cls(**{each.name: each.metadata[_READ](env) for each in fields(cls)})


@dataclass(frozen=True, slots=True)
class LedgerConfig(_FromEnv):
    """Where the ledger is, and how long it remembers."""

    table: str = _env("LEDGER_TABLE")
    retention: timedelta = _env("LEDGER_RETENTION_DAYS", _days)


@dataclass(frozen=True, slots=True)
class StartDagRunConfig(_FromEnv):
    """Configuration of start_dag_run."""

    environment_name: str = _env("ENVIRONMENT_NAME")
    transport: Transport = _env("TRANSPORT", _transport)
    dispatch_queue_url: str = _env("DISPATCH_QUEUE_URL")
    dead_letters_url: str = _env("DEAD_LETTERS_URL")
    waiting_queue_url: str = _env("WAITING_QUEUE_URL")
    max_event_age: timedelta = _env("MAX_EVENT_AGE_HOURS", _hours)
    grace: timedelta = _env("GRACE_MINUTES", _minutes)
    ledger: LedgerConfig = _part(LedgerConfig.from_env)
    event_bus: str = _env("EVENT_BUS_NAME")
    metrics_by_trigger: bool = _env("METRICS_BY_TRIGGER", _flag)


@dataclass(frozen=True, slots=True)
class ResumeWaitingConfig(_FromEnv):
    """Configuration of resume_waiting."""

    waiting_queue_url: str = _env("WAITING_QUEUE_URL")
    dispatch_queue_url: str = _env("DISPATCH_QUEUE_URL")


@dataclass(frozen=True, slots=True)
class FollowRunsConfig(_FromEnv):
    """Configuration of follow_runs."""

    environment_name: str = _env("ENVIRONMENT_NAME")
    transport: Transport = _env("TRANSPORT", _transport)
    ledger: LedgerConfig = _part(LedgerConfig.from_env)
    event_bus: str = _env("EVENT_BUS_NAME")


@dataclass(frozen=True, slots=True)
class HttpApiConfig(_FromEnv):
    """Configuration of http_api."""

    environment_name: str = _env("ENVIRONMENT_NAME")
    transport: Transport = _env("TRANSPORT", _transport)
    dispatch_queue_url: str = _env("DISPATCH_QUEUE_URL")
    collect_queue_url: str = _env("COLLECT_QUEUE_URL")
    waiting_queue_url: str = _env("WAITING_QUEUE_URL")
    dead_letters_url: str = _env("DEAD_LETTERS_URL")
    drop_bucket: str = _env("DROP_BUCKET")
    ledger_table: str = _env("LEDGER_TABLE")
    replay_table: str = _env("REPLAY_TABLE")
    idempotency_table: str = _env("IDEMPOTENCY_TABLE")
    webhook_secret_prefix: str = _env("WEBHOOK_SECRET_PREFIX")


@dataclass(frozen=True, slots=True)
class _ArtifactConfig(_FromEnv):
    """What all functions are told that put artifacts into the environment or take them back."""

    environment_name: str = _env("ENVIRONMENT_NAME")
    drop_bucket: str = _env("DROP_BUCKET")
    artifact_table: str = _env("ARTIFACT_TABLE")
    event_bus: str = _env("EVENT_BUS_NAME")
    topic_arn: str = _env("ARTIFACT_TOPIC_ARN")
    verify_after: timedelta = _env("VERIFY_AFTER_SECONDS", _seconds)


@dataclass(frozen=True, slots=True)
class ValidateArtifactConfig(_ArtifactConfig):
    """Configuration of validate_artifact.

    Attributes:
        import_dag: major version of Airflow → ARN of the function that loads DAG files with it.
        sibling_grace: how long a DAG file that fails to load waits for files that may be on their way.
        quiet: how long an update of the environment waits for more that may go along.
    """

    quiet: timedelta = _env("UPDATE_QUIET_SECONDS", _seconds)
    automatic: bool = _env("APPLY_UPDATES", _automatic)
    worker_replacement: WorkerReplacement = _env("WORKER_REPLACEMENT_STRATEGY", _worker_replacement)
    max_dag_file_bytes: int = _env("MAX_DAG_FILE_KILOBYTES", _kilobytes)
    resolve_requirements: str | None = _env("RESOLVE_REQUIREMENTS", _optional)
    package_index_url: str | None = _env("PACKAGE_INDEX_URL", _optional)
    artifact_queue_url: str = _env("ARTIFACT_QUEUE_URL")
    import_dag: Mapping[int, str] = _env("IMPORT_DAG", _functions)
    sibling_grace: timedelta = _env("SIBLING_GRACE_SECONDS", _seconds)


@dataclass(frozen=True, slots=True)
class VerifyPromotionConfig(_ArtifactConfig):
    """Configuration of verify_promotion."""

    transport: Transport = _env("TRANSPORT", _transport)


@dataclass(frozen=True, slots=True)
class ApplyUpdatesConfig(_ArtifactConfig):
    """Configuration of apply_updates."""

    transport: Transport = _env("TRANSPORT", _transport)
    automatic: bool = _env("APPLY_UPDATES", _automatic)
    worker_replacement: WorkerReplacement = _env("WORKER_REPLACEMENT_STRATEGY", _worker_replacement)
    quiet: timedelta = _env("UPDATE_QUIET_SECONDS", _seconds)


@dataclass(frozen=True, slots=True)
class CollectBatchConfig(_FromEnv):
    """Configuration of collect_batch."""

    environment_name: str = _env("ENVIRONMENT_NAME")
    batch_table: str = _env("BATCH_TABLE")
    drop_bucket: str = _env("DROP_BUCKET")
    collect_queue_url: str = _env("COLLECT_QUEUE_URL")
    dispatch_queue_url: str = _env("DISPATCH_QUEUE_URL")
    dead_letters_url: str = _env("DEAD_LETTERS_URL")
    ledger: LedgerConfig = _part(LedgerConfig.from_env)


@dataclass(frozen=True, slots=True)
class SyncTriggersConfig(_FromEnv):
    """Configuration of sync_triggers.

    Attributes:
        collect_queue_arn: of batched events; None when the stack has no such queue.
        alarm_topic_arn: SNS topic that absence alarms tell; None for none.
        max_rules_per_bus: the account's quota.
        webhooks: whether the stack takes webhooks.
    """

    environment_name: str = _env("ENVIRONMENT_NAME")
    drop_bucket: str = _env("DROP_BUCKET")
    artifact_table: str = _env("ARTIFACT_TABLE")
    webhooks: bool = _env("WEBHOOKS", _enabled)
    stack_name: str = _env("STACK_NAME")
    schedule_group: str = _env("SCHEDULE_GROUP")
    scheduler_role_arn: str = _env("SCHEDULER_ROLE_ARN")
    dispatch_queue_arn: str = _env("DISPATCH_QUEUE_ARN")
    collect_queue_arn: str | None = _env("COLLECT_QUEUE_ARN", _optional)
    undelivered_events_arn: str = _env("UNDELIVERED_EVENTS_ARN")
    alarm_topic_arn: str | None = _env("ALARM_TOPIC_ARN", _optional)
    max_rules_per_bus: int = _env("MAX_RULES_PER_BUS", _number)
    metrics_by_trigger: bool = _env("METRICS_BY_TRIGGER", _flag)
    metrics_namespace: str = _env("POWERTOOLS_METRICS_NAMESPACE")


@dataclass(frozen=True, slots=True)
class MeasureWorkersConfig(_FromEnv):
    """Configuration of measure_workers: whose metrics it looks at (`workers.metrics.Watched`)."""

    environment_name: str = _env("ENVIRONMENT_NAME")
    pools: tuple[str, ...] = _env("POOLS", _names)
    queues: tuple[str, ...] = _env("QUEUES", _names)
    work_queues: tuple[str, ...] = _env("WORK_QUEUES", _names)
    dead_letters: tuple[str, ...] = _env("DEAD_LETTER_QUEUES", _names)
    functions: tuple[str, ...] = _env("FUNCTIONS", _measured)


@dataclass(frozen=True, slots=True)
class ScaleWorkersConfig:
    """Configuration of scale_workers (`worker_scaler.WorkerScaler`)."""

    environment_name: str
    mode: ScalingMode
    policy: Policy
    drop_bucket: str
    event_queue_urls: tuple[str, ...]
    batch_table: str
    event_bus: str
    tasks_per_event: float
    prices: Mapping[str, float]
    artifact_table: str
    automatic: bool
    worker_replacement: WorkerReplacement

    @classmethod
    def from_env(cls, env: Env = os.environ) -> Self:
        """Read the function's environment variables.

        Raises:
            ConfigError: one is missing or wrong.
        """
        from jetway.workers.scaling import RAISE_COOL_DOWN, Policy

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
            event_queue_urls=tuple(_text(env, "EVENT_QUEUE_URLS").split(",")),
            batch_table=_text(env, "BATCH_TABLE"),
            event_bus=_text(env, "EVENT_BUS"),
            tasks_per_event=float(_number(env, "TASKS_PER_EVENT")),
            prices=_prices(env, "WORKER_PRICES"),
            artifact_table=_text(env, "ARTIFACT_TABLE"),
            automatic=_automatic(env, "APPLY_UPDATES"),
            worker_replacement=_worker_replacement(env, "WORKER_REPLACEMENT_STRATEGY"),
        )
