"""What verify_promotion is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, partial
from typing import TYPE_CHECKING

from jetway.airflow.environment import Environment
from jetway.gate.s3_notification import settle_again
from jetway.observability import metrics
from jetway.promotion.rollout import say
from jetway.promotion.state_table import ArtifactStateTable
from jetway.updates.install_log import why_pip_failed
from jetway.updates.record import UpdateTable
from jetway.verification.update_verifier import UpdateVerifier
from jetway.verification.verifier import Verifier
from jetway.wiring.airflow import (
    TRANSPORTS,
    TURN_LATER,
    BudgetConfig,
    Transport,
    budget_of,
    connect,
    import_errors_of,
    mwaa_client,
)
from jetway.wiring.clients import COMES_AGAIN, PATIENT, client
from jetway.wiring.parts import ArtifactConfig, TimeLeft, denials_of, now, teller_of
from jetway.wiring.variables import optional, part, variable

if TYPE_CHECKING:
    from jetway.events.denials import Denials


@dataclass(frozen=True, slots=True)
class Config(ArtifactConfig):
    """Configuration of verify_promotion.

    Attributes:
        artifact_queue_url: where the gate is asked to settle a key; without it that waits for the key's next event.
    """

    artifact_queue_url: str | None = variable("ARTIFACT_QUEUE_URL", optional)
    transport: Transport = variable("TRANSPORT", TRANSPORTS)
    budget: BudgetConfig = part(BudgetConfig.from_env)


@dataclass(frozen=True, slots=True)
class Parts:
    """Parts of verify_promotion."""

    verifier: Verifier
    time_left: TimeLeft
    denials: Denials


@cache
def wired() -> Parts:
    """Return the parts. Nothing is sent before the first look."""
    config = Config.from_env()
    metrics.set_default_dimensions(Environment=config.environment_name)
    mwaa, dynamodb, s3, sqs = mwaa_client(), client("dynamodb", PATIENT), client("s3", PATIENT), client("sqs", PATIENT)
    environment = Environment(mwaa, config.environment_name, max_age=10.0)
    standings, records = (
        ArtifactStateTable(dynamodb, config.artifact_table),
        UpdateTable(dynamodb, config.artifact_table),
    )
    time_left, budget = TimeLeft(), budget_of(config.budget, longest=TURN_LATER)

    def ask_gate(key: str, version_id: str | None) -> None:
        if config.artifact_queue_url is not None:
            body = settle_again(config.drop_bucket, key, version_id)
            sqs.send_message(QueueUrl=config.artifact_queue_url, MessageBody=body)

    verifier = Verifier(
        standings,
        UpdateVerifier(records, standings, _why_pip_failed, partial(say, s3, config.drop_bucket)),
        s3,
        connect(config.environment_name, config.transport, mwaa=mwaa, environment=environment, budget=budget),
        environment,
        drop_bucket=config.drop_bucket,
        tell=teller_of(config).tell,
        verify_after=config.verify_after,
        clock=now,
        seconds_left=time_left,
        ask_gate=ask_gate,
        import_errors=import_errors_of(
            config.environment_name, config.transport, mwaa=mwaa, environment=environment, budget=budget
        ).read,
    )
    return Parts(verifier, time_left, denials_of(config, "verify_promotion"))


def _why_pip_failed(groups: Sequence[str], since: datetime) -> str | None:
    # Only after an update that failed is there something to read.
    return why_pip_failed(client("logs", COMES_AGAIN), groups, since)
