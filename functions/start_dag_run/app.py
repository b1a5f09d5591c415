"""start_dag_run: every message of dispatch.fifo becomes one DAG run, or a dead letter with its reason."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.utilities.batch import SqsFifoPartialProcessor
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from jetway.dispatch.lanes import Lanes, by_lane, free_lane, hold_lanes
from jetway.dispatch.metering import count
from jetway.observability import logger, metrics
from jetway.wiring.start_dag_run import wired

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from jetway.ledger import Entry


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Start the runs of one batch; what must wait is reported as failed and made invisible for its wait."""
    parts = wired()
    sqs, queue_url, dispatcher = parts.sqs, parts.config.dispatch_queue_url, parts.dispatcher
    lanes = Lanes(
        dispatcher.dispatch,
        seconds_left=lambda: context.get_remaining_time_in_millis() / 1000,
        on_held=lambda message, exc, wait: _report(dispatcher.held(message, exc), lane=message.group, next_try_in=wait),
    )
    failures: list[Any] = []
    for records in by_lane(event["Records"]):
        processor = SqsFifoPartialProcessor(skip_group_on_error=True)
        processor.raise_on_entire_batch_failure = False  # a batch that waits is no error of the function
        with processor(records=records, handler=lambda record: _report(lanes.handle(record))):
            processor.process()
        held = [record for record in processor.fail_messages if isinstance(record, SQSRecord)]
        if held:
            hold_lanes(sqs, queue_url, held, lanes.waits)
        back = processor.response()["batchItemFailures"]
        if len(records) < len(event["Records"]):
            failed = {failure["itemIdentifier"] for failure in back}
            # Not the processor's success_messages, which are no SQSRecord, unlike those that failed.
            done = [SQSRecord(record) for record in records if record["messageId"] not in failed]
            free_lane(sqs, queue_url, done)
        failures += back
    return {"batchItemFailures": failures}


def _report(entry: Entry, **more: object) -> None:
    """Log and count one decision: the line has the fields of the ledger's row."""
    config = wired().config
    count(entry, environment=config.environment_name, by_trigger=config.metrics_by_trigger)
    logger.info(entry.decision, extra={**asdict(entry), **more})
