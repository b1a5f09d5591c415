"""`jetway triggers`: what is in force, what AWS has of it, and the last event."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from click.testing import Result

from jetway.ledger import Entry, Ledger
from jetway.sync.accepted import FORMAT, KEY
from jetway.triggers.file import from_document
from jetway.triggers.rules import EVENT_OF_RULE, EVENT_OF_SCHEDULE, message_template
from tests.unit.cli.conftest import REGION, Cloud

Jetway = Callable[..., Result]

BUCKET = "drop"
ORDERS = {"dag": "ingest", "on": {"event": {"source": ["acme"]}}}
NIGHTLY = {"dag": "nightly", "on": {"schedule": {"cron": "0 6 ? * MON-FRI *"}}}


def accept(cloud: Cloud, triggers: dict[str, dict[str, Any] | None], seen: str = "accepted") -> None:
    """Write what sync_triggers would have accepted."""
    entries = {
        f"triggers/{name}.yaml": {
            "name": name,
            "kind": next(iter(document["on"])) if document else None,
            "document": document,
            "seen": {"version": "1", "verdict": seen, "report": "0"},
        }
        for name, document in triggers.items()
    }
    s3 = boto3.client("s3", region_name=REGION)
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    s3.put_object(Bucket=BUCKET, Key=KEY, Body=json.dumps({"format": FORMAT, "triggers": entries}).encode())


@pytest.fixture(autouse=True)
def outputs(cloud: Cloud) -> None:
    """What the command reads of the stack."""
    cloud.outputs |= {"DropBucketName": BUCKET, "ScheduleGroupName": "jetway"}
    assert cloud.ledger


def put_rule(pattern: dict[str, Any], state: str = "ENABLED") -> None:
    client: Any = boto3.client("events", region_name=REGION)  # its stubs know states as literals only
    client.put_rule(Name="jetway.orders", EventPattern=json.dumps(pattern), State=state)
    trigger = from_document(ORDERS, "orders").trigger
    assert trigger is not None
    transformer = {"InputTemplate": message_template(trigger, EVENT_OF_RULE)}
    arn = f"arn:aws:sqs:{REGION}:123456789012:dispatch"
    client.put_targets(Rule="jetway.orders", Targets=[{"Id": "jetway", "Arn": arn, "InputTransformer": transformer}])


def states(jetway: Jetway) -> dict[str, dict[str, Any]]:
    result = jetway("triggers", "--json")
    assert result.exit_code == 0, result.stderr
    return {state["trigger"]: state for state in json.loads(result.stdout)}


def test_a_trigger_in_force_is_shown_with_its_last_event(cloud: Cloud, jetway: Jetway) -> None:
    accept(cloud, {"orders": ORDERS})
    put_rule({"source": ["acme"]})
    ledger = Ledger(cloud.ledger)
    for minute, decision in ((1, "held"), (2, "started")):
        at = datetime(2026, 11, 22, 6, minute, tzinfo=UTC)
        ledger.record(Entry(f"orders#{minute}", "orders", "event", ("x",), decision, at))  # type: ignore[arg-type]
    assert jetway("triggers").stdout == (
        "trigger  kind   dag     state  last event (UTC)     decision  note\n"
        "orders   event  ingest  on     2026-11-22 06:02:00  started\n"
    )


@pytest.mark.parametrize(
    ("pattern", "state", "enabled", "wanted"),
    [
        ({"source": ["acme"]}, "ENABLED", True, "on"),
        ({"source": ["acme"]}, "DISABLED", False, "off"),
        ({"source": ["acme"]}, "DISABLED", True, "drifted"),
        ({"source": ["acme"]}, "ENABLED", False, "drifted"),
        ({"source": ["other"]}, "ENABLED", True, "drifted"),
        (None, "ENABLED", True, "missing"),
    ],
)
def test_a_rule_that_is_not_as_its_file_says_is_told(
    cloud: Cloud, jetway: Jetway, pattern: dict[str, Any] | None, state: str, enabled: bool, wanted: str
) -> None:
    accept(cloud, {"orders": ORDERS | {"enabled": enabled}})
    if pattern is not None:
        put_rule(pattern, state)
    assert states(jetway)["orders"]["state"] == wanted


def test_a_rule_that_sends_something_else_or_nothing_is_told(cloud: Cloud, jetway: Jetway) -> None:
    accept(cloud, {"orders": ORDERS})
    put_rule({"source": ["acme"]})
    events = boto3.client("events", region_name=REGION)
    other: Any = {"Id": "jetway", "Arn": f"arn:aws:sqs:{REGION}:123456789012:q", "Input": "{}"}
    events.put_targets(Rule="jetway.orders", Targets=[other])
    found = states(jetway)["orders"]
    assert (found["state"], found["note"]) == ("drifted", "what it sends there is not what the file says")
    events.remove_targets(Rule="jetway.orders", Ids=["jetway"])
    assert states(jetway)["orders"]["note"] == "it sends nothing there"


@pytest.mark.parametrize(("hour", "state", "note"), [("7", "drifted", "0 7"), ("6", "on", "")])
def test_a_schedule_is_compared_too(cloud: Cloud, jetway: Jetway, hour: str, state: str, note: str) -> None:
    accept(cloud, {"nightly": NIGHTLY})
    assert states(jetway)["nightly"]["state"] == "missing"
    trigger = from_document(NIGHTLY, "nightly").trigger
    assert trigger is not None
    scheduler = boto3.client("scheduler", region_name=REGION)
    scheduler.create_schedule_group(Name="jetway")
    scheduler.create_schedule(
        GroupName="jetway",
        Name="jetway.nightly",
        ScheduleExpression=f"cron(0 {hour} ? * MON-FRI *)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={
            "Arn": "arn:aws:sqs:eu-central-1:123456789012:q",
            "RoleArn": "arn:aws:iam::123456789012:role/r",
            "Input": message_template(trigger, EVENT_OF_SCHEDULE),
        },
    )
    found = states(jetway)["nightly"]
    assert (found["state"], note in found["note"]) == (state, True)


def test_a_file_that_was_never_good_and_one_that_was_good_before(cloud: Cloud, jetway: Jetway) -> None:
    accept(cloud, {"bad": None, "orders": ORDERS}, seen="rejected")
    put_rule({"source": ["acme"]})
    found = states(jetway)
    assert found["bad"]["state"] == "rejected"
    assert (found["orders"]["state"], "rejected" in found["orders"]["note"]) == ("on", True)


def test_no_trigger_is_said_so(jetway: Jetway, cloud: Cloud) -> None:
    accept(cloud, {})
    result = jetway("triggers")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "There is no trigger" in result.stderr
