"""CloudFormation in MiniStack 1.5.33: what it leaves out of a template, and what it does not refuse.

An HTTP API has an address that every program can resolve, the same after the next `make up`; MiniStack draws a name at
random, below 127.0.0.1, which no name server knows.

A bucket has the same name after the next `make up`, so that a shell that knows it still does; MiniStack draws it at
random, as AWS does, and names all else by stack and logical id.

A condition of a template may ask for AWS::Partition, and compare what Fn::Join makes of parameters; MiniStack takes the
name for the value, and no text to be equal to a Join.

Buckets, tables and topics keep the key that the template names, a bucket its lifecycle rules, a table its time to live
and its backups, a stage its throttles, a role its permissions boundary, and a function its RecursiveLoop; MiniStack
drops them. A log group whose key does not let CloudWatch Logs encrypt is refused.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html

Policies are as IAM wants them: see tools/emulator/iam_documents.py.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from typing import Any

from ministack.core import iam_evaluator, responses  # type: ignore[import-not-found]
from ministack.services import apigateway, dynamodb, iam, kms, lambda_svc, s3, sns  # type: ignore[import-not-found]
from ministack.services.cloudformation import (  # type: ignore[import-not-found]
    changesets,
    handlers,
    provisioners,
    stacks,
)

from tools.emulator import iam_documents
from tools.emulator.ministack import iam as ministack_iam

Made = tuple[str, dict[str, Any]]
Make = Callable[[str, dict[str, Any], str], Made]


_create_api = provisioners._apigw_v2_api_create


def _create_api_with_address(logical_id: str, props: dict[str, Any], stack_name: str) -> tuple[str, dict[str, Any]]:
    wanted = hashlib.sha256(f"{stack_name}/{logical_id}".encode()).hexdigest()[:8]
    if apigateway.find_api_scope(wanted) is None:  # else another API replaces that one
        props = {**props, "Tags": {**(props.get("Tags") or {}), "ms-custom-id": wanted}}
    api_id, attributes = _create_api(logical_id, props, stack_name)
    endpoint = f"http://127.0.0.1:{os.environ['GATEWAY_PORT']}/_aws/execute-api/{api_id}/$default"
    apigateway._apis[api_id]["apiEndpoint"] = endpoint
    return api_id, {**attributes, "ApiEndpoint": endpoint}


_create_bucket = provisioners._s3_create


def _create_bucket_with_name(logical_id: str, props: dict[str, Any], stack_name: str) -> tuple[str, dict[str, Any]]:
    if not props.get("BucketName") and not provisioners._NAME_SEED.get():
        provisioners._NAME_SEED.set("first")
        wanted = provisioners._physical_name(stack_name, logical_id, lowercase=True, max_len=63)
        if s3._bucket_owner_account(wanted) is not None:  # the bucket that this one replaces
            provisioners._NAME_SEED.set("")
    created: tuple[str, dict[str, Any]] = _create_bucket(logical_id, props, stack_name)
    return created


_evaluate_conditions = changesets._evaluate_conditions


def _with_partition_and_joins(template: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
    known = {"AWS::Partition": {"Value": "aws"}, **params}
    conditions = {name: _joined(found, known) for name, found in template.get("Conditions", {}).items()}
    told: dict[str, Any] = _evaluate_conditions({**template, "Conditions": conditions}, known)
    return told


def _joined(part: Any, params: dict[str, Any]) -> Any:
    """A part of a condition in which each Fn::Join of parameters is its text."""
    if isinstance(part, list):
        return [_joined(item, params) for item in part]
    if not isinstance(part, dict):
        return part
    if "Fn::Join" not in part:
        return {name: _joined(value, params) for name, value in part.items()}
    separator, items = part["Fn::Join"]
    if isinstance(items, dict):  # a list that is a parameter: here one text with commas
        items = str(params[items["Ref"]]["Value"]).split(",")
    return separator.join(str(params[item["Ref"]]["Value"]) if isinstance(item, dict) else item for item in items)


def _then(kind: str, keep: Callable[[str, dict[str, Any]], None]) -> None:
    """Do something with each resource of a type that was made or changed: its id and its properties."""
    found = provisioners._RESOURCE_HANDLERS[kind]
    create, update = found["create"], found["update"]

    def made(logical_id: str, props: dict[str, Any], stack_name: str) -> Made:
        physical_id, attributes = create(logical_id, props, stack_name)
        keep(physical_id, props)
        return physical_id, attributes

    def changed(physical_id: str, before: Any, props: dict[str, Any], *more: Any, **named: Any) -> Any:
        answer = update(physical_id, before, props, *more, **named)
        keep(answer[0] if isinstance(answer, tuple) else physical_id, props)
        return answer

    found["create"], found["update"] = made, changed


def _keep_the_buckets_key(bucket: str, props: dict[str, Any]) -> None:
    for rule in props.get("BucketEncryption", {}).get("ServerSideEncryptionConfiguration", []):
        default = rule["ServerSideEncryptionByDefault"]
        tags = {"SSEAlgorithm": default["SSEAlgorithm"], "KMSMasterKeyID": default.get("KMSMasterKeyID", "")}
        inner = "".join(f"<{name}>{value}</{name}>" for name, value in tags.items() if value)
        s3._bucket_encryption[bucket] = (
            '<ServerSideEncryptionConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Rule>'
            f"<ApplyServerSideEncryptionByDefault>{inner}</ApplyServerSideEncryptionByDefault></Rule>"
            "</ServerSideEncryptionConfiguration>"
        )


def _keep_the_buckets_rules(bucket: str, props: dict[str, Any]) -> None:
    rules = [_lifecycle(rule) for rule in props.get("LifecycleConfiguration", {}).get("Rules", [])]
    if rules:
        s3._bucket_lifecycle[bucket] = rules


def _lifecycle(rule: dict[str, Any]) -> dict[str, Any]:
    """A rule of a template as S3's API has it."""
    kept = {"ID": rule["Id"], "Status": rule["Status"], "Filter": {"Prefix": rule.get("Prefix", "")}}
    if "ExpirationInDays" in rule:
        kept["Expiration"] = {"Days": str(rule["ExpirationInDays"])}
    for name in ("NoncurrentVersionExpiration", "AbortIncompleteMultipartUpload"):
        if name in rule:
            kept[name] = {member: str(days) for member, days in rule[name].items()}
    return kept


