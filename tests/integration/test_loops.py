"""Lambda ends a loop through a queue after sixteen rounds, in MiniStack as on AWS: no Airflow, no stack."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration import ministack_alone
from tools.emulator import lineage
from tools.stack.calls import wait_for

# Sends what it gets to its own queue again, until it was told to stop.
CODE = """
import os
from botocore.session import get_session

def handler(event, context):
    sqs = get_session().create_client("sqs", endpoint_url=os.environ["SQS"])
    for record in event["Records"]:
        number = int(record["body"]) + 1
        sqs.send_message(QueueUrl=os.environ["SEEN"], MessageBody=str(number))
        if number < 20:
            sqs.send_message(QueueUrl=os.environ["QUEUE"], MessageBody=str(number))
"""


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with ministack_alone.running(Path(tmp_path_factory.mktemp("loops"))) as clients:
        yield clients


def rounds(aws: dict[str, str], name: str, *, until: int) -> tuple[int, str]:
    """Let a function of that name go round; return how often it ran, and the URL of its queue."""
    sqs, functions = (ministack_alone.client(aws, service) for service in ("sqs", "lambda"))
    queue = sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "5"})["QueueUrl"]
    seen = sqs.create_queue(QueueName=f"{name}-seen")["QueueUrl"]
    variables = {"SQS": aws["endpoint_url"], "QUEUE": queue, "SEEN": seen}
    ministack_alone.make_function(aws, name, CODE, 5, **variables)
    if name == "allowed":
        functions.put_function_recursion_config(FunctionName=name, RecursiveLoop="Allow")
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    functions.create_event_source_mapping(EventSourceArn=arn, FunctionName=name, BatchSize=1)
    sqs.send_message(QueueUrl=queue, MessageBody="0")
    found: set[int] = set()

    def look() -> bool | None:
        for message in sqs.receive_message(QueueUrl=seen, MaxNumberOfMessages=10).get("Messages", []):
            found.add(int(message["Body"]))
        return len(found) >= until or None

    wait_for(f"{until} rounds", look, seconds=60)
    time.sleep(2)  # in which a round too many would come
    look()
    return len(found), queue


def test_the_loop_ends_and_its_message_comes_back_to_be_refused_again(aws: dict[str, str]) -> None:
    count, queue = rounds(aws, "loops", until=lineage.MOST)
    assert count == lineage.MOST
    sqs, cloudwatch = (ministack_alone.client(aws, service) for service in ("sqs", "cloudwatch"))
    named = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    there: Any = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=named)["Attributes"]
    assert sum(int(there[name]) for name in named) == 1, json.dumps(there)
    listed = cloudwatch.list_metrics(Namespace="AWS/Lambda", MetricName="RecursiveInvocationsDropped")["Metrics"]
    assert {"Name": "FunctionName", "Value": "loops"} in [each for one in listed for each in one["Dimensions"]]


def test_a_function_that_may_loop_is_let_through(aws: dict[str, str]) -> None:
    count, _ = rounds(aws, "allowed", until=20)
    assert count == 20
