"""collect_batch: events of triggers with `batch` are collected; each batch starts one run, with a manifest.

Two events invoke it: messages of the collect queue, and a schedule that sweeps up what is due, every minute.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from jetway.aws.visibility import Holding
from jetway.batches.intake import Taken, receives
from jetway.dispatch.chains import is_stopped
from jetway.observability import logger, metrics
from jetway.wiring.collect_batch import wired

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from jetway.batches.model import Closed
    from jetway.ledger import Entry
    from jetway.wiring.collect_batch import Parts

LONGEST_WAIT = 600  # seconds; a hundred receives, as the queue allows, are more than half a day of trouble

METRICS = {
    "batched": "EventsBatched",
    "duplicate": "EventsDuplicate",
    "skipped": "EventsSkipped",
    "dead-lettered": "EventsDeadLettered",
}


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Collect one delivery of messages, or sweep; what failed comes back."""
    parts = wired()
    taken = Taken()
    dispatched: list[Closed] = []
    try:
        if "Records" in event:
            records = [SQSRecord(record) for record in event["Records"]]
            taken = _take(parts, records, lambda: context.get_remaining_time_in_millis() / 1000, dispatched)
        else:
            parts.collector.sweep(on_dispatched=dispatched.append)
    finally:
        _report(taken.entries, dispatched)
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in taken.failed]}


def _take(
    parts: Parts, records: Sequence[SQSRecord], seconds_left: Callable[[], float], dispatched: list[Closed]
) -> Taken:
    """Collect the records; those that failed are tried again sooner than after the queue's visibility timeout."""
    handles = [record.receipt_handle for record in records]
    with Holding(parts.sqs, parts.config.collect_queue_url, handles, seconds_left=seconds_left) as holding:
        taken = parts.intake.take(records, seconds_left, on_dispatched=dispatched.append)
        failed = set(taken.failed)
        waits = {each.receipt_handle: _wait(each) for each in records if each.message_id in failed}
        holding.give_back(waits)
    return taken


def _wait(record: SQSRecord) -> int:
    return int(min(LONGEST_WAIT, 2 ** receives(record)))


def _report(entries: Sequence[Entry], dispatched: Sequence[Closed]) -> None:
    for entry in entries:
        logger.info(entry.decision, extra=asdict(entry))
    for decision, count in Counter(entry.decision for entry in entries).items():
        metrics.add_metric(METRICS[decision], "Count", count)
    if stopped := sum(is_stopped(entry.because) for entry in entries):
        metrics.add_metric("ChainsStopped", "Count", stopped)
    metrics.add_metric("BatchesDispatched", "Count", len(dispatched))
    for batch in dispatched:
        facts = {"trigger": batch.name, "batch_id": batch.batch_id, "dag_run_id": batch.dag_run_id}
        logger.info("batch dispatched", extra={**facts, "count": len(batch.members)})
