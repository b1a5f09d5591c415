"""What is asked of SQS when lanes are held and freed, and what is read from its records."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from botocore.stub import Stubber

from jetway.dispatch.lanes import free_lane, hold_lanes, read_message

DELETED: dict[str, Any] = {"Successful": [], "Failed": []}
URL = "https://sqs.eu-central-1.amazonaws.com/111122223333/dispatch.fifo"


@pytest.fixture
def sqs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    client: Any = boto3.client("sqs", region_name="eu-central-1")
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def record(number: int, group: str) -> SQSRecord:
    return SQSRecord(
        {
            "messageId": f"m{number}",
            "receiptHandle": f"handle {number}",
            "body": "{}",
            "attributes": {
                "MessageGroupId": group,
                "SentTimestamp": "1795327200000",
                "ApproximateFirstReceiveTimestamp": "1795327203500",
                "ApproximateReceiveCount": "4",
            },
        }
    )


def test_a_message_knows_when_it_was_sent_and_tried_first_and_how_often() -> None:
    message = read_message(record(7, "bulk"))
    assert (message.body, message.message_id, message.group, message.tries) == ("{}", "m7", "bulk", 4)
    assert message.sent_at == datetime(2026, 11, 22, 6, 0, tzinfo=UTC)
    assert message.first_tried_at == datetime(2026, 11, 22, 6, 0, 3, 500_000, tzinfo=UTC)


def hold(sqs: Any, answer: dict[str, Any]) -> None:
    entries = [
        {"Id": "0", "ReceiptHandle": "handle 1", "VisibilityTimeout": 40},
        {"Id": "1", "ReceiptHandle": "handle 2", "VisibilityTimeout": 3},
    ]
    sqs.add_response("change_message_visibility_batch", answer, {"QueueUrl": URL, "Entries": entries})
    hold_lanes(sqs.client, URL, [record(1, "bulk"), record(2, "interactive")], {"bulk": 40, "interactive": 3})


def test_each_message_waits_as_long_as_its_lane(sqs: Any, caplog: pytest.LogCaptureFixture) -> None:
    hold(sqs, {"Successful": [{"Id": "0"}, {"Id": "1"}], "Failed": []})
    assert caplog.records == []


def test_an_answer_without_failures_may_leave_the_word_out(caplog: pytest.LogCaptureFixture) -> None:
    class Sqs:
        def change_message_visibility_batch(self, **_: Any) -> dict[str, Any]:
            return {"Successful": [{"Id": "0"}]}  # as SQS answers in JSON, whatever its model says is required

    sqs: Any = Sqs()
    hold_lanes(sqs, URL, [record(1, "bulk")], {"bulk": 40})
    assert caplog.records == []


def test_a_message_that_could_not_be_held_is_told_of(sqs: Any, caplog: pytest.LogCaptureFixture) -> None:
    failed = {"Id": "1", "SenderFault": True, "Code": "ReceiptHandleIsInvalid"}
    hold(sqs, {"Successful": [{"Id": "0"}], "Failed": [failed]})
    assert [vars(line)["error"] for line in caplog.records] == ["ReceiptHandleIsInvalid"]


def test_what_a_lane_has_done_is_deleted(sqs: Any, caplog: pytest.LogCaptureFixture) -> None:
    entries = [{"Id": "0", "ReceiptHandle": "handle 1"}, {"Id": "1", "ReceiptHandle": "handle 2"}]
    sqs.add_response("delete_message_batch", DELETED, {"QueueUrl": URL, "Entries": entries})
    free_lane(sqs.client, URL, [record(1, "bulk"), record(2, "bulk")])
    free_lane(sqs.client, URL, [])
    assert caplog.records == []
