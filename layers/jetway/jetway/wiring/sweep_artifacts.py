"""What sweep_artifacts is made of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import cache

from jetway.gate.sweep import Sweep
from jetway.observability import metrics
from jetway.wiring.clients import PATIENT, client
from jetway.wiring.variables import FromEnv, days, variable


@dataclass(frozen=True, slots=True)
class Config(FromEnv):
    """Configuration of sweep_artifacts (`jetway.gate.sweep.Sweep`)."""

    environment_name: str = variable("ENVIRONMENT_NAME")
    drop_bucket: str = variable("DROP_BUCKET")
    artifact_queue_url: str = variable("ARTIFACT_QUEUE_URL")
    artifact_table: str = variable("ARTIFACT_TABLE")
    retention: timedelta = variable("REPORT_RETENTION_DAYS", days)


@dataclass(frozen=True, slots=True)
class Parts:
    """Parts of sweep_artifacts."""

    sweep: Sweep


@cache
def wired() -> Parts:
    """Return the parts. Nothing is sent before the first sweep."""
    config = Config.from_env()
    metrics.set_default_dimensions(Environment=config.environment_name)
    sweep = Sweep(
        client("s3", PATIENT),
        client("sqs", PATIENT),
        client("dynamodb", PATIENT),
        bucket=config.drop_bucket,
        queue_url=config.artifact_queue_url,
        table=config.artifact_table,
        retention=config.retention,
    )
    return Parts(sweep)
