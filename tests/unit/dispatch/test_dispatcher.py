"""What becomes of one message: started, duplicate, skipped, dead-lettered with its reason, or kept for another try."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from moto import mock_aws

from jetway.dispatch.dispatcher import UNFORESEEN_TRIES
from jetway.dispatch.lanes import Lanes, by_lane, free_lane, hold_lanes, interactive_first
from jetway.dispatch.messages import Message
from jetway.dispatch.run import parse_message, plan
from jetway.errors import (
    AnswerLostError,
    CommandRejectedError,
    EnvironmentBusyError,
    EnvironmentUnavailableError,
    OutOfTimeError,
    TransientError,
)
from jetway.ledger import Entry
from jetway.ledger_rows import Attempt
from tests.unit.dispatching import NOW, World, file_message, message
from tests.unit.sample_events import sample_event


@pytest.fixture
def world() -> Iterator[World]:
    with mock_aws():
        yield World()


def test_a_message_starts_its_run_once_however_often_it_comes(world: World) -> None:
    outcomes = [world.dispatch(message()) for _ in range(3)]
    assert [outcome.decision for outcome in outcomes] == ["started", "duplicate", "duplicate"]
    assert (len(world.airflow.runs), world.airflow.calls) == (1, 1)
    assert (outcomes[0].trigger, outcomes[0].dag_id, outcomes[0].state) == ("data", "ingest_orders", "queued")
    assert outcomes[0].latency == 10.0
    assert outcomes[1].because == f"duplicate of run {outcomes[0].dag_run_id}"
    row = world.ledger.get(outcomes[0].id)
    assert row is not None
    assert (row.decision, row.deliveries, row.dag_run_id) == ("started", 3, outcomes[0].dag_run_id)


def test_a_run_that_is_there_and_not_in_the_ledger_was_an_earlier_try_of_ours(world: World) -> None:
    first = world.dispatch(message())
    world.ledger.table.delete_item(Key={"id": first.id})
    world.ledger.begin(
        first.id, attempt=Attempt.begin(first.dag_id or "", NOW)
    )  # it was killed before it could note the run
    again = world.dispatch(message(tries=2))
    assert (again.decision, again.dag_run_id) == ("started", first.dag_run_id)
    assert len(world.airflow.runs) == 1
    assert {event.id for event in world.told} == {f"{first.id}#started"}


def test_a_call_for_a_run_id_that_somebody_else_has_used_started_nothing(world: World) -> None:
    call = message(2)
    first = world.dispatch(call)
    world.ledger.table.delete_item(Key={"id": first.id})
    again = world.dispatch(call)
    assert again.decision == "duplicate"
    # The run has the call's own id: "duplicate of" itself alone would make no sense.
    assert again.because == (
        f"duplicate of run {first.dag_run_id}: Airflow already had it when this event was first tried, so it "
        "belongs to someone else"
    )
    assert [event.detail_type for event in world.told] == ["DagRunStarted"]


def batch_message(conf: dict[str, object] | None = None) -> Message:
    trigger = {"name": "orders", "kind": "batch", "of": "s3", "dag": "load"} | ({"conf": conf} if conf else {})
    event = {"batch_id": "b1", "manifest": "s3://drop/batches/orders/b1.json", "count": 900, "time": NOW.isoformat()}
    return message(body=json.dumps({"trigger": trigger, "event": event}))


def test_the_run_of_a_batch_says_which_batch_it_is_of(world: World) -> None:
    entry = world.dispatch(batch_message())
    assert (entry.decision, entry.kind, entry.batch_id) == ("started", "batch", "b1")
    assert world.told[0].detail["batch_id"] == "b1"


def test_a_list_of_events_too_long_for_conf_is_null_in_a_template(world: World) -> None:
    template: dict[str, object] = {"from": "{{ manifest }}", "events": "{{ events }}"}
    request = plan(parse_message(batch_message(template).body, sent_at=NOW), major=lambda: 3).request
    assert request is not None
    assert request.conf == {"from": "s3://drop/batches/orders/b1.json", "events": None}


def test_calls_for_one_run_id_of_two_dags_are_two_runs(world: World) -> None:
    call = message(2)
    assert world.dispatch(call).decision == "started"
    assert world.dispatch(message(2, body=call.body.replace("ingest_orders", "other"))).decision == "started"
    assert len(world.airflow.runs) == 2


def test_force_makes_a_new_run_each_time_it_has_another_text(world: World) -> None:
    texts: list[str | None] = [None, "1", "1", "2"]
    runs = [world.dispatch(file_message(force=text)) for text in texts]
    assert [run.decision for run in runs] == ["started", "started", "duplicate", "started"]
    assert len({run.dag_run_id for run in runs}) == 3


def test_a_forced_call_gets_a_run_id_of_its_own(world: World) -> None:
    call = json.loads(message(2).body)
    forced = world.dispatch(message(2, body=json.dumps(call | {"force": "again"})))
    assert forced.decision == "started"
    assert forced.dag_run_id is not None
    assert forced.dag_run_id.startswith("jetway__http__")


def test_a_permanent_error_is_a_dead_letter_with_all_that_a_person_needs(world: World) -> None:
    world.airflow.error = CommandRejectedError("no: 'ingest_orders'")
    original = message(tries=4)
    outcome = world.dispatch(original)
    (letter,) = world.letters()
    assert outcome.decision == "dead-lettered"
    assert outcome.because == "command-rejected: no: 'ingest_orders'"
    assert letter == {
        "reason": "command-rejected",
        "error": "CommandRejectedError: no: 'ingest_orders'",
        "trigger": "data",
        "dag_id": "ingest_orders",
        "dag_run_id": outcome.dag_run_id,
        "first_try": original.first_tried_at.isoformat(),
        "last_try": NOW.isoformat(),
        "tries": 4,
        "message": json.loads(original.body),
    }
    (told,) = world.told
    assert told.detail_type == "EventDeadLettered"
    assert (told.detail["reason"], told.detail["error"]) == ("command-rejected", "no: 'ingest_orders'")


def test_a_redriven_event_that_did_run_starts_nothing(world: World) -> None:
    world.dispatch(file_message())
    redriven = file_message(redriven_at="2026-11-29T06:00:00Z")
    assert world.dispatch(redriven).decision == "duplicate"
    world.ledger.table.delete_item(Key={"id": world.dispatch(redriven).id})
    world.dispatch(redriven)
    assert len(world.airflow.runs) == 1


def test_the_age_of_a_redriven_event_counts_from_its_redrive(world: World) -> None:
    world.now = NOW + timedelta(days=7)
    assert world.dispatch(file_message()).decision == "dead-lettered"
    redriven_at = (world.now - timedelta(minutes=59)).isoformat()
    outcome = world.dispatch(file_message(redriven_at=redriven_at))
    assert outcome.decision == "started"
    row = world.ledger.get(outcome.id)
    assert row is not None
    assert (row.decision, row.because) == ("started", None)


def test_a_trigger_may_have_an_age_limit_of_its_own(world: World) -> None:
    world.now = NOW + timedelta(minutes=2)
    outcome = world.dispatch(file_message(trigger={"max_event_age": 60}))
    assert outcome.because is not None
    assert outcome.because.startswith("event-too-old: ")


def test_a_run_behind_a_paused_dag_is_started_and_says_so(world: World) -> None:
    world.dags.state = "paused"
    outcome = world.dispatch(file_message())
    assert (outcome.decision, outcome.because) == ("started", "queued behind a paused DAG")
    assert world.told[0].detail["paused"] is True


def test_a_transient_error_keeps_the_message_and_the_ledger_says_why(world: World) -> None:
    world.airflow.error = EnvironmentUnavailableError("UPDATING")
    with pytest.raises(EnvironmentUnavailableError):
        world.dispatch(message())
    held = world.dispatcher.held(message(), world.airflow.error)
    assert (held.decision, held.because) == ("held", "environment-unavailable: UPDATING")
    row = world.ledger.get(held.id)
    assert row is not None
    assert (row.decision, row.dag_id, row.deliveries) == ("held", "ingest_orders", 0)
    assert world.letters() == []


def test_a_ledger_that_is_down_holds_the_lane_before_anything_is_started(world: World) -> None:
    world.ledger.table.delete()
    with pytest.raises(TransientError) as caught:
        world.dispatch(message())
    assert world.airflow.calls == 0
    assert world.dispatcher.held(message(), caught.value).decision == "held"


def test_an_event_that_is_too_old_is_not_started_any_more(world: World) -> None:
    world.now = NOW + timedelta(hours=2)
    assert world.dispatch(message()).decision == "dead-lettered"
    assert world.letters()[0]["reason"] == "event-too-old"
    assert world.airflow.runs == {}


def test_an_unforeseen_error_is_tried_again_a_few_times_only(world: World) -> None:
    world.airflow.error = ZeroDivisionError("oops")
    with pytest.raises(ZeroDivisionError):
        world.dispatch(message(tries=UNFORESEEN_TRIES - 1))
    assert world.dispatch(message(tries=UNFORESEEN_TRIES)).decision == "dead-lettered"
    assert world.letters()[0]["reason"] == "unforeseen"


def test_a_message_that_cannot_be_read_has_a_row_and_a_dead_letter(world: World) -> None:
    outcome = world.dispatch(message(body="{}", message_id="m1"))
    assert (outcome.decision, outcome.trigger, outcome.id) == ("dead-lettered", "unknown", "unknown#m1")
    (letter,) = world.letters()
    assert (letter["reason"], letter["trigger"], letter["message"]) == ("unknown-event", None, {})
    assert world.ledger.get("unknown#m1") is not None


def test_an_event_that_cannot_be_read_is_its_triggers_all_the_same(world: World) -> None:
    body = {"trigger": {"name": "orders", "kind": "s3", "dag": "load"}, "event": {"detail": 1}}
    outcome = world.dispatch(message(body=json.dumps(body), message_id="m1"))
    assert (outcome.trigger, outcome.kind, outcome.dag_id, outcome.identity) == ("orders", "s3", "load", ())
    (letter,) = world.letters()
    assert (letter["reason"], letter["trigger"], letter["dag_id"]) == ("unknown-event", "orders", "load")
    assert world.told[0].detail["trigger"] == "orders"


def test_the_largest_message_that_sqs_takes_still_becomes_a_dead_letter(world: World) -> None:
    assert world.dispatch(message(body='"' * (1024 * 1024))).decision == "dead-lettered"
    (letter,) = world.letters()
    assert letter["message"].startswith('"""')
    assert letter["message_cut_at"] == len(letter["message"])


