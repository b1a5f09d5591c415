"""What follow_runs is made of."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from jetway.airflow.environment import Environment
from jetway.airflow.watch import watch_of
from jetway.configuration.last_good import LastGoodFile
from jetway.dispatch.following import RunFollower
from jetway.events import outgoing as events_out
from jetway.http.event_lookup import event_of_run
from jetway.observability import metrics
from jetway.run_monitoring import alarms_file
from jetway.run_monitoring.all_runs import AllRuns
from jetway.run_monitoring.monitor import RunMonitor
from jetway.run_monitoring.notifications import Alarm
from jetway.run_monitoring.state_table import Memory
from jetway.wiring.airflow import TRANSPORTS, TURN_LATER, BudgetConfig, Transport, budget_of, connect, mwaa_client
from jetway.wiring.clients import client
from jetway.wiring.parts import LedgerConfig, TimeLeft, denials_by_ledger, ledger_of
from jetway.wiring.variables import FromEnv, either, part, variable

if TYPE_CHECKING:
    from jetway.airflow import AirflowQuestions
    from jetway.events.denials import Denials
    from jetway.ledger import Ledger

COMMAND_TIMEOUT = 30.0  # seconds that a command can take; with less time left none is begun

# Of the function's time, so much is left for the ledger when the last look is over.
SECONDS_TO_WRITE = 10.0

# ... and so much for what follows a look at all runs, lest it be at work when the next minute's begins.
SECONDS_BEFORE_THE_NEXT = 50.0


@dataclass(frozen=True, slots=True)
class Config(FromEnv):
    """Configuration of follow_runs."""

    environment_name: str = variable("ENVIRONMENT_NAME")
    transport: Transport = variable("TRANSPORT", TRANSPORTS)
    budget: BudgetConfig = part(BudgetConfig.from_env)
    ledger: LedgerConfig = part(LedgerConfig.from_env)
    event_bus: str = variable("EVENT_BUS_NAME")
    all_runs: bool = variable("FOLLOW_ALL_RUNS", either("enabled", "disabled"))
    drop_bucket: str = variable("DROP_BUCKET")
    topic_arn: str = variable("ALARM_TOPIC_ARN")


@dataclass(frozen=True, slots=True)
class Parts:
    """Parts of follow_runs."""

    follower: RunFollower
    all_runs: AllRuns
    time_left: TimeLeft
    denials: Denials


@cache
def wired() -> Parts:
    """Return the parts. Nothing is sent before the first look."""
    config = Config.from_env()
    metrics.set_default_dimensions(Environment=config.environment_name)
    time_left, events = TimeLeft(reserve=SECONDS_TO_WRITE), client("events")
    budget = budget_of(config.budget, longest=TURN_LATER)
    mwaa = mwaa_client()
    environment = Environment(mwaa, config.environment_name)
    airflow = connect(
        config.environment_name,
        config.transport,
        mwaa=mwaa,
        environment=environment,
        read_timeout=COMMAND_TIMEOUT,
        budget=budget,
    )
    ledger = ledger_of(config.ledger)
    follower = RunFollower(
        ledger,
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
    return Parts(follower, _all_runs(config, ledger, airflow, environment, time_left), time_left, denials)


def _all_runs(
    config: Config, ledger: Ledger, airflow: AirflowQuestions, environment: Environment, time_left: TimeLeft
) -> AllRuns:
    look = RunMonitor(
        Memory(ledger.table),
        ledger,
        event_of_run,
        tell=lambda found: events_out.put(client("events"), config.event_bus, found),
        alarm=Alarm(client("sns"), config.topic_arn),
        seconds_left=lambda: time_left() - SECONDS_BEFORE_THE_NEXT,
    )
    file = LastGoodFile(
        client("s3"),
        config.drop_bucket,
        alarms_file.KEY,
        parse=alarms_file.parse_alarms,
        nothing=alarms_file.RunAlarms(),
        most_bytes=alarms_file.MOST_BYTES,
    )
    return AllRuns(look, file, airflow, environment, enabled=config.all_runs)
