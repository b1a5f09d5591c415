"""A queue that hears all that Jetway sends to the event bus, as a user's own rule would."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from tools.stack.calls import let_send

if TYPE_CHECKING:
    from tools.stack.stack import Stack


@dataclass
class Listener:
    """What was heard so far, in the order of its arrival, copies included."""

    sqs: Any
    url: str
    heard: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def subscribe(cls, stack: Stack, name: str) -> Self:
        """Make a queue of that name and a rule that sends all of Jetway's events there."""
        sqs, events = stack.client("sqs"), stack.client("events")
        url = sqs.create_queue(QueueName=name)["QueueUrl"]
        arn = let_send(sqs, url, "events")
        events.put_rule(Name=name, EventPattern=json.dumps({"source": ["jetway"]}))
        events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": arn}])
        return cls(sqs, url)

    def hear(self) -> list[dict[str, Any]]:
        """Take what has come since, and return all that was heard."""
        while messages := self.sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10).get("Messages", []):
            self.heard += [json.loads(message["Body"]) for message in messages]
            entries = [
                {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]}
                for number, message in enumerate(messages)
            ]
            self.sqs.delete_message_batch(QueueUrl=self.url, Entries=entries)
        return self.heard
