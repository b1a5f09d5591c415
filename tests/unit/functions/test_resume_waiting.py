"""resume_waiting at its edge: what waited aside goes back into its lane, waits on, or is tried again."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from functions.resume_waiting import app

from .edge import Edge, Function
from .sources import file_event, records


@pytest.fixture
def resume(edge: Edge) -> Function:
    return edge.deploy(app, "ResumeWaiting")


def waiting(*keys: str, not_before: timedelta | None = None) -> dict[str, Any]:
    """What Lambda reads from the waiting queue."""
    now = datetime.now(UTC)
    waits: dict[str, Any] = {"since": now.isoformat(), "count": 2, "because": "rate"}
    if not_before is not None:
        waits["not_before"] = (now + not_before).isoformat()
    event = records(*(file_event(key) | {"waits": waits} for key in keys))
    for key, record in zip(keys, event["Records"], strict=True):
        values = {"lane": "bulk", "resume_id": f"{key}-2"}
        record["messageAttributes"] = {
            name: {"dataType": "String", "stringValue": value} for name, value in values.items()
        }
    return event


def test_what_has_waited_goes_back_into_its_lane_cold_and_warm(edge: Edge, resume: Function) -> None:
    event = waiting("a", "b")
    assert resume.failed(event) == []
    assert resume.clients_made() == ["sqs"]
    assert [message["Body"] for message in edge.messages("DispatchQueue")] == [
        record["body"] for record in event["Records"]
    ]
    sent = edge.aws.asked("sqs.SendMessage")
    assert {each["MessageGroupId"] for each in sent} == {"bulk"}
    assert [each["MessageDeduplicationId"] for each in sent] == ["a-2", "b-2"], "the same try is one message"
    assert resume.failed(waiting("c", not_before=timedelta(seconds=-1))) == []
    assert resume.clients_made() == []
    assert len(edge.messages("DispatchQueue")) == 1


@pytest.mark.parametrize(("minutes", "seconds"), [(2, 120), (60, 900)])
def test_before_its_moment_it_waits_on(edge: Edge, resume: Function, minutes: int, seconds: int) -> None:
    event = waiting("a", not_before=timedelta(minutes=minutes))
    assert resume.failed(event) == []
    (sent,) = edge.aws.asked("sqs.SendMessage")
    assert sent["QueueUrl"] == edge.url("WaitingQueue")
    assert seconds - 5 <= sent["DelaySeconds"] <= seconds
    assert sent["MessageBody"] == event["Records"][0]["body"]
    assert {name: found["StringValue"] for name, found in sent["MessageAttributes"].items()} == {
        "lane": "bulk",
        "resume_id": "a-2",
    }
    assert edge.messages("DispatchQueue") == []


def test_a_message_that_cannot_be_put_back_is_tried_again_alone(edge: Edge, resume: Function) -> None:
    edge.aws.fails("sqs.SendMessage", times=1)
    assert resume.failed(waiting("a", "b")) == ["m0"]
    assert len(edge.messages("DispatchQueue")) == 1
    edge.aws.fails("sqs.SendMessage")
    assert resume.failed(waiting("c", "d")) == ["m0", "m1"], "no error of the function, though all come back"
    edge.aws.works()
    assert resume.failed(waiting("a")) == []
    assert len(edge.messages("DispatchQueue")) == 1


def test_what_is_no_message_of_ours_ends_in_the_queues_dead_letters_and_stops_nothing(
    edge: Edge, resume: Function
) -> None:
    """Nobody but start_dag_run may send here; SQS moves a message to the dead letters after its tries."""
    event = waiting("a", "b", "c", "d", "e")
    event["Records"][0]["body"] = "no JSON"
    event["Records"][4]["body"] = "{}"
    event["Records"][1]["messageAttributes"] = {}
    del event["Records"][2]["messageAttributes"]["lane"]["stringValue"]
    failed = resume.failed(event)
    assert {"m0", "m1", "m4"} <= set(failed)
    assert "m3" not in failed
    bodies = [json.loads(message["Body"]) for message in edge.messages("DispatchQueue")]
    assert [body["event"]["detail"]["object"]["key"] for body in bodies][-1] == "d"
