"""`jetway doctor` on the local stack: nothing is broken where all is well, and planted faults are found."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from jetway_cli.doctor.checks import CHECKS
from tests.integration.conftest import LONGEST, drop
from tools import venvs
from tools.stack.calls import call_api, wait_for
from tools.stack.stack import Stack

# Not of a healthy stack's making: other modules leave dead letters and alarms, and a test's stack has no subscription.
OF_OTHERS = {"alarms", "subscriptions", "dead-letters", "queue-age", "triggers", "environment-status", "leftovers"}
TRIGGER = "examined"


def doctor(stack: Stack, *arguments: str) -> tuple[int, dict[str, dict[str, str]], str]:
    """Run it; once more when the local AWS was too slow to answer something. Return as `once`."""
    found = once(stack, *arguments)
    if any(one["state"] == "not known" and name not in OF_OTHERS for name, one in found[1].items()):
        found = once(stack, *arguments)
    return found


def once(stack: Stack, *arguments: str) -> tuple[int, dict[str, dict[str, str]], str]:
    """Run it in a process of its own; return exit code, results by check, and stderr."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "JETWAY_"))}
    done = subprocess.run(
        [sys.executable, "-m", "jetway_cli", "doctor", "--json", *arguments],
        cwd=venvs.ROOT,
        env={**own, **stack.env},
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, {one["id"]: one for one in json.loads(done.stdout)["checks"]}, done.stderr


def broken(results: dict[str, dict[str, str]]) -> dict[str, str]:
    return {name: one["seen"] for name, one in results.items() if one["state"] == "broken"}


def physical(stack: Stack, logical: str) -> str:
    client = stack.client("cloudformation")
    found = client.describe_stack_resource(StackName="jetway", LogicalResourceId=logical)["StackResourceDetail"]
    name: str = found["PhysicalResourceId"]
    return name


def test_nothing_is_broken_on_a_stack_that_is_well_and_a_probe_goes_all_the_way(stack: Stack, dag: str) -> None:
    # A cold start on a busy machine may take longer than doctor waits for the API.
    wait_for("the HTTP API", lambda: call_api(stack, "GET", "/health").ok or None, seconds=120)
    code, results, stderr = doctor(stack, "--probe", dag, "--timeout", "2m")
    assert (code, broken(results)) == (0, {}), stderr
    assert results.keys() == {*CHECKS, "probe"}
    odd = {name: one for name, one in results.items() if one["state"] != "ok" and name not in OF_OTHERS}
    # MiniStack has no Service Quotas; the other ways are those of the stack's transport.
    assert odd == {}, odd


@contextmanager
def rule_disabled(stack: Stack) -> Iterator[None]:
    name = physical(stack, "DataDroppedRule").rpartition("|")[2]
    stack.client("events").disable_rule(Name=name)
    try:
        yield
    finally:
        stack.client("events").enable_rule(Name=name)


@contextmanager
def rule_edited(stack: Stack) -> Iterator[None]:
    events, name = stack.client("events"), physical(stack, "DataDroppedRule").rpartition("|")[2]
    pattern = events.describe_rule(Name=name)["EventPattern"]
    events.put_rule(Name=name, EventPattern=pattern.replace('"data/"', '"dataa/"'))
    try:
        yield
    finally:
        events.put_rule(Name=name, EventPattern=pattern)


@contextmanager
def bucket_silent(stack: Stack) -> Iterator[None]:
    s3, bucket = stack.client("s3"), stack.outputs["DropBucketName"]
    before = s3.get_bucket_notification_configuration(Bucket=bucket)
    before.pop("ResponseMetadata", None)
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={})
    try:
        yield
    finally:
        s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=before)


@contextmanager
def role_edited(stack: Stack) -> Iterator[None]:
    """Somebody takes the right to send to the dispatch queue away from http_api, which nothing calls by itself."""
    iam, role = stack.client("iam"), physical(stack, "HttpApiFunctionRole")
    document = iam.get_role_policy(RoleName=role, PolicyName="http_api")["PolicyDocument"]
    edited = json.loads(json.dumps(document).replace("sqs:SendMessage", "sqs:GetQueueUrl"))
    assert edited != document
    iam.put_role_policy(RoleName=role, PolicyName="http_api", PolicyDocument=json.dumps(edited))
    try:
        yield
    finally:
        iam.put_role_policy(RoleName=role, PolicyName="http_api", PolicyDocument=json.dumps(document))


