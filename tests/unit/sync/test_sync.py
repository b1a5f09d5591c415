"""sync_triggers against AWS in process: create, change, disable, delete, repair; and what it never touches."""

from __future__ import annotations

import json
import shlex
from datetime import timedelta
from functools import partial
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError
from botocore.stub import Stubber

from jetway.errors import TransientError
from jetway.loading.claims import DagClaims
from jetway.promotion.artifact_state import ArtifactState, LiveVersion
from jetway.promotion.state_table import ArtifactStateTable
from jetway.sync import accepted
from jetway.sync.buckets import bucket_finding
from jetway.sync.dags import KnownDags
from jetway.sync.webhooks import Hooks
from jetway.triggers.file import from_document
from tests.unit.artifacts.buckets import TABLE, make_artifact_table
from tests.unit.sync.world import BROKEN, CLOSED, DROP, NIGHTLY, NOW, ORDERS, PLACES, REGION, World


def test_every_kind_becomes_what_it_needs_and_a_second_run_changes_nothing(world: World) -> None:
    hook = "dag: hook\non: {http: {auth: iam}}\n"
    many = ORDERS + "batch: {max_events: 5, within: 5m}\n"
    done = world.sync(orders=ORDERS + "expect: {within: 25h}\n", closed=CLOSED, nightly=NIGHTLY, hook=hook, many=many)
    assert done.changes == [
        "created rule acme jetway.closed",
        "created rule default jetway.many",
        "created schedule jetway.nightly",
        "created alarm jetway.orders",
        "created rule default jetway.orders",
    ]
    assert (done.files, done.in_force, done.rejected, done.troubles) == (5, 5, [], [])
    rule = world.rules()["jetway.orders"]
    assert json.loads(rule["EventPattern"])["detail"]["object"] == {"key": [{"wildcard": "in/*.csv"}]}
    (target,) = rule["Targets"]
    assert (target["Arn"], target["SqsParameters"]) == (PLACES.dispatch_queue, {"MessageGroupId": "bulk/orders"})
    assert world.rules()["jetway.many"]["Targets"][0]["Arn"] == PLACES.collect_queue
    assert set(world.rules("acme")) == {"jetway.closed"}
    assert world.schedules() == ["jetway.nightly"]
    alarm = world.alarms()["jetway.orders"]
    assert (alarm["Period"], alarm["EvaluationPeriods"], alarm["TreatMissingData"]) == (3600, 25, "breaching")
    assert {item["Name"]: item["Value"] for item in alarm["Dimensions"]} == {
        "Environment": "prod",
        "Trigger": "orders",
    }
    assert world.report("orders")["verdict"] == "accepted"
    stored = accepted.load(world.aws.s3, DROP).triggers["triggers/hook.yaml"]
    assert from_document(stored["document"], "hook").trigger is not None

    before = world.aws.s3.list_object_versions(Bucket=DROP)["Versions"]
    assert world.sync().changes == []
    assert world.aws.s3.list_object_versions(Bucket=DROP)["Versions"] == before


def test_a_trigger_is_changed_disabled_and_deleted(world: World) -> None:
    world.sync(orders=ORDERS + "expect: {within: 1h}\n", nightly=NIGHTLY)
    done = world.sync(orders=ORDERS.replace(".csv", ".json") + "enabled: false\n", nightly=NIGHTLY + "enabled: false\n")
    assert sorted(done.changes) == [
        "changed rule default jetway.orders",
        "changed schedule jetway.nightly",
        "deleted alarm jetway.orders",
    ]
    assert world.rules()["jetway.orders"]["State"] == "DISABLED"
    assert ".json" in world.rules()["jetway.orders"]["EventPattern"]
    schedule = world.aws.scheduler.get_schedule(GroupName="jetway", Name="jetway.nightly")
    assert schedule["State"] == "DISABLED"
    done = world.sync(orders=None, nightly=None)
    assert done.changes == ["deleted rule default jetway.orders", "deleted schedule jetway.nightly"]
    assert (world.rules(), world.schedules()) == ({}, [])
    assert accepted.load(world.aws.s3, DROP).triggers == {}


