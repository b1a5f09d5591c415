"""sync_triggers: trigger files become EventBridge rules and schedules. One run serves a whole batch of messages.

Messages only say that something may have changed; their queue has one group, so there is one run at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.metrics import MetricUnit
from botocore.exceptions import BotoCoreError, ClientError

from jetway.aws.visibility import Holding
from jetway.errors import OutOfTimeError, TransientError
from jetway.observability import logger, metrics
from jetway.sync.causes import causes_in
from jetway.sync.reconcile import sync
from jetway.wiring.sync_triggers import Parts, wired

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from jetway.sync.causes import VersionCauses

FIRST_WAIT, LONGEST_WAIT = 15, 300  # seconds; twenty receives, as the queue allows, are more than an hour of trouble
AT_ONCE = 1  # second, for a run that goes on where this one has stopped


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Sync once; when that was not all that there was to do, the messages come back."""
    parts = wired()
    metrics.add_metric("TriggerSyncFailures", MetricUnit.Count, 0)  # so that a sum exists

    def seconds_left() -> float:
        return context.get_remaining_time_in_millis() / 1000

    handles = [record["receiptHandle"] for record in event["Records"]]
    with Holding(parts.sqs, parts.queue_url, handles, seconds_left=seconds_left) as holding:
        receives = max(int(record["attributes"]["ApproximateReceiveCount"]) for record in event["Records"])
        troubles = _sync(parts, seconds_left, receives, causes_in(record["body"] for record in event["Records"]))
        if not troubles:
            return {"batchItemFailures": []}
        wait = _report(troubles, receives)
        holding.give_back(dict.fromkeys(handles, wait))
    return {"batchItemFailures": [{"itemIdentifier": record["messageId"]} for record in event["Records"]]}


def _sync(parts: Parts, seconds_left: Callable[[], float], receives: int, by: VersionCauses) -> Sequence[Exception]:
    """Sync once; return what was in the way."""
    # A file may have come after the first receive, which may have met trouble besides: that was no crash of the file.
    watch = partial(parts.crashes.trying, receives=receives, conclude=False) if receives > 1 else None
    try:
        synced = sync(parts.clients, parts.settings, seconds_left=seconds_left, watch=watch, by=by)
    except (TransientError, ClientError, BotoCoreError) as exc:
        return [exc]
    metrics.add_metric("TriggersInForce", MetricUnit.Count, synced.in_force)
    metrics.add_metric("TriggersRejected", MetricUnit.Count, len(synced.rejected))
    metrics.add_metric("TriggerChanges", MetricUnit.Count, len(synced.changes))
    logger.info("triggers synced", extra={"changes": synced.changes, "rejected": synced.rejected})
    return synced.troubles


def _report(troubles: Sequence[Exception], receives: int) -> int:
    """Tell what was in the way; return after how many seconds the messages come back."""
    failures = [trouble for trouble in troubles if not isinstance(trouble, OutOfTimeError)]
    if not failures:
        logger.info("triggers are partly synced; another run continues", extra={"reason": str(troubles[0])})
        return AT_ONCE
    for failure in failures:
        logger.error("triggers are not synced; the messages return to the queue", exc_info=failure)
    metrics.add_metric("TriggerSyncFailures", MetricUnit.Count, 1)
    return int(min(LONGEST_WAIT, FIRST_WAIT * 2 ** (receives - 1)))
