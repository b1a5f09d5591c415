"""What becomes of one message: started, duplicate, skipped, dead-lettered with its reason, or kept for another try."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from moto import mock_aws

from jetway.airflow import DagRun, DagRunRequest
from jetway.dispatcher import UNFORESEEN_TRIES, Dispatcher, Message
from jetway.errors import (
    AnswerLostError,
    DagNotFoundError,
    EnvironmentUnavailableError,
    RunAlreadyExistsError,
    TransientError,
)
from jetway.lanes import Lanes, OutOfTimeError, hold_lanes, interactive_first, read_message
from tests.unit.sample_events import sample_event

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

NOW = datetime(2026, 11, 22, 6, 0, 10, tzinfo=UTC)


class FakeAirflow:
    """Airflow as a set of runs, or as one error."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.runs: dict[tuple[str, str], DagRun] = {}

    def trigger_dag_run(self, request: DagRunRequest) -> DagRun:
        if self.error is not None:
            raise self.error
        key = (request.dag_id, request.dag_run_id)
        if key in self.runs:
            raise RunAlreadyExistsError("there", self.runs[key])
        self.runs[key] = DagRun(*key, state="queued")
        return self.runs[key]

    def get_dag_run(self, dag_id: str, dag_run_id: str) -> DagRun | None:
        return self.runs.get((dag_id, dag_run_id))


@pytest.fixture
def sqs() -> Iterator[SQSClient]:
    with mock_aws():
        yield boto3.client("sqs", region_name="eu-central-1")


