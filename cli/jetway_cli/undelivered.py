"""Messages of UndeliveredEvents: what EventBridge and Scheduler could not deliver, made what it should have become.

Three kinds of messages are there:

EventBridge puts the event as its source wrote it, before any transformation, and names rule and error in the message's
attributes. What the rule makes of an event is asked of the rule as it is now.
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html

Scheduler puts the request that it made, whose MessageBody is the dispatch message.
https://docs.aws.amazon.com/scheduler/latest/UserGuide/configuring-schedule-dlq.html

SQS moves dispatch messages there that the waiting queue could not get rid of.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from jetway_cli.errors import error_code
from jetway_cli.letters import MOVED_BY_SQS, UNDELIVERED, Letter, json_object, read_letter

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

ATTRIBUTES = ("RULE_ARN", "SCHEDULE_ARN", "ERROR_CODE", "ERROR_MESSAGE")


@dataclass(slots=True)
class Undelivered:
    """Reads those messages; every rule is asked for once."""

    events: EventBridgeClient
    templates: dict[str, str | None] = field(default_factory=dict)

    def read(self, record: Mapping[str, Any]) -> Letter:
        """Read a message as boto3's receive_message returns it.

        Raises:
            ClientError, BotoCoreError: EventBridge is in trouble.
        """
        found = record.get("MessageAttributes", {})
        told = {name: str(found[name].get("StringValue", "")) for name in ATTRIBUTES if name in found}
        body = json_object(record["Body"])
        if "RULE_ARN" in told:
            message, hopeless = self._as_the_rule_would(told["RULE_ARN"], record["Body"])
        else:
            message, hopeless = json_object(body["MessageBody"]) if "MessageBody" in body else body, None
        letter = read_letter({**record, "Body": json.dumps(message)}) if message else read_letter(record)
        error = ": ".join(filter(None, (told.get("ERROR_CODE"), told.get("ERROR_MESSAGE"))))
        rule = told.get("RULE_ARN", "").rpartition("/")[2]
        return replace(
            letter,
            reason=UNDELIVERED if told else MOVED_BY_SQS,
            error=error,
            trigger=letter.trigger or rule.partition(".")[2] or None,
            hopeless=hopeless or letter.hopeless,
        )

    def _as_the_rule_would(self, rule: str, event: str) -> tuple[dict[str, Any] | None, str | None]:
        """Return the message that a rule makes of an event, or why there is none."""
        from jetway.triggers.resources import EVENT_OF_RULE

        if rule not in self.templates:
            self.templates[rule] = self._template(rule)
        template = self.templates[rule]
        if template is None:
            return None, (
                f"rule {rule.rpartition('/')[2]}, which sent it, was deleted or does not create dispatch messages"
            )
        message = json_object(template.replace(EVENT_OF_RULE, event))
        return message, None if message else "it is not an event"

    def _template(self, rule: str) -> str | None:
        """Return the template by which a rule makes dispatch messages."""
        from botocore.exceptions import ClientError

        from jetway.triggers.resources import EVENT_OF_RULE

        # arn:aws:events:<Region>:<account>:rule/[<bus>/]<name>
        bus, _, name = rule.partition(":rule/")[2].rpartition("/")
        try:
            targets = self.events.list_targets_by_rule(Rule=name, EventBusName=bus or "default")["Targets"]
        except ClientError as exc:
            if error_code(exc) != "ResourceNotFoundException":
                raise
            return None
        templates = [target.get("InputTransformer", {}).get("InputTemplate", "") for target in targets]
        return next((template for template in templates if EVENT_OF_RULE in template), None)