def test_a_large_event_is_kept_whole_in_its_dead_letter(world: World) -> None:
    event = {
        "trigger": {"name": "t", "kind": "event", "dag": "d"},
        "event": {"detail": '"' * 400_000 + "\ud800\uffff\0 é"},
    }
    world.dispatch(message(body=json.dumps(event)))
    assert world.letters()[0]["message"] == event


def test_a_dead_letter_that_cannot_be_written_keeps_the_message(world: World) -> None:
    world.sqs.delete_queue(QueueUrl=world.dead_url)
    world.airflow.error = CommandRejectedError("no")
    with pytest.raises(world.sqs.exceptions.QueueDoesNotExist):
        world.dispatch(message())


def test_a_transient_error_makes_its_lane_wait_and_no_other(world: World) -> None:
    bulk, schedule, _call = [SQSRecord(record) for record in sample_event("dispatch_batch")["Records"]]
    world.airflow.error = AnswerLostError("lost")
    held: list[tuple[str, int]] = []
    lanes = Lanes(
        world.dispatch,
        seconds_left=lambda: 200.0,
        on_held=lambda message, exc, wait: held.append((message.group, wait)),
    )
    with pytest.raises(TransientError):
        lanes.handle(bulk)
    world.airflow.error = None
    assert lanes.handle(schedule).decision == "started"
    assert set(lanes.waits) == {"bulk"}
    assert 1 <= lanes.waits["bulk"] <= 60
    assert held == [("bulk", lanes.waits["bulk"])]


