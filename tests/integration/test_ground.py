"""The S3 of the local stack refuses what S3 refuses, and its events name the version: else races pass unseen here."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tools.emulator.ministack.service import REGION
from tools.stack.calls import let_send, wait_for
from tools.stack.stack import Stack

BUCKET = "ground-of-the-tests"


@pytest.fixture(scope="module")
def s3(stack: Stack) -> Any:
    client = stack.client("s3")
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    return client


def refusal(write: Any, **arguments: Any) -> str:
    with pytest.raises(ClientError) as caught:
        write(Bucket=BUCKET, **arguments)
    return str(caught.value.response["Error"]["Code"])


def test_a_copy_goes_ahead_only_if_its_condition_holds(s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="source", Body=b"1")
    etag = s3.put_object(Bucket=BUCKET, Key="there", Body=b"2")["ETag"]
    copy = {"CopySource": {"Bucket": BUCKET, "Key": "source"}}
    assert refusal(s3.copy_object, Key="there", IfNoneMatch="*", **copy) == "PreconditionFailed"
    assert refusal(s3.copy_object, Key="there", IfMatch='"other"', **copy) == "PreconditionFailed"
    assert refusal(s3.copy_object, Key="nothing", IfMatch=etag, **copy) == "NoSuchKey"
    assert s3.get_object(Bucket=BUCKET, Key="there")["Body"].read() == b"2"
    s3.copy_object(Bucket=BUCKET, Key="there", IfMatch=etag, **copy)
    s3.copy_object(Bucket=BUCKET, Key="new", IfNoneMatch="*", **copy)
    assert s3.get_object(Bucket=BUCKET, Key="there")["Body"].read() == b"1"


def test_two_writes_at_once_conflict_when_a_test_asks_for_it(s3: Any) -> None:
    def at_once(request: Any, **_: Any) -> None:
        request.headers["x-conflict"] = "1"

    writes: dict[str, dict[str, Any]] = {
        "put_object": {"Key": "there", "Body": b"3"},
        "copy_object": {"Key": "there", "CopySource": {"Bucket": BUCKET, "Key": "source"}},
        "delete_object": {"Key": "there"},
    }
    s3.meta.events.register("before-sign.s3", at_once, unique_id="at-once")
    try:
        for name, arguments in writes.items():
            assert refusal(getattr(s3, name), **arguments) == "ConditionalRequestConflict"
    finally:
        s3.meta.events.unregister("before-sign.s3", unique_id="at-once")


def test_a_version_below_a_delete_marker_keeps_its_tags_and_takes_new_ones(s3: Any) -> None:
    version = s3.put_object(Bucket=BUCKET, Key="tagged", Body=b"1", Tagging="team=ours")["VersionId"]
    s3.delete_object(Bucket=BUCKET, Key="tagged")
    where = {"Bucket": BUCKET, "Key": "tagged", "VersionId": version}
    assert s3.get_object_tagging(**where)["TagSet"] == [{"Key": "team", "Value": "ours"}]
    tags = [{"Key": "team", "Value": "theirs"}]
    s3.put_object_tagging(**where, Tagging={"TagSet": tags})
    assert s3.get_object_tagging(**where)["TagSet"] == tags
    assert refusal(s3.get_object_tagging, Key="tagged") == "NoSuchKey"


def test_an_event_names_the_version(stack: Stack, s3: Any) -> None:
    events, sqs = stack.client("events"), stack.client("sqs")
    s3.put_bucket_notification_configuration(Bucket=BUCKET, NotificationConfiguration={"EventBridgeConfiguration": {}})
    queue = sqs.create_queue(QueueName="ground-of-the-tests")["QueueUrl"]
    arn = let_send(sqs, queue, "events")
    pattern = {"source": ["aws.s3"], "detail": {"bucket": {"name": [BUCKET]}}}
    events.put_rule(Name="ground-of-the-tests", EventPattern=json.dumps(pattern), State="ENABLED")
    events.put_targets(Rule="ground-of-the-tests", Targets=[{"Id": "queue", "Arn": arn}])
    made = [s3.put_object(Bucket=BUCKET, Key="told", Body=b"1")["VersionId"]]
    made.append(s3.delete_object(Bucket=BUCKET, Key="told")["VersionId"])
    told: list[str] = []

    def all_told() -> bool | None:
        for message in sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", []):
            told.append(json.loads(message["Body"])["detail"]["object"].get("version-id", "none"))
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        return set(told) >= set(made) or None

    try:
        wait_for("both events", all_told, seconds=30)
    finally:
        events.remove_targets(Rule="ground-of-the-tests", Ids=["queue"])
        events.delete_rule(Name="ground-of-the-tests")
        sqs.delete_queue(QueueUrl=queue)


def test_a_condition_compares_the_partition_and_joined_parameters(stack: Stack) -> None:
    template = {
        "Parameters": {"Names": {"Type": "CommaDelimitedList", "Default": ""}},
        "Conditions": {
            "Named": {"Fn::Not": [{"Fn::Equals": [{"Fn::Join": ["", {"Ref": "Names"}]}, ""]}]},
            "Usual": {"Fn::Equals": [{"Ref": "AWS::Partition"}, "aws"]},
        },
        "Resources": {
            name: {"Type": "AWS::SQS::Queue", "Condition": name, "Properties": {}} for name in ("Named", "Usual")
        },
    }
    client = stack.client("cloudformation")
    for given, made in (("", {"Usual"}), ("a,b", {"Named", "Usual"})):
        name = f"conditions-{len(given)}"
        client.create_stack(
            StackName=name,
            TemplateBody=json.dumps(template),
            Parameters=[{"ParameterKey": "Names", "ParameterValue": given}],
        )

        def is_made(name: str = name) -> bool:
            (found,) = client.describe_stacks(StackName=name)["Stacks"]
            return bool(found["StackStatus"] == "CREATE_COMPLETE")

        wait_for("the stack", is_made, seconds=60)
        listed = client.list_stack_resources(StackName=name)["StackResourceSummaries"]
        assert {each["LogicalResourceId"] for each in listed} == made
        client.delete_stack(StackName=name)
