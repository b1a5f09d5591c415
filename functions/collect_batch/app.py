"""collect_batch: events of triggers with `batch` are collected; each batch starts one run, with a manifest.

Two events invoke it: messages of the collect queue, and a schedule that sweeps up what is due, every minute.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from jetway.batches.closing import Finisher
from jetway.batches.collector import Collector
from jetway.batches.intake import Intake
from jetway.batches.table import BatchTable
from jetway.dispatch.assembly import make_ledger
from jetway.observability import logger, metrics
from jetway.wiring.clients import bounded
from jetway.wiring.variables import CollectBatchConfig

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
    from aws_lambda_powertools.utilities.typing import LambdaContext

METRICS = {"batched": "EventsBatched", "duplicate": "EventsDuplicate", "dead-lettered": "EventsDeadLettered"}


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Collect one delivery of messages, or sweep; what failed comes back."""
    config, collector, intake = _wired()
    metrics.set_default_dimensions(Environment=config.environment_name)
    collector.finished.clear()
    failed: list[str] = []
    try:
        if "Records" in event:
            records = [SQSRecord(record) for record in event["Records"]]
            done, failed = intake.take(records, lambda: context.get_remaining_time_in_millis() / 1000)
            for one in done:
                logger.info(one.decision, extra=asdict(one))
            for decision, count in Counter(one.decision for one in done).items():
                metrics.add_metric(METRICS[decision], "Count", count)
        else:
            collector.sweep()
    finally:
        metrics.add_metric("BatchesDispatched", "Count", len(collector.finished))
        for batch in collector.finished:
            facts = {"trigger": batch.name, "batch_id": batch.batch_id, "dag_run_id": batch.dag_run_id}
            logger.info("batch dispatched", extra={**facts, "count": len(batch.members)})
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}


@cache
def _wired() -> tuple[CollectBatchConfig, Collector, Intake]:
    config = CollectBatchConfig.from_env()
    sqs = boto3.client("sqs", config=bounded())
    table = BatchTable(boto3.client("dynamodb", config=bounded()), config.batch_table)
    dispatch_url, bucket = config.dispatch_queue_url, config.drop_bucket
    s3 = boto3.client("s3", config=bounded(read_timeout=10))  # a manifest may have megabytes
    finisher = Finisher(table, s3, sqs, bucket=bucket, dispatch_url=dispatch_url)
    collector = Collector(table, finisher, sqs, collect_url=config.collect_queue_url)
    return (
        config,
        collector,
        Intake(collector, sqs, make_ledger(config.ledger), dead_letters_url=config.dead_letters_url),
    )
