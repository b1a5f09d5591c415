"""What holds of Airflow's REST API whatever carries its calls: InvokeRestApi, or the web server itself."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from botocore.stub import Stubber

from jetway.airflow import Dag, DagRun, DagRunRequest, ImportProblem, RunAlreadyExistsError
from jetway.airflow.direct import WebServerApi
from jetway.airflow.environment import Environment
from jetway.airflow.invoke import InvokeRestApi
from jetway.airflow.rest import RestClient
from jetway.airflow.web_server import new_session
from jetway.errors import (
    AnswerLostError,
    CommandRejectedError,
    DagNotFoundError,
    EnvironmentBusyError,
    EnvironmentUnavailableError,
    InvalidConfError,
    InvalidRequestError,
    JetwayError,
    RunCollisionError,
)
from tests.unit.airflow.conftest import environment_answer
from tests.unit.airflow.rest_stage import FOUND, PARAM, RUN, OtherClient, body
from tests.unit.airflow.webserver import WebServer, answer, reset

if TYPE_CHECKING:
    from mypy_boto3_mwaa import MWAAClient

VERSIONS = ("2.4.3", "2.11.2", "3.0.6", "3.3.1")


class Carrier(Protocol):
    """An environment whose Airflow answers from a script."""

    client: RestClient

    def answers(
        self,
        method: str,
        path: str,
        document: object,
        *,
        status: int = 200,
        query: Mapping[str, Any] | None = None,
        body: object = None,
    ) -> None:
        """Expect one call, and answer it."""

    def loses(self) -> None:
        """Let the answer to one call be lost."""


class Invoked:
    """InvokeRestApi, stubbed in botocore."""

    def __init__(self, mwaa: MWAAClient, stub: Stubber, environment: Environment) -> None:
        self.client = RestClient(InvokeRestApi(mwaa, environment), environment, OtherClient)
        self._stub = stub

    def answers(
        self,
        method: str,
        path: str,
        document: object,
        *,
        status: int = 200,
        query: Mapping[str, Any] | None = None,
        body: object = None,
    ) -> None:
        expected: dict[str, Any] = {"Name": "acme", "Method": method, "Path": path}
        expected |= ({} if query is None else {"QueryParameters": query}) | ({} if body is None else {"Body": body})
        fields = {"RestApiStatusCode": status, "RestApiResponse": document}
        if status < 300:
            self._stub.add_response("invoke_rest_api", fields, expected)
            return
        code = "RestApiServerException" if status >= 500 else "RestApiClientException"
        self._stub.add_client_error("invoke_rest_api", code, expected_params=expected, modeled_fields=fields)

    def loses(self) -> None:
        self._stub.add_client_error("invoke_rest_api", "InternalServerException", http_status_code=500)


class Direct:
    """The web server itself, on loopback, after a login."""

    def __init__(self, mwaa: MWAAClient, stub: Stubber, environment: Environment, web: WebServer, session: Any) -> None:
        major = environment.facts().major
        self.client = RestClient(WebServerApi(mwaa, environment, session=session), environment, OtherClient)
        self.web = web
        self.expected: list[tuple[str, str, dict[str, list[str]], object]] = []
        stub.add_response("create_web_login_token", {"WebToken": "t", "WebServerHostname": web.host}, {"Name": "acme"})
        web.will(answer(200, b"", set_cookie=f"{'_token' if major >= 3 else 'session'}=s1; Path=/; HttpOnly"))
        self._prefix = "/api/v2" if major >= 3 else "/api/v1"

    def answers(
        self,
        method: str,
        path: str,
        document: object,
        *,
        status: int = 200,
        query: Mapping[str, Any] | None = None,
        body: object = None,
    ) -> None:
        asked = {name: [str(value)] for name, value in (query or {}).items()}
        self.expected.append((method, self._prefix + path, asked, body))
        self.web.will(answer(status, json.dumps(document).encode()))

    def loses(self) -> None:
        self.expected.append(("POST", f"{self._prefix}/dags/hello/dagRuns", {}, None))
        self.web.will(reset)

    def check(self) -> None:
        _login, *asked = self.web.requests
        assert len(asked) == len(self.expected)
        for found, (method, path, query, sent) in zip(asked, self.expected, strict=True):
            parts = urlsplit(found.path)
            assert (found.method, parts.path, parse_qs(parts.query)) == (method, path, query)
            if sent is not None:
                assert json.loads(found.body) == sent


@pytest.fixture(params=["invoke", "direct"])
def way(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture
def version() -> str:
    return "3.3.1"


@pytest.fixture
def carrier(way: str, version: str, mwaa: MWAAClient, certificate: Path) -> Iterator[Carrier]:
    facts = boto3.client("mwaa", region_name="eu-central-1", aws_access_key_id="x", aws_secret_access_key="x")
    with Stubber(mwaa) as stub, Stubber(facts) as known, WebServer(certificate) as web, new_session() as session:
        session.verify = str(certificate)
        known.add_response("get_environment", environment_answer(version))
        environment = Environment(facts, "acme", max_age=1e9)
        if way == "invoke":
            yield Invoked(mwaa, stub, environment)
        else:
            direct = Direct(mwaa, stub, environment, web, session)
            yield direct
            direct.check()
            assert not web.script
        stub.assert_no_pending_responses()


def created(carrier: Carrier, document: object, version: str = "3.3.1", *, status: int = 200) -> None:
    carrier.answers("POST", "/dags/hello/dagRuns", document, status=status, body=body(version))


@pytest.mark.parametrize("version", VERSIONS)
def test_a_run_is_created(carrier: Carrier, version: str) -> None:
    created(carrier, FOUND, version)
    assert carrier.client.trigger_dag_run(RUN) == DagRun("hello", "evt_1", "queued")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_date_and_a_note_are_sent(carrier: Carrier, version: str) -> None:
    keeps = version != "2.4.3"  # notes came with 2.5
    sent = body(version, logical_date="2024-05-01T00:00:00+00:00", **({"note": "why"} if keeps else {}))
    carrier.answers("POST", "/dags/hello/dagRuns", FOUND, body=sent)
    date = datetime(2024, 5, 1, tzinfo=UTC)
    carrier.client.trigger_dag_run(DagRunRequest("hello", "evt_1", RUN.conf, logical_date=date, note="why"))
    assert carrier.client.keeps_note("hello") == keeps


def test_names_are_encoded_in_the_path(carrier: Carrier) -> None:
    path = "/dags/%C3%BCbung.1-a/dagRuns/a:b+c~d"
    carrier.answers("GET", path, {"dag_id": "übung.1-a", "dag_run_id": "a:b+c~d", "state": "success"})
    assert carrier.client.get_dag_run("übung.1-a", "a:b+c~d") == DagRun("übung.1-a", "a:b+c~d", "success")


def test_a_run_that_is_there_already_has_been_seen(carrier: Carrier) -> None:
    created(carrier, {"detail": "exists"}, status=409)
    carrier.answers("GET", "/dags/hello/dagRuns/evt_1", {**FOUND, "state": "running"})
    with pytest.raises(RunAlreadyExistsError) as error:
        carrier.client.trigger_dag_run(RUN)
    assert error.value.run.state == "running"


def test_a_duplicate_that_is_not_to_be_seen_is_a_collision(carrier: Carrier) -> None:
    created(carrier, {"detail": "exists"}, status=409)
    carrier.answers("GET", "/dags/hello/dagRuns/evt_1", {}, status=404)
    carrier.answers("GET", "/dags/hello", {"dag_id": "hello"})
    with pytest.raises(RunCollisionError):
        carrier.client.trigger_dag_run(RUN)


def test_a_lost_answer_of_a_run_that_was_made(carrier: Carrier) -> None:
    carrier.loses()
    carrier.answers("GET", "/dags/hello/dagRuns/evt_1", FOUND)
    assert carrier.client.trigger_dag_run(RUN).dag_run_id == "evt_1"


def test_a_lost_answer_of_a_run_that_is_not_to_be_seen(carrier: Carrier) -> None:
    carrier.loses()
    carrier.answers("GET", "/dags/hello/dagRuns/evt_1", {}, status=404)
    carrier.answers("GET", "/dags/hello", {"dag_id": "hello"})
    with pytest.raises(AnswerLostError, match="not visible"):
        carrier.client.trigger_dag_run(RUN)


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408])
def test_a_web_server_that_fell_over_may_have_made_the_run(carrier: Carrier, status: int) -> None:
    created(carrier, {}, status=status)
    carrier.answers("GET", "/dags/hello/dagRuns/evt_1", FOUND)
    assert carrier.client.trigger_dag_run(RUN).dag_run_id == "evt_1"


@pytest.mark.parametrize("document", [{}, [], "text", {**FOUND, "dag_run_id": "evt_2"}])
def test_an_answer_that_is_not_the_run_is_a_lost_one(carrier: Carrier, document: object) -> None:
    created(carrier, document)
    carrier.answers("GET", "/dags/hello/dagRuns/evt_1", FOUND)
    assert carrier.client.trigger_dag_run(RUN).dag_run_id == "evt_1"


@pytest.mark.parametrize(
    ("status", "document", "error", "words"),
    [
        (400, {"detail": PARAM}, InvalidConfError, "'n' fails 'type'"),
        (400, {"detail": "{'conf': ['Not a valid mapping type.']}"}, InvalidConfError, "JSON object"),
        (400, {"detail": "something else"}, CommandRejectedError, "something else"),
        (422, {"detail": [{"loc": ["body", "conf"], "msg": "wrong"}]}, InvalidConfError, "conf: wrong"),
        (422, {"detail": [{"loc": ["body", "x"], "msg": "extra"}]}, InvalidRequestError, "x: extra"),
        (429, {}, EnvironmentBusyError, "throttled"),
    ],
)
def test_a_refusal_says_what_is_wrong(
    carrier: Carrier, status: int, document: object, error: type[JetwayError], words: str
) -> None:
    created(carrier, document, status=status)
    with pytest.raises(error, match=words):
        carrier.client.trigger_dag_run(RUN)


def test_a_dag_that_is_not_there(carrier: Carrier) -> None:
    created(carrier, {}, status=404)
    carrier.answers("GET", "/dags/hello", {}, status=404)
    with pytest.raises(DagNotFoundError):
        carrier.client.trigger_dag_run(RUN)


def test_a_stale_dag_says_so(carrier: Carrier) -> None:
    created(carrier, {}, status=404)
    carrier.answers("GET", "/dags/hello", {"dag_id": "hello", "is_stale": True})
    with pytest.raises(DagNotFoundError, match="file"):
        carrier.client.trigger_dag_run(RUN)


@pytest.mark.parametrize("status", [500, 503])
def test_a_question_to_a_web_server_in_trouble(carrier: Carrier, status: int) -> None:
    query = {"limit": 1, "offset": 0, "order_by": "dag_id"}
    carrier.answers("GET", "/dags", {}, status=status, query=query)
    with pytest.raises(EnvironmentUnavailableError):
        carrier.client.ping()


def test_lists(carrier: Carrier) -> None:
    query = {"limit": 2, "offset": 4, "order_by": "dag_id"}
    dags = [{"dag_id": "hello", "is_paused": True, "owners": ["ann"], "fileloc": "/dags/hello.py"}]
    carrier.answers("GET", "/dags", {"dags": dags, "total_entries": 7}, query=query)
    assert carrier.client.list_dags(limit=2, offset=4) == ([Dag("hello", True, ("ann",), "/dags/hello.py")], 7)
    runs = {"dag_runs": [FOUND], "total_entries": 9}
    carrier.answers("GET", "/dags/hello/dagRuns", runs, query={"limit": 5, "order_by": "-id", "state": "queued"})
    assert carrier.client.list_dag_runs("hello", limit=5, state="queued") == ([DagRun("hello", "evt_1", "queued")], 9)
    errors = {"import_errors": [{"filename": "a.py", "stack_trace": "Traceback"}], "total_entries": 1}
    carrier.answers("GET", "/importErrors", errors, query={"limit": 100, "offset": 0})
    assert carrier.client.list_import_errors() == [ImportProblem("a.py", "Traceback")]


def test_ends_of_runs(carrier: Carrier) -> None:
    since = datetime(2026, 11, 22, tzinfo=UTC)
    wanted = {
        "dag_ids": ["a", "b"],
        "states": ["success", "failed"],
        "end_date_gte": since.isoformat(),
        "order_by": "end_date",
        "page_limit": 100,
        "page_offset": 0,
    }
    carrier.answers("POST", "/dags/~/dagRuns/list", {"dag_runs": [FOUND], "total_entries": 1}, body=wanted)
    assert carrier.client.list_ended_runs(["a", "b"], since=since) == ([DagRun("hello", "evt_1", "queued")], True)


@pytest.mark.parametrize(
    ("document", "state"),
    [({"is_stale": True}, "stale"), ({"is_active": False}, "stale"), ({"is_paused": True}, "paused"), ({}, "active")],
)
def test_the_state_of_a_dag(carrier: Carrier, document: dict[str, Any], state: str) -> None:
    carrier.answers("GET", "/dags/hello", {"dag_id": "hello", **document})
    assert carrier.client.get_dag_state("hello") == state


def test_nothing_of_conf_is_told(carrier: Carrier, caplog: pytest.LogCaptureFixture) -> None:
    sent = {**body("3.3.1"), "conf": {"n": "secret"}}
    carrier.answers("POST", "/dags/hello/dagRuns", {"detail": PARAM}, status=400, body=sent)
    with pytest.raises(InvalidConfError) as error:
        carrier.client.trigger_dag_run(DagRunRequest("hello", "evt_1", {"n": "secret"}))
    assert "secret" not in caplog.text + str(error.value)
