"""resume_waiting at its edge: what has waited goes back into its lane or waits on, and garbage fails alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from moto import mock_aws

from functions.resume_waiting import app
from tests.unit.cold import forget_wired

CONTEXT: Any = SimpleNamespace(
    function_name="resume_waiting",
    memory_limit_in_mb=256,
    invoked_function_arn="arn:aws:lambda:eu-central-1:111122223333:function:resume_waiting",
    aws_request_id="52fdfc07-2182-154f-163f-5f0f9a621d72",
)


@pytest.fixture
def queues(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    with mock_aws():
        sqs = boto3.client("sqs")
        found = {
            "WAITING_QUEUE_URL": sqs.create_queue(QueueName="waiting")["QueueUrl"],
            "DISPATCH_QUEUE_URL": sqs.create_queue(QueueName="d.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"],
        }
        for name, value in found.items():
            monkeypatch.setenv(name, value)
        forget_wired()
        yield found
        forget_wired()


def record(number: int, not_before: datetime | None) -> dict[str, Any]:
    waits: dict[str, Any] = {"since": "2026-11-22T06:00:00+00:00", "count": 1, "because": "rate"}
    if not_before is not None:
        waits["not_before"] = not_before.isoformat()
    words = {"lane": "bulk", "resume_id": f"r{number}"}
    return {
        "messageId": f"m{number}",
        "receiptHandle": "r",
        "eventSource": "aws:sqs",
        "body": json.dumps({"number": number, "waits": waits}),
        "messageAttributes": {name: {"stringValue": text, "dataType": "String"} for name, text in words.items()},
        "attributes": {},
    }


def handled(*records: dict[str, Any]) -> list[str]:
    """Invoke the function, and return the ids of the messages that SQS is to try again."""
    answer = app.handler({"Records": list(records)}, CONTEXT)
    return [str(failure["itemIdentifier"]) for failure in answer["batchItemFailures"]]


def back(queues: dict[str, str]) -> list[tuple[int, str, str]]:
    """What is on the dispatch queue: number, lane, deduplication id."""
    got = boto3.client("sqs").receive_message(
        QueueUrl=queues["DISPATCH_QUEUE_URL"], MaxNumberOfMessages=10, AttributeNames=["All"]
    )
    found = [(json.loads(message["Body"])["number"], message["Attributes"]) for message in got.get("Messages", [])]
    return [(number, words["MessageGroupId"], words["MessageDeduplicationId"]) for number, words in found]


def waiting(queues: dict[str, str]) -> int:
    asked = boto3.client("sqs").get_queue_attributes(QueueUrl=queues["WAITING_QUEUE_URL"], AttributeNames=["All"])
    return int(asked["Attributes"]["ApproximateNumberOfMessagesDelayed"])


def test_what_has_waited_goes_back_and_what_must_wait_on_is_delayed(queues: dict[str, str]) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    assert handled(record(1, None), record(2, later)) == []
    assert back(queues) == [(1, "bulk", "r1")]
    assert waiting(queues) == 1


def test_a_message_that_cannot_be_read_fails_alone(queues: dict[str, str]) -> None:
    assert handled(record(1, None) | {"body": "{}"}, record(2, None)) == ["m1"]
    assert back(queues) == [(2, "bulk", "r2")]


def test_while_sqs_takes_nothing_all_messages_are_tried_again(queues: dict[str, str]) -> None:
    boto3.client("sqs").delete_queue(QueueUrl=queues["DISPATCH_QUEUE_URL"])
    assert handled(record(1, None), record(2, None)) == ["m1", "m2"], "and that is no error of the function"
