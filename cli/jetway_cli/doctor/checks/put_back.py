"""What puts a resource of the stack back as the template has it: one command, or where to look."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jetway_cli.doctor.facts import PartSeen

BACK_IN = "Take what is gone out of the stack and back in: deploy template.yaml without it, then with it."
BY_HAND = "Set it back as template.yaml has it; deploying the same template again changes nothing of it."


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


def _json(value: Any) -> str:
    return shlex.quote(json.dumps(value, default=str))


def _attributes(value: Mapping[str, Any]) -> str:
    """Attributes of SQS are texts, whatever they are."""
    return _json({name: one if isinstance(one, str) else json.dumps(one) for name, one in value.items()})


def _queue(part: PartSeen) -> str:
    names = ("VisibilityTimeout", "RedrivePolicy", "KmsMasterKeyId", "MessageRetentionPeriod")
    wanted = {name: part.wanted[name] for name in names if name in part.wanted}
    return f"aws sqs set-queue-attributes --queue-url {_url(part)} --attributes {_attributes(wanted)}"


def _url(part: PartSeen) -> str:
    return f'"$(aws sqs get-queue-url --queue-name {part.name} --query QueueUrl --output text)"'


def _queue_policy(part: PartSeen) -> str:
    wanted = {"Policy": json.dumps(part.wanted["PolicyDocument"], default=str)}
    return f"aws sqs set-queue-attributes --queue-url {_url(part)} --attributes {_json(wanted)}"


def _topic_policy(part: PartSeen) -> str:
    policy = _json(part.wanted["PolicyDocument"])
    return f"aws sns set-topic-attributes --topic-arn {part.name} --attribute-name Policy --attribute-value {policy}"


def _trust(part: PartSeen) -> str:
    document = _json(part.wanted["AssumeRolePolicyDocument"])
    return f"aws iam update-assume-role-policy --role-name {part.name} --policy-document {document}"


def _boundary(part: PartSeen) -> str:
    if wanted := part.wanted.get("PermissionsBoundary"):
        return f"aws iam put-role-permissions-boundary --role-name {part.name} --permissions-boundary {wanted}"
    return f"aws iam delete-role-permissions-boundary --role-name {part.name}"


def _permission(part: PartSeen) -> str:
    its = part.wanted
    return (
        f"aws lambda add-permission --function-name {its['FunctionName']} --statement-id {part.name} "
        f"--action {its['Action']} --principal {its['Principal']} --source-arn {shlex.quote(str(its['SourceArn']))}"
    )


def _policy_version(part: PartSeen) -> str:
    document = _json(part.wanted["PolicyDocument"])
    return f"aws iam create-policy-version --policy-arn {part.name} --set-as-default --policy-document {document}"


def _no_policy(part: PartSeen) -> str:
    command = f"aws sqs set-queue-attributes --queue-url {_url(part)} --attributes Policy="
    return f"The template has no policy for it; this takes the policy off: {command}"


def _topic_key(part: PartSeen) -> str:
    key = part.wanted["KmsMasterKeyId"]
    return (
        f"aws sns set-topic-attributes --topic-arn {part.name} --attribute-name KmsMasterKeyId --attribute-value {key}"
    )


def _topic_denial(_: PartSeen) -> str:
    return "Take the Deny out of its policy: SNS console, Topics, Access policy."


def _invoke_config(part: PartSeen) -> str:
    names = ("FunctionName", "Qualifier", "MaximumRetryAttempts", "MaximumEventAgeInSeconds", "DestinationConfig")
    wanted = {name: part.wanted[name] for name in names if name in part.wanted}
    return f"aws lambda put-function-event-invoke-config --cli-input-json {_json(wanted)}"


def _alarm(part: PartSeen) -> str:
    return f"aws cloudwatch put-metric-alarm --cli-input-json {_json(part.wanted)}"


def _function(part: PartSeen) -> str:
    given = {
        "Timeout": "timeout",
        "MemorySize": "memory-size",
        "Handler": "handler",
        "Runtime": "runtime",
        "Role": "role",
    }
    options = " ".join(f"--{option} {part.wanted[name]}" for name, option in given.items() if name in part.wanted)
    return f"aws lambda update-function-configuration --function-name {part.name} {options}"


_OF_FUNCTIONS = {
    "Timeout": "timeout",
    "MemorySize": "memory-size",
    "Handler": "handler",
    "Runtime": "runtime",
    "Role": "role",
}


def _layers(part: PartSeen) -> str:
    layers = " ".join(map(str, part.wanted.get("Layers", ())))
    return f"aws lambda update-function-configuration --function-name {part.name} --layers {layers}"


def _variables(part: PartSeen) -> str:
    return (
        f"Set the variables back as template.yaml has them (Lambda console, function {part.name}, Configuration); "
        "deploying the same template again changes nothing of them."
    )


def _reserved(part: PartSeen) -> str:
    return f"aws lambda delete-function-concurrency --function-name {part.name}, unless it is meant."


def _loop(part: PartSeen) -> str:
    wanted = part.wanted.get("RecursiveLoop", "Terminate")
    return f"aws lambda put-function-recursion-config --function-name {part.name} --recursive-loop {wanted}"


def _code(part: PartSeen) -> str:
    code = part.wanted.get("Uploaded") or {}
    where = f"--s3-bucket {code.get('S3Bucket')} --s3-key {code.get('S3Key')}"
    return f"aws lambda update-function-code --function-name {part.name} {where}"


def _mapping(part: PartSeen) -> str:
    wanted = {"UUID": part.name, **{name: part.wanted[name] for name in _OF_MAPPINGS if name in part.wanted}}
    return f"aws lambda update-event-source-mapping --cli-input-json {_json({**wanted, 'FilterCriteria': {}})}"


_OF_MAPPINGS = ("BatchSize", "FunctionResponseTypes", "MaximumBatchingWindowInSeconds", "ScalingConfig")


def _rule(part: PartSeen) -> str:
    option, value = "schedule-expression", part.wanted.get("ScheduleExpression", "")
    if pattern := part.wanted.get("EventPattern"):
        option, value = "event-pattern", json.dumps(pattern)
    return f"aws events put-rule --name {part.name} --{option} {shlex.quote(str(value))}"


def _targets(part: PartSeen) -> str:
    return f"aws events put-targets --rule {part.name} --targets {_json(part.wanted.get('Targets', []))}"


def _schedule(part: PartSeen) -> str:
    names = ("GroupName", "ScheduleExpression", "ScheduleExpressionTimezone", "FlexibleTimeWindow", "Target")
    wanted = {"Name": part.name, **{name: part.wanted[name] for name in names if name in part.wanted}}
    return f"aws scheduler update-schedule --cli-input-json {_json(wanted)}"


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


def _table_anew(part: PartSeen) -> str:
    return (
        f"DynamoDB keeps a backup of a deleted table for 35 days if it had point-in-time recovery: aws dynamodb "
        f"list-backups --table-name {part.name} --backup-type SYSTEM, then restore-table-from-backup under the same "
        f"name; else {BACK_IN[0].lower()}{BACK_IN[1:]}"
    )


def _public_access(part: PartSeen) -> str:
    wanted = ",".join(f"{name}={str(on).lower()}" for name, on in part.wanted["PublicAccessBlockConfiguration"].items())
    return f"aws s3api put-public-access-block --bucket {part.name} --public-access-block-configuration {wanted}"


def _bucket_policy(part: PartSeen) -> str:
    bucket, policy = part.wanted["Bucket"], _json(part.wanted["PolicyDocument"])
    return f"aws s3api put-bucket-policy --bucket {bucket} --policy {policy}"


def _retention(part: PartSeen) -> str:
    days = part.wanted.get("RetentionInDays")
    return f"aws logs put-retention-policy --log-group-name {part.name} --retention-in-days {days}"


def _log_group(part: PartSeen) -> str:
    key = f" --kms-key-id {part.wanted['KmsKeyId']}" if part.wanted.get("KmsKeyId") else ""
    return f"aws logs create-log-group --log-group-name {part.name}{key}, then {_retention(part)}"


def _stage(part: PartSeen) -> str:
    names = ("ApiId", "StageName", "AutoDeploy", "DefaultRouteSettings", "RouteSettings", "AccessLogSettings")
    wanted = {name: part.wanted[name] for name in names if name in part.wanted}
    return f"aws apigatewayv2 update-stage --cli-input-json {_json(wanted)}"


def _integration(part: PartSeen) -> str:
    options = {
        "ApiId": part.wanted["ApiId"],
        "IntegrationId": part.name,
        "IntegrationUri": part.wanted["IntegrationUri"],
    }
    return f"aws apigatewayv2 update-integration --cli-input-json {_json(options)}"


def _route(part: PartSeen) -> str:
    key = shlex.quote(f"Items[?RouteKey=='{part.wanted['RouteKey']}'].RouteId")
    api = part.wanted["ApiId"]
    found = f'"$(aws apigatewayv2 get-routes --api-id {api} --query {key} --output text)"'
    return f"aws apigatewayv2 update-route --api-id {api} --route-id {found} {_route_options(part)}"


def _route_anew(part: PartSeen) -> str:
    its = part.wanted
    named = f"--api-id {its['ApiId']} --route-key {shlex.quote(str(its['RouteKey']))}"
    return f"aws apigatewayv2 create-route {named} {_route_options(part)}"


def _route_options(part: PartSeen) -> str:
    options = {"AuthorizationType": "authorization-type", "AuthorizerId": "authorizer-id", "Target": "target"}
    return " ".join(f"--{option} {part.wanted[name]}" for name, option in options.items() if part.wanted.get(name))


def _role_anew(_: PartSeen) -> str:
    return "Deploy the stack again with another RolePath, which makes all roles anew."


def _subscribe(part: PartSeen) -> str:
    its = part.wanted
    to = f"--protocol {its['Protocol']} --notification-endpoint {its['Endpoint']}"
    return f"aws sns subscribe --topic-arn {its['TopicArn']} {to}"


def _rotation(part: PartSeen) -> str:
    return f"aws kms enable-key-rotation --key-id {part.name}"


def _key_policy(part: PartSeen) -> str:
    policy = _json(part.wanted["KeyPolicy"])
    return f"aws kms put-key-policy --key-id {part.name} --policy-name default --policy {policy}"


# By type and setting; "" for the settings that have no line of their own.
_COMMANDS: Mapping[tuple[str, str], Callable[[PartSeen], str]] = {
    ("AWS::ApiGatewayV2::Integration", ""): _integration,
    ("AWS::ApiGatewayV2::Route", ""): _route,
    ("AWS::ApiGatewayV2::Stage", ""): _stage,
    ("AWS::CloudWatch::Alarm", ""): _alarm,
    ("AWS::DynamoDB::Table", "PointInTimeRecoverySpecification"): _recovery,
    ("AWS::DynamoDB::Table", "SSESpecification"): _encryption,
    ("AWS::DynamoDB::Table", "TimeToLiveSpecification"): _time_to_live,
    ("AWS::Events::Rule", ""): _rule,
    ("AWS::Events::Rule", "Targets"): _targets,
    ("AWS::IAM::ManagedPolicy", ""): _policy_version,
    ("AWS::IAM::Role", "AssumeRolePolicyDocument"): _trust,
    ("AWS::IAM::Role", "PermissionsBoundary"): _boundary,
    ("AWS::KMS::Key", "EnableKeyRotation"): _rotation,
    ("AWS::KMS::Key", "KeyPolicy"): _key_policy,
    ("AWS::Lambda::EventInvokeConfig", ""): _invoke_config,
    ("AWS::Lambda::EventSourceMapping", ""): _mapping,
    ("AWS::Lambda::Function", ""): _function,
    ("AWS::Lambda::Function", "Code"): _code,
    ("AWS::Lambda::Function", "Environment"): _variables,
    ("AWS::Lambda::Function", "Layers"): _layers,
    ("AWS::Lambda::Function", "RecursiveLoop"): _loop,
    ("AWS::Lambda::Function", "ReservedConcurrentExecutions"): _reserved,
    ("AWS::Logs::LogGroup", "RetentionInDays"): _retention,
    ("AWS::S3::Bucket", "PublicAccessBlockConfiguration"): _public_access,
    ("AWS::S3::BucketPolicy", ""): _bucket_policy,
    ("AWS::SNS::Topic", "Denials"): _topic_denial,
    ("AWS::SNS::Topic", "KmsMasterKeyId"): _topic_key,
    ("AWS::SNS::TopicPolicy", ""): _topic_policy,
    ("AWS::SQS::Queue", ""): _queue,
    ("AWS::SQS::Queue", "Denials"): _no_policy,
    ("AWS::SQS::QueuePolicy", ""): _queue_policy,
    ("AWS::Scheduler::Schedule", ""): _schedule,
}
_ANEW: Mapping[str, Callable[[PartSeen], str]] = {
    "AWS::ApiGatewayV2::Route": _route_anew,
    "AWS::CloudWatch::Alarm": _alarm,
    "AWS::DynamoDB::Table": _table_anew,
    "AWS::IAM::Role": _role_anew,
    "AWS::Lambda::Permission": _permission,
    "AWS::Logs::LogGroup": _log_group,
    "AWS::SNS::Subscription": _subscribe,
}
