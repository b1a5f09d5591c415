"""The HTTP API's handler, from API Gateway's event to its answer and the message on the queue."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws

from functions.http_api import app
from jetway.dispatch import parse_dispatch
from jetway.errors import JetwayError
from jetway.events import parse_time
from jetway.problems import ProblemError
from jetway.run_requests import LONGEST_BODY, Call, read_request
from tests.unit.sample_events import sample_event

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

CONTEXT: Any = SimpleNamespace(
    function_name="http_api",
    memory_limit_in_mb=512,
    invoked_function_arn="arn:aws:lambda:eu-central-1:111122223333:function:http_api",
    aws_request_id="b9b5c2b6",
)


@pytest.fixture
def sqs(monkeypatch: pytest.MonkeyPatch) -> Iterator[SQSClient]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    with mock_aws():
        client = boto3.client("sqs")
        url = client.create_queue(QueueName="dispatch.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
        for name, value in {"ENVIRONMENT_NAME": "acme", "TRANSPORT": "cli", "DISPATCH_QUEUE_URL": url}.items():
            monkeypatch.setenv(name, value)
        for cached in (app._config, app._sqs):
            cached.cache_clear()
        yield client


def post(body: object, **headers: str) -> dict[str, Any]:
    event = sample_event("http_trigger_dag_run")
    event["body"] = body if isinstance(body, str) else json.dumps(body)
    event["headers"] = {"content-type": "application/json", **headers}
    return app.handler(event, CONTEXT)


def queued(sqs: SQSClient) -> list[Any]:
    url = sqs.get_queue_url(QueueName="dispatch.fifo")["QueueUrl"]
    return sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, AttributeNames=["All"]).get("Messages", [])


def test_an_accepted_run_is_one_message_that_the_dispatcher_understands(sqs: SQSClient) -> None:
    answer = post({"conf": {"a": 1}, "logical_date": "2026-01-02T03:04:05Z"})
    body = json.loads(answer["body"])
    assert (answer["statusCode"], body["state"]) == (202, "accepted")
    assert answer["headers"]["Location"] == f"/dags/ingest_orders/dagRuns/{body['dag_run_id']}"
    (message,) = queued(sqs)
    request = parse_dispatch(message["Body"], sent_at=parse_time("2026-11-22T06:00:00Z")).request
    assert request is not None
    assert (request.dag_id, request.dag_run_id) == ("ingest_orders", body["dag_run_id"])
    assert dict(request.conf) == {"a": 1}
    assert request.logical_date == parse_time("2026-01-02T03:04:05Z")
    assert message["Attributes"]["MessageGroupId"] == "interactive"


def test_a_body_in_base64_is_read(sqs: SQSClient) -> None:
    event = sample_event("http_trigger_dag_run") | {"body": "eyJjb25mIjogeyJhIjogMn19", "isBase64Encoded": True}
    assert app.handler(event, CONTEXT)["statusCode"] == 202
    assert '"conf": {"a": 2}' in queued(sqs)[0]["Body"]


def test_no_body_is_a_run_without_conf(sqs: SQSClient) -> None:
    assert post("")["statusCode"] == 202


def test_a_note_is_refused_by_nobody_but_the_cli_says_that_it_is_not_kept(sqs: SQSClient) -> None:
    assert "note" in json.loads(post({"note": "by hand"})["body"])["warnings"][0]


def test_an_unknown_resource_is_a_problem_document(sqs: SQSClient) -> None:
    event = sample_event("http_trigger_dag_run") | {"rawPath": "/nothing"}
    event["requestContext"]["http"]["path"] = "/nothing"
    answer = app.handler(event, CONTEXT)
    assert (answer["statusCode"], json.loads(answer["body"])["instance"]) == (404, "/nothing")


def test_a_refused_call_puts_nothing_on_the_queue(sqs: SQSClient) -> None:
    answer = post({"dag_run_id": "not valid"})
    problem = json.loads(answer["body"])
    assert (answer["statusCode"], problem["type"]) == (422, "urn:jetway:problem:invalid-request")
    assert queued(sqs) == []


def call(body: str, key: str | None = None, caller: str = "arn:aws:iam::1:user/a", request_id: str = "r1") -> Call:
    return Call(request_id, caller, body, key, {}, parse_time("2026-11-22T06:00:00Z"))


def test_a_key_names_one_run_of_one_dag_for_one_caller() -> None:
    ids = {
        read_request(dag_id, call("", key, caller, request_id)).dag_run_id
        for dag_id, key, caller, request_id in [
            ("a", "k", "c", "1"),
            ("a", "k", "c", "2"),
            ("b", "k", "c", "3"),
            ("a", "l", "c", "4"),
            ("a", "k", "d", "5"),
        ]
    }
    assert len(ids) == 4


def test_without_a_key_every_call_is_a_run_of_its_own() -> None:
    assert read_request("a", call("", request_id="1")) != read_request("a", call("", request_id="2"))


def test_a_body_over_the_bound_is_refused() -> None:
    with pytest.raises(ProblemError) as caught:
        read_request("a", call('{"conf": "' + "x" * LONGEST_BODY + '"}'))
    assert caught.value.problem.status == 413


@given(
    st.text()
    | st.recursive(st.none() | st.floats() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)).map(
        json.dumps
    )
)
def test_no_body_raises_anything_but_a_problem(body: str) -> None:
    with suppress(ProblemError, JetwayError):
        read_request("a", call(body))
