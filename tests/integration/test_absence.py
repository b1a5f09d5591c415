"""The file that did not come: `expect` of a trigger raises an alarm, and an event ends it. It takes minutes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.integration.conftest import LONGEST, drop
from tools.stack.calls import wait_for
from tools.stack.stack import Stack

pytestmark = pytest.mark.slow

NAME = "expected"
ALARM = f"jetway.{NAME}"
# One period of a minute, up to three in which CloudWatch still uses older data, and a minute to the next look.
RAISED = 420.0


def alarm_of(stack: Stack, state: str) -> dict[str, Any] | None:
    found = stack.client("cloudwatch").describe_alarms(AlarmNames=[ALARM])["MetricAlarms"]
    return next((alarm for alarm in found if alarm["StateValue"] == state), None)


def test_an_alarm_is_raised_when_no_event_comes_and_ends_when_one_does(stack: Stack, dag: str) -> None:
    text = f"dag: {dag}\non: {{event: {{source: [acme.expected]}}}}\nexpect: {{within: 1m}}\n"
    drop(stack, f"triggers/{NAME}.yaml", text.encode())
    alarm = wait_for(
        "the alarm", lambda: alarm_of(stack, "OK") or alarm_of(stack, "INSUFFICIENT_DATA"), seconds=LONGEST
    )
    assert alarm["AlarmActions"] == [stack.outputs["AlarmTopicArn"]]
    wait_for("the alarm to be raised", lambda: alarm_of(stack, "ALARM"), seconds=RAISED, pause=2)
    entry = {"Source": "acme.expected", "DetailType": "Came", "Detail": json.dumps({"late": True})}
    assert stack.client("events").put_events(Entries=[entry])["FailedEntryCount"] == 0
    wait_for("the alarm to end", lambda: alarm_of(stack, "OK"), seconds=LONGEST, pause=1)
    stack.client("s3").delete_object(Bucket=stack.outputs["DropBucketName"], Key=f"triggers/{NAME}.yaml")
    wait_for(
        "the end of the alarm",
        lambda: None if alarm_of(stack, "OK") or alarm_of(stack, "ALARM") else True,
        seconds=LONGEST,
    )
