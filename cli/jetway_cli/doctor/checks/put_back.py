"""What puts a resource of the stack back as the template has it: one command, or where to look."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jetway_cli.doctor.checks import put_back_lambda
from jetway_cli.doctor.checks.given import as_json, differing, with_numbers
from jetway_cli.doctor.checks.put_back_bucket import (
    put_access_log_back,
    put_lifecycle_back,
    put_owner_back,
    put_public_access_back,
)
from jetway_cli.doctor.checks.role_policies import put_policies_back
from jetway_cli.doctor.facts import Asked

if TYPE_CHECKING:
    from jetway_cli.doctor.facts import PartSeen

BACK_IN = "Remove the deleted resource from the stack and add it again: deploy template.yaml without it, then with it."
BY_HAND = "Set it back to the value in template.yaml. Deploying the same template again does not change it."


def put_back(part: PartSeen, names: Sequence[str]) -> str:
    """Return what to do about settings that differ.

    Args:
        part: the resource.
        names: of the settings.
    """
    command = _COMMANDS.get((part.kind, names[0])) or _COMMANDS.get((part.kind, ""))
    return command(part) if command is not None else BY_HAND


def make_anew(part: PartSeen) -> str:
    """Return what to do about a resource that is gone."""
    command = _ANEW.get(part.kind)
    return command(part) if command is not None else BACK_IN


def _attributes(value: Mapping[str, Any]) -> str:
    """Attributes of SQS are texts, whatever they are."""
    texts = {name: one if isinstance(one, str) else json.dumps(one) for name, one in value.items() if one is not None}
    return as_json({**dict.fromkeys(value, ""), **texts})


_OF_QUEUES = (
    *("VisibilityTimeout", "DelaySeconds", "MessageRetentionPeriod", "MaximumMessageSize", "KmsMasterKeyId"),
    *("ContentBasedDeduplication", "RedrivePolicy"),
)


def _queue(part: PartSeen) -> str:
    wanted = differing(part, _OF_QUEUES)
    return f"aws sqs set-queue-attributes --queue-url {_url(part)} --attributes {_attributes(wanted)}"


def _url(part: PartSeen) -> str:
    return f'"$(aws sqs get-queue-url --queue-name {part.name} --query QueueUrl --output text)"'


def _queue_policy(part: PartSeen) -> str:
    wanted = {"Policy": json.dumps(part.wanted["PolicyDocument"], default=str)}
    return f"aws sqs set-queue-attributes --queue-url {_url(part)} --attributes {as_json(wanted)}"


def _topic_policy(part: PartSeen) -> str:
    policy = as_json(part.wanted["PolicyDocument"])
    return f"aws sns set-topic-attributes --topic-arn {part.name} --attribute-name Policy --attribute-value {policy}"


def _trust(part: PartSeen) -> str:
    document = as_json(part.wanted["AssumeRolePolicyDocument"])
    return f"aws iam update-assume-role-policy --role-name {part.name} --policy-document {document}"


def _boundary(part: PartSeen) -> str:
    if wanted := part.wanted.get("PermissionsBoundary"):
        return f"aws iam put-role-permissions-boundary --role-name {part.name} --permissions-boundary {wanted}"
    return f"aws iam delete-role-permissions-boundary --role-name {part.name}"


def _policy_version(part: PartSeen) -> str:
    document = as_json(part.wanted["PolicyDocument"])
    return f"aws iam create-policy-version --policy-arn {part.name} --set-as-default --policy-document {document}"


def _no_policy(part: PartSeen) -> str:
    command = f"aws sqs set-queue-attributes --queue-url {_url(part)} --attributes Policy="
    return f"The template has no policy for it. This command removes the policy: {command}"


def _topic_key(part: PartSeen) -> str:
    key = part.wanted["KmsMasterKeyId"]
    return (
        f"aws sns set-topic-attributes --topic-arn {part.name} --attribute-name KmsMasterKeyId --attribute-value {key}"
    )


def _other_route(part: PartSeen) -> str:
    others = (part.seen.value or {})["OtherRoutes"]
    first, *_ = (others.value if isinstance(others, Asked) else others) or ("",)
    key, _, _ = first.rpartition(" (")
    return (
        f"Unless this is intended: aws apigatewayv2 delete-route --api-id {part.name} --route-id "
        f"{_route_id(part.name, key)}"
    )


def _stranger_of_topic(_: PartSeen) -> str:
    return "Unless this is intended, remove that statement from its policy: SNS console, Topics, Access policy."


def _topic_denial(_: PartSeen) -> str:
    return "Remove the Deny from its policy: SNS console, Topics, Access policy."


def _alarm(part: PartSeen) -> str:
    return f"aws cloudwatch put-metric-alarm --cli-input-json {as_json(with_numbers(part.wanted))}"


def _rule(part: PartSeen) -> str:
    option, value = "schedule-expression", part.wanted.get("ScheduleExpression", "")
    if pattern := part.wanted.get("EventPattern"):
        option, value = "event-pattern", json.dumps(pattern)
    return f"aws events put-rule --name {part.name} --{option} {shlex.quote(str(value))}"


def _targets(part: PartSeen) -> str:
    return f"aws events put-targets --rule {part.name} --targets {as_json(part.wanted.get('Targets', []))}"


def _schedule(part: PartSeen) -> str:
    names = ("GroupName", "ScheduleExpression", "ScheduleExpressionTimezone", "FlexibleTimeWindow", "Target")
    wanted = {"Name": part.name, **{name: part.wanted[name] for name in names if name in part.wanted}}
    return f"aws scheduler update-schedule --cli-input-json {as_json(wanted)}"


def _time_to_live(part: PartSeen) -> str:
    its = part.wanted["TimeToLiveSpecification"]
    spec = f"Enabled=true,AttributeName={its['AttributeName']}"
    return f"aws dynamodb update-time-to-live --table-name {part.name} --time-to-live-specification {spec}"


def _recovery(part: PartSeen) -> str:
    spec = "PointInTimeRecoveryEnabled=true"
    return (
        f"aws dynamodb update-continuous-backups --table-name {part.name} --point-in-time-recovery-specification {spec}"
    )


def _encryption(part: PartSeen) -> str:
    its = part.wanted["SSESpecification"]
    spec = f"Enabled=true,SSEType=KMS,KMSMasterKeyId={its.get('KMSMasterKeyId')}"
    return f"aws dynamodb update-table --table-name {part.name} --sse-specification {spec}"


def _table_policy(part: PartSeen) -> str:
    table = f'"$(aws dynamodb describe-table --table-name {part.name} --query Table.TableArn --output text)"'
    command = f"aws dynamodb delete-resource-policy --resource-arn {table}"
    return f"The template has no policy for it. This command removes the policy: {command}"


def _table_anew(part: PartSeen) -> str:
    return (
        "DynamoDB keeps a backup of a deleted table for 35 days if it had point-in-time recovery. Run aws "
        f"dynamodb list-backups --table-name {part.name} --backup-type SYSTEM, then restore-table-from-backup "
        f"with the same name. If there is no backup, {BACK_IN[0].lower()}{BACK_IN[1:]}"
    )


def _bucket_policy(part: PartSeen) -> str:
    bucket, policy = part.wanted["Bucket"], as_json(part.wanted["PolicyDocument"])
    return f"aws s3api put-bucket-policy --bucket {bucket} --policy {policy}"


def _retention(part: PartSeen) -> str:
    days = part.wanted.get("RetentionInDays")
    return f"aws logs put-retention-policy --log-group-name {part.name} --retention-in-days {days}"


def _log_key(part: PartSeen) -> str:
    key = part.wanted.get("KmsKeyId")
    return f"aws logs associate-kms-key --log-group-name {part.name} --kms-key-id {key}"


def _log_group(part: PartSeen) -> str:
    key = f" --kms-key-id {part.wanted['KmsKeyId']}" if part.wanted.get("KmsKeyId") else ""
    return f"aws logs create-log-group --log-group-name {part.name}{key} && {_retention(part)}"


def _stage(part: PartSeen) -> str:
    names = ("ApiId", "StageName", "AutoDeploy", "DefaultRouteSettings", "RouteSettings", "AccessLogSettings")
    wanted = {name: part.wanted[name] for name in names if name in part.wanted}
    return f"aws apigatewayv2 update-stage --cli-input-json {as_json(with_numbers(wanted))}"


def _integration(part: PartSeen) -> str:
    options = {
        "ApiId": part.wanted["ApiId"],
        "IntegrationId": part.name,
        "IntegrationUri": part.wanted["IntegrationUri"],
    }
    return f"aws apigatewayv2 update-integration --cli-input-json {as_json(options)}"


def _route_id(api: str, route: str) -> str:
    key = shlex.quote(f"Items[?RouteKey=='{route}'].RouteId")
    return f'"$(aws apigatewayv2 get-routes --api-id {api} --query {key} --output text)"'


def _route(part: PartSeen) -> str:
    api = part.wanted["ApiId"]
    found = _route_id(api, part.wanted["RouteKey"])
    return f"aws apigatewayv2 update-route --api-id {api} --route-id {found} {_route_options(part)}"


def _route_anew(part: PartSeen) -> str:
    its = part.wanted
    named = f"--api-id {its['ApiId']} --route-key {shlex.quote(str(its['RouteKey']))}"
    return f"aws apigatewayv2 create-route {named} {_route_options(part)}"


def _route_options(part: PartSeen) -> str:
    options = {"AuthorizationType": "authorization-type", "AuthorizerId": "authorizer-id", "Target": "target"}
    return " ".join(f"--{option} {part.wanted[name]}" for name, option in options.items() if part.wanted.get(name))


def _role_anew(_: PartSeen) -> str:
    return "Deploy the stack again with another RolePath, which creates all roles again."


def _subscribe(part: PartSeen) -> str:
    its = part.wanted
    to = f"--protocol {its['Protocol']} --notification-endpoint {its['Endpoint']}"
    return f"aws sns subscribe --topic-arn {its['TopicArn']} {to}"


def _rotation(part: PartSeen) -> str:
    return f"aws kms enable-key-rotation --key-id {part.name}"


def _key_policy(part: PartSeen) -> str:
    policy = as_json(part.wanted["KeyPolicy"])
    return f"aws kms put-key-policy --key-id {part.name} --policy-name default --policy {policy}"


# By type and setting; "" for the settings that have no line of their own.
_COMMANDS: Mapping[tuple[str, str], Callable[[PartSeen], str]] = {
    **put_back_lambda.COMMANDS,
    ("AWS::ApiGatewayV2::Api", "OtherRoutes"): _other_route,
    ("AWS::ApiGatewayV2::Integration", ""): _integration,
    ("AWS::ApiGatewayV2::Route", ""): _route,
    ("AWS::ApiGatewayV2::Stage", ""): _stage,
    ("AWS::CloudWatch::Alarm", ""): _alarm,
    ("AWS::DynamoDB::Table", "Denials"): _table_policy,
    ("AWS::DynamoDB::Table", "PointInTimeRecoverySpecification"): _recovery,
    ("AWS::DynamoDB::Table", "SSESpecification"): _encryption,
    ("AWS::DynamoDB::Table", "TimeToLiveSpecification"): _time_to_live,
    ("AWS::Events::Rule", ""): _rule,
    ("AWS::Events::Rule", "Targets"): _targets,
    ("AWS::IAM::ManagedPolicy", ""): _policy_version,
    ("AWS::IAM::Role", "AssumeRolePolicyDocument"): _trust,
    ("AWS::IAM::Role", "ManagedPolicyArns"): put_policies_back,
    ("AWS::IAM::Role", "PermissionsBoundary"): _boundary,
    ("AWS::IAM::Role", "Policies"): put_policies_back,
    ("AWS::KMS::Key", "EnableKeyRotation"): _rotation,
    ("AWS::KMS::Key", "KeyPolicy"): _key_policy,
    ("AWS::Logs::LogGroup", "KmsKeyId"): _log_key,
    ("AWS::Logs::LogGroup", "RetentionInDays"): _retention,
    ("AWS::S3::Bucket", "LifecycleConfiguration"): put_lifecycle_back,
    ("AWS::S3::Bucket", "LoggingConfiguration"): put_access_log_back,
    ("AWS::S3::Bucket", "OwnershipControls"): put_owner_back,
    ("AWS::S3::Bucket", "PublicAccessBlockConfiguration"): put_public_access_back,
    ("AWS::S3::BucketPolicy", ""): _bucket_policy,
    ("AWS::SNS::Topic", "Denials"): _topic_denial,
    ("AWS::SNS::Topic", "KmsMasterKeyId"): _topic_key,
    ("AWS::SNS::Topic", "Strangers"): _stranger_of_topic,
    ("AWS::SNS::TopicPolicy", ""): _topic_policy,
    ("AWS::SQS::Queue", ""): _queue,
    ("AWS::SQS::Queue", "Denials"): _no_policy,
    ("AWS::SQS::Queue", "Strangers"): _no_policy,
    ("AWS::SQS::QueuePolicy", ""): _queue_policy,
    ("AWS::Scheduler::Schedule", ""): _schedule,
}
_ANEW: Mapping[str, Callable[[PartSeen], str]] = {
    **put_back_lambda.ANEW,
    "AWS::ApiGatewayV2::Route": _route_anew,
    "AWS::CloudWatch::Alarm": _alarm,
    "AWS::DynamoDB::Table": _table_anew,
    "AWS::IAM::Role": _role_anew,
    "AWS::Logs::LogGroup": _log_group,
    "AWS::SNS::Subscription": _subscribe,
}