def test_a_lane_held_for_an_update_backs_off_to_fifteen_minutes(world: World) -> None:
    def dispatch(_message: Message) -> Entry:
        raise EnvironmentUnavailableError("UPDATING")

    record = sample_event("dispatch_batch")["Records"][0]
    waits = []
    for tries in range(1, 40):
        attributes = record["attributes"] | {"ApproximateReceiveCount": str(tries)}
        lanes = Lanes(dispatch, seconds_left=lambda: 200.0, sleep=lambda _seconds: None)
        with pytest.raises(EnvironmentUnavailableError):
            lanes.handle(SQSRecord(record | {"attributes": attributes}))
        waits.append(lanes.waits["bulk"])
    assert waits[0] <= 2
    assert all(450 <= wait <= 900 for wait in waits[10:])


@pytest.mark.parametrize("refusals", [1, 2, 3])
def test_a_web_server_that_is_busy_for_a_moment_holds_no_lane(world: World, refusals: int) -> None:
    world.airflow.errors = [EnvironmentBusyError("503")] * refusals
    pauses: list[float] = []
    lanes = Lanes(world.dispatch, seconds_left=lambda: 200.0, sleep=pauses.append)
    record = SQSRecord(sample_event("dispatch_batch")["Records"][0])
    if refusals < 3:
        assert lanes.handle(record).decision == "started"
        assert lanes.waits == {}
    else:
        with pytest.raises(EnvironmentBusyError):
            lanes.handle(record)
        assert set(lanes.waits) == {"bulk"}
    assert len(pauses) == min(refusals, 2)
    assert sum(pauses) <= 2


