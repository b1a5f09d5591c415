"""Puts the parts of dispatching together from a function's configuration: clients are made here and nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import boto3

from jetway import events_out
from jetway.dispatcher import Dispatcher, Limits
from jetway.lanes import COMMAND_TIMEOUT
from jetway.ledger import Ledger
from jetway.rates import Rates
from jetway.waiting import Waiting

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

    from jetway.config import LedgerConfig, StartDagRunConfig


def make_ledger(config: LedgerConfig) -> Ledger:
    """Return the stack's ledger."""
    return Ledger(boto3.resource("dynamodb").Table(config.table), retention=config.retention)


def make_dispatcher(config: StartDagRunConfig, sqs: SQSClient) -> Dispatcher:
    """Return the dispatcher of one environment. Nothing is sent before its first message."""
    from jetway.airflow.connect import connect, mwaa_client
    from jetway.airflow.environment import Environment

    ledger, client = make_ledger(config.ledger), mwaa_client()
    environment = Environment(client, config.environment_name)
    events = boto3.client("events")
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
    )
