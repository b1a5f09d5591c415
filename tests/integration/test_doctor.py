"""`jetway doctor` on the local stack: nothing is broken where all is well, and planted faults are found."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from jetway_cli.doctor.checks import CHECKS
from local import venvs
from local.calls import call_api, wait_for
from local.stack import Stack
from tests.integration.conftest import LONGEST, drop

# Not of a healthy stack's making: other modules leave dead letters and alarms, and a test's stack has no subscription.
OF_OTHERS = {"alarms", "subscriptions", "dead-letters", "queue-age", "triggers", "environment-status", "leftovers"}
OF_OTHERS.add("rest-calls")  # nobody has to have called
TRIGGER = "examined"


def doctor(stack: Stack, *arguments: str) -> tuple[int, dict[str, dict[str, str]], str]:
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


PLANTED: dict[str, Any] = {
    "rules": (rule_disabled, "broken", "DataDroppedRule"),
    "rules ": (rule_edited, "broken", "does not fire on what the template says"),
    "bucket-events": (bucket_silent, "broken", "the drop bucket"),
    "role-permissions": (role_edited, "broken", "sqs:SendMessage"),
    "dead-letters": (dead_letter, "warning", "UndeliveredEvents"),
    "queue-readers": (reader_off, "broken", "does not read"),
    "subscriptions": (nobody_confirms, "warning", "airflow@example.com has not confirmed"),
    "triggers": (trigger_edited, "broken", f"Rule jetway.{TRIGGER} was changed by hand"),
}


@pytest.mark.parametrize("check", PLANTED)
def test_a_planted_fault_is_found(stack: Stack, check: str) -> None:
    plant, state, said = PLANTED[check]
    check = check.strip()  # the second fault that it finds
    with plant(stack):
        code, results, _ = doctor(stack)
    assert results[check]["state"] == state
    assert said in results[check]["seen"]
    assert code == (1 if broken(results) else 0)
    assert set(broken(results)) <= {check} | OF_OTHERS