@pytest.fixture
def dead_letters(sqs: SQSClient) -> str:
    return sqs.create_queue(QueueName="dead.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]


def dispatcher(airflow: FakeAirflow, sqs: SQSClient, dead_letters: str, now: datetime = NOW) -> Dispatcher:
    return Dispatcher(airflow, sqs, dead_letters_url=dead_letters, max_event_age=timedelta(hours=1), clock=lambda: now)


def message(number: int = 0, **changes: Any) -> Message:
    record = sample_event("dispatch_batch")["Records"][number]
    found = read_message(SQSRecord(record))
    return Message(**{name: getattr(found, name) for name in Message.__slots__} | changes)


def letters(sqs: SQSClient, url: str) -> list[dict[str, Any]]:
    got = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"])
    return [json.loads(found["Body"]) for found in got.get("Messages", [])]


def test_a_message_starts_its_run_once_however_often_it_comes(sqs: SQSClient, dead_letters: str) -> None:
    airflow = FakeAirflow()
    worker = dispatcher(airflow, sqs, dead_letters)
    outcomes = [worker.dispatch(message()) for _ in range(3)]
    assert [outcome.decision for outcome in outcomes] == ["started", "duplicate", "duplicate"]
    assert len(airflow.runs) == 1
    assert (outcomes[0].trigger, outcomes[0].dag_id, outcomes[0].state) == ("data", "ingest_orders", "queued")
    assert outcomes[0].latency == 10.0


def test_a_permanent_error_is_a_dead_letter_with_all_that_a_person_needs(sqs: SQSClient, dead_letters: str) -> None:
    worker = dispatcher(FakeAirflow(DagNotFoundError("no DAG 'ingest_orders'")), sqs, dead_letters)
    original = message(tries=4)
    outcome = worker.dispatch(original)
    (letter,) = letters(sqs, dead_letters)
    assert outcome.decision == "dead-lettered"
    assert outcome.because == "dag-not-found: no DAG 'ingest_orders'"
    assert letter == {
        "reason": "dag-not-found",
        "error": "DagNotFoundError: no DAG 'ingest_orders'",
        "trigger": "data",
        "dag_id": "ingest_orders",
        "dag_run_id": outcome.dag_run_id,
        "first_try": original.first_tried_at.isoformat(),
        "last_try": NOW.isoformat(),
        "tries": 4,
        "message": json.loads(original.body),
    }


def test_a_transient_error_keeps_the_message(sqs: SQSClient, dead_letters: str) -> None:
    worker = dispatcher(FakeAirflow(EnvironmentUnavailableError("UPDATING")), sqs, dead_letters)
    with pytest.raises(EnvironmentUnavailableError):
        worker.dispatch(message())
    assert letters(sqs, dead_letters) == []


def test_an_event_that_is_too_old_is_not_started_any_more(sqs: SQSClient, dead_letters: str) -> None:
    airflow = FakeAirflow()
    worker = dispatcher(airflow, sqs, dead_letters, now=NOW + timedelta(hours=2))
    assert worker.dispatch(message()).decision == "dead-lettered"
    assert letters(sqs, dead_letters)[0]["reason"] == "event-too-old"
    assert airflow.runs == {}


def test_an_unforeseen_error_is_tried_again_a_few_times_only(sqs: SQSClient, dead_letters: str) -> None:
    worker = dispatcher(FakeAirflow(ZeroDivisionError("oops")), sqs, dead_letters)
    with pytest.raises(ZeroDivisionError):
        worker.dispatch(message(tries=UNFORESEEN_TRIES - 1))
    assert worker.dispatch(message(tries=UNFORESEEN_TRIES)).decision == "dead-lettered"
    assert letters(sqs, dead_letters)[0]["reason"] == "unforeseen"


def test_the_largest_message_that_sqs_takes_still_becomes_a_dead_letter(sqs: SQSClient, dead_letters: str) -> None:
    worker = dispatcher(FakeAirflow(), sqs, dead_letters)
    assert worker.dispatch(message(body='"' * (1024 * 1024))).decision == "dead-lettered"
    (letter,) = letters(sqs, dead_letters)
    assert letter["message"].startswith('"""')
    assert letter["message_cut_at"] == len(letter["message"])


def test_a_large_event_is_kept_whole_in_its_dead_letter(sqs: SQSClient, dead_letters: str) -> None:
    event = {
        "trigger": {"name": "t", "kind": "event", "dag": "d"},
        "event": {"detail": '"' * 400_000 + "\ud800\uffff\0 é"},
    }
    dispatcher(FakeAirflow(), sqs, dead_letters).dispatch(message(body=json.dumps(event)))
    assert letters(sqs, dead_letters)[0]["message"] == event


def test_a_dead_letter_that_cannot_be_written_keeps_the_message(sqs: SQSClient, dead_letters: str) -> None:
    sqs.delete_queue(QueueUrl=dead_letters)
    worker = dispatcher(FakeAirflow(DagNotFoundError("no")), sqs, dead_letters)
    with pytest.raises(sqs.exceptions.QueueDoesNotExist):
        worker.dispatch(message())


def test_a_transient_error_makes_its_lane_wait_and_no_other(sqs: SQSClient, dead_letters: str) -> None:
    bulk, schedule, _call = [SQSRecord(record) for record in sample_event("dispatch_batch")["Records"]]
    airflow = FakeAirflow(AnswerLostError("lost"))
    lanes = Lanes(dispatcher(airflow, sqs, dead_letters).dispatch, seconds_left=lambda: 200.0)
    with pytest.raises(TransientError):
        lanes.handle(bulk)
    airflow.error = None
    assert lanes.handle(schedule).decision == "started"
    assert set(lanes.waits) == {"bulk"}
    assert 1 <= lanes.waits["bulk"] <= 60


def test_with_no_time_left_the_rest_of_the_batch_goes_back_at_once(sqs: SQSClient, dead_letters: str) -> None:
    airflow = FakeAirflow()
    lanes = Lanes(dispatcher(airflow, sqs, dead_letters).dispatch, seconds_left=lambda: 5.0)
    with pytest.raises(OutOfTimeError):
        lanes.handle(SQSRecord(sample_event("dispatch_batch")["Records"][0]))
    assert (airflow.runs, lanes.waits) == ({}, {"bulk": 0})


def test_the_interactive_lane_comes_first_and_order_within_a_lane_stays() -> None:
    records = sample_event("dispatch_batch")["Records"]
    groups = [record["attributes"]["MessageGroupId"] for record in interactive_first(records)]
    numbers = [record["attributes"]["SequenceNumber"] for record in interactive_first(records)][:2]
    assert groups == ["interactive", "interactive", "bulk"]
    assert numbers == sorted(numbers)


def test_held_messages_are_invisible_for_their_wait(sqs: SQSClient) -> None:
    url = sqs.create_queue(
        QueueName="q.fifo",
        Attributes={"FifoQueue": "true", "ContentBasedDeduplication": "true", "VisibilityTimeout": "0"},
    )["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="x", MessageGroupId="bulk")
    (got,) = sqs.receive_message(QueueUrl=url, VisibilityTimeout=100)["Messages"]
    record = sample_event("dispatch_batch")["Records"][0] | {"receiptHandle": got["ReceiptHandle"]}
    hold_lanes(sqs, url, [SQSRecord(record)], {"bulk": 0})
    assert len(sqs.receive_message(QueueUrl=url)["Messages"]) == 1


def test_a_lane_that_cannot_be_held_only_waits_longer(sqs: SQSClient) -> None:
    record = SQSRecord(sample_event("dispatch_batch")["Records"][0])
    hold_lanes(sqs, "https://sqs.eu-central-1.amazonaws.com/1/gone", [record], {"bulk": 3})
