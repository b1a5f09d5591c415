"""validate_artifact: what is dropped in S3 is judged, promoted or quarantined, and reported."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.metrics import MetricUnit, single_metric
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response

from jetway.aws.visibility import Holding
from jetway.errors import OutOfTimeError, PermissionMissingError, SiblingsExpectedError
from jetway.gate.s3_notification import parse_arrival
from jetway.observability import logger, metrics
from jetway.wiring.validate_artifact import wired

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
    from aws_lambda_powertools.utilities.typing import LambdaContext

METRICS = {"promoted": "ArtifactsPromoted", "quarantined": "ArtifactsRejected", "removed": "ArtifactsRemoved"}
LEAST_SECONDS = 150  # what the heaviest file that is judged at all may take: import_dag has 120 s
SOON = (OutOfTimeError, SiblingsExpectedError)
LOOKS = 6  # for siblings, in their whole grace: the queue gives a message ten tries
FIRST_WAIT, LONGEST_WAIT = 30, 600  # seconds, when something is out of order


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Settle what a batch tells of. A message that fails comes back, and ends in the dead letters: nothing is lost."""
    wired()  # a wrong configuration is an error of the function, not of its messages
    for name in METRICS.values():
        metrics.add_metric(name, MetricUnit.Count, 0)  # EMF must say something
    processor = BatchProcessor(EventType.SQS, raise_on_entire_batch_failure=False)
    handles = [record["receiptHandle"] for record in event["Records"]]

    def seconds_left() -> float:
        return context.get_remaining_time_in_millis() / 1000

    with Holding(wired().sqs, wired().config.artifact_queue_url, handles, seconds_left=seconds_left) as holding:
        response = process_partial_response(event, partial(_settle, holding, seconds_left), processor, context)
    for record, (_, error, _) in zip(processor.fail_messages, processor.exceptions, strict=True):
        if isinstance(error, SOON):
            logger.info("artifact waits", extra={"reason": str(error)})
            continue
        if isinstance(error, PermissionMissingError):
            wired().denials.report(error)
            continue
        body = getattr(record, "body", None)
        logger.error(
            "the artifact is not settled; its message returns to the queue", exc_info=error, extra={"body": body}
        )
    return response


def _settle(holding: Holding, seconds_left: Callable[[], float], record: SQSRecord) -> None:
    receives = int(record.attributes.approximate_receive_count or "1")
    try:
        _check_time(seconds_left())
        done = wired().gate.settle_again(parse_arrival(record.body), receives)
    except Exception as exc:
        holding.give_back({record.receipt_handle: _wait(exc, receives)})
        raise
    for settled in done:
        logger.info(f"artifact {settled.outcome}", extra=asdict(settled))
        if settled.fresh:
            name, kind = METRICS[settled.outcome], metrics.default_dimensions | {"Kind": str(settled.kind)}
            metrics.add_metric(name, MetricUnit.Count, 1)
            with single_metric(name, MetricUnit.Count, 1, default_dimensions=kind) as by_kind:
                by_kind.service = ""  # would be one more dimension


def _check_time(seconds_left: float) -> None:
    if seconds_left < LEAST_SECONDS:
        raise OutOfTimeError("too little time is left in this invocation.")


def _wait(error: Exception, receives: int) -> int:
    """Seconds until a message is tried again; ten tries, as the queue allows, take nearly an hour of trouble."""
    if isinstance(error, SiblingsExpectedError):
        grace = wired().config.sibling_grace
        if error.waited >= grace:  # others keep coming: two more looks, at twice the age and at four times
            return int(error.waited.total_seconds())
        return int(max(error.longest_wait, grace.total_seconds() / LOOKS))
    if isinstance(error, OutOfTimeError | PermissionMissingError):
        return int(error.longest_wait)
    return int(min(LONGEST_WAIT, FIRST_WAIT * 2 ** (receives - 1)))
