"""validate_artifact: what is dropped in S3 is judged, promoted or quarantined, and reported.

A message that fails comes back, and ends in the dead letters if it never succeeds: nothing is lost.
"""

from __future__ import annotations

from dataclasses import asdict
from functools import cache
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.metrics import MetricUnit, single_metric
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType

from jetway.arrivals import parse_arrival
from jetway.config import ValidateArtifactConfig
from jetway.gate import Gate, Settled, connect
from jetway.observability import logger, metrics

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
    from aws_lambda_powertools.utilities.typing import LambdaContext

METRICS = {"promoted": "ArtifactsPromoted", "quarantined": "ArtifactsRejected"}


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], _context: LambdaContext) -> PartialItemFailureResponse:
    """Settle every object that a batch of messages tells of; what failed is reported as failed."""
    _wired()
    for name in METRICS.values():
        metrics.add_metric(name, MetricUnit.Count, 0)  # so that a sum exists, and EMF always has something to say
    processor = BatchProcessor(EventType.SQS, raise_on_entire_batch_failure=False)
    with processor(records=event["Records"], handler=_settle):
        processor.process()
    for record, (_, error, _) in zip(processor.fail_messages, processor.exceptions, strict=True):
        body = getattr(record, "body", None)
        logger.error("artifact not settled, its message comes back", exc_info=error, extra={"body": body})
    return processor.response()


def _settle(record: SQSRecord) -> None:
    config, gate = _wired()
    for settled in gate.settle(parse_arrival(record.body)):
        logger.info(f"artifact {settled.outcome}", extra=asdict(settled))
        if settled.fresh:
            _count(settled, config.environment_name)


def _count(settled: Settled, environment: str) -> None:
    name = METRICS[settled.outcome]
    metrics.add_metric(name, MetricUnit.Count, 1)
    dimensions = {"Environment": environment, "Kind": str(settled.kind)}
    with single_metric(name, MetricUnit.Count, 1, default_dimensions=dimensions):
        pass  # the same once more, by kind


@cache
def _wired() -> tuple[ValidateArtifactConfig, Gate]:
    config = ValidateArtifactConfig.from_env()
    metrics.set_default_dimensions(Environment=config.environment_name)
    return config, connect(config)
