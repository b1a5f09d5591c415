"""What several functions have in common: configuration, and the parts made of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from jetway.wiring.clients import PATIENT, client, table
from jetway.wiring.variables import FromEnv, days, either, one_of, seconds, variable

if TYPE_CHECKING:
    from collections.abc import Callable

    from aws_lambda_powertools.utilities.typing import LambdaContext

    from jetway.events.denials import Denials
    from jetway.events.outgoing import OutEvent
    from jetway.ledger import Ledger
    from jetway.promotion.notifications import Notifier

AUTOMATIC = either("automatic", "manual")
WORKER_REPLACEMENT = one_of("GRACEFUL", "FORCED")


@dataclass(frozen=True, slots=True)
class LedgerConfig(FromEnv):
    """Where the ledger is, and how long it remembers."""

    table: str = variable("LEDGER_TABLE")
    retention: timedelta = variable("LEDGER_RETENTION_DAYS", days)


@dataclass(frozen=True, slots=True)
class ArtifactConfig(FromEnv):
    """What all functions are told that put artifacts into the environment or take them back."""

    environment_name: str = variable("ENVIRONMENT_NAME")
    drop_bucket: str = variable("DROP_BUCKET")
    artifact_table: str = variable("ARTIFACT_TABLE")
    event_bus: str = variable("EVENT_BUS_NAME")
    topic_arn: str = variable("ARTIFACT_TOPIC_ARN")
    verify_after: timedelta = variable("VERIFY_AFTER_SECONDS", seconds)


class TimeLeft:
    """Seconds that the invocation in hand has; the parts that ask for them outlive it.

    Args:
        reserve: of the function's time, so much is kept for what comes after.
    """

    def __init__(self, reserve: float = 0.0) -> None:
        self._reserve = reserve
        self._context: LambdaContext | None = None

    def of(self, context: LambdaContext) -> None:
        """Begin an invocation."""
        self._context = context

    def __call__(self) -> float:
        """Return the seconds; none before the first invocation."""
        return self._context.get_remaining_time_in_millis() / 1000 - self._reserve if self._context else 0.0


def ledger_of(config: LedgerConfig) -> Ledger:
    """Return the stack's ledger."""
    from jetway.ledger import Ledger

    return Ledger(table(config.table), retention=config.retention)


def teller_of(config: ArtifactConfig) -> Notifier:
    """Return what tells the bus and people of artifacts."""
    from jetway.promotion.notifications import Notifier

    return Notifier(client("events", PATIENT), config.event_bus, client("sns", PATIENT), config.topic_arn)


def denials_by_ledger(
    config: LedgerConfig, environment: str, function: str, tell: Callable[[OutEvent], None]
) -> Denials:
    """Return what tells of denials, with its memory in the ledger's table."""
    from jetway.events.denials import Denials

    return Denials(
        client("dynamodb"), config.table, key="id", ttl="ttl", environment=environment, function=function, tell=tell
    )


def denials_of(config: ArtifactConfig, function: str) -> Denials:
    """Return what tells of denials, with its memory in the artifact table."""
    from jetway.events import outgoing as events_out
    from jetway.events.denials import Denials

    events = client("events", PATIENT)
    return Denials(
        client("dynamodb", PATIENT),
        config.artifact_table,
        key="pk",
        ttl="expires_at",
        environment=config.environment_name,
        function=function,
        tell=lambda event: events_out.put(events, config.event_bus, [event]),
    )


def now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)
