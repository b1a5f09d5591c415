"""What SQS and Lambda do with the messages of a function that is killed, on MiniStack: no Airflow, no stack."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jetway.aws.visibility import SPAN
from tests.integration import ministack_alone

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
    """What clients of MiniStack need."""
    with ministack_alone.running(tmp_path) as clients:
        yield clients


def deploy(clients: dict[str, str]) -> tuple[Any, str, str]:
    """Make the queues and the function; return SQS's client and the queues' URLs."""
    sqs, functions = (ministack_alone.client(clients, name) for name in ("sqs", "lambda"))
    attributes = {"FifoQueue": "true", "ContentBasedDeduplication": "true", "VisibilityTimeout": str(QUEUES_OWN)}
    url = sqs.create_queue(QueueName="lanes.fifo", Attributes=attributes)["QueueUrl"]
    seen = sqs.create_queue(QueueName="seen")["QueueUrl"]
    variables = {"SQS": clients["endpoint_url"], "QUEUE": url, "SEEN": seen}
    ministack_alone.make_function(clients, "reader", CODE, QUEUES_OWN, **variables)
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
