"""`jetway redrive` of what is not the dispatcher's: events of batches, and what never reached a queue of Jetway's."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import boto3
from click.testing import Result

from jetway.batches.model import parse_member
from jetway.triggers.file import parse
from jetway.triggers.resources import Targets, resources_of
from tests.unit.cli.conftest import REGION, Cloud
from tests.unit.dispatching import parse_dispatch
from tests.unit.sample_events import sample_event

Jetway = Callable[..., Result]

EVENT = sample_event("s3_object_created")
QUEUE = f"arn:aws:sqs:{REGION}:123456789012"
PLACES = Targets("jetway", f"{QUEUE}:dispatch.fifo", f"{QUEUE}:collect", f"{QUEUE}:undelivered", "arn:role", "jetway")
ORDERS = "dag: load\non: {s3: {bucket: acme-landing}}\nconf: {path: 's3://{{ bucket }}/<{{ key }}>'}\n"
BATCH = "dag: load\non: {s3: {bucket: acme-landing}}\nbatch: {max_events: 5, within: 5m}\n"


def put_rule(text: str, bus: str = "default") -> str:
    """Make the rule of a trigger file, as sync_triggers does, and return its ARN."""
    trigger = parse(text.encode(), "triggers/orders.yaml").trigger
    assert trigger is not None
    (rule,) = resources_of(trigger, PLACES).rules
    events = boto3.client("events", region_name=REGION)
    if bus != "default":
        events.create_event_bus(Name=bus)
    arn = events.put_rule(Name=rule.name, EventBusName=bus, EventPattern=json.dumps(rule.pattern))["RuleArn"]
    targets: Any = rule.targets
    events.put_targets(Rule=rule.name, EventBusName=bus, Targets=targets)
    return arn


def undelivered(cloud: Cloud, body: object, **attributes: str) -> None:
    values: Any = {name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()}
    cloud.sqs.send_message(QueueUrl=cloud.undelivered_url, MessageBody=json.dumps(body), MessageAttributes=values)


def test_an_event_that_eventbridge_could_not_deliver_goes_where_its_rule_would_have_sent_it(
    cloud: Cloud, jetway: Jetway
) -> None:
    arn = put_rule(ORDERS)
    undelivered(cloud, EVENT, RULE_ARN=arn, ERROR_CODE="NO_PERMISSIONS", ERROR_MESSAGE="The queue said no.")
    shown = json.loads(jetway("redrive", "--dry-run", "--json").stdout)["sent"]
    assert [(one["trigger"], one["reason"], one["error"]) for one in shown] == [
        ("orders", "undelivered", "NO_PERMISSIONS: The queue said no.")
    ]
    assert jetway("redrive", "--trigger", "orders").exit_code == 0
    (sent,) = cloud.drain(cloud.dispatch_url)
    found = parse_dispatch(sent["Body"], sent_at=datetime.now(UTC))
    key = EVENT["detail"]["object"]["key"]
    assert found.request is not None
    assert (found.request.dag_id, found.request.conf) == (
        "load",
        {"path": f"s3://{EVENT['detail']['bucket']['name']}/<{key}>"},
    )
    assert sent["Attributes"]["MessageGroupId"] == "bulk/orders"
    assert "redriven_at" in json.loads(sent["Body"])
    assert cloud.drain(cloud.undelivered_url) == []


def test_a_rule_on_a_bus_of_ones_own_is_found(cloud: Cloud, jetway: Jetway) -> None:
    arn = put_rule(ORDERS, bus="acme")
    assert ":rule/acme/" in arn
    undelivered(cloud, EVENT, RULE_ARN=arn)
    assert jetway("redrive").exit_code == 0
    assert len(cloud.drain(cloud.dispatch_url)) == 1


def test_events_of_a_batch_go_back_to_the_collect_queue_wherever_their_letter_is(cloud: Cloud, jetway: Jetway) -> None:
    trigger = {"name": "orders", "kind": "s3", "dag": "load", "batch": {"max_events": 5, "within": 300}}
    message = {"trigger": trigger, "event": EVENT}
    cloud.dead_letter(message, trigger="orders", reason="invalid-conf")
    cloud.sqs.send_message(QueueUrl=cloud.uncollected_url, MessageBody=json.dumps(message))
    undelivered(cloud, EVENT, RULE_ARN=put_rule(BATCH))
    result = jetway("redrive", "--trigger", "orders")
    assert (result.exit_code, result.stderr) == (0, "3 dead letters sent back.\n")
    bodies = [message["Body"] for message in cloud.drain(cloud.collect_url)]
    digests = {parse_member(body, sent_at=datetime.now(UTC))[1].digest for body in bodies}
    assert (len(bodies), len(digests)) == (3, 1)  # one event, three letters: its claim makes one of them
    assert cloud.drain(cloud.dispatch_url) == []


def test_a_hint_of_the_collector_goes_back_to_it(cloud: Cloud, jetway: Jetway) -> None:
    hint = {"look_at": {"stream": "orders#x", "batch": "b"}}
    cloud.sqs.send_message(QueueUrl=cloud.uncollected_url, MessageBody=json.dumps(hint))
    assert jetway("redrive").exit_code == 0
    (sent,) = cloud.drain(cloud.collect_url)
    assert json.loads(sent["Body"])["look_at"] == hint["look_at"]
    assert cloud.drain(cloud.dispatch_url) == []


def test_a_firing_that_scheduler_could_not_deliver_goes_to_the_interactive_lane(cloud: Cloud, jetway: Jetway) -> None:
    event = {"schedule-arn": "arn:aws:scheduler:eu-central-1:1:schedule/jetway/jetway.nightly"}
    event["scheduled-time"] = "2026-11-22T06:00:00Z"
    message = {"trigger": {"name": "nightly", "kind": "schedule", "dag": "load"}, "event": event}
    request = {"MessageBody": json.dumps(message), "QueueUrl": cloud.dispatch_url, "MessageGroupId": "interactive"}
    undelivered(cloud, request, SCHEDULE_ARN=event["schedule-arn"], ERROR_CODE="AccessDenied")
    assert jetway("redrive").exit_code == 0
    (sent,) = cloud.drain(cloud.dispatch_url)
    assert json.loads(sent["Body"])["event"] == event
    assert sent["Attributes"]["MessageGroupId"] == "interactive/nightly"


def test_what_the_waiting_queue_could_not_get_rid_of_goes_back(cloud: Cloud, jetway: Jetway) -> None:
    message = {"trigger": {"name": "data", "kind": "s3", "dag": "load"}, "event": EVENT}
    undelivered(cloud, message | {"waits": {"since": "2026-11-22T06:00:00+00:00", "count": 9}})
    assert jetway("redrive", "--reason", "received-too-often").exit_code == 0
    (sent,) = cloud.drain(cloud.dispatch_url)
    assert "waits" not in json.loads(sent["Body"])


def test_an_event_whose_rule_is_gone_stays_and_is_said(cloud: Cloud, jetway: Jetway) -> None:
    arn = f"arn:aws:events:{REGION}:123456789012:rule/jetway.gone"
    undelivered(cloud, EVENT, RULE_ARN=arn)
    result = jetway("redrive", "--trigger", "gone")
    assert result.exit_code == 1
    assert "rule jetway.gone, which sent it, was deleted" in result.stderr
    assert len(cloud.drain(cloud.undelivered_url)) == 1
