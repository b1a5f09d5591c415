"""The questions. Each returns what AWS answered, in words; docs/conformance.md says what it means to Jetway."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from botocore.exceptions import ClientError

from tools.aws.conformance.ground import Ground, code_of

EVENT_SECONDS = 900.0  # EventBridge begins about five minutes after it was turned on
CALLS = 40
Ask = Callable[[Ground], str]


def copies(ground: Ground) -> str:
    """CopyObject with If-Match where nothing is; with If-None-Match where something is."""
    s3, bucket = ground.client("s3"), ground.bucket("copies")
    etag = s3.put_object(Bucket=bucket, Key="source", Body=b"1")["ETag"]
    source = {"CopySource": {"Bucket": bucket, "Key": "source"}, "Bucket": bucket}
    absent = code_of(s3.copy_object, Key="absent", IfMatch=etag, **source)
    other = code_of(s3.copy_object, Key="source-2", IfNoneMatch="*", **source)
    there = code_of(s3.copy_object, Key="source-2", IfNoneMatch="*", **source)
    wrong = code_of(s3.copy_object, Key="source-2", IfMatch='"0"', **source)
    return f"If-Match, absent: {absent}; If-None-Match, absent: {other}; there: {there}; If-Match, another: {wrong}"


def deletions(ground: Ground) -> str:
    """DeleteObject with If-Match where nothing is, and where something else is."""
    s3, bucket = ground.client("s3"), ground.bucket("deletions")
    s3.put_object(Bucket=bucket, Key="there", Body=b"1")
    absent = code_of(s3.delete_object, Bucket=bucket, Key="absent", IfMatch='"0"')
    wrong = code_of(s3.delete_object, Bucket=bucket, Key="there", IfMatch='"0"')
    return f"absent: {absent}; another: {wrong}"


def etags(ground: Ground) -> str:
    """Whether a copy has its source's ETag, under SSE-S3 and under SSE-KMS (aws/s3)."""
    s3, bucket = ground.client("s3"), ground.bucket("etags")
    said = []
    for name, more in (("AES256", {}), ("aws:kms", {"ServerSideEncryption": "aws:kms"})):
        source = s3.put_object(Bucket=bucket, Key="source", Body=b"1", **more)["ETag"]
        copied = s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "source"}, **more)[
            "CopyObjectResult"
        ]["ETag"]
        said.append(f"{name}: {'the same' if copied == source else 'another'}")
    return "; ".join(said)


def gone_versions(ground: Ground) -> str:
    """HeadObject of a version that is gone: with s3:ListBucket alone, and with s3:ListBucketVersions."""
    s3, bucket = ground.client("s3"), ground.bucket("versions")
    version = s3.put_object(Bucket=bucket, Key="x", Body=b"1")["VersionId"]
    s3.delete_object(Bucket=bucket, Key="x", VersionId=version)
    read = {
        "Effect": "Allow",
        "Action": ["s3:GetObject", "s3:GetObjectVersion"],
        "Resource": f"arn:aws:s3:::{bucket}/*",
    }
    said = []
    for name, actions in (("list", ["s3:ListBucket"]), ("versions", ["s3:ListBucket", "s3:ListBucketVersions"])):
        look = {"Effect": "Allow", "Action": actions, "Resource": f"arn:aws:s3:::{bucket}"}
        as_role = ground.client("s3", ground.acting_as(f"gone-{name}", read, look))
        said.append(f"{'+'.join(actions)}: {code_of(as_role.head_object, Bucket=bucket, Key='x', VersionId=version)}")
    return "; ".join(said)


def conditional_rights(ground: Ground) -> str:
    """What a conditional deletion and a conditional copy need beside s3:DeleteObject and s3:PutObject."""
    s3, bucket = ground.client("s3"), ground.bucket("rights")
    things = f"arn:aws:s3:::{bucket}/*"
    said = []
    for name, actions in (
        ("without s3:GetObject", ["s3:DeleteObject"]),
        ("with it", ["s3:DeleteObject", "s3:GetObject"]),
    ):
        etag = s3.put_object(Bucket=bucket, Key="x", Body=b"1")["ETag"]
        allow = {"Effect": "Allow", "Action": actions, "Resource": things}
        as_role = ground.client("s3", ground.acting_as(f"delete-{len(actions)}", allow))
        said.append(f"deletion {name}: {code_of(as_role.delete_object, Bucket=bucket, Key='x', IfMatch=etag)}")
    source = s3.put_object(Bucket=bucket, Key="source", Body=b"1")
    there = s3.put_object(Bucket=bucket, Key="target", Body=b"0")["ETag"]
    read = {"Effect": "Allow", "Action": ["s3:GetObject", "s3:GetObjectVersion"], "Resource": f"{things[:-1]}source"}
    for name, actions in (
        ("without s3:GetObject there", ["s3:PutObject"]),
        ("with it", ["s3:PutObject", "s3:GetObject"]),
    ):
        allow = {"Effect": "Allow", "Action": actions, "Resource": f"{things[:-1]}target"}
        as_role = ground.client("s3", ground.acting_as(f"copy-{len(actions)}", read, allow))
        copy = {"Bucket": bucket, "Key": "source", "VersionId": source.get("VersionId", "null")}
        answer = code_of(as_role.copy_object, Bucket=bucket, Key="target", CopySource=copy, IfMatch=there)
        there = s3.head_object(Bucket=bucket, Key="target")["ETag"]
        said.append(f"copy {name}: {answer}")
    return "; ".join(said)