def test_a_trigger_moves_to_another_bus_and_becomes_another_kind(world: World) -> None:
    world.sync(x=CLOSED)
    world.sync(x=CLOSED.replace(", bus: acme", ""))
    assert (set(world.rules("acme")), set(world.rules())) == (set(), {"jetway.x"})
    world.sync(x=NIGHTLY)
    assert (world.rules(), world.schedules()) == ({}, ["jetway.x"])


def test_a_broken_file_leaves_the_last_good_trigger_in_force_and_repaired(world: World) -> None:
    world.sync(orders=ORDERS)
    before = world.rules()
    done = world.sync(orders=BROKEN)
    assert (done.changes, done.rejected, done.in_force) == ([], ["triggers/orders.yaml"], 1)
    assert world.rules() == before
    assert world.report("orders")["verdict"] == "rejected"
    assert world.said("orders")[-1] == "last-good-in-force"
    world.aws.events.disable_rule(Name="jetway.orders")
    assert world.sync().changes == ["changed rule default jetway.orders"]
    assert world.rules() == before
    assert world.sync(orders=ORDERS).changes == []
    assert world.report("orders")["verdict"] == "accepted"


def test_a_file_that_was_never_good_is_reported_and_nothing_else(world: World) -> None:
    done = world.sync(orders=BROKEN)
    assert (done.changes, done.in_force) == ([], 0)
    assert world.said("orders") == ["unknown-key", "wrong-keys"]


def test_a_broken_file_keeps_its_rule_even_when_it_is_forgotten_what_was_good(world: World) -> None:
    world.sync(orders=ORDERS)
    world.aws.s3.delete_object(Bucket=DROP, Key=accepted.KEY)
    assert world.sync(orders=BROKEN).changes == []
    assert set(world.rules()) == {"jetway.orders"}


def test_drift_is_repaired(world: World) -> None:
    world.sync(orders=ORDERS + "expect: {within: 1h}\n", closed=CLOSED, nightly=NIGHTLY)
    rules, bus = world.rules(), world.rules("acme")
    events: Any = world.aws.events
    events.put_rule(Name="jetway.orders", EventPattern='{"source": ["other"]}', Description="mine")
    events.put_targets(Rule="jetway.orders", Targets=[{"Id": "extra", "Arn": "arn:aws:sqs:eu-central-1:1:other"}])
    events.remove_targets(Rule="jetway.closed", EventBusName="acme", Ids=["jetway"])
    events.delete_rule(Name="jetway.closed", EventBusName="acme")
    world.aws.scheduler.delete_schedule(GroupName="jetway", Name="jetway.nightly")
    world.aws.cloudwatch.delete_alarms(AlarmNames=["jetway.orders"])
    done = world.sync()
    assert sorted(done.changes) == [
        "changed rule default jetway.orders",
        "created alarm jetway.orders",
        "created rule acme jetway.closed",
        "created schedule jetway.nightly",
    ]
    assert (world.rules(), world.rules("acme"), world.schedules()) == (rules, bus, ["jetway.nightly"])


def test_nothing_of_another_name_is_touched(world: World) -> None:
    aws: Any = world.aws
    names = ["jetway", "jetway-orders", "jetwayx.orders", "other.jetway.orders", "Jetway.orders"]
    for name in names:
        aws.events.put_rule(Name=name, EventPattern='{"source": ["x"]}')
        aws.cloudwatch.put_metric_alarm(
            AlarmName=name,
            Namespace="n",
            MetricName="m",
            Statistic="Sum",
            Period=60,
            EvaluationPeriods=1,
            Threshold=1,
            ComparisonOperator="LessThanThreshold",
        )
        aws.scheduler.create_schedule(
            GroupName="jetway",
            Name=name,
            ScheduleExpression="rate(1 day)",
            FlexibleTimeWindow={"Mode": "OFF"},
            Target={"Arn": PLACES.dispatch_queue, "RoleArn": PLACES.scheduler_role},
        )
    before = (world.rules(), set(world.schedules()), set(world.alarms()))
    world.sync(orders=ORDERS + "expect: {within: 1h}", nightly=NIGHTLY)
    world.sync(orders=None, nightly=None)
    assert (world.rules(), set(world.schedules()), set(world.alarms())) == before


