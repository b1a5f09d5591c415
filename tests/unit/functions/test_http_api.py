"""http_api at its edge: API Gateway's requests in, answers and queued runs out; every error is a problem document."""

from __future__ import annotations

import importlib
import json
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from functions.http_api import app
from tests.unit.hanging import hang
from tests.unit.sample_events import sample_event

from .airflow_rest import Airflow
from .edge import Context, Edge, Function


@pytest.fixture
def api(edge: Edge) -> Function:
    return edge.deploy(app, "HttpApiFunction", Transport="rest")


class Answer:
    """An answer, read."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self.status, self.body = answer["statusCode"], json.loads(answer["body"])
        self.headers = {name.lower(): value for name, value in answer.get("headers", {}).items()}


def ask(api: Function, method: str, path: str, *, context: Context | None = None, **body: Any) -> Answer:
    event = sample_event("http_trigger_dag_run")
    event["requestContext"]["http"] |= {"method": method, "path": path}
    event |= {"rawPath": path, "routeKey": f"{method} {path}", "queryStringParameters": {}}
    event |= {"headers": {"content-type": "application/json"}, "body": json.dumps(body) if body else ""}
    return Answer(api(event, context or Context(29)))


def start(api: Function, context: Context | None = None, **body: Any) -> Answer:
    return ask(api, "POST", "/dags/ingest/dagRuns", context=context, **body)


def assert_problem(answer: Answer, status: HTTPStatus, reason: str, path: str = "/dags/ingest/dagRuns") -> None:
    assert (answer.status, answer.body["status"]) == (status, status)
    assert answer.body["type"] == f"urn:jetway:problem:{reason}"
    assert answer.body["instance"] == path
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.headers.get("retry-after") is not None) == (status == HTTPStatus.SERVICE_UNAVAILABLE)


def test_a_call_is_one_message_cold_and_warm(edge: Edge, api: Function) -> None:
    answer = start(api, conf={"a": 1})
    assert (answer.status, answer.body["state"]) == (202, "accepted")
    (message,) = edge.messages("DispatchQueue")
    assert json.loads(message["Body"])["event"]["conf"] == {"a": 1}
    assert message["Attributes"]["MessageGroupId"].startswith("interactive/http/"), "the lane of its caller"
    assert set(api.clients_made()) >= {"sqs", "s3"}
    assert start(api).status == 202
    assert api.clients_made() == [], "what the first call has made is kept"
    assert len(edge.messages("DispatchQueue")) == 1


def test_a_transient_error_of_airflow_is_a_problem_that_says_when_to_come_back(
    edge: Edge, airflow: Airflow, api: Function
) -> None:
    airflow.status = 503
    path = "/dags"
    answer = ask(api, "GET", path)
    assert_problem(answer, HTTPStatus.SERVICE_UNAVAILABLE, answer.body["type"].rpartition(":")[2], path)
    assert answer.body["type"].startswith("urn:jetway:problem:environment-")
    airflow.status, airflow.files, airflow.parsed = 200, {"ingest": "ingest.py"}, "2026-11-29T06:00:00.123456Z"
    answer = ask(api, "GET", path)
    assert (answer.status, [dag["dag_id"] for dag in answer.body["dags"]]) == (200, ["ingest"])
    assert answer.body["dags"][0]["last_parsed_time"] == "2026-11-29T06:00:00.123456+00:00"


def test_a_permanent_error_is_a_problem_of_the_caller(edge: Edge, airflow: Airflow, api: Function) -> None:
    assert_problem(start(api, dag_run_id="not valid"), HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-request")
    airflow.unknown = {"typo"}
    path = "/dags/typo/dagRuns/r1"
    assert_problem(ask(api, "GET", path), HTTPStatus.NOT_FOUND, "dag-not-found", path)
    assert edge.messages("DispatchQueue") == []


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_what_is_not_there_is_a_problem(edge: Edge, api: Function, method: str) -> None:
    assert_problem(ask(api, method, "/nothing"), HTTPStatus.NOT_FOUND, "no-such-resource", "/nothing")


@pytest.mark.parametrize("code", ["AccessDenied", "ServiceUnavailable", "not reached"])
def test_a_service_of_aws_that_refuses_is_a_problem_and_an_error_in_the_log(
    edge: Edge, api: Function, caplog: pytest.LogCaptureFixture, code: str
) -> None:
    if code == "not reached":
        edge.aws.unreachable("sqs.SendMessage")
    else:
        edge.aws.fails("sqs.SendMessage", code)
    answer = start(api)
    assert_problem(answer, HTTPStatus.SERVICE_UNAVAILABLE, "aws-unavailable")
    assert "Idempotency-Key" in answer.body["detail"]
    assert "SendMessage" not in json.dumps(answer.body), "what AWS says is not for callers"
    (line,) = (line for line in caplog.records if line.levelname == "ERROR")
    assert line.exc_info is not None
    edge.aws.works()
    assert start(api).status == 202


def test_when_time_runs_out_there_is_an_answer_in_time(edge: Edge, airflow: Airflow, api: Function) -> None:
    """Better than API Gateway's own 503, without a word."""

    edge.aws.mwaa.answer = lambda _asked: hang(edge.aws.mwaa)
    answer = ask(api, "GET", "/dags")
    assert_problem(answer, HTTPStatus.SERVICE_UNAVAILABLE, "timeout", "/dags")
    edge.aws.mwaa.answer, airflow.files = airflow, {"ingest": "ingest.py"}
    assert ask(api, "GET", "/dags").status == 200, "the clients that were left in the middle are made anew"


def test_on_lambda_what_every_call_needs_is_made_before_the_first(
    edge: Edge, api: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001")
    edge.aws.noting = True
    importlib.reload(app)
    assert {"sqs", "s3", "dynamodb"} <= set(api.clients_made())
    assert start(api).status == 202
    assert api.clients_made() == []
    monkeypatch.delenv("AWS_LAMBDA_RUNTIME_API")
    api.cold()
    edge.aws.noting = True
    importlib.reload(app)
    assert api.clients_made() == [], "elsewhere importing does nothing"


def test_pages_come_from_the_functions_own_folder(edge: Edge, api: Function) -> None:
    event = sample_event("http_trigger_dag_run")
    event["requestContext"]["http"] |= {"method": "GET", "path": "/"}
    event |= {"rawPath": "/", "routeKey": "GET /", "headers": {}, "body": ""}
    answer = api(event)
    assert answer["statusCode"] == 200
    assert answer["body"] == (Path(app.__file__).parent / "pages/status.html").read_text()
