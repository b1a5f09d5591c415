"""What the services say of the settings of the stack's resources, in the shape of CloudFormation's properties.

A reader returns None when there is no such thing. A member that is an `Asked` was asked by itself: one may be allowed
to look at a table and not at its backups.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from jetway_cli.doctor.asking import ask
from jetway_cli.doctor.collect.policies import denials, strangers
from jetway_cli.doctor.wanted import same
from jetway_cli.errors import error_code

if TYPE_CHECKING:
    from jetway_cli.doctor.asking import Desk
    from jetway_cli.doctor.facts import StackFacts, StackResource

ReadSettings = Mapping[str, Any]


def queue_settings(attributes: Mapping[str, str]) -> ReadSettings:
    """Return the settings of a queue from its attributes."""
    names = ("VisibilityTimeout", "MessageRetentionPeriod", "DelaySeconds", "KmsMasterKeyId", "FifoQueue")
    return {
        **{name: attributes.get(name) for name in (*names, "ContentBasedDeduplication")},
        "ContentBasedDeduplication": attributes.get("ContentBasedDeduplication", "false"),
        # A larger bound than the one that queues once had at most is no fault.
        "MaximumMessageSize": min(int(attributes.get("MaximumMessageSize", 262144)), 262144),
        "RedrivePolicy": json.loads(attributes.get("RedrivePolicy") or "{}"),
        "Denials": denials(attributes.get("Policy")),
        "Strangers": strangers(attributes.get("Policy"), _account(attributes.get("QueueArn"))),
    }


def _account(arn: str | None) -> str:
    return f"{arn or ''}:::::".split(":")[4]


def function_settings(desk: Desk, name: str, found: ReadSettings, reserved: int | None) -> ReadSettings:
    """Return the settings of a function from its configuration."""
    names = (
        "Architectures",
        "EphemeralStorage",
        "Handler",
        "LoggingConfig",
        "MemorySize",
        "Role",
        "Runtime",
        "Timeout",
    )
    return {
        **{name: found.get(name) for name in names},
        "Code": found.get("CodeSha256"),
        "Environment": {"Variables": (found.get("Environment") or {}).get("Variables") or {}},
        "Layers": [layer["Arn"] for layer in found.get("Layers") or ()],
        "RecursiveLoop": ask(
            "lambda:GetFunctionRecursionConfig",
            lambda: desk.client("lambda").get_function_recursion_config(FunctionName=name)["RecursiveLoop"],
        ),
        "ReservedConcurrentExecutions": reserved,
        "Strangers": ask("lambda:GetPolicy", lambda: strangers(_policy_of(desk, name), _account(found["Role"]))),
        "Urls": ask("lambda:ListFunctionUrlConfigs", lambda: _urls(desk, name)),
        "VpcConfig": found.get("VpcConfig") or {},
    }


def _policy_of(desk: Desk, function: str) -> str | None:
    from botocore.exceptions import ClientError

    try:
        policy: str = desk.client("lambda").get_policy(FunctionName=function)["Policy"]
    except ClientError as exc:
        if error_code(exc) != "ResourceNotFoundException":
            raise
        return None  # nobody is let in
    return policy


def _urls(desk: Desk, function: str) -> list[str]:
    found = desk.client("lambda").list_function_url_configs(FunctionName=function)["FunctionUrlConfigs"]
    return [f"{one['FunctionUrl']} ({one['AuthType']})" for one in found]


def code_sha256(desk: Desk, code: ReadSettings) -> str | None:
    """Return the hash of a function's code as it was uploaded, as Lambda has it; None when nobody keeps it any more."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        body = desk.client("s3").get_object(Bucket=code["S3Bucket"], Key=code["S3Key"])["Body"].read()
    except (ClientError, BotoCoreError, KeyError):
        return None
    return base64.b64encode(hashlib.sha256(body).digest()).decode()


def _queue_policy(desk: Desk, resource: StackResource, _wanted: ReadSettings, _stack: StackFacts) -> ReadSettings:
    asked = desk.client("sqs").get_queue_attributes(QueueUrl=resource.physical, AttributeNames=["Policy"])
    return {"PolicyDocument": json.loads(asked.get("Attributes", {}).get("Policy") or "{}")}