def test_a_bus_that_is_not_there_is_told_with_the_command_that_makes_it(world: World) -> None:
    world.sync(closed=CLOSED)
    assert world.sync(closed=CLOSED.replace("acme}", "nope}")).changes == []
    assert world.said("closed") == ["no-such-bus", "last-good-in-force"]
    assert "--name nope" in world.report("closed")["findings"][0]["remedy"]
    assert set(world.rules("acme")) == {"jetway.closed"}


def test_a_rule_beyond_the_quota_is_refused_before_aws_does(world: World) -> None:
    world.most_rules = 2
    world.aws.events.put_rule(Name="foreign", EventPattern='{"source": ["x"]}')
    done = world.sync(a=ORDERS, b=ORDERS)
    assert done.rejected == ["triggers/b.yaml"]
    assert world.said("b") == ["too-many-rules"]
    # What a deleted file leaves is free at once.
    assert world.sync(a=None).rejected == []
    assert set(world.rules()) == {"foreign", "jetway.b"}


def test_what_aws_refuses_is_told_and_nothing_of_it_stays(world: World) -> None:
    def refuse(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "ValidationError", "Message": "no such metric"}}, "PutMetricAlarm")

    world.sync()  # so that there is a memory of what was accepted
    world.sync(other=NIGHTLY)
    world.aws.cloudwatch.meta.events.register("before-call.cloudwatch.PutMetricAlarm", refuse)
    done = world.sync(orders=ORDERS + "expect: {within: 1h}\n")
    assert done.rejected == ["triggers/orders.yaml"]
    assert "no such metric" in world.report("orders")["findings"][0]["message"]
    assert world.rules() == {}


