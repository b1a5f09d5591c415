"""What SQS and Lambda do with the messages of a function that is killed, on MiniStack: no Airflow, no stack."""

from __future__ import annotations

import io
import json
import sysconfig
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from jetway.aws.visibility import SPAN
from local import ministack, processes, venvs

pytestmark = pytest.mark.slow

QUEUES_OWN = 240  # seconds, as dispatch.fifo has it
WORK = SPAN + 8  # seconds: longer than a message is held at a time

CODE = """
import os, signal, time
from botocore.session import get_session
from jetway.aws.visibility import Holding

def handler(event, context):
    sqs = get_session().create_client("sqs", endpoint_url=os.environ["SQS"])
    (record,) = event["Records"]
    receives = record["attributes"]["ApproximateReceiveCount"]
    sqs.send_message(QueueUrl=os.environ["SEEN"], MessageBody=f"{record['body']} {receives} {time.time()}")
    left = lambda: context.get_remaining_time_in_millis() / 1000
    with Holding(sqs, os.environ["QUEUE"], [record["receiptHandle"]], seconds_left=left):
        if record["body"] == "killed" and receives == "1":
            os.kill(os.getpid(), signal.SIGKILL)
        if record["body"] == "slow":
            time.sleep(WORK)
    return {"batchItemFailures": []}
""".replace("WORK", str(WORK))


@pytest.fixture
def aws(tmp_path: Path) -> Iterator[dict[str, str]]:
    """MiniStack with one FIFO queue and a function that reads it; what clients of it need."""
    port = processes.free_port()
    paths = [sysconfig.get_path("purelib"), str(venvs.ROOT / "layers" / "jetway")]
    server = ministack.start(
        venvs.ensure("ministack"),
        port=port,
        folder=tmp_path,
        temporary=tmp_path / "temporary",
        decisions=tmp_path / "decisions.jsonl",
        lambda_env={"PYTHONPATH": ":".join(paths)},
    )
    try:
        yield {
            "endpoint_url": f"http://127.0.0.1:{port}",
            "region_name": ministack.REGION,
            "aws_access_key_id": "test",
            "aws_secret_access_key": "test",
        }
    finally:
        processes.stop(server)


def make_role(iam: Any) -> str:
    """Make the function's role, and return its ARN."""
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    may = {"Effect": "Allow", "Action": ["sqs:*", "logs:*"], "Resource": "*"}
    made = iam.create_role(RoleName="reader", AssumeRolePolicyDocument=json.dumps({"Statement": [trust]}))
    iam.put_role_policy(RoleName="reader", PolicyName="all", PolicyDocument=json.dumps({"Statement": [may]}))
    return str(made["Role"]["Arn"])


def deploy(clients: dict[str, str]) -> tuple[Any, str, str]:
    """Make the queues and the function; return SQS's client and the queues' URLs."""
    sqs: Any = boto3.client("sqs", **clients)  # type: ignore[call-overload]
    functions: Any = boto3.client("lambda", **clients)  # type: ignore[call-overload]
    attributes = {"FifoQueue": "true", "ContentBasedDeduplication": "true", "VisibilityTimeout": str(QUEUES_OWN)}
    url = sqs.create_queue(QueueName="lanes.fifo", Attributes=attributes)["QueueUrl"]
    seen = sqs.create_queue(QueueName="seen")["QueueUrl"]
    role = make_role(boto3.client("iam", **clients))  # type: ignore[call-overload]
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as package:
        package.writestr("app.py", CODE)
    functions.create_function(
        FunctionName="reader",
        Runtime="python3.13",
        Role=role,
        Handler="app.handler",
        Code={"ZipFile": code.getvalue()},
        Timeout=QUEUES_OWN,
        Environment={"Variables": {"SQS": clients["endpoint_url"], "QUEUE": url, "SEEN": seen}},
    )
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    functions.create_event_source_mapping(
        EventSourceArn=arn, FunctionName="reader", BatchSize=1, FunctionResponseTypes=["ReportBatchItemFailures"]
    )
    return sqs, url, seen


def test_a_lane_waits_for_a_killed_function_half_a_minute_and_for_one_that_lives_as_long_as_it_works(
    aws: dict[str, str],
) -> None:
    sqs, url, seen = deploy(aws)
    for body in ("killed", "slow", "behind"):
        sqs.send_message(QueueUrl=url, MessageBody=body, MessageGroupId="lane")
    found: list[tuple[str, str, float]] = []
    end = time.time() + 2 * SPAN + WORK + 60
    while len(found) < 4:
        assert time.time() < end, found
        for message in sqs.receive_message(QueueUrl=seen, MaxNumberOfMessages=10, WaitTimeSeconds=1).get(
            "Messages", []
        ):
            body, receives, at = message["Body"].split()
            found.append((body, receives, float(at)))
            sqs.delete_message(QueueUrl=seen, ReceiptHandle=message["ReceiptHandle"])
    found.sort(key=lambda each: each[2])
    assert [(body, receives) for body, receives, _ in found] == [
        ("killed", "1"),
        ("killed", "2"),
        ("slow", "1"),
        ("behind", "1"),
    ], json.dumps(found)
    first, again, slow, behind = (at for _, _, at in found)
    assert SPAN - 5 < again - first < SPAN + 15, "not the queue's own timeout"
    assert slow - again < 15
    assert WORK - 1 < behind - slow < WORK + 15, "signs of life held the lane"
