"""How many events will be runs soon: what scale_workers foresees a burst by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

    from jetway.batches.table import BatchTable


@dataclass(frozen=True, slots=True)
class Backlog:
    """The places in which events wait for their run.

    Attributes:
        queues: URLs of the queues whose visible messages are events: dispatch, collect, and waiting aside. What SQS
            still delays is left out: a call back at a batch's deadline is no event, and what waits for a trigger's rate
            comes as slowly as that.
        batches: batches that are open, or closed and not yet dispatched, count with all of their events: a DAG that
            works through a batch has a task for each, or few tasks that take as long.
    """

    sqs: SQSClient
    queues: Sequence[str]
    batches: BatchTable

    def count(self) -> int:
        """Return the number of events; SQS's part of it is approximate.

        Raises:
            ClientError, BotoCoreError: a queue or the table does not answer.
        """
        return sum(self._visible(url) for url in self.queues) + self.batches.count_waiting()

    def _visible(self, url: str) -> int:
        answer = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
        return int(answer["Attributes"]["ApproximateNumberOfMessages"])
