"""What apply_updates is made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING

from jetway.airflow.environment import Environment
from jetway.observability import metrics
from jetway.promotion.state_table import ArtifactStateTable
from jetway.updates.apply import Updates
from jetway.updates.record import UpdateTable
from jetway.updates.revert import Undo
from jetway.wiring.airflow import (
    TRANSPORTS,
    TURN_LATER,
    BudgetConfig,
    Transport,
    budget_of,
    import_errors_of,
    mwaa_client,
)
from jetway.wiring.clients import ASKED_ONCE, PATIENT, client
from jetway.wiring.parts import AUTOMATIC, WORKER_REPLACEMENT, ArtifactConfig, denials_of, now, teller_of
from jetway.wiring.variables import part, seconds, variable

if TYPE_CHECKING:
    from jetway.airflow import ImportProblem
    from jetway.events.denials import Denials
    from jetway.updates.record import WorkerReplacement


@dataclass(frozen=True, slots=True)
class Config(ArtifactConfig):
    """Configuration of apply_updates."""

    transport: Transport = variable("TRANSPORT", TRANSPORTS)
    budget: BudgetConfig = part(BudgetConfig.from_env)
    automatic: bool = variable("APPLY_UPDATES", AUTOMATIC)
    worker_replacement: WorkerReplacement = variable("WORKER_REPLACEMENT_STRATEGY", WORKER_REPLACEMENT)
    quiet: timedelta = variable("UPDATE_QUIET_SECONDS", seconds)


@dataclass(frozen=True, slots=True)
class Parts:
    """Parts of apply_updates.

    Attributes:
        import_errors: asks Airflow for them.
    """

    config: Config
    updates: Updates
    undo: Undo
    import_errors: Callable[[], Sequence[ImportProblem]]
    denials: Denials


@cache
def wired() -> Parts:
    """Return the parts. Nothing is sent before the first step."""
    config = Config.from_env()
    metrics.set_default_dimensions(Environment=config.environment_name)
    mwaa, dynamodb = mwaa_client(), client("dynamodb", PATIENT)
    standings = ArtifactStateTable(dynamodb, config.artifact_table)
    updates = Updates(
        client("mwaa", ASKED_ONCE),
        Environment(mwaa, config.environment_name, max_age=0, max_age_unusable=0),
        UpdateTable(dynamodb, config.artifact_table),
        standings,
        automatic=config.automatic,
        worker_replacement=config.worker_replacement,
        clock=now,
    )
    undo = Undo(
        s3=client("s3", PATIENT),
        standings=standings,
        tell=teller_of(config).tell,
        environment=config.environment_name,
        drop_bucket=config.drop_bucket,
        automatic=config.automatic,
        worker_replacement=config.worker_replacement,
        clock=now,
    )
    errors = import_errors_of(
        config.environment_name,
        config.transport,
        mwaa=mwaa,
        environment=Environment(mwaa, config.environment_name),
        budget=budget_of(config.budget, longest=TURN_LATER),
    )
    return Parts(config, updates, undo, errors.errors, denials_of(config, "apply_updates"))