@contextmanager
def dead_letter(stack: Stack) -> Iterator[None]:
    sqs, url = stack.client("sqs"), stack.outputs["UndeliveredEventsUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="planted")
    try:
        yield
    finally:
        for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
            if message["Body"] == "planted":
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


@contextmanager
def reader_off(stack: Stack) -> Iterator[None]:
    functions, uuid = stack.client("lambda"), physical(stack, "ResumeWaitingWaitingQueue")
    functions.update_event_source_mapping(UUID=uuid, Enabled=False)
    try:
        yield
    finally:
        functions.update_event_source_mapping(UUID=uuid, Enabled=True)


@contextmanager
def trigger_edited(stack: Stack) -> Iterator[None]:
    drop(stack, f"triggers/{TRIGGER}.yaml", b"dag: hello_jetway\non: {event: {source: [examined]}}\n")
    events = stack.client("events")

    def there() -> Any:
        return events.list_rules(NamePrefix=f"jetway.{TRIGGER}")["Rules"] or None

    wait_for("the trigger's rule", there, seconds=LONGEST)
    events.put_rule(Name=f"jetway.{TRIGGER}", EventPattern='{"source": ["somebody"]}')
    try:
        yield
    finally:
        stack.client("s3").delete_object(Bucket=stack.outputs["DropBucketName"], Key=f"triggers/{TRIGGER}.yaml")


@contextmanager
def nobody_confirms(stack: Stack) -> Iterator[None]:
    sns, topic = stack.client("sns"), stack.outputs["AlarmTopicArn"]
    made = sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="airflow@example.com", ReturnSubscriptionArn=True)
    try:
        yield
    finally:
        sns.unsubscribe(SubscriptionArn=made["SubscriptionArn"])


@contextmanager
def never_forgotten(stack: Stack) -> Iterator[None]:
    dynamodb, table = stack.client("dynamodb"), stack.outputs["LedgerTableName"]
    spec = {"AttributeName": "ttl", "Enabled": False}
    dynamodb.update_time_to_live(TableName=table, TimeToLiveSpecification=spec)
    try:
        yield
    finally:
        dynamodb.update_time_to_live(TableName=table, TimeToLiveSpecification={**spec, "Enabled": True})


@contextmanager
def trust_edited(stack: Stack) -> Iterator[None]:
    iam, role = stack.client("iam"), physical(stack, "ScaleWorkersRole")
    document = json.dumps(iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"])
    iam.update_assume_role_policy(RoleName=role, PolicyDocument=document.replace("lambda.amazonaws", "ec2.amazonaws"))
    try:
        yield
    finally:
        iam.update_assume_role_policy(RoleName=role, PolicyDocument=document)


@contextmanager
def caller_gone(stack: Stack) -> Iterator[None]:
    functions, name = stack.client("lambda"), physical(stack, "MeasureWorkers")
    (statement,) = json.loads(functions.get_policy(FunctionName=name)["Policy"])["Statement"]
    functions.remove_permission(FunctionName=name, StatementId=statement["Sid"])
    try:
        yield
    finally:
        functions.add_permission(
            FunctionName=name,
            StatementId=statement["Sid"],
            Action=statement["Action"],
            Principal=statement["Principal"]["Service"],
            SourceArn=statement["Condition"]["ArnLike"]["AWS:SourceArn"],
        )


@contextmanager
def no_dead_letters(stack: Stack) -> Iterator[None]:
    sqs, url = stack.client("sqs"), stack.outputs["DispatchQueueUrl"]
    before = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy"])["Attributes"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": ""})
    try:
        yield
    finally:
        sqs.set_queue_attributes(QueueUrl=url, Attributes=before)


@contextmanager
def topic_closed(stack: Stack) -> Iterator[None]:
    sns, topic = stack.client("sns"), stack.outputs["AlarmTopicArn"]
    policy = sns.get_topic_attributes(TopicArn=topic)["Attributes"]["Policy"]

    def put(text: str) -> None:
        sns.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=text)

    put(policy.replace("cloudwatch.amazonaws.com", "ec2.amazonaws.com"))
    try:
        yield
    finally:
        put(policy)


@contextmanager
def route_opened(stack: Stack) -> Iterator[None]:
    api, gateway = physical(stack, "HttpApi"), stack.client("apigatewayv2")
    routes = gateway.get_routes(ApiId=api)["Items"]
    route = next(one for one in routes if one["RouteKey"] == "GET /docs")
    gateway.update_route(ApiId=api, RouteId=route["RouteId"], AuthorizationType="NONE")
    try:
        yield
    finally:
        gateway.update_route(ApiId=api, RouteId=route["RouteId"], AuthorizationType=route["AuthorizationType"])