def _topic(desk: Desk, resource: StackResource, _wanted: ReadSettings, _stack: StackFacts) -> ReadSettings:
    attributes = desk.client("sns").get_topic_attributes(TopicArn=resource.physical)["Attributes"]
    return {
        "KmsMasterKeyId": attributes.get("KmsMasterKeyId"),
        "Denials": denials(attributes.get("Policy")),
        "Strangers": strangers(attributes.get("Policy"), _account(resource.physical)),
    }


def _topic_policy(desk: Desk, resource: StackResource, _wanted: ReadSettings, _stack: StackFacts) -> ReadSettings:
    attributes = desk.client("sns").get_topic_attributes(TopicArn=resource.physical)["Attributes"]
    return {"PolicyDocument": json.loads(attributes.get("Policy") or "{}")}


def _subscription(
    desk: Desk, _resource: StackResource, wanted: ReadSettings, _stack: StackFacts
) -> ReadSettings | None:
    sns = desk.client("sns")
    for page in sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=wanted["TopicArn"]):
        for one in page["Subscriptions"]:
            if all(same(wanted[name], one[name]) for name in ("Protocol", "Endpoint")):
                arn = one["SubscriptionArn"]
                if not arn.startswith("arn:"):  # nobody has confirmed it
                    return {}
                kept = sns.get_subscription_attributes(SubscriptionArn=arn)["Attributes"]
                return {"FilterPolicy": json.loads(kept.get("FilterPolicy") or "{}")}
    return None


def _rule(desk: Desk, resource: StackResource, _wanted: ReadSettings, _stack: StackFacts) -> ReadSettings:
    events = desk.client("events")
    bus, _, name = resource.physical.rpartition("|")  # CloudFormation's id of a rule on another bus
    where = {"EventBusName": bus} if bus else {}
    found = events.describe_rule(Name=name, **where)
    return {
        "State": found["State"],
        "EventPattern": json.loads(found.get("EventPattern") or "{}"),
        "ScheduleExpression": found.get("ScheduleExpression"),
        "Targets": events.list_targets_by_rule(Rule=name, **where)["Targets"],
    }


def _schedule(desk: Desk, resource: StackResource, wanted: ReadSettings, _stack: StackFacts) -> ReadSettings:
    group, _, name = resource.physical.rpartition("|")
    found = desk.client("scheduler").get_schedule(GroupName=group or wanted["GroupName"], Name=name)
    names = ("ScheduleExpression", "ScheduleExpressionTimezone", "FlexibleTimeWindow", "Target")
    return {**{name: found.get(name) for name in names}, "State": found.get("State", "ENABLED")}


def _schedule_group(desk: Desk, resource: StackResource, _wanted: ReadSettings, _stack: StackFacts) -> ReadSettings:
    desk.client("scheduler").get_schedule_group(Name=resource.physical)
    return {}


def _mapping(desk: Desk, resource: StackResource, _wanted: ReadSettings, _stack: StackFacts) -> ReadSettings:
    found = desk.client("lambda").get_event_source_mapping(UUID=resource.physical)
    names = ("BatchSize", "EventSourceArn", "FunctionResponseTypes", "MaximumBatchingWindowInSeconds", "ScalingConfig")
    return {
        **{name: found.get(name) for name in names},
        "State": found.get("State", ""),
        "FilterCriteria": {name: value for name, value in (found.get("FilterCriteria") or {}).items() if value},
        "FunctionName": found.get("FunctionArn", "").split(":function:")[-1],
    }


def _invoke_config(desk: Desk, _resource: StackResource, wanted: ReadSettings, _stack: StackFacts) -> ReadSettings:
    asked = {"FunctionName": wanted["FunctionName"], "Qualifier": wanted["Qualifier"]}
    return dict(desk.client("lambda").get_function_event_invoke_config(**asked))


