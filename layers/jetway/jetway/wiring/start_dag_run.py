"""What start_dag_run is made of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from jetway.airflow.auto import AutoClient
from jetway.airflow.environment import Environment
from jetway.airflow.watch import watch_of
from jetway.aws.crashes import Crashes
from jetway.dispatch.dispatcher import Dispatcher, Limits
from jetway.dispatch.lanes import COMMAND_TIMEOUT
from jetway.dispatch.loop_bound import HourlyStarts
from jetway.dispatch.rates import Rates
from jetway.dispatch.waiting import Waiting
from jetway.events import outgoing as events_out
from jetway.observability import metrics
from jetway.wiring.airflow import TRANSPORTS, TURN_SOON, BudgetConfig, Transport, budget_of, connect, mwaa_client
from jetway.wiring.clients import client
from jetway.wiring.parts import LedgerConfig, denials_by_ledger, ledger_of
from jetway.wiring.variables import FromEnv, flag, hours, longest_chain, minutes, number, part, variable

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

    from jetway.airflow.budget import Budget
    from jetway.events.denials import Denials
    from jetway.events.outgoing import OutEvent

# Seconds for `dags list`, which Airflow 2 answers by parsing the whole DAGs folder: to know of a DAG is a courtesy.
STATE_TIMEOUT = 15.0


@dataclass(frozen=True, slots=True)
class Config(FromEnv):
    """Configuration of start_dag_run."""

    environment_name: str = variable("ENVIRONMENT_NAME")
    transport: Transport = variable("TRANSPORT", TRANSPORTS)
    budget: BudgetConfig = part(BudgetConfig.from_env)
    dispatch_queue_url: str = variable("DISPATCH_QUEUE_URL")
    dead_letters_url: str = variable("DEAD_LETTERS_URL")
    waiting_queue_url: str = variable("WAITING_QUEUE_URL")
    max_event_age: timedelta = variable("MAX_EVENT_AGE_HOURS", hours)
    grace: timedelta = variable("GRACE_MINUTES", minutes)
    longest_chain: int = variable("MAX_CHAINED_RUNS", longest_chain)
    ledger: LedgerConfig = part(LedgerConfig.from_env)
    event_bus: str = variable("EVENT_BUS_NAME")
    starts_after_one_dag: int = variable("MAX_STARTS_AFTER_ONE_DAG_PER_HOUR", number)
    metrics_by_trigger: bool = variable("METRICS_BY_TRIGGER", flag)


@dataclass(frozen=True, slots=True)
class Parts:
    """Parts of start_dag_run.

    Attributes:
        budget: of calls of Airflow's REST API; begun anew for each lane.
    """

    config: Config
    sqs: SQSClient
    dispatcher: Dispatcher
    budget: Budget
    denials: Denials


@cache
def wired() -> Parts:
    """Return the parts. Nothing is sent before the first message."""
    config = Config.from_env()
    metrics.set_default_dimensions(Environment=config.environment_name)
    sqs, events, mwaa = client("sqs"), client("events"), mwaa_client()
    ledger, environment = ledger_of(config.ledger), Environment(mwaa, config.environment_name)
    budget = budget_of(config.budget, longest=TURN_SOON)
    common: Any = {"mwaa": mwaa, "environment": environment, "budget": budget}
    name, transport = config.environment_name, config.transport
    airflow = connect(name, transport, read_timeout=COMMAND_TIMEOUT, creates=True, **common)
    if isinstance(airflow, AutoClient):
        common["chooser"] = airflow.chooser
    watched = connect(name, transport, read_timeout=STATE_TIMEOUT, **common)

    def tell(event: OutEvent) -> None:
        events_out.put(events, config.event_bus, [event])

    dispatcher = Dispatcher(
        airflow,
        sqs,
        ledger=ledger,
        waiting=Waiting(sqs, config.waiting_queue_url),
        rates=Rates(ledger.table),
        limits=Limits(config.max_event_age, config.grace, config.longest_chain),
        environment=config.environment_name,
        dead_letters_url=config.dead_letters_url,
        tell=tell,
        crashes=Crashes(client("dynamodb"), config.ledger.table, key="id", ttl="ttl"),
        starts=HourlyStarts(ledger.table, most=config.starts_after_one_dag),
        dags=watch_of(watched, command_seconds=STATE_TIMEOUT),
        major=lambda: environment.facts().major,
    )
    denials = denials_by_ledger(config.ledger, config.environment_name, "start_dag_run", tell)
    return Parts(config, sqs, dispatcher, budget, denials)