def _keep_the_bucket(bucket: str, props: dict[str, Any]) -> None:
    _keep_the_buckets_key(bucket, props)
    _keep_the_buckets_rules(bucket, props)


def _keep_the_table(table: str, props: dict[str, Any]) -> None:
    _keep_the_tables_key(table, props)
    if wanted := props.get("TimeToLiveSpecification"):
        on = str(wanted["Enabled"]).lower() == "true"
        dynamodb._ttl_settings[table] = {
            "TimeToLiveStatus": "ENABLED" if on else "DISABLED",
            "AttributeName": wanted["AttributeName"],
        }
    if wanted := props.get("PointInTimeRecoverySpecification"):
        dynamodb._pitr_settings[table] = str(wanted["PointInTimeRecoveryEnabled"]).lower() == "true"


def _keep_the_throttles(_stage: str, props: dict[str, Any]) -> None:
    stage = apigateway._stages[props["ApiId"]][props.get("StageName", "$default")]
    stage["defaultRouteSettings"] = _throttle(props.get("DefaultRouteSettings", {}))
    stage["routeSettings"] = {route: _throttle(one) for route, one in props.get("RouteSettings", {}).items()}


def _throttle(settings: dict[str, Any]) -> dict[str, float]:
    """Settings of a route as API Gateway writes them; numbers of parameters are texts in a template."""
    return {
        f"{name[0].lower()}{name[1:]}": int(value) if "Burst" in name else float(value)
        for name, value in settings.items()
    }


def _keep_the_tables_key(table: str, props: dict[str, Any]) -> None:
    wanted = props.get("SSESpecification")
    if wanted:
        asked = {**wanted, "Enabled": wanted.get("SSEEnabled")}
        dynamodb._tables[table]["SSEDescription"] = dynamodb._sse_description_from_spec(asked)


def _keep_the_topics_key(topic: str, props: dict[str, Any]) -> None:
    if props.get("KmsMasterKeyId"):
        sns._topics[topic]["attributes"]["KmsMasterKeyId"] = props["KmsMasterKeyId"]


def _keep_the_boundary(role: str, props: dict[str, Any]) -> None:
    if props.get("PermissionsBoundary"):
        iam._roles[role]["PermissionsBoundary"] = props["PermissionsBoundary"]


def _keep_whether_loops_are_let_through(function: str, props: dict[str, Any]) -> None:
    lambda_svc._functions[function]["recursive_loop"] = props.get("RecursiveLoop", "Terminate")


def _refuse_first(kind: str, refusal: Callable[[dict[str, Any], str], str | None]) -> None:
    """Fail a resource, when it is made and when it is changed, whose properties AWS would refuse."""
    found = provisioners._RESOURCE_HANDLERS[kind]
    create, update = found["create"], found["update"]

    def checked(props: dict[str, Any], name: str) -> None:
        said = refusal(props, name)
        if said:
            raise ValueError(said)

    def create_checked(logical_id: str, props: dict[str, Any], stack_name: str) -> Made:
        checked(props, logical_id)
        made: Made = create(logical_id, props, stack_name)
        return made

    def update_checked(physical_id: str, before: Any, props: dict[str, Any], *more: Any, **named: Any) -> Any:
        checked(props, physical_id)
        return update(physical_id, before, props, *more, **named)

    found["create"], found["update"] = create_checked, update_checked


def _refused_role(props: dict[str, Any], name: str) -> str | None:
    documents = [policy["PolicyDocument"] for policy in props.get("Policies", [])]
    trust = props["AssumeRolePolicyDocument"]
    said = [f"Malformed policy: {found}" for found in map(iam_documents.malformed, documents) if found]
    said += filter(None, [iam_documents.malformed(trust, "trust")])
    said += filter(None, [iam_documents.too_large(documents, iam_documents.INLINE, f"role {name}")])
    said += filter(None, [iam_documents.too_large([trust], iam_documents.TRUST, f"the trust of role {name}")])
    return said[0] if said else None


