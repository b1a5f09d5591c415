"""SQS, EventBridge and S3 in memory, as the event engine uses them; a clock that is moved by hand.

Queues keep what FIFO promises: a group hands out nothing while a message of it is in hand, and a deduplication id is
taken once in five minutes. They deliver at least once: who has a message in hand may see it delivered again.
"""

# ruff: noqa: N803 - arguments have the names that AWS gives them

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from tests.unit.explorer.event_tables import refusal

REMEMBERED = timedelta(minutes=5)


@dataclass
class Message:
    """One message of a queue."""

    id: str
    body: str
    group: str
    sent_at: datetime
    visible_at: datetime
    attributes: Mapping[str, Any] = field(default_factory=dict)
    tries: int = 0
    first_tried_at: datetime | None = None


@dataclass
class Queue:
    """A queue, and what it remembers of deduplication ids."""

    fifo: bool
    messages: list[Message] = field(default_factory=list)
    seen: dict[str, tuple[datetime, str]] = field(default_factory=dict)


class Sqs:
    """Stands in for boto3's client; a queue's URL is its name."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self.queues = {name: Queue(name.endswith(".fifo")) for name in QUEUES}
        self._clock = clock
        self._sent = 0

    def send_message(
        self,
        *,
        QueueUrl: str,
        MessageBody: str,
        DelaySeconds: int = 0,
        MessageGroupId: str = "",
        MessageDeduplicationId: str = "",
        MessageAttributes: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        queue, now = self.queues[QueueUrl], self._clock()
        assert queue.fifo is bool(MessageGroupId) is bool(MessageDeduplicationId), "as the queue's kind wants it"
        assert not (queue.fifo and DelaySeconds)
        assert 0 <= DelaySeconds <= 900
        if queue.fifo:
            at, id_ = queue.seen.get(MessageDeduplicationId, (None, ""))
            if at is not None and now - at < REMEMBERED:
                return {"MessageId": id_}
        self._sent += 1
        id_ = f"m{self._sent}"
        queue.seen[MessageDeduplicationId] = (now, id_)
        visible = now + timedelta(seconds=DelaySeconds)
        queue.messages.append(Message(id_, MessageBody, MessageGroupId, now, visible, MessageAttributes or {}))
        return {"MessageId": id_}

    def receive_message(self, *, QueueUrl: str, VisibilityTimeout: int, **_more: Any) -> dict[str, Any]:
        found = [each for each in self.queues[QueueUrl].messages if each.visible_at <= self._clock()][:10]
        for each in found:
            each.visible_at = self._clock() + timedelta(seconds=VisibilityTimeout)
        return {"Messages": [_as_received(each) for each in found]} if found else {}

    def delete_message(self, *, QueueUrl: str, ReceiptHandle: str) -> None:
        queue = self.queues[QueueUrl]
        queue.messages = [each for each in queue.messages if each.id != ReceiptHandle]

    def change_message_visibility(self, *, QueueUrl: str, ReceiptHandle: str, VisibilityTimeout: int) -> None:
        for each in self.queues[QueueUrl].messages:
            if each.id == ReceiptHandle:
                each.visible_at = self._clock() + timedelta(seconds=VisibilityTimeout)

    def due(self, name: str) -> Message | None:
        """Return the next message that a queue hands out, as delivered once more."""
        for each in self.queues[name].messages:
            if each.visible_at <= self._clock():
                each.tries += 1
                each.first_tried_at = each.first_tried_at or self._clock()
                return replace(each)
        return None

    @property
    def next_at(self) -> datetime | None:
        """When the next message becomes visible."""
        times = [each.visible_at for name in WORKED for each in self.queues[name].messages]
        return min(times, default=None)


QUEUES = ("dispatch.fifo", "dead.fifo", "waiting", "collect", "collect-dead", "undelivered")
WORKED = ("dispatch.fifo", "waiting", "collect")


def _as_received(message: Message) -> dict[str, Any]:
    sent = str(int(message.sent_at.timestamp() * 1000))
    found = {"MessageId": message.id, "ReceiptHandle": message.id, "Body": message.body}
    return {**found, "Attributes": {"SentTimestamp": sent}}


def record_of(message: Message) -> SQSRecord:
    """Return a message as Lambda hands it to a function."""
    first = message.first_tried_at or message.sent_at
    attributes = {
        "ApproximateReceiveCount": str(message.tries),
        "SentTimestamp": str(int(message.sent_at.timestamp() * 1000)),
        "ApproximateFirstReceiveTimestamp": str(int(first.timestamp() * 1000)),
        "MessageGroupId": message.group,
    }
    of_message = {name: {"stringValue": value["StringValue"]} for name, value in message.attributes.items()}
    return SQSRecord(
        {
            "messageId": message.id,
            "receiptHandle": message.id,
            "body": message.body,
            "attributes": attributes,
            "messageAttributes": of_message,
        }
    )


class Bus:
    """Stands in for boto3's client of EventBridge; `down` refuses."""

    def __init__(self) -> None:
        self.told: list[Mapping[str, Any]] = []
        self.down = False

    def put_events(self, *, Entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        if self.down:
            raise refusal("PutEvents", "InternalException")
        self.told += Entries
        return {"FailedEntryCount": 0, "Entries": []}


class S3:
    """Stands in for boto3's client: one bucket, in which a key is written once."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def put_object(self, *, Bucket: str, Key: str, Body: bytes, ContentType: str, IfNoneMatch: str) -> dict[str, Any]:
        assert IfNoneMatch == "*"
        if Key in self.objects:
            raise refusal("PutObject", "PreconditionFailed")
        self.objects[Key] = Body
        return {}

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:
        return {"Body": io.BytesIO(self.objects[Key])}
