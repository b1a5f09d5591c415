"""Events go out ten a call, and one that the bus refuses is an error."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import boto3
import pytest
from botocore.stub import ANY, Stubber

from jetway.events.outgoing import EventsOutError, OutEvent, put

NOW = datetime(2026, 11, 22, 6, tzinfo=UTC)
CLIENT = boto3.client("events", region_name="eu-central-1", aws_access_key_id="x", aws_secret_access_key="x")


def event(number: int) -> OutEvent:
    return OutEvent("DagRunStarted", id=f"n{number}", time=NOW, detail={"dag_id": "d"})


def test_events_are_sent_ten_a_call_with_their_id_in_the_detail() -> None:
    def entry(number: int) -> dict[str, object]:
        detail = json.dumps({"id": f"n{number}", "dag_id": "d"})
        return {"EventBusName": "b", "Source": "jetway", "DetailType": "DagRunStarted", "Time": NOW, "Detail": detail}

    with Stubber(CLIENT) as stub:
        for numbers in (range(10), range(10, 12)):
            answer = {"FailedEntryCount": 0, "Entries": [{"EventId": "e"} for _ in numbers]}
            stub.add_response("put_events", answer, {"Entries": [entry(number) for number in numbers]})
        put(CLIENT, "b", [event(number) for number in range(12)])
        stub.assert_no_pending_responses()


def test_an_event_that_the_bus_refuses_is_an_error_that_says_why() -> None:
    refused = [{"EventId": "1"}, {"ErrorCode": "InternalFailure", "ErrorMessage": "try later"}]
    with Stubber(CLIENT) as stub:
        stub.add_response("put_events", {"FailedEntryCount": 1, "Entries": refused}, {"Entries": ANY})
        with pytest.raises(EventsOutError, match="1 of 2 events: InternalFailure: try later"):
            put(CLIENT, "b", [event(1), event(2)])


def test_a_call_that_fails_is_an_error_of_ours() -> None:
    with Stubber(CLIENT) as stub:
        stub.add_client_error("put_events", "AccessDeniedException")
        with pytest.raises(EventsOutError, match="AccessDenied"):
            put(CLIENT, "b", [event(1)])


def test_no_events_are_no_call() -> None:
    with Stubber(CLIENT):
        put(CLIENT, "b", [])
