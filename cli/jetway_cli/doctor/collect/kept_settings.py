"""As `settings`: of tables, the bucket, the key and the HTTP API, and what is read of all of a kind at once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from jetway_cli.doctor.asking import ask
from jetway_cli.doctor.collect.policies import denials
from jetway_cli.errors import error_code

if TYPE_CHECKING:
    from jetway_cli.doctor.asking import Desk
    from jetway_cli.doctor.collect.settings import Reader, ReadSettings
    from jetway_cli.doctor.facts import StackFacts, StackResource

_ON = frozenset({"ENABLED", "ENABLING", "UPDATING"})


def _table(desk: Desk, resource: StackResource, _wanted: ReadSettings, _stack: StackFacts) -> ReadSettings:
    dynamodb, name = desk.client("dynamodb"), resource.physical
    found = dynamodb.describe_table(TableName=name)["Table"]
    encrypted = found.get("SSEDescription") or {}
    indexes = found.get("GlobalSecondaryIndexes") or ()
    return {
        "AttributeDefinitions": found["AttributeDefinitions"],
        "BillingMode": (found.get("BillingModeSummary") or {}).get("BillingMode", "PROVISIONED"),
        "GlobalSecondaryIndexes": [
            {member: index.get(member) for member in ("IndexName", "KeySchema", "Projection")} for index in indexes
        ],
        "KeySchema": found["KeySchema"],
        "Denials": ask(
            "dynamodb:GetResourcePolicy", lambda: denials(_or_none(dynamodb.get_resource_policy, found["TableArn"]))
        ),
        "PointInTimeRecoverySpecification": ask(
            "dynamodb:DescribeContinuousBackups", lambda: _backups(dynamodb.describe_continuous_backups(TableName=name))
        ),
        "SSESpecification": {
            "SSEEnabled": encrypted.get("Status") in _ON,
            "SSEType": encrypted.get("SSEType"),
            "KMSMasterKeyId": encrypted.get("KMSMasterKeyArn"),
        },
        "TimeToLiveSpecification": ask(
            "dynamodb:DescribeTimeToLive", lambda: _time_to_live(dynamodb.describe_time_to_live(TableName=name))
        ),
    }


def _or_none(question: Any, arn: str) -> str | None:
    """The policy of a table itself; None when it has none."""
    from botocore.exceptions import ClientError

    try:
        policy: str = question(ResourceArn=arn)["Policy"]
    except ClientError as exc:
        if error_code(exc) != "PolicyNotFoundException":
            raise
        return None
    return policy


def _backups(answer: Mapping[str, Any]) -> ReadSettings:
    found = answer["ContinuousBackupsDescription"].get("PointInTimeRecoveryDescription") or {}
    return {"PointInTimeRecoveryEnabled": found.get("PointInTimeRecoveryStatus") in _ON}


def _time_to_live(answer: Mapping[str, Any]) -> ReadSettings:
    found = answer["TimeToLiveDescription"]
    return {"AttributeName": found.get("AttributeName"), "Enabled": found.get("TimeToLiveStatus") in _ON}


def _bucket(desk: Desk, resource: StackResource, _wanted: ReadSettings, _stack: StackFacts) -> ReadSettings:
    s3, name = desk.client("s3"), resource.physical
    s3.head_bucket(Bucket=name)
    return {
        "LifecycleConfiguration": ask(
            "s3:GetLifecycleConfiguration",
            lambda: {
                "Rules": [_lifecycle(one) for one in _or_nothing(s3.get_bucket_lifecycle_configuration, name, "Rules")]
            },
        ),
        "LoggingConfiguration": ask(
            "s3:GetBucketLogging", lambda: _access_log(s3.get_bucket_logging(Bucket=name).get("LoggingEnabled") or {})
        ),
        "OwnershipControls": ask(
            "s3:GetBucketOwnershipControls",
            lambda: _or_nothing(s3.get_bucket_ownership_controls, name, "OwnershipControls"),
        ),
        "PublicAccessBlockConfiguration": ask(
            "s3:GetBucketPublicAccessBlock",
            lambda: _or_nothing(s3.get_public_access_block, name, "PublicAccessBlockConfiguration"),
        ),
    }


_NOTHING_SET = frozenset(
    {"NoSuchLifecycleConfiguration", "OwnershipControlsNotFoundError", "NoSuchPublicAccessBlockConfiguration"}
    | {"NoSuchBucketPolicy"}
)


def _or_nothing(question: Any, bucket: str, member: str) -> Any:
    from botocore.exceptions import ClientError

    try:
        return question(Bucket=bucket)[member]
    except ClientError as exc:
        if error_code(exc) not in _NOTHING_SET:
            raise
        return {}


def _access_log(found: Mapping[str, Any]) -> ReadSettings:
    return {"DestinationBucketName": found.get("TargetBucket"), "LogFilePrefix": found.get("TargetPrefix")}


def _lifecycle(rule: Mapping[str, Any]) -> ReadSettings:
    """A rule as templates have it."""
    filtered = rule.get("Filter") or {}
    found = {
        "Id": rule.get("ID"),
        "Status": rule.get("Status"),
        "Prefix": rule.get("Prefix") or filtered.get("Prefix") or (filtered.get("And") or {}).get("Prefix"),
        "ExpirationInDays": (rule.get("Expiration") or {}).get("Days"),
        "NoncurrentVersionExpiration": rule.get("NoncurrentVersionExpiration"),
        "AbortIncompleteMultipartUpload": rule.get("AbortIncompleteMultipartUpload"),
    }
    return {name: value for name, value in found.items() if value}


def bucket_policy(desk: Desk, name: str) -> ReadSettings:
    """Return a bucket's policy; empty when it has none.

    Raises:
        ClientError, BotoCoreError: S3 does not say.
    """
    text = _or_nothing(desk.client("s3").get_bucket_policy, name, "Policy")
    return json.loads(text) if text else {}


def _bucket_policy(desk: Desk, _resource: StackResource, wanted: ReadSettings, _stack: StackFacts) -> ReadSettings:
    return {"PolicyDocument": bucket_policy(desk, wanted["Bucket"])}


def _key(desk: Desk, resource: StackResource, _wanted: ReadSettings, _stack: StackFacts) -> ReadSettings:
    kms, key = desk.client("kms"), resource.physical
    return {
        "EnableKeyRotation": ask(
            "kms:GetKeyRotationStatus", lambda: kms.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"]
        ),
        "KeyPolicy": ask(
            "kms:GetKeyPolicy", lambda: json.loads(kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"])
        ),
    }


def _api(desk: Desk, resource: StackResource, _wanted: ReadSettings, _stack: StackFacts) -> ReadSettings:
    found = desk.client("apigatewayv2").get_api(ApiId=_own(resource))
    return {name: found.get(name) for name in ("ProtocolType", "CorsConfiguration", "DisableExecuteApiEndpoint")}


def _authorizer(desk: Desk, resource: StackResource, wanted: ReadSettings, _stack: StackFacts) -> ReadSettings:
    return dict(desk.client("apigatewayv2").get_authorizer(ApiId=wanted["ApiId"], AuthorizerId=_own(resource)))


def _integration(desk: Desk, resource: StackResource, wanted: ReadSettings, _stack: StackFacts) -> ReadSettings:
    return dict(desk.client("apigatewayv2").get_integration(ApiId=wanted["ApiId"], IntegrationId=_own(resource)))


def _stage(desk: Desk, _resource: StackResource, wanted: ReadSettings, _stack: StackFacts) -> ReadSettings:
    found = desk.client("apigatewayv2").get_stage(ApiId=wanted["ApiId"], StageName=wanted["StageName"])
    routes = found.get("RouteSettings") or {}
    return {
        "AutoDeploy": found.get("AutoDeploy", False),
        "DefaultRouteSettings": found.get("DefaultRouteSettings"),
        "RouteSettings": {route: _throttle(settings) for route, settings in routes.items()},
        "AccessLogSettings": found.get("AccessLogSettings"),
    }


def _throttle(settings: Mapping[str, Any]) -> ReadSettings:
    return {name: settings[name] for name in ("ThrottlingRateLimit", "ThrottlingBurstLimit") if name in settings}


def _own(resource: StackResource) -> str:
    """The last part of an id that has the API's before it."""
    return resource.physical.rpartition("|")[2]