def _permission(desk: Desk, _resource: StackResource, wanted: ReadSettings, _stack: StackFacts) -> ReadSettings | None:
    """Whether a service may call a function: by a statement like the one that is wanted, whoever has put it there."""
    policy = json.loads(desk.client("lambda").get_policy(FunctionName=wanted["FunctionName"])["Policy"])
    for one in policy.get("Statement", []):
        sources = [value for of in (one.get("Condition") or {}).values() for value in of.values()]
        if (
            one.get("Effect") == "Allow"
            and same(wanted["Action"], one.get("Action"))
            and same({"Service": wanted["Principal"]}, one.get("Principal"))
            and (not sources or any(same(wanted["SourceArn"], source) for source in sources))
        ):
            return {}
    return None


def _role(desk: Desk, resource: StackResource, _wanted: ReadSettings, _stack: StackFacts) -> ReadSettings:
    found = desk.client("iam").get_role(RoleName=resource.physical)["Role"]
    return {
        "AssumeRolePolicyDocument": found["AssumeRolePolicyDocument"],
        "PermissionsBoundary": (found.get("PermissionsBoundary") or {}).get("PermissionsBoundaryArn"),
        "Policies": ask("iam:GetRolePolicy", lambda: _inline(desk, resource.physical)),
        "ManagedPolicyArns": ask("iam:ListAttachedRolePolicies", lambda: _attached(desk, resource.physical)),
    }


def _inline(desk: Desk, role: str) -> list[ReadSettings]:
    iam = desk.client("iam")
    pages = iam.get_paginator("list_role_policies").paginate(RoleName=role)
    found = [iam.get_role_policy(RoleName=role, PolicyName=name) for page in pages for name in page["PolicyNames"]]
    return [{name: one[name] for name in ("PolicyName", "PolicyDocument")} for one in found]


def _attached(desk: Desk, role: str) -> list[str]:
    pages = desk.client("iam").get_paginator("list_attached_role_policies").paginate(RoleName=role)
    return [one["PolicyArn"] for page in pages for one in page["AttachedPolicies"]]


def _managed_policy(desk: Desk, resource: StackResource, _wanted: ReadSettings, _stack: StackFacts) -> ReadSettings:
    iam = desk.client("iam")
    version = iam.get_policy(PolicyArn=resource.physical)["Policy"]["DefaultVersionId"]
    found = iam.get_policy_version(PolicyArn=resource.physical, VersionId=version)["PolicyVersion"]
    return {"PolicyDocument": found["Document"]}


def _dashboard(desk: Desk, resource: StackResource, _wanted: ReadSettings, _stack: StackFacts) -> ReadSettings:
    desk.client("cloudwatch").get_dashboard(DashboardName=resource.physical)
    return {}


Reader = Callable[["Desk", "StackResource", ReadSettings, "StackFacts"], ReadSettings | None]
# The action that it takes, and who reads.
READERS: Mapping[str, tuple[str, Reader]] = {
    "AWS::CloudWatch::Dashboard": ("cloudwatch:GetDashboard", _dashboard),
    "AWS::Events::Rule": ("events:DescribeRule", _rule),
    "AWS::IAM::ManagedPolicy": ("iam:GetPolicyVersion", _managed_policy),
    "AWS::IAM::Role": ("iam:GetRole", _role),
    "AWS::Lambda::EventInvokeConfig": ("lambda:GetFunctionEventInvokeConfig", _invoke_config),
    "AWS::Lambda::EventSourceMapping": ("lambda:GetEventSourceMapping", _mapping),
    "AWS::Lambda::Permission": ("lambda:GetPolicy", _permission),
    "AWS::SNS::Subscription": ("sns:ListSubscriptionsByTopic", _subscription),
    "AWS::SNS::Topic": ("sns:GetTopicAttributes", _topic),
    "AWS::SNS::TopicPolicy": ("sns:GetTopicAttributes", _topic_policy),
    "AWS::SQS::QueuePolicy": ("sqs:GetQueueAttributes", _queue_policy),
    "AWS::Scheduler::Schedule": ("scheduler:GetSchedule", _schedule),
    "AWS::Scheduler::ScheduleGroup": ("scheduler:GetScheduleGroup", _schedule_group),
}