def s3_events(ground: Ground) -> str:
    """How a key is written in S3's events on EventBridge, and how long after enabling the first one comes."""
    s3, bucket = ground.client("s3"), ground.bucket("events")
    url, arn = ground.queue("events")
    ground.rule("events", {"source": ["aws.s3"], "detail": {"bucket": {"name": [bucket]}}}, arn)
    enabled: dict[str, Any] = {"EventBridgeConfiguration": {}}
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=enabled)
    key, began, most = "a+b c%20é.csv", time.monotonic(), 3.0 if ground.endpoint else EVENT_SECONDS
    while time.monotonic() - began < most:
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
        body, _ = ground.received(url, 1.0 if ground.endpoint else 20.0)
        if body is not None:
            written = body["detail"]["object"]["key"]
            has_version = "version-id" in body["detail"]["object"]
            raw = "raw" if written == key else f"as {written!r}"
            return f"the key is {raw}; version-id: {has_version}; the first came after {time.monotonic() - began:.0f} s"
    return f"no event within {most:.0f} s"


def event_sources(ground: Ground) -> str:
    """Which form of the condition on events:source lets PutEvents through."""
    said = []
    forms: Mapping[str, dict[str, Any]] = {
        "StringEquals": {"StringEquals": {"events:source": PREFIXED}},
        "ForAllValues:StringEquals": {
            "ForAllValues:StringEquals": {"events:source": PREFIXED},
            "Null": {"events:source": "false"},
        },
    }
    for number, (name, condition) in enumerate(forms.items()):
        allow = {"Effect": "Allow", "Action": "events:PutEvents", "Resource": "*", "Condition": condition}
        as_role = ground.client("events", ground.acting_as(f"source-{number}", allow))
        entry = {"Source": PREFIXED, "DetailType": "x", "Detail": "{}"}
        said.append(f"{name}: {code_of(as_role.put_events, Entries=[entry])}")
    return "; ".join(said)


PREFIXED = "jetway.conformance"


