"""What follow_runs is made of."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from jetway import events_out
from jetway.airflow.watch import watch_of
from jetway.dispatch.following import Follower
from jetway.observability import metrics
from jetway.wiring.airflow import TRANSPORTS, TURN_LATER, BudgetConfig, Transport, budget_of, connect
from jetway.wiring.clients import client
from jetway.wiring.parts import LedgerConfig, TimeLeft, denials_by_ledger, ledger_of
from jetway.wiring.variables import FromEnv, part, variable

if TYPE_CHECKING:
    from jetway.denials import Denials

COMMAND_TIMEOUT = 30.0  # seconds that a command can take; with less time left none is begun

# Of the function's time, so much is left for the ledger when the last look is over.
SECONDS_TO_WRITE = 10.0


@dataclass(frozen=True, slots=True)
class Config(FromEnv):
    """Configuration of follow_runs."""

    environment_name: str = variable("ENVIRONMENT_NAME")
    transport: Transport = variable("TRANSPORT", TRANSPORTS)
    budget: BudgetConfig = part(BudgetConfig.from_env)
    ledger: LedgerConfig = part(LedgerConfig.from_env)
    event_bus: str = variable("EVENT_BUS_NAME")


@dataclass(frozen=True, slots=True)
class Parts:
    """Parts of follow_runs."""

    follower: Follower
    time_left: TimeLeft
    denials: Denials


@cache
def wired() -> Parts:
    """Return the parts. Nothing is sent before the first look."""
    config = Config.from_env()
    metrics.set_default_dimensions(Environment=config.environment_name)
    time_left, events = TimeLeft(reserve=SECONDS_TO_WRITE), client("events")
    budget = budget_of(config.budget, longest=TURN_LATER)
    airflow = connect(config.environment_name, config.transport, read_timeout=COMMAND_TIMEOUT, budget=budget)
    follower = Follower(
        ledger_of(config.ledger),
        watch_of(airflow, seconds_left=time_left, command_seconds=COMMAND_TIMEOUT),
        environment=config.environment_name,
        tell=lambda found: events_out.put(events, config.event_bus, found),
    )
    denials = denials_by_ledger(
        config.ledger,
        config.environment_name,
        "follow_runs",
        lambda event: events_out.put(events, config.event_bus, [event]),
    )
    return Parts(follower, time_left, denials)
