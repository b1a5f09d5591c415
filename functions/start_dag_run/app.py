"""start_dag_run: every message of dispatch.fifo becomes one DAG run, or a dead letter with its reason."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.utilities.batch import SqsFifoPartialProcessor
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from jetway.aws.visibility import Holding
from jetway.dispatch.lanes import Lanes, by_lane, free_lane, hold_lanes, share_of
from jetway.dispatch.metrics import count
from jetway.errors import PermissionMissingError
from jetway.observability import logger, metrics
from jetway.wiring.start_dag_run import Parts, wired

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from jetway.dispatch.messages import Message
    from jetway.errors import TransientError
    from jetway.ledger import Entry


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Start the runs of one batch; what must wait is reported as failed and made invisible for its wait."""
    parts = wired()
    dispatcher = parts.dispatcher

    def seconds_left() -> float:
        return context.get_remaining_time_in_millis() / 1000

    lanes = Lanes(
        dispatcher.dispatch,
        seconds_left=seconds_left,
        on_held=lambda message, exc, wait: _held(message, exc, dispatcher.held(message, exc), wait),
        waited=lambda: parts.budget.waited,
    )
    handles = [record["receiptHandle"] for record in event["Records"]]
    failures: list[Any] = []
    with Holding(parts.sqs, parts.config.dispatch_queue_url, handles, seconds_left=seconds_left) as holding:
        for records in by_lane(event["Records"]):
            parts.budget.begin(share_of(records))
            failures += _start(parts, lanes, records, holding, others=len(records) < len(event["Records"]))
    return {"batchItemFailures": failures}


def _start(parts: Parts, lanes: Lanes, records: list[Any], holding: Holding, *, others: bool) -> list[Any]:
    """Start the runs of one lane; return the failures that make its messages come back.

    Args:
        others: the batch has messages of other lanes too.
    """
    sqs, queue_url = parts.sqs, parts.config.dispatch_queue_url
    processor = SqsFifoPartialProcessor(skip_group_on_error=True)
    processor.raise_on_entire_batch_failure = False  # a batch that waits is no error of the function
    with processor(records=records, handler=lambda record: _report(lanes.handle(record))):
        processor.process()
    back: list[Any] = processor.response()["batchItemFailures"]
    holding.release(record["receiptHandle"] for record in records)
    held = [record for record in processor.fail_messages if isinstance(record, SQSRecord)]
    if held:
        hold_lanes(sqs, queue_url, held, lanes.waits)
    if others:
        failed = {failure["itemIdentifier"] for failure in back}
        # Not the processor's success_messages, which are no SQSRecord, unlike those that failed.
        done = [SQSRecord(record) for record in records if record["messageId"] not in failed]
        free_lane(sqs, queue_url, done)
    return back


def _held(message: Message, exc: TransientError, entry: Entry, wait: int) -> None:
    if isinstance(exc, PermissionMissingError):
        wired().denials.report(exc)
        metrics.flush_metrics()
    _report(entry, lane=message.group, next_try_in=wait)


def _report(entry: Entry, **more: object) -> None:
    """Log and count one decision: the line has the fields of the ledger's row."""
    config = wired().config
    count(entry, environment=config.environment_name, by_trigger=config.metrics_by_trigger)
    logger.info(entry.decision, extra={**asdict(entry), **more})
