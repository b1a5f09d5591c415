"""Puts the parts of dispatching together from a function's configuration: clients are made here and nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import boto3

from jetway import events_out
from jetway.dispatch.dispatcher import Dispatcher, Limits
from jetway.dispatch.lanes import COMMAND_TIMEOUT
from jetway.dispatch.rates import Rates
from jetway.dispatch.waiting import Waiting
from jetway.ledger import Ledger
from jetway.wiring.clients import bounded

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_sqs import SQSClient

    from jetway.dispatch.following import Follower
    from jetway.wiring.variables import FollowRunsConfig, LedgerConfig, StartDagRunConfig

# Seconds for `dags list`, which Airflow 2 answers by parsing the whole DAGs folder: to know of a DAG is a courtesy.
STATE_TIMEOUT = 15.0


def make_ledger(config: LedgerConfig) -> Ledger:
    """Return the stack's ledger."""
    return Ledger(boto3.resource("dynamodb", config=bounded()).Table(config.table), retention=config.retention)


def make_dispatcher(config: StartDagRunConfig, sqs: SQSClient) -> Dispatcher:
    """Return the dispatcher of one environment. Nothing is sent before its first message."""
    from jetway.airflow.environment import Environment
    from jetway.airflow.watch import connect_watch
    from jetway.wiring.airflow import connect, mwaa_client

    ledger, client = make_ledger(config.ledger), mwaa_client()
    environment = Environment(client, config.environment_name)
    events = boto3.client("events", config=bounded())
    watch = connect_watch(
        config.environment_name, config.transport, client=client, environment=environment, read_timeout=STATE_TIMEOUT
    )
    return Dispatcher(
        connect(
            config.environment_name,
            config.transport,
            client=client,
            environment=environment,
            read_timeout=COMMAND_TIMEOUT,
        ),
        sqs,
        ledger=ledger,
        waiting=Waiting(sqs, config.waiting_queue_url),
        rates=Rates(ledger.table),
        limits=Limits(max_event_age=config.max_event_age, grace=config.grace),
        environment=config.environment_name,
        dead_letters_url=config.dead_letters_url,
        tell=lambda event: events_out.put(events, config.event_bus, [event]),
        dags=watch,
    )


def make_follower(config: FollowRunsConfig, seconds_left: Callable[[], float]) -> Follower:
    """Return the follower of one environment.

    Args:
        seconds_left: until the invocation must end.
    """
    from jetway.airflow.watch import connect_watch
    from jetway.dispatch.following import Follower

    events = boto3.client("events", config=bounded())
    return Follower(
        make_ledger(config.ledger),
        connect_watch(config.environment_name, config.transport, seconds_left=seconds_left),
        environment=config.environment_name,
        tell=lambda found: events_out.put(events, config.event_bus, found),
    )
