"""`jetway uninstall`: dry by default, in an order in which nothing is lost, and for a stack that is gone too."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from click.testing import Result

from jetway_cli.leftovers import WAITING, Leftovers, commands
from tests.unit.ledger_table import read_template
from tools.checks.rendered import Rendered

from .conftest import REGION, STACK, Cloud

ROLE_TRUST = json.dumps({"Version": "2012-10-17", "Statement": []})
POLICY = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}
)
EVERYTHING = {
    "alarms": [f"{STACK}.orders.absent"],
    "schedules": [f"{STACK}/{STACK}.nightly"],
    "rules": [["default", f"{STACK}.orders"], ["partner", f"{STACK}.orders"]],
}


@dataclass
class Made:
    """What a stack with triggers has around it; and what others have that looks like it."""

    events: Any
    cloudwatch: Any
    scheduler: Any
    iam: Any
    bucket: str
    table: str
    key: str
    policy: str

    def rules(self) -> list[str]:
        return sorted(
            f"{bus}/{rule['Name']}"
            for bus in ("default", "partner")
            for rule in self.events.list_rules(EventBusName=bus)["Rules"]
        )

    def alarms(self) -> list[str]:
        return sorted(alarm["AlarmName"] for alarm in self.cloudwatch.describe_alarms()["MetricAlarms"])

    def schedules(self) -> list[str]:
        return [schedule["Name"] for schedule in self.scheduler.list_schedules()["Schedules"]]

    def attached(self) -> list[str]:
        answer = self.iam.list_attached_role_policies(RoleName="execution")
        return [policy["PolicyName"] for policy in answer["AttachedPolicies"]]


@pytest.fixture
def made(cloud: Cloud) -> Made:
    session: Any = boto3.Session(region_name=REGION)
    events, cloudwatch, scheduler, iam = (session.client(name) for name in ("events", "cloudwatch", "scheduler", "iam"))
    events.create_event_bus(Name="partner")
    for bus, name in (
        ("default", f"{STACK}.orders"),
        ("partner", f"{STACK}.orders"),
        ("default", f"{STACK}2.orders"),
        ("default", f"{STACK}-ArtifactDroppedRule"),
    ):
        events.put_rule(Name=name, EventBusName=bus, EventPattern="{}")
        events.put_targets(Rule=name, EventBusName=bus, Targets=[{"Id": "1", "Arn": "arn:aws:sqs:eu-central-1:1:q"}])
    for name in (f"{STACK}.orders.absent", f"{STACK}2.orders.absent", f"{STACK}-dead-letters"):
        cloudwatch.put_metric_alarm(
            AlarmName=name, MetricName="m", Namespace="n", Period=60, EvaluationPeriods=1, Threshold=1,
            ComparisonOperator="LessThanThreshold", Statistic="Sum",
        )  # fmt: skip
    scheduler.create_schedule_group(Name=STACK)
    target = {"Arn": "arn:aws:sqs:eu-central-1:1:q", "RoleArn": "arn:aws:iam::123456789012:role/r"}
    for name in (f"{STACK}.nightly", "of-others"):
        scheduler.create_schedule(
            Name=name, GroupName=STACK, ScheduleExpression="rate(1 day)", Target=target,
            FlexibleTimeWindow={"Mode": "OFF"},
        )  # fmt: skip
    policy = iam.create_policy(PolicyName="ReadManifests", PolicyDocument=POLICY)["Policy"]["Arn"]
    iam.create_role(RoleName="execution", AssumeRolePolicyDocument=ROLE_TRUST)
    iam.attach_role_policy(RoleName="execution", PolicyArn=policy)
    key = session.client("kms").create_key()["KeyMetadata"]["KeyId"]
    s3, bucket, table = session.client("s3"), f"{STACK}-dropbucket-1x2", f"{STACK}-ArtifactTable-1X2"
    location: Any = {"LocationConstraint": REGION}
    for name in (bucket, f"{STACK}2-dropbucket-1x2"):
        s3.create_bucket(Bucket=name, CreateBucketConfiguration=location)
    s3.put_bucket_encryption(
        Bucket=bucket,
        ServerSideEncryptionConfiguration={
            "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}}]
        },
    )
    for name in (table, f"{STACK}2-ArtifactTable-1X2"):
        session.client("dynamodb").create_table(
            TableName=name, BillingMode="PAY_PER_REQUEST", KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        )  # fmt: skip
    cloud.outputs |= {
        "DropBucketName": bucket,
        "ArtifactTableName": table,
        "ScheduleGroupName": STACK,
        "ReadManifestsPolicyArn": policy,
    }
    del cloud.outputs["LedgerTableName"]
    return Made(events, cloudwatch, scheduler, iam, bucket, table, key, policy)


def test_without_yes_all_is_shown_and_nothing_changes(made: Made, jetway: Callable[..., Result]) -> None:
    before = (made.rules(), made.alarms(), made.schedules(), made.attached())
    result = jetway("uninstall", "--json")
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert {name: found[name] for name in EVERYTHING} == EVERYTHING
    assert found["attached"] == [["execution", made.policy]]
    assert (found["buckets"], found["tables"], found["keys"]) == ([made.bucket], [made.table], [made.key])
    assert (made.rules(), made.alarms(), made.schedules(), made.attached()) == before
    shown = jetway("uninstall").output
    assert "Nothing was changed" in shown
    for name in (f"{STACK}.orders on bus partner", f"{STACK}.nightly", made.bucket, made.table, made.key):
        assert name in shown


def test_with_yes_all_of_ours_goes_and_nothing_of_others(made: Made, jetway: Callable[..., Result]) -> None:
    result = jetway("uninstall", "--yes")
    assert result.exit_code == 0
    assert made.rules() == [f"default/{STACK}-ArtifactDroppedRule", f"default/{STACK}2.orders"]
    assert made.alarms() == [f"{STACK}-dead-letters", f"{STACK}2.orders.absent"]
    assert made.schedules() == ["of-others"]
    assert made.attached() == []
    gone = [line for line in result.output.splitlines() if line.startswith("deleted: ")]
    assert "alarm" in gone[0], "or an absence alarm would ring for a trigger that is gone"
    assert "delete-stack" in result.output
    again = jetway("uninstall", "--yes")
    assert (again.exit_code, "nothing" in again.output) == (0, True)


def test_the_bucket_can_be_emptied_afterwards(made: Made, jetway: Callable[..., Result]) -> None:
    """The bucket's policy lets nobody delete what Jetway has written; other statements of it stay."""
    s3 = boto3.Session(region_name=REGION).client("s3")
    bucket = Rendered().of_type("AWS::S3::BucketPolicy")["DropBucketPolicy"]["PolicyDocument"]
    (ours,) = [one for one in bucket["Statement"] if one["Sid"] == "OnlyJetwayWritesItsPrefixes"]
    theirs = {"Sid": "Theirs", "Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "*"}

    def policy_after(*statements: Any) -> list[str]:
        document = {"Version": "2012-10-17", "Statement": statements}
        s3.put_bucket_policy(Bucket=made.bucket, Policy=json.dumps(document))
        assert jetway("uninstall").exit_code == 0
        there = json.loads(s3.get_bucket_policy(Bucket=made.bucket)["Policy"])
        assert there == json.loads(json.dumps(document)), "looking changes nothing"
        assert jetway("uninstall", "--yes").exit_code == 0
        try:
            return [one["Sid"] for one in json.loads(s3.get_bucket_policy(Bucket=made.bucket)["Policy"])["Statement"]]
        except ClientError:
            return []

    assert policy_after(ours, theirs) == ["Theirs"]
    assert policy_after(ours) == []
    assert policy_after(theirs) == ["Theirs"]


def test_events_that_wait_are_not_lost(cloud: Cloud, made: Made, jetway: Callable[..., Result]) -> None:
    """What sends more of them goes at once; the rest stays until they have their runs, which may read manifests."""
    cloud.sqs.send_message(QueueUrl=cloud.dispatch_url, MessageBody="{}", MessageGroupId="bulk")
    result = jetway("uninstall", "--yes")
    assert result.exit_code == 1
    assert "1 events wait" in result.output
    assert f"default/{STACK}.orders" not in made.rules()
    assert made.attached() == ["ReadManifests"]
    assert "delete-stack" not in result.output
    cloud.drain(cloud.dispatch_url)
    assert jetway("uninstall", "--yes").exit_code == 0
    assert made.attached() == []


def test_events_that_wait_beside_their_lane_are_not_lost_either(
    cloud: Cloud, made: Made, jetway: Callable[..., Result]
) -> None:
    aside = cloud.sqs.create_queue(QueueName="aside")["QueueUrl"]
    cloud.outputs["WaitingQueueUrl"] = aside
    cloud.sqs.send_message(QueueUrl=aside, MessageBody="{}", DelaySeconds=900)
    result = jetway("uninstall", "--yes")
    assert (result.exit_code, "1 events wait" in result.output) == (1, True)
    assert made.attached() == ["ReadManifests"]


def test_every_queue_of_events_that_is_asked_is_an_output_of_the_stack() -> None:
    assert set(WAITING) <= read_template()["Outputs"].keys()


def test_of_a_stack_that_is_gone_all_is_found_by_name(cloud: Cloud, made: Made, jetway: Callable[..., Result]) -> None:
    session: Any = boto3.Session(region_name=REGION)
    session.client("events").put_rule(Name="gone.orders", EventPattern="{}")
    session.client("s3").create_bucket(
        Bucket="gone-dropbucket-9", CreateBucketConfiguration={"LocationConstraint": REGION}
    )
    result = jetway("uninstall", "--stack", "gone", "--json")
    found = json.loads(result.stdout)
    assert (found["deployed"], found["rules"]) == (False, [["default", "gone.orders"]])
    assert (found["buckets"], found["tables"]) == (["gone-dropbucket-9"], [])
    assert not any("delete-stack" in line for line in found["commands"])
    assert jetway("uninstall", "--stack", "gone", "--yes").exit_code == 0
    assert "default/gone.orders" not in made.rules()


def test_what_stays_is_named_with_commands_that_a_shell_reads() -> None:
    found = Leftovers("my stack", deployed=True, buckets=("b-1",), tables=("t-1", "t-2"), keys=("k-1",))
    lines = [shlex.split(line) for line in commands(found)]
    assert [line[:3] for line in lines] == [
        ["aws", "cloudformation", "delete-stack"],
        ["aws", "cloudformation", "wait"],
        ["python3", "-c", "import boto3; boto3.resource('s3').Bucket('b-1').object_versions.delete()"],
        ["aws", "s3api", "delete-bucket"],
        ["aws", "dynamodb", "delete-table"],
        ["aws", "dynamodb", "delete-table"],
        ["aws", "kms", "schedule-key-deletion"],
    ]
    compile(lines[2][2], "command", "exec")
    assert lines[0][-1] == "my stack"
