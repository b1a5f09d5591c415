"""sync_triggers at its edge: messages of its queue in; rules, schedules and alarms, metrics, all or nothing back."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest

from functions.sync_triggers import app
from jetway.triggers.version import version_of

from .edge import Context, Edge, Function
from .sources import records, scheduled

DROPPED = {"source": "aws.s3", "detail-type": "Object Created", "detail": {"object": {"key": "triggers/orders.yaml"}}}
ORDERS = "dag: ingest\non: {event: {source: [acme.billing]}}\n"
NIGHTLY = "dag: ingest\non: {schedule: {rate: 1h}}\n"
NOTHING = {"TriggersInForce": 0.0, "TriggersRejected": 0.0, "TriggerChanges": 0.0, "TriggerSyncFailures": 0.0}


@pytest.fixture
def sync(edge: Edge) -> Function:
    return edge.deploy(app, "SyncTriggers")


def put(**files: str) -> None:
    for name, text in files.items():
        boto3.client("s3").put_object(Bucket="acme-drop", Key=f"triggers/{name}.yaml", Body=text.encode())


def rules() -> set[str]:
    return {rule["Name"] for rule in boto3.client("events").list_rules()["Rules"]}


def test_files_are_in_force_and_removed_cold_and_warm(
    edge: Edge, sync: Function, caplog: pytest.LogCaptureFixture
) -> None:
    put(orders=ORDERS, nightly=NIGHTLY, broken="dag: 1\n")
    assert sync.failed(records(DROPPED, DROPPED)) == []
    assert sync.metrics() == NOTHING | {"TriggersInForce": 2.0, "TriggersRejected": 1.0, "TriggerChanges": 2.0}
    line = vars(caplog.records[-1])
    assert (line["msg"], len(line["changes"]), line["rejected"]) == ("triggers synced", 2, ["triggers/broken.yaml"])
    made = sync.clients_made()
    assert {"s3", "eventbridge", "scheduler"} <= set(made)
    assert rules() == {"jetway.orders"}
    (target,) = boto3.client("events").list_targets_by_rule(Rule="jetway.orders")["Targets"]
    assert target["Arn"].endswith(":DispatchQueue.fifo")

    boto3.client("s3").delete_object(Bucket="acme-drop", Key="triggers/orders.yaml")
    assert sync.failed(records(DROPPED)) == []
    assert sync.metrics() == NOTHING | {"TriggersInForce": 1.0, "TriggersRejected": 1.0, "TriggerChanges": 1.0}
    assert sync.clients_made() == []
    assert rules() == set()


def test_rules_and_alarms_that_are_none_of_the_stacks_have_the_tags_that_the_account_asks_for(edge: Edge) -> None:
    sync = edge.deploy(app, "SyncTriggers", Tags="team=data,cost-center=42=b")
    put(orders=ORDERS + "expect: {within: 2h}\n")
    assert sync.failed(records(DROPPED)) == []
    tags = [{"Key": "team", "Value": "data"}, {"Key": "cost-center", "Value": "42=b"}]
    events: Any = boto3.client("events")
    arn = events.describe_rule(Name="jetway.orders")["Arn"]
    assert events.list_tags_for_resource(ResourceARN=arn)["Tags"] == tags
    assert [sent["Tags"] for sent in edge.aws.asked("cloudwatch.PutMetricAlarm")] == [tags]

    put(orders=ORDERS.replace("billing", "shop"))  # a rule that is changed has them already
    assert sync.failed(records(DROPPED)) == []
    assert events.list_tags_for_resource(ResourceARN=arn)["Tags"] == tags


def test_without_tags_none_are_sent(edge: Edge, sync: Function) -> None:
    put(orders=ORDERS)
    assert sync.failed(records(DROPPED)) == []
    assert all("Tags" not in sent for sent in edge.aws.asked("eventbridge.PutRule"))


def test_the_daily_message_finds_nothing_to_do(edge: Edge, sync: Function) -> None:
    put(orders=ORDERS)
    sync(records(DROPPED))
    assert sync.failed(records(scheduled())) == []
    assert sync.metrics() == NOTHING | {"TriggersInForce": 1.0}


def test_the_daily_message_repairs_what_was_changed_by_hand(edge: Edge, sync: Function) -> None:
    put(orders=ORDERS)
    sync(records(DROPPED))
    events: Any = boto3.client("events")
    events.remove_targets(Rule="jetway.orders", Ids=["jetway"])
    events.put_rule(Name="jetway.orders", EventPattern='{"source": ["somebody"]}', State="DISABLED")
    for name in ("jetway.foreign", "other.orders"):
        events.put_rule(Name=name, EventPattern='{"source": ["somebody"]}')
    assert sync.failed(records(scheduled())) == []
    assert rules() == {"jetway.orders", "other.orders"}
    rule = events.describe_rule(Name="jetway.orders")
    assert (rule["State"], json.loads(rule["EventPattern"])) == ("ENABLED", {"source": ["acme.billing"]})
    assert len(events.list_targets_by_rule(Rule="jetway.orders")["Targets"]) == 1
    assert sync.metrics()["TriggerChanges"] == 2.0


@pytest.mark.parametrize("call", ["s3.ListObjectsV2", "eventbridge.ListRules"])
def test_when_nothing_can_be_done_all_messages_come_back_and_an_alarm_may_count_it(
    edge: Edge, sync: Function, caplog: pytest.LogCaptureFixture, call: str
) -> None:
    put(orders=ORDERS)
    fail = edge.aws.unreachable if call.startswith("eventbridge") else edge.aws.fails
    fail(call)
    assert sync.failed(records(DROPPED, scheduled())) == ["m0", "m1"]
    assert sync.metrics() == {"TriggerSyncFailures": 1.0}
    assert [line.levelname for line in caplog.records] == ["ERROR"]
    edge.aws.works()
    assert sync.failed(records(DROPPED, scheduled())) == []
    assert sync.metrics() == NOTHING | {"TriggersInForce": 1.0, "TriggerChanges": 1.0}


def test_what_somebody_writes_at_the_same_moment_is_waited_for(edge: Edge, sync: Function) -> None:
    put(orders=ORDERS)
    sync(records(DROPPED))
    edge.aws.fails("s3.GetObject", "PreconditionFailed")  # it is not what it was when it was looked at
    assert sync.failed(records(DROPPED)) == ["m0"]
    assert sync.metrics()["TriggerSyncFailures"] == 1.0
    assert rules() == {"jetway.orders"}


def test_trouble_with_one_trigger_brings_all_messages_back_when_the_others_are_done(
    edge: Edge, sync: Function, caplog: pytest.LogCaptureFixture
) -> None:
    put(nightly=NIGHTLY, orders=ORDERS)
    edge.aws.fails("scheduler.CreateSchedule")
    assert sync.failed(records(DROPPED, DROPPED)) == ["m0", "m1"], "one message stands for all files"
    assert rules() == {"jetway.orders"}
    assert sync.metrics()["TriggerSyncFailures"] == 1.0
    assert sync.metrics()["TriggerChanges"] == 1.0
    assert "triggers are not synced; the messages return to the queue" in [line.getMessage() for line in caplog.records]
    edge.aws.works()
    assert sync.failed(records(DROPPED)) == []
    assert sync.metrics() == NOTHING | {"TriggersInForce": 2.0, "TriggerChanges": 1.0}


def test_what_aws_refuses_for_good_is_a_rejected_trigger_and_no_failure(edge: Edge, sync: Function) -> None:
    put(orders=ORDERS)
    edge.aws.fails("eventbridge.PutRule", "InvalidEventPatternException")
    assert sync.failed(records(DROPPED)) == []
    assert sync.metrics()["TriggersRejected"] == 1.0
    assert sync.metrics()["TriggerSyncFailures"] == 0.0


@pytest.mark.parametrize(("by_trigger", "alarms"), [("true", 1), ("false", 0)])
def test_parameters_of_the_stack_count(edge: Edge, by_trigger: str, alarms: int) -> None:
    sync = edge.deploy(app, "SyncTriggers", MetricsByTrigger=by_trigger, MaxRulesPerBus="1")
    put(orders=ORDERS + "expect: {within: 1d}\n", zoo=ORDERS)
    sync(records(DROPPED))
    assert len(rules()) == 1
    assert sync.metrics()["TriggersRejected"] >= 1.0
    found: list[Any] = boto3.client("cloudwatch").describe_alarms()["MetricAlarms"]
    assert len(found) == alarms


def invisible(edge: Edge) -> list[dict[str, int]]:
    """Seconds for which messages were made invisible, call by call, by receipt handle."""
    asked = edge.aws.asked("sqs.ChangeMessageVisibilityBatch")
    assert {each["QueueUrl"] for each in asked} == {edge.url("TriggerSyncQueue")}
    return [{entry["ReceiptHandle"]: entry["VisibilityTimeout"] for entry in each["Entries"]} for each in asked]


def test_a_crash_holds_the_queue_for_half_a_minute(edge: Edge, sync: Function) -> None:
    assert sync.failed(records(DROPPED, scheduled())) == []
    assert invisible(edge) == [{"handle-m0": 30, "handle-m1": 30}]
    assert edge.aws.calls[0][0] == "sqs.ChangeMessageVisibilityBatch", "before anything can go wrong"


def test_trouble_is_tried_again_sooner_than_a_crash_and_ever_later(edge: Edge, sync: Function) -> None:
    edge.aws.fails("eventbridge.ListRules", "AccessDenied")
    waits = []
    for receives in (1, 2, 19):
        assert sync.failed(records(DROPPED, receives=receives)) == ["m0"]
        waits.append(invisible(edge)[-1]["handle-m0"])
    assert waits == [15, 30, 300]
    assert sum(min(300, 15 * 2**tries) for tries in range(20)) > 3600, "twenty receives are more than an hour"


def test_a_run_out_of_time_goes_on_at_once_and_is_no_failure(
    edge: Edge, sync: Function, caplog: pytest.LogCaptureFixture
) -> None:
    put(a=ORDERS, b=ORDERS, c=ORDERS)
    context = Context(60)
    edge.aws.on("eventbridge.PutTargets", lambda: context.passes(30))
    assert sync.failed(records(DROPPED), context) == ["m0"]
    assert rules() == {"jetway.a", "jetway.b"}
    assert invisible(edge)[-1] == {"handle-m0": 1}
    assert sync.metrics()["TriggerSyncFailures"] == 0.0
    assert {line.levelname for line in caplog.records} == {"INFO"}
    assert sync.failed(records(DROPPED, receives=2)) == []
    assert rules() == {"jetway.a", "jetway.b", "jetway.c"}


@pytest.mark.parametrize("missing", ["CreateSchedule", "ListSchedules"])
def test_a_schedule_group_that_is_gone_is_told_and_holds_nothing_else(
    edge: Edge, sync: Function, caplog: pytest.LogCaptureFixture, missing: str
) -> None:
    put(orders=ORDERS, nightly=NIGHTLY)
    edge.aws.fails(f"scheduler.{missing}", "ResourceNotFoundException")
    assert sync.failed(records(DROPPED)) == ["m0"]
    assert rules() == {"jetway.orders"}
    assert sync.metrics()["TriggersRejected"] == 0.0
    assert sync.metrics()["TriggerSyncFailures"] == 1.0


class KilledError(BaseException):
    """The process is gone."""


def test_a_file_that_ends_the_function_four_times_is_told_and_keeps_no_other_from_coming_into_force(
    edge: Edge, sync: Function
) -> None:
    def die() -> None:
        if edge.aws.asked("eventbridge.PutRule")[-1]["Name"] == "jetway.orders":
            raise KilledError

    edge.aws.on("eventbridge.PutRule", die)
    put(orders=ORDERS, zebra=ORDERS)
    for receives in (1, 2, 3, 4):
        with pytest.raises(KilledError):
            sync(records(DROPPED, receives=receives))
    assert sync.failed(records(DROPPED, receives=5)) == []
    assert sync.metrics()["TriggersRejected"] == 1.0
    assert rules() == {"jetway.zebra"}
    body = boto3.client("s3").get_object(Bucket="acme-drop", Key="reports/triggers/orders.yaml/latest.json")["Body"]
    assert [finding["rule"] for finding in json.loads(body.read())["findings"]] == ["crashed"]


def test_the_report_says_who_put_the_file_and_the_rule_what_it_says(edge: Edge, sync: Function) -> None:
    put(orders=ORDERS)
    version = boto3.client("s3").head_object(Bucket="acme-drop", Key="triggers/orders.yaml")["VersionId"]
    told = {"object": {"key": "triggers/orders.yaml", "version-id": version}, "requester": "111122223333"}
    assert sync.failed(records({**DROPPED, "detail": told})) == []
    body = boto3.client("s3").get_object(Bucket="acme-drop", Key="reports/triggers/orders.yaml/latest.json")["Body"]
    assert json.loads(body.read())["by"] == {"account": "111122223333"}
    (target,) = boto3.client("events").list_targets_by_rule(Rule="jetway.orders")["Targets"]
    template = target["InputTransformer"]["InputTemplate"].replace("<aws.events.event.json>", "{}")
    trigger = json.loads(template)["trigger"]
    assert trigger["version"] == version_of({"dag": "ingest", "on": {"event": {"source": ["acme.billing"]}}})