def policy_documents(ground: Ground) -> str:
    """Whether IAM takes a policy in which a Sid stands twice."""
    iam, name = ground.client("iam"), f"{ground.name}-sids"
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}))
    ground.later(f"role {name}", lambda: iam.delete_role(RoleName=name))
    one = {"Sid": "Same", "Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [one, one]})
    answer = code_of(iam.put_role_policy, RoleName=name, PolicyName="own", PolicyDocument=document)
    if answer == "done":
        ground.later("its policy", lambda: iam.delete_role_policy(RoleName=name, PolicyName="own"))
    return answer


def simulations(ground: Ground) -> str:
    """In which form SimulatePrincipalPolicy answers for two things, and whether it takes things of two types."""
    iam = ground.client("iam")
    allow = {"Effect": "Allow", "Action": ["s3:GetObject", "sqs:SendMessage"], "Resource": "*"}
    ground.acting_as("simulated", allow)
    arn = iam.get_role(RoleName=f"{ground.name}-simulated")["Role"]["Arn"]
    things = ["arn:aws:s3:::x/y", "arn:aws:s3:::x/z"]
    answer = iam.simulate_principal_policy(PolicySourceArn=arn, ActionNames=["s3:GetObject"], ResourceArns=things)
    results = answer["EvaluationResults"]
    specific = len(results[0].get("ResourceSpecificResults", []))
    mixed = code_of(
        iam.simulate_principal_policy,
        PolicySourceArn=arn,
        ActionNames=["s3:GetObject", "sqs:SendMessage"],
        ResourceArns=[things[0], "arn:aws:sqs:eu-central-1:123456789012:x"],
    )
    return f"{len(results)} results, {specific} by thing; types mixed: {mixed}"


def route_settings(ground: Ground) -> str:
    """Whether a stage whose settings name a route that is gone can be updated."""
    api = ground.client("apigatewayv2")
    made = api.create_api(Name=ground.name, ProtocolType="HTTP")["ApiId"]
    ground.later(f"HTTP API {made}", lambda: api.delete_api(ApiId=made))
    key = "POST /webhooks/{name}"
    route = api.create_route(ApiId=made, RouteKey=key)["RouteId"]
    settings = {key: {"ThrottlingRateLimit": 10.0, "ThrottlingBurstLimit": 20}}
    api.create_stage(ApiId=made, StageName="$default", AutoDeploy=True, RouteSettings=settings)
    deleted = code_of(api.delete_route, ApiId=made, RouteId=route)
    updated = code_of(
        api.update_stage, ApiId=made, StageName="$default", DefaultRouteSettings={"ThrottlingRateLimit": 5.0}
    )
    return f"route deleted: {deleted}; stage updated then: {updated}"


def rest_throttle(ground: Ground) -> str:
    """How many calls of InvokeRestApi are taken in a burst, and what the others are told."""
    mwaa = ground.client("mwaa")
    return _burst(
        lambda: code_of(
            mwaa.invoke_rest_api,
            Name=ground.environment,
            Path="/dags",
            Method="GET",
            QueryParameters={"limit": 1},
        )
    )


def token_throttle(ground: Ground) -> str:
    """The same of the two tokens, of which no figure is published."""
    mwaa = ground.client("mwaa")
    cli = _burst(lambda: code_of(mwaa.create_cli_token, Name=ground.environment))
    web = _burst(lambda: code_of(mwaa.create_web_login_token, Name=ground.environment))
    return f"CreateCliToken: {cli}; CreateWebLoginToken: {web}"


def _burst(call: Callable[[], str]) -> str:
    began = time.monotonic()
    with ThreadPoolExecutor(CALLS) as pool:
        counts = Counter(pool.map(lambda _: call(), range(CALLS)))
    told = ", ".join(f"{count} {answer}" for answer, count in counts.most_common())
    return f"{CALLS} calls in {time.monotonic() - began:.1f} s: {told}"


def last_update(ground: Ground) -> str:
    """What GetEnvironment says of the last update: whether CreatedAt is the update's own, and who began it."""
    found = ground.client("mwaa").get_environment(Name=ground.environment)["Environment"]
    update = found.get("LastUpdate", {})
    told = {name: str(update[name]) for name in ("Status", "CreatedAt", "Source") if name in update}
    return f"LastUpdate {told}; environment created {found.get('CreatedAt')}; last line of {found['Status']}"


def container_metrics(ground: Ground) -> str:
    """Which containers have metrics, and which log groups there are: mw1.micro is not documented."""
    found = ground.client("mwaa").get_environment(Name=ground.environment)["Environment"]
    pages = ground.client("cloudwatch").get_paginator("list_metrics").paginate(Namespace="AWS/MWAA")
    clusters = {
        one["Value"]
        for page in pages
        for metric in page["Metrics"]
        for one in metric["Dimensions"]
        if one["Name"] == "Cluster" and {"Name": "Environment", "Value": ground.environment} in metric["Dimensions"]
    }
    groups = ground.client("logs").describe_log_groups(logGroupNamePrefix=f"airflow-{ground.environment}-")["logGroups"]
    names = ", ".join(one["logGroupName"].rpartition("-")[2] for one in groups)
    shown = ", ".join(sorted(clusters)) or "none"
    return f"{found.get('EnvironmentClass')}: clusters {shown}; log groups {names or 'none'}"


def update_rights(ground: Ground) -> str:
    """What MWAA says to a caller who has airflow:UpdateEnvironment alone; only with --update, as it may begin one."""
    if not ground.may_update:
        return "not asked: give --update, on an environment that may be updated"
    mwaa = ground.client("mwaa")
    found = mwaa.get_environment(Name=ground.environment)["Environment"]
    allow = {"Effect": "Allow", "Action": "airflow:UpdateEnvironment", "Resource": found["Arn"]}
    as_role = ground.client("mwaa", ground.acting_as("update", allow))
    try:
        as_role.update_environment(Name=ground.environment, MinWorkers=found["MinWorkers"])
    except ClientError as exc:
        return f"{exc.response['Error']['Code']}: {exc.response['Error']['Message']}"
    return "done: it needs no more"


# By id, in the order in which they are asked; those below need an environment.
QUESTIONS: Mapping[str, Ask] = {
    "conditional-copies": copies,
    "conditional-deletions": deletions,
    "etags-of-copies": etags,
    "gone-versions": gone_versions,
    "conditional-rights": conditional_rights,
    "event-source-condition": event_sources,
    "duplicate-sids": policy_documents,
    "simulation-form": simulations,
    "route-settings": route_settings,
    "events-of-s3": s3_events,
}
OF_AN_ENVIRONMENT: Mapping[str, Ask] = {
    "rest-throttle": rest_throttle,
    "token-throttle": token_throttle,
    "last-update": last_update,
    "container-metrics": container_metrics,
    "update-rights": update_rights,
}
