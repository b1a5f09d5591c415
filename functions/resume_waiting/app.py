"""resume_waiting: what waited aside goes back to the end of its lane."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response

from jetway.observability import logger
from jetway.wiring.resume_waiting import wired

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
    from aws_lambda_powertools.utilities.typing import LambdaContext


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Put one batch back; a message that could not be is tried again by SQS."""
    processor = BatchProcessor(EventType.SQS, raise_on_entire_batch_failure=False)
    return process_partial_response(event, _resume, processor, context=context)


def _resume(record: SQSRecord) -> None:
    parts = wired()
    lane, resume_id = _text(record, "lane"), _text(record, "resume_id")
    dispatch_url = parts.config.dispatch_queue_url
    back = parts.waiting.resume(record.body, lane=lane, resume_id=resume_id, dispatch_url=dispatch_url)
    logger.debug("resumed" if back else "the event still waits", extra={"resume_id": resume_id})


def _text(record: SQSRecord, name: str) -> str:
    attribute = record.message_attributes[name]
    return (attribute.string_value if attribute else None) or ""
