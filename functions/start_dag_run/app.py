"""start_dag_run: every message of dispatch.fifo becomes one DAG run, or a dead letter with its reason."""

from __future__ import annotations

from dataclasses import asdict
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools.utilities.batch import SqsFifoPartialProcessor
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from jetway.airflow.connect import connect
from jetway.config import StartDagRunConfig
from jetway.dispatcher import Dispatcher, Outcome
from jetway.lanes import COMMAND_TIMEOUT, Lanes, hold_lanes, interactive_first
from jetway.observability import logger, metrics

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
    from aws_lambda_powertools.utilities.typing import LambdaContext
    from mypy_boto3_sqs import SQSClient

METRICS = {
    "started": "DagRunsStarted",
    "duplicate": "DagRunsDuplicate",
    "skipped": "EventsSkipped",
    "dead-lettered": "EventsDeadLettered",
}


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Start the runs of one batch; what must wait is reported as failed and made invisible for its wait."""
    config, sqs, dispatcher = _wired()
    lanes = Lanes(dispatcher.dispatch, seconds_left=lambda: context.get_remaining_time_in_millis() / 1000)
    processor = SqsFifoPartialProcessor(skip_group_on_error=True)
    processor.raise_on_entire_batch_failure = False  # a batch that waits is no error of the function
    metrics.set_default_dimensions(Environment=config.environment_name)
    records = interactive_first(event["Records"])
    with processor(records=records, handler=lambda record: _count(lanes.handle(record))):
        processor.process()
    held = [record for record in processor.fail_messages if isinstance(record, SQSRecord)]
    if held:
        metrics.add_metric("EventsHeld", "Count", len(held))
        hold_lanes(sqs, config.dispatch_queue_url, held, lanes.waits)
    return processor.response()


def _count(outcome: Outcome) -> None:
    metrics.add_metric(METRICS[outcome.decision], "Count", 1)
    if outcome.latency is not None:
        metrics.add_metric("DispatchLatency", "Seconds", outcome.latency)
    logger.info(outcome.decision, extra=asdict(outcome))


@cache
def _wired() -> tuple[StartDagRunConfig, SQSClient, Dispatcher]:
    config = StartDagRunConfig.from_env()
    sqs = boto3.client("sqs")
    airflow = connect(config.environment_name, config.transport, read_timeout=COMMAND_TIMEOUT)
    dead_letters, max_age = config.dead_letters_url, config.max_event_age
    return config, sqs, Dispatcher(airflow, sqs, dead_letters_url=dead_letters, max_event_age=max_age)