def test_trouble_with_one_trigger_is_no_trouble_of_the_others(world: World) -> None:
    world.sync(closed=CLOSED)

    def throttle(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow down"}}, "PutRule")

    world.aws.events.meta.events.register_first("before-call.events.PutRule", throttle)
    done = world.sync(closed=CLOSED.replace("billing", "x"), nightly=NIGHTLY)
    assert [type(trouble) for trouble in done.troubles] == [ClientError]
    assert done.changes == ["created schedule jetway.nightly"]
    assert set(world.rules("acme")) == {"jetway.closed"}
    world.aws.events.meta.events.unregister("before-call.events.PutRule", throttle)
    assert world.sync().changes == ["changed rule acme jetway.closed"]


def test_a_bucket_that_sends_no_events_is_a_warning_with_a_command_that_loses_nothing(world: World) -> None:
    there = [{"QueueArn": "arn:aws:sqs:eu-central-1:123456789012:q", "Events": ["s3:ObjectCreated:*"], "Id": "it's"}]
    boto3.client("sqs", region_name=REGION).create_queue(QueueName="q")
    s3: Any = world.aws.s3
    s3.put_bucket_notification_configuration(
        Bucket="acme-landing", NotificationConfiguration={"QueueConfigurations": there}
    )
    assert world.sync(orders=ORDERS).changes == ["created rule default jetway.orders"]
    report = world.report("orders")
    assert (report["verdict"], world.said("orders")) == ("accepted", ["bucket-sends-no-events"])
    command = shlex.split(report["findings"][0]["remedy"].removeprefix("Run: "))
    assert command[:4] == ["aws", "s3api", "put-bucket-notification-configuration", "--bucket"]
    assert command[4:6] == ["acme-landing", "--notification-configuration"]
    assert json.loads(command[6]) == {"QueueConfigurations": there, "EventBridgeConfiguration": {}}


@pytest.mark.parametrize(
    ("code", "said"),
    [(None, None), ("AccessDenied", "does not have permission"), ("NoSuchBucket", "Bucket acme does not exist")],
)
def test_a_bucket_is_looked_at_as_far_as_it_lets(code: str | None, said: str | None) -> None:
    s3 = boto3.client("s3", region_name=REGION, aws_access_key_id="test", aws_secret_access_key="test")
    with Stubber(s3) as stub:
        if code:
            stub.add_client_error("get_bucket_notification_configuration", code)
        else:
            stub.add_response("get_bucket_notification_configuration", {"EventBridgeConfiguration": {}})
        finding = bucket_finding(s3, "acme")
    assert (finding is None) == (said is None)
    assert finding is None or (said or "") in finding.message


def test_a_bucket_that_is_not_there_is_a_warning(world: World) -> None:
    world.sync(orders=ORDERS.replace("acme-landing", "acme-nowhere"))
    assert "Bucket acme-nowhere does not exist" in world.report("orders")["findings"][0]["message"]


def test_a_moment_that_is_over_is_not_made_anew_and_one_about_to_fire_is_left_alone(world: World) -> None:
    once = "dag: once\non: {schedule: {at: 2026-11-22T10:00:00}}\n"
    assert world.sync(once=once).changes == ["created schedule jetway.once"]
    world.now = NOW + timedelta(hours=1, seconds=1)
    assert world.sync().changes == []
    assert world.schedules() == ["jetway.once"]
    world.aws.scheduler.delete_schedule(GroupName="jetway", Name="jetway.once")  # Scheduler does after it has fired
    assert world.sync().changes == []
    assert world.said("once") == ["moment-is-over"]
    assert world.sync(once=once.replace("22T10", "23T10")).changes == ["created schedule jetway.once"]
    assert world.sync(once=once).changes == ["deleted schedule jetway.once"]


def test_files_of_other_names_are_reported(world: World) -> None:
    for name in ("orders.yml", "team/x.yaml", "README.md"):
        world.drop(name, ORDERS)
    assert world.sync().rejected == ["triggers/README.md", "triggers/orders.yml", "triggers/team/x.yaml"]
    assert world.rules() == {}


def test_without_metrics_by_trigger_there_is_no_alarm_that_would_be_raised_for_ever(world: World) -> None:
    world.metrics_by_trigger = False
    done = world.sync(orders=ORDERS + "expect: {within: 1h}\n")
    assert done.changes == ["created rule default jetway.orders"]
    assert "no-metrics" in world.said("orders")


def test_two_writers_do_not_overwrite_each_other(world: World) -> None:
    world.sync(orders=ORDERS)
    before = accepted.load(world.aws.s3, DROP)
    world.sync(nightly=NIGHTLY)
    with pytest.raises(TransientError):
        accepted.save(world.aws.s3, DROP, before, {})


def test_the_daily_run_makes_all_anew_after_everything_was_deleted(world: World) -> None:
    files = {f"t{number}": ORDERS for number in range(12)}
    world.sync(**files)
    before = world.rules()
    for name in before:
        world.aws.events.remove_targets(Rule=name, Ids=["jetway"])
        world.aws.events.delete_rule(Name=name)
    assert len(world.sync().changes) == 12
    assert world.rules() == before


HOOK = "dag: orders\non: {http: {auth: hmac}}\n"


def test_a_webhook_that_nothing_listens_to_is_said_to_be_so(world: World) -> None:
    world.hooks = lambda: Hooks(None, "jetway/webhooks/")
    world.sync(hook=HOOK, call=HOOK.replace("hmac", "iam"))
    report = world.report("hook")
    (finding,) = report["findings"]
    assert (report["verdict"], finding["rule"], finding["severity"]) == ("accepted", "webhooks-off", "warning")
    assert finding["message"] == (
        "This stack does not accept webhooks: POST /webhooks/hook is answered with 404, and nothing starts."
    )
    assert "Set the stack's parameter Webhooks to enabled" in finding["remedy"]
    assert world.said("call") == []


def test_a_webhook_without_a_secret_is_warned_of_until_there_is_one(world: World) -> None:
    secrets: Any = boto3.client("secretsmanager", region_name=REGION)
    world.hooks = lambda: Hooks(secrets, "jetway/webhooks/")
    world.sync(hook=HOOK, call=HOOK.replace("hmac", "iam"))
    report = world.report("hook")
    (finding,) = report["findings"]
    assert (report["verdict"], finding["rule"], finding["severity"]) == ("accepted", "no-secret", "warning")
    assert "Secret jetway/webhooks/hook does not exist" in finding["message"]
    assert "aws secretsmanager create-secret --name jetway/webhooks/hook " in finding["remedy"]
    assert world.said("call") == []
    secrets.create_secret(Name="jetway/webhooks/hook", SecretString="s3cret")
    world.sync()
    assert world.said("hook") == []
    secrets.delete_secret(SecretId="jetway/webhooks/hook")
    world.sync()
    assert "restore-secret" in world.report("hook")["findings"][0]["remedy"]


def test_whether_there_is_a_secret_is_not_said_where_nobody_can_tell() -> None:
    secrets: Any = boto3.client(
        "secretsmanager", region_name=REGION, aws_access_key_id="test", aws_secret_access_key="test"
    )
    with Stubber(secrets) as stub:
        stub.add_client_error("describe_secret", "AccessDeniedException")
        stub.add_client_error("describe_secret", "ResourceNotFoundException")
        hooks = Hooks(secrets, "jetway/webhooks/")
        assert hooks.finding("one", 3) is None
        found = hooks.finding("two", 3)
    assert found is not None
    assert (found.rule, found.line) == ("no-secret", 3)


def test_secrets_manager_that_does_not_answer_is_waited_for_once() -> None:
    calls: list[str] = []

    def gone(**_kwargs: Any) -> None:
        calls.append("asked")
        raise ConnectTimeoutError(endpoint_url="https://secretsmanager")

    secrets: Any = boto3.client(
        "secretsmanager", region_name=REGION, aws_access_key_id="test", aws_secret_access_key="test"
    )
    secrets.meta.events.register("before-send", gone)
    hooks = Hooks(secrets, "jetway/webhooks/")
    assert (hooks.finding("one", None), hooks.finding("two", None)) == (None, None)
    asked = len(calls)
    assert hooks.finding("three", None) is None
    assert len(calls) == asked > 0


def test_a_dag_that_no_file_makes_is_warned_of_until_it_comes(world: World) -> None:
    dynamodb: Any = boto3.client("dynamodb", region_name=REGION)
    make_artifact_table(dynamodb)
    world.dags = partial(KnownDags, dynamodb, TABLE)
    claims = DagClaims(dynamodb, TABLE, lambda _key: True)
    claims.claim("dags/orders.py", ["orders"], NOW, NOW)
    world.sync(good=HOOK, typo=HOOK.replace("orders", "ordres"))
    assert world.said("good") == []
    (finding,) = world.report("typo")["findings"]
    assert (finding["rule"], finding["severity"], finding["line"]) == ("dag-not-known", "warning", 1)
    assert "No file that came through the drop bucket defines a DAG 'ordres'." in finding["message"]
    assert finding["remedy"].startswith("Did you mean 'orders'? ")
    claims.claim("dags/ordres.py", ["ordres"], NOW, NOW)
    world.sync()
    assert world.said("typo") == []


def test_a_dag_that_airflow_showed_of_a_zip_is_known(world: World) -> None:
    dynamodb: Any = boto3.client("dynamodb", region_name=REGION)
    make_artifact_table(dynamodb)
    world.dags = partial(KnownDags, dynamodb, TABLE)
    live = LiveVersion("v1", "live", "dags/p.zip", "1", "packed-dags", "accepted", NOW, "", dags=("orders",))
    ArtifactStateTable(dynamodb, TABLE).put(ArtifactState("dags/p.zip", "good", live=live))
    world.sync(good=HOOK)
    assert world.said("good") == []