def log_groups(desk: Desk, names: Iterable[str]) -> dict[str, ReadSettings]:
    """Return the settings of log groups by their names: they are asked for by what their names begin with."""
    wanted = set(names)
    found = {}
    pages = desk.client("logs").get_paginator("describe_log_groups")
    for prefix in {f"{one.rpartition('/')[0]}/" for one in wanted}:
        for page in pages.paginate(logGroupNamePrefix=prefix):
            for one in page["logGroups"]:
                kept = {"RetentionInDays": one.get("retentionInDays"), "KmsKeyId": one.get("kmsKeyId")}
                found[one["logGroupName"]] = kept
    return {name: found[name] for name in wanted & found.keys()}


def routes(desk: Desk, apis: Iterable[str]) -> dict[str, ReadSettings]:
    """Return the settings of APIs' routes by their keys; none of an API that there is not."""
    from botocore.exceptions import ClientError

    found: dict[str, ReadSettings] = {}
    for api in apis:
        pages = desk.client("apigatewayv2").get_paginator("get_routes").paginate(ApiId=api)
        try:
            found |= {one["RouteKey"]: _route(one) for page in pages for one in page["Items"]}
        except ClientError as exc:
            if error_code(exc) != "NotFoundException":
                raise
    return found


def _route(found: Mapping[str, Any]) -> ReadSettings:
    return {name: found.get(name) for name in ("AuthorizationType", "AuthorizerId", "Target")}


READERS: Mapping[str, tuple[str, Reader]] = {
    "AWS::ApiGatewayV2::Api": ("apigateway:GET", _api),
    "AWS::ApiGatewayV2::Authorizer": ("apigateway:GET", _authorizer),
    "AWS::ApiGatewayV2::Integration": ("apigateway:GET", _integration),
    "AWS::ApiGatewayV2::Stage": ("apigateway:GET", _stage),
    "AWS::DynamoDB::Table": ("dynamodb:DescribeTable", _table),
    "AWS::KMS::Key": ("kms:DescribeKey", _key),
    "AWS::S3::Bucket": ("s3:ListBucket", _bucket),
    "AWS::S3::BucketPolicy": ("s3:GetBucketPolicy", _bucket_policy),
}
