"""The stack of template.yaml on moto: every resource whose type moto has, as the transformed template describes it.

Names are those of `Rendered`, so what the functions' variables say is there. What moto has no use for is left out, and
stands in NOT_MADE with the reason, so that a new type in the template is not passed over in silence.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import boto3

from tools.checks.rendered import Rendered

Properties = Mapping[str, Any]

NOT_MADE: Mapping[str, str] = {
    "AWS::ApiGatewayV2::Api": "calls come from the HTTP API's own tests",
    "AWS::ApiGatewayV2::Integration": "see Api",
    "AWS::ApiGatewayV2::Route": "see Api",
    "AWS::ApiGatewayV2::Stage": "see Api",
    "AWS::CloudWatch::Dashboard": "nobody looks at it",
    "AWS::Lambda::EventInvokeConfig": "the pump invokes handlers",
    "AWS::Lambda::EventSourceMapping": "the pump reads them",
    "AWS::Lambda::Function": "the pump invokes handlers",
    "AWS::Lambda::LayerVersion": "the layer is on the path",
    "AWS::Lambda::Permission": "the pump invokes handlers",
    "AWS::Logs::LogGroup": "handlers print",
    "AWS::S3::BucketPolicy": "moto takes a Deny for granted, whatever its condition says",
    "AWS::Scheduler::Schedule": "nothing fires in moto",
}


def deploy(stack: Rendered) -> None:
    """Make the stack's resources; moto must be active.

    Raises:
        KeyError: of a type that is neither made nor known to be left out.
    """
    makers: Mapping[str, Callable[[Rendered, str, Properties], object]] = {
        "AWS::KMS::Key": _key,
        "AWS::IAM::ManagedPolicy": _managed_policy,
        "AWS::IAM::Role": _role,
        "AWS::SQS::Queue": _queue,
        "AWS::SQS::QueuePolicy": _queue_policy,
        "AWS::SNS::Topic": _topic,
        "AWS::SNS::TopicPolicy": _topic_policy,
        "AWS::DynamoDB::Table": _table,
        "AWS::S3::Bucket": _bucket,
        "AWS::Scheduler::ScheduleGroup": _schedule_group,
        "AWS::CloudWatch::Alarm": _alarm,
        "AWS::Events::Rule": _rule,
    }
    order = [*makers, *NOT_MADE]
    for name, found in sorted(stack.resources.items(), key=lambda item: order.index(item[1]["Type"])):
        if found["Type"] not in NOT_MADE:
            makers[found["Type"]](stack, name, found["Properties"])


def client(service: str) -> Any:
    """A client of moto."""
    return boto3.client(service)  # type: ignore[call-overload]


def _key(_stack: Rendered, _name: str, properties: Properties) -> None:
    client("kms").create_key(Policy=json.dumps(properties["KeyPolicy"]))


def _managed_policy(stack: Rendered, name: str, properties: Properties) -> None:
    named = stack.reference(name).rpartition("/")[2]
    document = json.dumps(properties["PolicyDocument"])
    client("iam").create_policy(PolicyName=named, Path=properties.get("Path", "/"), PolicyDocument=document)


def _role(stack: Rendered, name: str, properties: Properties) -> None:
    iam, named = client("iam"), stack.reference(name)
    trust = json.dumps(properties["AssumeRolePolicyDocument"])
    iam.create_role(RoleName=named, Path=properties.get("Path", "/"), AssumeRolePolicyDocument=trust)
    for policy in properties.get("Policies", []):
        document = json.dumps(policy["PolicyDocument"])
        iam.put_role_policy(RoleName=named, PolicyName=policy["PolicyName"], PolicyDocument=document)
    for arn in properties.get("ManagedPolicyArns", []):
        iam.attach_role_policy(RoleName=named, PolicyArn=arn)


def _queue(stack: Rendered, name: str, properties: Properties) -> None:
    texts = {key: value for key, value in properties.items() if key not in {"QueueName", "Tags", "RedrivePolicy"}}
    attributes = {
        key: str(value).lower() if isinstance(value, bool) else str(value)
        for key, value in texts.items()
        if not isinstance(value, dict)
    }
    sqs = client("sqs")
    url = sqs.create_queue(QueueName=stack.reference(name).rpartition("/")[2], Attributes=attributes)["QueueUrl"]
    assert url == stack.reference(name)
    if "RedrivePolicy" in properties:
        letters = next(
            each
            for each in stack.of_type("AWS::SQS::Queue")
            if stack.reference(each, "Arn") == properties["RedrivePolicy"]["deadLetterTargetArn"]
        )
        _make_first(stack, letters)
        policy = json.dumps(properties["RedrivePolicy"])
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": policy})


def _make_first(stack: Rendered, queue: str) -> None:
    """Making a queue again that is there, with the same attributes, changes nothing."""
    _queue(stack, queue, stack.resources[queue]["Properties"])


def _queue_policy(_stack: Rendered, _name: str, properties: Properties) -> None:
    for url in properties["Queues"]:
        policy = {"Policy": json.dumps(properties["PolicyDocument"])}
        client("sqs").set_queue_attributes(QueueUrl=url, Attributes=policy)


def _topic(stack: Rendered, name: str, _properties: Properties) -> None:
    arn = client("sns").create_topic(Name=stack.reference(name).rpartition(":")[2])["TopicArn"]
    assert arn == stack.reference(name)


def _topic_policy(_stack: Rendered, _name: str, properties: Properties) -> None:
    for arn in properties["Topics"]:
        policy = json.dumps(properties["PolicyDocument"])
        client("sns").set_topic_attributes(TopicArn=arn, AttributeName="Policy", AttributeValue=policy)


def _table(stack: Rendered, name: str, properties: Properties) -> None:
    kept = ("BillingMode", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes")
    named = stack.reference(name)
    client("dynamodb").create_table(TableName=named, **{each: properties[each] for each in kept if each in properties})
    if "TimeToLiveSpecification" in properties:
        wanted = properties["TimeToLiveSpecification"]
        client("dynamodb").update_time_to_live(TableName=named, TimeToLiveSpecification=wanted)


def _bucket(stack: Rendered, name: str, properties: Properties) -> None:
    make_bucket(stack.reference(name), encryption=properties["BucketEncryption"])


def make_bucket(name: str, *, encryption: Any = None) -> None:
    """Make a bucket with versions that tells EventBridge of its objects."""
    s3 = client("s3")
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    s3.put_bucket_notification_configuration(Bucket=name, NotificationConfiguration={"EventBridgeConfiguration": {}})
    if encryption:
        rules = [
            {
                "ApplyServerSideEncryptionByDefault": rule["ServerSideEncryptionByDefault"],
                "BucketKeyEnabled": rule["BucketKeyEnabled"],
            }
            for rule in encryption["ServerSideEncryptionConfiguration"]
        ]
        s3.put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration={"Rules": rules})


def _schedule_group(stack: Rendered, name: str, _properties: Properties) -> None:
    client("scheduler").create_schedule_group(Name=stack.reference(name))


def _alarm(stack: Rendered, name: str, properties: Properties) -> None:
    numbers = {key: int(properties[key]) for key in ("EvaluationPeriods", "DatapointsToAlarm") if key in properties}
    threshold = {"Threshold": float(properties["Threshold"])}
    client("cloudwatch").put_metric_alarm(**{"AlarmName": stack.reference(name), **properties, **numbers, **threshold})


def _rule(stack: Rendered, name: str, properties: Properties) -> None:
    """A rule without its targets: moto does not send as EventBridge does, so the pump does."""
    pattern = properties.get("EventPattern")
    when = (
        {"EventPattern": json.dumps(pattern)} if pattern else {"ScheduleExpression": properties["ScheduleExpression"]}
    )
    client("events").put_rule(Name=stack.reference(name), State=properties.get("State", "ENABLED"), **when)