@contextmanager
def bucket_denies(stack: Stack) -> Iterator[None]:
    """The environment's bucket, which has no policy of its own here."""
    described = stack.client("cloudformation").describe_stacks(StackName="jetway")["Stacks"][0]["Parameters"]
    bucket = next(one["ParameterValue"] for one in described if one["ParameterKey"] == "EnvironmentBucketName")
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
    s3 = stack.client("s3")
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [deny]}))
    try:
        yield
    finally:
        s3.delete_bucket_policy(Bucket=bucket)


@contextmanager
def alarm_edited(stack: Stack) -> Iterator[None]:
    cloudwatch, name = stack.client("cloudwatch"), physical(stack, "DeadLettersAlarm")
    (there,) = cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
    names = (
        *("AlarmName", "AlarmDescription", "Namespace", "MetricName", "Dimensions", "Statistic", "Threshold", "Period"),
        *("ComparisonOperator", "EvaluationPeriods", "TreatMissingData", "AlarmActions", "OKActions"),
    )
    before = {one: there[one] for one in names}
    cloudwatch.put_metric_alarm(**{**before, "Threshold": 1000.0})
    try:
        yield
    finally:
        cloudwatch.put_metric_alarm(**before)


@contextmanager
def layer_gone(stack: Stack) -> Iterator[None]:
    functions, name = stack.client("lambda"), physical(stack, "ScaleWorkers")
    layers = [one["Arn"] for one in functions.get_function_configuration(FunctionName=name)["Layers"]]
    functions.update_function_configuration(FunctionName=name, Layers=[])
    try:
        yield
    finally:
        functions.update_function_configuration(FunctionName=name, Layers=layers)


@contextmanager
def everything_expires(stack: Stack) -> Iterator[None]:
    s3, bucket = stack.client("s3"), stack.outputs["DropBucketName"]
    rules = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    one = {"ID": "all", "Status": "Enabled", "Filter": {"Prefix": "unused/"}, "Expiration": {"Days": 1}}
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [*rules, one]})
    try:
        yield
    finally:
        s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})


PLANTED: list[tuple[str, Any, str, str]] = [
    ("rules", rule_disabled, "broken", "DataDroppedRule"),
    ("rules", rule_edited, "broken", "EventPattern"),
    ("bucket-events", bucket_silent, "broken", "the drop bucket"),
    ("bucket-policies", bucket_denies, "broken", "the environment's bucket, denies s3:GetObject"),
    ("bucket-settings", everything_expires, "warning", "LifecycleConfiguration.all"),
    ("tables", never_forgotten, "warning", "TimeToLiveSpecification.Enabled is False"),
    ("roles", trust_edited, "broken", "(ScaleWorkersRole) was changed manually"),
    ("role-permissions", role_edited, "broken", "sqs:SendMessage"),
    ("functions", layer_gone, "broken", "(ScaleWorkers) was changed manually: Layers is nothing"),
    ("function-callers", caller_gone, "broken", "events.amazonaws.com cannot call function"),
    ("queues", no_dead_letters, "broken", "(DispatchQueue) was changed manually: RedrivePolicy is nothing"),
    ("queue-readers", reader_off, "broken", "does not read"),
    ("dead-letters", dead_letter, "warning", "UndeliveredEvents"),
    ("triggers", trigger_edited, "broken", f"Rule jetway.{TRIGGER} was changed manually"),
    ("alarms", alarm_edited, "warning", "Threshold is 1000"),
    ("topics", topic_closed, "broken", "(AlarmTopicPolicy) was changed manually"),
    ("subscriptions", nobody_confirms, "warning", "airflow@example.com has not confirmed"),
    ("http-routes", route_opened, "broken", "Route GET /docs (DocsPageRoute) was changed manually"),
]


# Faults that have nothing to do with each other are planted together: doctor takes its time to ask for everything.
TOGETHER = [PLANTED[0::3], PLANTED[1::3], PLANTED[2::3]]


@pytest.mark.parametrize("planted", TOGETHER, ids=["first", "second", "third"])
def test_planted_faults_are_found(stack: Stack, planted: list[tuple[str, Any, str, str]]) -> None:
    with ExitStack() as plants:
        for _, plant, _, _ in planted:
            plants.enter_context(plant(stack))
        code, results, _ = doctor(stack)
    found = {check: results[check] for check, *_ in planted}
    assert len(found) == len(planted), "no two are of one check"
    assert {check: one["state"] for check, one in found.items()} == {check: state for check, _, state, _ in planted}
    for check, _, _, said in planted:
        assert said in found[check]["seen"]
    assert code == (1 if broken(results) else 0)
    assert set(broken(results)) <= found.keys() | OF_OTHERS