def test_a_lost_answer_is_not_asked_for_again_at_once(world: World) -> None:
    world.airflow.error = AnswerLostError("lost")
    lanes = Lanes(world.dispatch, seconds_left=lambda: 200.0, sleep=lambda _seconds: None)
    with pytest.raises(AnswerLostError):
        lanes.handle(SQSRecord(sample_event("dispatch_batch")["Records"][0]))
    assert world.airflow.calls == 1


def test_with_no_time_left_the_rest_of_the_batch_goes_back_at_once(world: World) -> None:
    lanes = Lanes(world.dispatch, seconds_left=lambda: 5.0)
    with pytest.raises(OutOfTimeError):
        lanes.handle(SQSRecord(sample_event("dispatch_batch")["Records"][0]))
    assert (world.airflow.runs, lanes.waits) == ({}, {"bulk": 0})


def test_the_interactive_lane_comes_first_and_order_within_a_lane_stays() -> None:
    records = sample_event("dispatch_batch")["Records"]
    groups = [record["attributes"]["MessageGroupId"] for record in interactive_first(records)]
    numbers = [record["attributes"]["SequenceNumber"] for record in interactive_first(records)][:2]
    assert groups == ["interactive", "interactive", "bulk"]
    assert numbers == sorted(numbers)
    assert [len(lane) for lane in by_lane(records)] == [2, 1]


def queue_with_one_in_flight(world: World, group: str) -> tuple[str, SQSRecord]:
    url = world.sqs.create_queue(
        QueueName="q.fifo", Attributes={"FifoQueue": "true", "ContentBasedDeduplication": "true"}
    )["QueueUrl"]
    for body in ("1", "2"):
        world.sqs.send_message(QueueUrl=url, MessageBody=body, MessageGroupId=group)
    (got,) = world.sqs.receive_message(QueueUrl=url, VisibilityTimeout=100)["Messages"]
    record = sample_event("dispatch_batch")["Records"][0] | {"receiptHandle": got["ReceiptHandle"]}
    return url, SQSRecord(record)


def test_held_messages_are_invisible_for_their_wait(world: World) -> None:
    url, record = queue_with_one_in_flight(world, "bulk")
    hold_lanes(world.sqs, url, [record], {"bulk": 0})
    assert [found["Body"] for found in world.take(url)] == ["1", "2"]


def test_a_call_is_handed_out_while_a_batch_of_a_long_backlog_is_in_flight(world: World) -> None:
    def send(group: str, name: str) -> None:
        world.sqs.send_message(
            QueueUrl=world.dispatch_url, MessageBody=name, MessageGroupId=group, MessageDeduplicationId=name
        )

    for number in range(30):
        send("bulk", f"file {number}")
    in_flight = world.take(world.dispatch_url)
    send("interactive", "call")
    assert [found["Body"] for found in in_flight] == [f"file {number}" for number in range(10)]
    assert [found["Body"] for found in world.take(world.dispatch_url)] == ["call"]


def test_a_lane_that_is_done_is_free_while_the_batch_goes_on(world: World) -> None:
    url, record = queue_with_one_in_flight(world, "interactive")
    assert world.take(url) == []
    free_lane(world.sqs, url, [record])
    assert [found["Body"] for found in world.take(url)] == ["2"]
    free_lane(world.sqs, url, [])


def test_a_lane_that_cannot_be_held_or_freed_only_waits_longer(world: World) -> None:
    record = SQSRecord(sample_event("dispatch_batch")["Records"][0])
    hold_lanes(world.sqs, "https://sqs.eu-central-1.amazonaws.com/1/gone", [record], {"bulk": 3})
    free_lane(world.sqs, "https://sqs.eu-central-1.amazonaws.com/1/gone", [record])
