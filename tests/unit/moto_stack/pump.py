"""Moves what AWS moves: events from buckets and functions to the queues of rules, messages from queues to handlers.

moto has the events, the rules, the queues and their messages; which rule takes an event is decided by moto's own
matcher. What moto does not do as AWS documents it is done here, and listed in docs/emulators.md.
"""

from __future__ import annotations

import importlib
import json
import re
import warnings
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

import pytest
from moto.events.models import EventPattern

from tests.unit.functions.edge import Context, cold
from tests.unit.moto_stack.deployed import client, deploy
from tools.checks.rendered import ACCOUNT, REGION, Rendered

_NOBODY_LOADS = {"IMPORT_DAG": "", "RESOLVE_REQUIREMENTS": ""}  # moto runs no function without Docker
ALL = "all-events"  # the rule and the queue by which the pump gets every event


class Pump:
    """One stack on moto, and its functions."""

    def __init__(self, stack: Rendered, monkeypatch: pytest.MonkeyPatch) -> None:
        self.stack = stack
        self.told: list[dict[str, Any]] = []
        self._warm: set[str] = set()
        self._monkeypatch = monkeypatch
        deploy(stack)
        sqs, events = client("sqs"), client("events")
        self._events = sqs.create_queue(QueueName=ALL)["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=self._events, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        events.put_rule(Name=ALL, EventPattern=json.dumps({"account": [ACCOUNT]}))
        events.put_targets(Rule=ALL, Targets=[{"Id": "queue", "Arn": arn}])
        self._targets = {
            stack.reference(name): rule["Targets"] for name, rule in stack.of_type("AWS::Events::Rule").items()
        }

    def settle(self, most: int = 60) -> None:
        """Move everything until nothing moves any more."""
        for _ in range(most):
            if not (self._move_events() + self._move_messages()):
                return
        raise AssertionError("events and messages go round for ever")

    def hear(self, event: Mapping[str, Any]) -> None:
        """Take an event that a rule of another account's bus has sent to ours."""
        client("sqs").send_message(QueueUrl=self._events, MessageBody=json.dumps(event))

    def messages(self, queue: str) -> list[dict[str, Any]]:
        """Take what is visible on a queue of the stack."""
        url = self.stack.reference(queue)
        found = client("sqs").receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, AttributeNames=["All"], MessageAttributeNames=["All"]
        )
        return list(found.get("Messages", []))

    def _move_events(self) -> int:
        sqs, count = client("sqs"), 0
        while found := sqs.receive_message(QueueUrl=self._events, MaxNumberOfMessages=10).get("Messages", []):
            for message in found:
                event = json.loads(message["Body"])
                self.told += [event] if event["source"] == "jetway" else []
                for rule in self._matching(event):
                    self._send(rule, event)
                sqs.delete_message(QueueUrl=self._events, ReceiptHandle=message["ReceiptHandle"])
                count += 1
        return count

    def _matching(self, event: dict[str, Any]) -> Iterator[str]:
        for rule in client("events").list_rules()["Rules"]:
            pattern = rule.get("EventPattern") if rule["State"] == "ENABLED" and rule["Name"] != ALL else None
            if pattern and EventPattern.load(pattern).matches_event(event):  # type: ignore[arg-type]
                yield rule["Name"]

    def _send(self, rule: str, event: dict[str, Any]) -> None:
        targets = self._targets.get(rule) or client("events").list_targets_by_rule(Rule=rule)["Targets"]
        for target in targets:
            if ":sqs:" in target["Arn"]:
                group = target.get("SqsParameters", {})
                url = f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{target['Arn'].rpartition(':')[2]}"
                client("sqs").send_message(QueueUrl=url, MessageBody=transformed(target, event), **group)

    def _move_messages(self) -> int:
        moved = 0
        for mapping in self.stack.of_type("AWS::Lambda::EventSourceMapping").values():
            function = mapping["FunctionName"].split("-")[1]
            queue = mapping["EventSourceArn"].split("-")[-2]
            records = [_record(each, mapping["EventSourceArn"]) for each in self.messages(queue)]
            # moto has sent these itself, as they are, to a target that wants them transformed.
            for record in [each for each in records if "detail-type" in _members(each["body"]) and _wraps(queue)]:
                client("sqs").delete_message(
                    QueueUrl=self.stack.reference(queue), ReceiptHandle=record["receiptHandle"]
                )
                records.remove(record)
            if records:
                self._invoke_with(function, queue, records)
                moved += len(records)
        return moved

    def _invoke_with(self, function: str, queue: str, records: list[dict[str, Any]]) -> None:
        answer = self.invoke(function, {"Records": records})
        failed = {each["itemIdentifier"] for each in answer["batchItemFailures"]}
        for record in records:
            if record["messageId"] not in failed:
                client("sqs").delete_message(
                    QueueUrl=self.stack.reference(queue), ReceiptHandle=record["receiptHandle"]
                )

    def invoke(self, function: str, event: Mapping[str, Any]) -> Any:
        """Invoke a function's handler, with its variables of the template; the first time cold."""
        found = self.stack.resources[function]["Properties"]
        variables = {**found["Environment"]["Variables"], **_NOBODY_LOADS}
        for name, value in variables.items():
            self._monkeypatch.setenv(name, str(value))
        self._monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", function)
        app = _app_of(function)
        if function not in self._warm:
            cold(app)
            self._warm.add(function)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "No application metrics")
            return app.handler(dict(event), Context())


def transformed(target: Mapping[str, Any], event: dict[str, Any]) -> str:
    """Return what EventBridge sends to a target.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html
    """
    if "InputTransformer" not in target:
        return json.dumps(event)
    template, paths = target["InputTransformer"]["InputTemplate"], target["InputTransformer"].get("InputPathsMap", {})
    values = {"aws.events.event.json": json.dumps(event), "aws.events.event": json.dumps(event)}
    for name, path in paths.items():
        value: Any = event
        for part in path.removeprefix("$.").split("."):
            value = value[part]
        values[name] = json.dumps(value)
    return re.sub(r"<([^<>]+)>", lambda found: values[found[1]], template)


def _record(message: dict[str, Any], queue: str) -> dict[str, Any]:
    """A message as Lambda hands it to a function."""
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message["Attributes"],
        "messageAttributes": {},
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": queue,
        "awsRegion": REGION,
    }


def _members(body: str) -> dict[str, Any]:
    found = json.loads(body)
    return found if isinstance(found, dict) else {}


def _wraps(queue: str) -> bool:
    """Whether all rules that send to a queue transform what they send."""
    return queue in {"DispatchQueue", "CollectQueue"}


def _app_of(function: str) -> ModuleType:
    folder = re.sub(r"(?<!^)(?=[A-Z])", "_", function.removesuffix("Function")).lower()
    return importlib.import_module(f"functions.{folder}.app")