def _refused_policy(props: dict[str, Any], name: str) -> str | None:
    document = props["PolicyDocument"]
    return iam_documents.malformed(document) or iam_documents.too_large(
        [document], iam_documents.MANAGED, f"policy {name}"
    )


def _refused_resource_policy(props: dict[str, Any], _name: str) -> str | None:
    document = props.get("PolicyDocument") or props.get("KeyPolicy")
    return iam_documents.malformed(document, "resource") if document else None


def _refused_log_group(props: dict[str, Any], _name: str) -> str | None:
    key = kms._resolve_key(props.get("KmsKeyId", ""))
    if key is None:
        return None
    region, account = responses.get_region(), responses.get_account_id()
    arn = f"arn:aws:logs:{region}:{account}:log-group:{props.get('LogGroupName')}"
    context = {"kms:encryptioncontext:aws:logs:arn": arn}
    service = f"logs.{region}.amazonaws.com"
    needed = ("kms:Encrypt", "kms:Decrypt", "kms:GenerateDataKey", "kms:DescribeKey")
    if all(ministack_iam.service_may(service, each, key["Arn"], key.get("Policy"), context) for each in needed):
        return None
    return "The specified KMS key does not exist or is not allowed to be used with LogGroup"


_validate, _refused_trust = iam_evaluator.validate_policy_document, iam._trust_policy_not_principal_error


def _read(document: Any) -> Any:
    try:
        return json.loads(document) if isinstance(document, str) else document
    except ValueError:
        return None


def _validate_as_iam(document: Any) -> str | None:
    said: str | None = _validate(document) or iam_documents.malformed(_read(document))
    return said


def _trust_as_iam(document: Any) -> str | None:
    read = _read(document)
    if not isinstance(read, dict):
        return "This policy contains invalid Json"
    said: str | None = _refused_trust(document) or iam_documents.malformed(read, "trust")
    return said


_put_role_policy = iam._put_role_policy


def _put_role_policy_within_the_quota(asked: Any) -> Any:
    role, document = iam._roles.get(iam._p(asked, "RoleName")), _read(iam._p(asked, "PolicyDocument"))
    if role is not None and isinstance(document, dict):
        others = {**role["InlinePolicies"], iam._p(asked, "PolicyName"): document}
        said = iam_documents.too_large(map(_read, others.values()), iam_documents.INLINE, f"role {role['RoleName']}")
        if said:
            return iam._error(409, "LimitExceeded", said, ns="iam")
    return _put_role_policy(asked)


def _create_policy_within_the_quota(asked: Any) -> Any:
    document, name = _read(iam._p(asked, "PolicyDocument")), iam._p(asked, "PolicyName")
    said = isinstance(document, dict) and iam_documents.too_large([document], iam_documents.MANAGED, f"policy {name}")
    return iam._error(409, "LimitExceeded", said, ns="iam") if said else _create_policy(asked)


_create_policy = iam._create_policy


_KEPT: Mapping[str, Callable[[str, dict[str, Any]], None]] = {
    "AWS::ApiGatewayV2::Stage": _keep_the_throttles,
    "AWS::S3::Bucket": _keep_the_bucket,
    "AWS::DynamoDB::Table": _keep_the_table,
    "AWS::SNS::Topic": _keep_the_topics_key,
    "AWS::IAM::Role": _keep_the_boundary,
    "AWS::Lambda::Function": _keep_whether_loops_are_let_through,
}
_REFUSED: Mapping[str, Callable[[dict[str, Any], str], str | None]] = {
    "AWS::IAM::Role": _refused_role,
    "AWS::IAM::ManagedPolicy": _refused_policy,
    "AWS::KMS::Key": _refused_resource_policy,
    "AWS::SQS::QueuePolicy": _refused_resource_policy,
    "AWS::SNS::TopicPolicy": _refused_resource_policy,
    "AWS::S3::BucketPolicy": _refused_resource_policy,
    "AWS::Logs::LogGroup": _refused_log_group,
}


def install() -> None:
    """Put all this in force."""
    provisioners._apigw_v2_api_create = _create_api_with_address
    provisioners._RESOURCE_HANDLERS["AWS::ApiGatewayV2::Api"]["create"] = _create_api_with_address
    provisioners._s3_create = _create_bucket_with_name
    provisioners._RESOURCE_HANDLERS["AWS::S3::Bucket"]["create"] = _create_bucket_with_name
    for module in (changesets, handlers, stacks):
        module._evaluate_conditions = _with_partition_and_joins
    for kind, keep in _KEPT.items():
        _then(kind, keep)
    for kind, refusal in _REFUSED.items():
        _refuse_first(kind, refusal)
    iam_evaluator.validate_policy_document, iam._trust_policy_not_principal_error = _validate_as_iam, _trust_as_iam
    iam._IAM_HANDLERS["PutRolePolicy"] = iam._put_role_policy = _put_role_policy_within_the_quota
    iam._IAM_HANDLERS["CreatePolicy"] = iam._create_policy = _create_policy_within_the_quota
