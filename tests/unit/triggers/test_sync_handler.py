"""The function sync_triggers from its queue's messages to what comes back: files and the daily rule, and trouble."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from functions.sync_triggers import app
from jetway.observability import metrics
from jetway.wiring.sync_triggers import wired
from tests.unit.artifacts.buckets import TABLE, make_artifact_table

REGION, DROP = "eu-central-1", "acme-drop"
ARN = f"arn:aws:sqs:{REGION}:123456789012"
ENVIRONMENT = {
    "AWS_DEFAULT_REGION": REGION,
    "ENVIRONMENT_NAME": "prod",
    "DROP_BUCKET": DROP,
    "STACK_NAME": "jetway",
    "SCHEDULE_GROUP": "jetway",
    "SCHEDULER_ROLE_ARN": "arn:aws:iam::123456789012:role/scheduler",
    "DISPATCH_QUEUE_ARN": f"{ARN}:dispatch.fifo",
    "COLLECT_QUEUE_ARN": f"{ARN}:collect",
    "UNDELIVERED_EVENTS_ARN": f"{ARN}:undelivered",
    "ALARM_TOPIC_ARN": "arn:aws:sns:eu-central-1:123456789012:alarms",
    "MAX_RULES_PER_BUS": "300",
    "METRICS_BY_TRIGGER": "true",
    "WEBHOOKS": "disabled",
    "TRANSPORT": "auto",
    "ARTIFACT_TABLE": TABLE,
    "POWERTOOLS_METRICS_NAMESPACE": "Jetway",
    "SYNC_QUEUE_URL": f"https://sqs.{REGION}.amazonaws.com/123456789012/sync.fifo",
}
ORDERS = "dag: ingest\non: {event: {source: [acme.billing]}}\n"
# What TriggerDriftRule sends.
# https://docs.aws.amazon.com/eventbridge/latest/ref/events-ref-scheduled-event.html
DAILY = {"source": "aws.events", "detail-type": "Scheduled Event", "time": "2026-11-22T06:00:00Z", "detail": {}}
DROPPED = {"source": "aws.s3", "detail-type": "Object Created", "detail": {"object": {"key": "triggers/orders.yaml"}}}


class Context:
    """What Lambda tells a function of its invocation."""

    function_name = "sync_triggers"
    memory_limit_in_mb = 512
    invoked_function_arn = "arn:aws:lambda:eu-central-1:123456789012:function:sync_triggers"
    aws_request_id = "1"

    def get_remaining_time_in_millis(self) -> int:
        return 120_000


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The drop bucket's client; the function has no memory of other tests."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(metrics.provider, "namespace", "Jetway")
    metrics.clear_metrics()
    with mock_aws():
        s3: Any = boto3.client("s3")
        s3.create_bucket(Bucket=DROP, CreateBucketConfiguration={"LocationConstraint": REGION})
        boto3.client("scheduler").create_schedule_group(Name="jetway")
        boto3.client("sqs").create_queue(QueueName="sync.fifo", Attributes={"FifoQueue": "true"})
        make_artifact_table(boto3.client("dynamodb"))
        yield s3
    metrics.clear_metrics()


def invoke(*bodies: object) -> list[str]:
    """Hand messages of the sync queue to the function; return the ids of those that come back."""
    records = [
        {
            "messageId": str(number),
            "receiptHandle": f"handle-{number}",
            "body": json.dumps(body),
            "attributes": {"ApproximateReceiveCount": "1"},
        }
        for number, body in enumerate(bodies)
    ]
    context: Any = Context()
    answer = app.handler({"Records": records}, context)
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def counted(capsys: pytest.CaptureFixture[str]) -> dict[str, float]:
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    (line,) = lines
    assert line["Environment"] == "prod"
    return {name: sum(line[name]) for name in line if name.startswith("Trigger")}


def put(s3: Any, name: str, text: str) -> None:
    s3.put_object(Bucket=DROP, Key=f"triggers/{name}.yaml", Body=text.encode())


def rules() -> set[str]:
    return {rule["Name"] for rule in boto3.client("events").list_rules()["Rules"]}


def test_one_run_serves_all_messages_and_is_counted(stage: Any, capsys: pytest.CaptureFixture[str]) -> None:
    put(stage, "orders", ORDERS)
    put(stage, "broken", "dag: ingest\non: {s4: {}}\n")
    assert invoke(DROPPED, DROPPED) == []
    assert rules() == {"jetway.orders"}
    wanted = {"TriggersInForce": 1, "TriggersRejected": 1, "TriggerChanges": 1, "TriggerSyncFailures": 0}
    assert counted(capsys) == wanted


def test_the_daily_message_repairs_what_was_changed_by_hand(stage: Any, capsys: pytest.CaptureFixture[str]) -> None:
    put(stage, "orders", ORDERS)
    assert invoke(DROPPED) == []
    events = boto3.client("events")
    events.remove_targets(Rule="jetway.orders", Ids=["jetway"])
    events.put_rule(Name="jetway.orders", EventPattern='{"source": ["somebody"]}', State="DISABLED")
    events.put_rule(Name="jetway.foreign", EventPattern='{"source": ["somebody"]}')
    events.put_rule(Name="other.orders", EventPattern='{"source": ["somebody"]}')
    capsys.readouterr()
    assert invoke(DAILY) == []
    assert rules() == {"jetway.orders", "other.orders"}
    rule = events.describe_rule(Name="jetway.orders")
    assert (rule["State"], json.loads(rule["EventPattern"])) == ("ENABLED", {"source": ["acme.billing"]})
    (target,) = events.list_targets_by_rule(Rule="jetway.orders")["Targets"]
    assert target["Arn"] == ENVIRONMENT["DISPATCH_QUEUE_ARN"]
    assert counted(capsys)["TriggerChanges"] == 2
    assert invoke(DAILY) == []
    assert counted(capsys)["TriggerChanges"] == 0


def test_when_nothing_can_be_done_all_messages_come_back(
    stage: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DROP_BUCKET", "gone")
    wired.cache_clear()
    assert invoke(DROPPED, DAILY) == ["0", "1"]
    assert counted(capsys)["TriggerSyncFailures"] == 1


def test_trouble_with_one_trigger_brings_the_messages_back_when_the_others_are_done(
    stage: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    put(stage, "nightly", "dag: ingest\non: {schedule: {rate: 1h}}\n")
    put(stage, "orders", ORDERS)
    boto3.client("scheduler").delete_schedule_group(Name="jetway")
    wired().clients.scheduler.meta.events.register("before-call.scheduler.CreateSchedule", _throttled)
    assert invoke(DROPPED) == ["0"]
    assert rules() == {"jetway.orders"}
    assert counted(capsys)["TriggerSyncFailures"] == 1


def _throttled(**_: object) -> Any:
    class Answer:
        status_code = 429

    return Answer(), {"Error": {"Code": "ThrottlingException", "Message": "slow down"}}
