"""collect_batch: events of triggers with `batch` are collected; each batch starts one run, with a manifest.

Two events invoke it: messages of the collect queue, and a schedule that sweeps up what is due, every minute.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from jetway.batches.intake import Taken
from jetway.observability import logger, metrics
from jetway.wiring.collect_batch import wired

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from jetway.batches.model import Closed
    from jetway.ledger import Entry

METRICS = {"batched": "EventsBatched", "duplicate": "EventsDuplicate", "dead-lettered": "EventsDeadLettered"}


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
            taken = parts.intake.take(
                records, lambda: context.get_remaining_time_in_millis() / 1000, on_dispatched=dispatched.append
            )
        else:
            parts.collector.sweep(on_dispatched=dispatched.append)
    finally:
        _report(taken.entries, dispatched)
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in taken.failed]}


def _report(entries: Sequence[Entry], dispatched: Sequence[Closed]) -> None:
    for entry in entries:
        logger.info(entry.decision, extra=asdict(entry))
    for decision, count in Counter(entry.decision for entry in entries).items():
        metrics.add_metric(METRICS[decision], "Count", count)
    metrics.add_metric("BatchesDispatched", "Count", len(dispatched))
    for batch in dispatched:
        facts = {"trigger": batch.name, "batch_id": batch.batch_id, "dag_run_id": batch.dag_run_id}
        logger.info("batch dispatched", extra={**facts, "count": len(batch.members)})
