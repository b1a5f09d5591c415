"""`Transport: direct`: the login at the web server, and how long its session is used."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pytest
from botocore.stub import Stubber

from jetway.airflow import DagRunRequest, RunAlreadyExistsError
from jetway.airflow.direct import SESSION_MAX_AGE, WebServerApi
from jetway.airflow.environment import Environment
from jetway.airflow.rest import RestClient
from jetway.airflow.watch import RestWatch, watch_of
from jetway.airflow.web_server import new_session
from jetway.errors import AnswerLostError, EnvironmentUnavailableError, TokenRefusedError
from jetway.wiring.airflow import connect
from tests.unit.airflow.conftest import Clock, environment_answer
from tests.unit.airflow.rest_stage import FOUND, RUN, OtherClient
from tests.unit.airflow.webserver import Reaction, WebServer, answer, reset

if TYPE_CHECKING:
    from pathlib import Path

    from mypy_boto3_mwaa import MWAAClient

MADE = answer(200, json.dumps(FOUND).encode())


@dataclass
class Stage:
    """One environment, and the client under test."""

    mwaa: MWAAClient
    stub: Stubber
    web: WebServer
    clock: Clock
    client: RestClient

    def environment(self, version: str = "3.3.1", status: str = "AVAILABLE") -> None:
        self.stub.add_response("get_environment", environment_answer(version, status))

    def token(self, text: str = "one", host: str | None = None) -> None:
        given = {"WebToken": text, "WebServerHostname": host or self.web.host}
        self.stub.add_response("create_web_login_token", given, {"Name": "acme"})

    def logs_in(self, session: str = "s1", *, cookie: str = "_token", token: str = "one") -> None:
        self.token(token)
        self.web.will(answer(200, b"", set_cookie=f"{cookie}={session}; Path=/; Secure; HttpOnly"))

    @property
    def asked(self) -> list[str]:
        return [f"{request.method} {request.path}" for request in self.web.requests]


@pytest.fixture
def stage(certificate: Path, mwaa: MWAAClient) -> Iterator[Stage]:
    with WebServer(certificate) as web, Stubber(mwaa) as stub, new_session() as session:
        session.verify = str(certificate)
        clock = Clock()
        environment = Environment(mwaa, "acme", clock=clock, max_age=1e9)
        api = WebServerApi(mwaa, environment, session=session, clock=clock, read_timeout=2.0)
        yield Stage(mwaa, stub, web, clock, RestClient(api, environment, OtherClient))
        stub.assert_no_pending_responses()
        assert not web.script


@pytest.mark.parametrize(
    ("version", "login", "cookie", "api", "header", "value"),
    [
        ("2.11.2", "/aws_mwaa/login", "session", "/api/v1", "cookie", "session=s1"),
        ("3.3.1", "/pluginsv2/aws_mwaa/login", "_token", "/api/v2", "authorization", "Bearer s1"),
    ],
)
def test_logs_in_as_its_airflow_wants_it(
    stage: Stage, version: str, login: str, cookie: str, api: str, header: str, value: str
) -> None:
    stage.environment(version)
    stage.logs_in(cookie=cookie)
    stage.web.will(MADE)
    assert stage.client.trigger_dag_run(RUN).dag_run_id == "evt_1"
    logged_in, asked = stage.web.requests
    assert (logged_in.method, logged_in.path, parse_qs(logged_in.body.decode())) == ("POST", login, {"token": ["one"]})
    assert not {"authorization", "cookie"} & logged_in.headers.keys()
    assert (asked.path, asked.headers[header]) == (f"{api}/dags/hello/dagRuns", value)
    assert {"authorization", "cookie"} & asked.headers.keys() == {header}
    assert logged_in.connection == asked.connection


def test_a_session_is_used_for_hours(stage: Stage) -> None:
    stage.environment()
    stage.logs_in()
    stage.web.will(MADE, MADE)
    stage.client.trigger_dag_run(RUN)
    stage.clock.now += SESSION_MAX_AGE - 1
    stage.client.trigger_dag_run(RUN)
    stage.clock.now += 2
    stage.logs_in("s2")
    stage.web.will(MADE)
    stage.client.trigger_dag_run(RUN)
    assert [request.token for request in stage.web.requests] == [None, "s1", "s1", None, "s2"]


@pytest.mark.parametrize(
    "over", [answer(401), answer(403), answer(302, location="/login"), answer(307, location="https://elsewhere/login")]
)
def test_a_session_that_is_over_is_made_anew(stage: Stage, over: Reaction) -> None:
    stage.environment()
    stage.logs_in()
    stage.web.will(MADE, over)
    stage.client.trigger_dag_run(RUN)
    stage.logs_in("s2")
    stage.web.will(MADE)
    assert stage.client.trigger_dag_run(RUN).dag_run_id == "evt_1"
    assert stage.asked[2:] == [
        "POST /api/v2/dags/hello/dagRuns",
        "POST /pluginsv2/aws_mwaa/login",
        "POST /api/v2/dags/hello/dagRuns",
    ]


@pytest.mark.parametrize(
    ("refusal", "error", "words"),
    [
        (answer(401), TokenRefusedError, "with a new session"),
        (answer(302, location="/login"), TokenRefusedError, "with a new session"),
        (answer(403), EnvironmentUnavailableError, "AirflowRole"),
    ],
)
def test_a_session_just_made_is_not_made_again(
    stage: Stage, refusal: Reaction, error: type[Exception], words: str
) -> None:
    stage.environment()
    stage.logs_in()
    stage.web.will(refusal)
    with pytest.raises(error, match=words):
        stage.client.trigger_dag_run(RUN)
    assert len(stage.asked) == 2
    stage.logs_in("s2")
    stage.web.will(MADE)
    stage.client.trigger_dag_run(RUN)


def test_a_run_that_was_made_is_not_made_again_by_a_new_session(stage: Stage) -> None:
    """The answer is lost, and the session is over when the run is looked up."""
    stage.environment()
    stage.logs_in()
    stage.web.will(reset, answer(401))
    stage.logs_in("s2")
    stage.web.will(MADE)
    assert stage.client.trigger_dag_run(RUN).dag_run_id == "evt_1"
    assert [line.partition(" ")[0] for line in stage.asked] == ["POST", "POST", "GET", "POST", "GET"]


def test_another_ones_run_is_not_taken_for_ours(stage: Stage) -> None:
    stage.environment()
    stage.logs_in()
    stage.web.will(answer(409, b"{}"), MADE)
    with pytest.raises(RunAlreadyExistsError):
        stage.client.trigger_dag_run(RUN)


@pytest.mark.parametrize(
    ("login", "error", "words"),
    [
        (answer(401), TokenRefusedError, "rejects a new login token"),
        (answer(403), TokenRefusedError, "rejects a new login token"),
        (answer(503, b"<html>"), EnvironmentUnavailableError, "answers 503"),
        (answer(200, b"<html>"), EnvironmentUnavailableError, "without a session"),
        (answer(200, b"", set_cookie="session=of-airflow-2"), EnvironmentUnavailableError, "without a session"),
        (answer(200, b"", set_cookie="_token=; Path=/"), EnvironmentUnavailableError, "without a session"),
        (reset, EnvironmentUnavailableError, "did not respond"),
    ],
)
def test_without_a_session_nothing_is_asked(stage: Stage, login: Reaction, error: type[Exception], words: str) -> None:
    stage.environment()
    stage.token()
    stage.web.will(login)
    with pytest.raises(error, match=words):
        stage.client.trigger_dag_run(RUN)
    assert len(stage.asked) == 1


def test_a_login_that_sends_on_to_the_pages_gives_a_session_too(stage: Stage) -> None:
    stage.environment()
    stage.token()
    stage.web.will(answer(302, location="/home", set_cookie="_token=s1; Path=/"), MADE)
    stage.client.trigger_dag_run(RUN)
    assert stage.web.requests[1].token == "s1"


def test_no_token_is_an_error_of_the_call_that_makes_it(stage: Stage) -> None:
    stage.environment()
    stage.stub.add_client_error("create_web_login_token", "AccessDeniedException")
    with pytest.raises(Exception, match="airflow:CreateWebLoginToken"):
        stage.client.trigger_dag_run(RUN)
    stage.stub.add_client_error("create_web_login_token", "ThrottlingException")
    with pytest.raises(EnvironmentUnavailableError, match="Throttling"):
        stage.client.trigger_dag_run(RUN)


@pytest.mark.parametrize("host", ["-", "evil.example/x", "a b", "user@evil.example"])
def test_a_host_that_is_none_gets_no_token(stage: Stage, host: str) -> None:
    stage.environment()
    stage.stub.add_response("create_web_login_token", {"WebToken": "one", "WebServerHostname": host})
    with pytest.raises(EnvironmentUnavailableError, match="which is not valid"):
        stage.client.trigger_dag_run(RUN)


def test_a_web_server_out_of_reach(stage: Stage) -> None:
    stage.environment()
    stage.token(host="localhost:1")
    with pytest.raises(EnvironmentUnavailableError, match="SubnetIds"):
        stage.client.trigger_dag_run(RUN)


def test_an_endless_answer_is_a_lost_one(stage: Stage) -> None:
    stage.environment()
    stage.logs_in()
    stage.web.will(answer(200, b"x" * (9 * 1024 * 1024)), answer(404, b"{}"), answer(200, b'{"dag_id": "hello"}'))
    with pytest.raises(AnswerLostError, match="bytes"):
        stage.client.trigger_dag_run(RUN)


def test_no_path_is_too_long_and_no_command_is_sent(stage: Stage) -> None:
    stage.environment()
    stage.logs_in()
    dag_id = "d" * 250
    stage.web.will(answer(200, json.dumps({**FOUND, "dag_id": dag_id}).encode()))
    assert stage.client.trigger_dag_run(DagRunRequest(dag_id, "evt_1")).dag_id == dag_id
    assert stage.client.fits(dag_id)
    assert stage.client.keeps_note(dag_id)


def test_neither_token_nor_session_is_told(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    stage.environment()
    stage.logs_in("the-session", token="the-token")
    stage.web.will(MADE, answer(500))
    stage.client.trigger_dag_run(RUN)
    with pytest.raises(EnvironmentUnavailableError) as error:
        stage.client.ping()
    told = caplog.text.replace("'WebToken': 'the-token'", "") + str(error.value) + repr(vars(stage.client._api))
    assert "the-session" not in told
    assert "the-token" not in told


def test_wired(mwaa: MWAAClient) -> None:
    client: Any = connect("acme", "direct", mwaa=mwaa)
    assert isinstance(client, RestClient)
    assert isinstance(watch_of(client), RestWatch)
