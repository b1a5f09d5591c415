"""The REST client against botocore's stubbed InvokeRestApi; answers as Airflow 2.11 and 3.x word them."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.stub import Stubber

from jetway.airflow import Dag, DagRun, DagRunRequest, ImportProblem
from jetway.airflow.connect import connect
from jetway.airflow.environment import Environment
from jetway.airflow.rest import RestClient
from jetway.errors import (
    AnswerLostError,
    CommandRejectedError,
    DagNotFoundError,
    EnvironmentUnavailableError,
    InvalidConfError,
    InvalidRequestError,
    JetwayError,
    RunAlreadyExistsError,
    TransientError,
)
from tests.unit.airflow.conftest import environment_answer
from tests.unit.airflow.webserver import Reaction, WebServer, answer, half_an_answer, reset, silence

if TYPE_CHECKING:
    from pathlib import Path

    from mypy_boto3_mwaa import MWAAClient

RUN = DagRunRequest("hello", "evt_1", {"a": {"b": [1, None]}})
LONG_RUN_ID = "evt_" + "0" * 60
LONG_DAG_ID = "d" * 51
FOUND: dict[str, Any] = {"dag_id": "hello", "dag_run_id": "evt_1", "state": "queued", "logical_date": None, "conf": {}}


@dataclass
class OtherClient:
    """Stands for the client of the command line."""

    triggered: list[DagRunRequest] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)

    def trigger_dag_run(self, request: DagRunRequest) -> DagRun:
        self.triggered.append(request)
        return DagRun(request.dag_id, request.dag_run_id, "queued")

    def get_dag_run(self, dag_id: str, dag_run_id: str) -> DagRun | None:
        self.asked.append((dag_id, dag_run_id))
        return DagRun(dag_id, dag_run_id, "running")

    def list_import_errors(self) -> list[ImportProblem]:
        raise NotImplementedError

    def list_dags(self, *, limit: int, offset: int = 0) -> tuple[list[Dag], int]:
        raise NotImplementedError("every path of it is short enough")

    def list_dag_runs(self, dag_id: str, *, limit: int, state: str | None = None) -> tuple[list[DagRun], int]:
        return [DagRun(dag_id, "of the command line", state or "queued")], limit


@dataclass
class Rest:
    """The stubbed control plane and the client under test."""

    mwaa: MWAAClient
    stub: Stubber
    other: OtherClient
    client: RestClient

    def environment(self, version: str, status: str = "AVAILABLE") -> None:
        self.stub.add_response(
            "get_environment",
            {
                "Environment": {
                    "Name": "acme",
                    "Status": status,
                    "AirflowVersion": version,
                    "SourceBucketArn": "arn:aws:s3:::acme-airflow",
                    "DagS3Path": "dags",
                }
            },
        )

    def answers(self, method: str, path: str, response: object, **expected: Any) -> None:
        self.stub.add_response(
            "invoke_rest_api",
            {"RestApiStatusCode": 200, "RestApiResponse": response},
            {"Name": "acme", "Method": method, "Path": path, **expected},
        )

    def refuses(self, status: int | None, response: object = None, *, code: str = "RestApiClientException") -> None:
        fields = {} if status is None else {"RestApiStatusCode": status, "RestApiResponse": response or {}}
        self.stub.add_client_error("invoke_rest_api", code, modeled_fields=fields)

    def posts(self, version: str) -> None:
        """Expect the environment and the POST of RUN, answered with the run."""
        self.environment(version)
        self.answers("POST", "/dags/hello/dagRuns", FOUND, Body=body(version))


def body(version: str, **more: Any) -> dict[str, Any]:
    date = {"logical_date": None} if version.startswith("3") else {}
    return {"dag_run_id": "evt_1", "conf": {"a": {"b": [1, None]}}, **date, **more}


@pytest.fixture
def rest(mwaa: MWAAClient) -> Iterator[Rest]:
    other = OtherClient()
    with Stubber(mwaa) as stub:
        yield Rest(mwaa, stub, other, RestClient(mwaa, Environment(mwaa, "acme"), fallback=lambda: other))
        stub.assert_no_pending_responses()


@pytest.mark.parametrize("version", ["2.11.2", "3.0.6", "3.3.1"])
def test_run_is_created(rest: Rest, version: str) -> None:
    rest.posts(version)

    assert rest.client.trigger_dag_run(RUN) == DagRun("hello", "evt_1", "queued")


@pytest.mark.parametrize("version", ["2.11.2", "3.3.1"])
def test_date_and_note_are_sent(rest: Rest, version: str) -> None:
    rest.environment(version)
    sent = body(version, note="why", logical_date="2024-05-01T00:00:00+00:00")
    rest.answers("POST", "/dags/hello/dagRuns", FOUND, Body=sent)

    rest.client.trigger_dag_run(
        DagRunRequest("hello", "evt_1", RUN.conf, logical_date=datetime(2024, 5, 1, tzinfo=UTC), note="why")
    )


def test_dag_id_is_encoded_in_the_path(rest: Rest) -> None:
    rest.environment("3.3.1")
    found = {**FOUND, "dag_id": "übung.1-a"}
    rest.answers(
        "POST", "/dags/%C3%BCbung.1-a/dagRuns", found, Body={"dag_run_id": "r", "conf": {}, "logical_date": None}
    )
    rest.answers("GET", "/dags/%C3%BCbung.1-a/dagRuns/a:b+c~d", {**found, "dag_run_id": "a:b+c~d"})

    with pytest.raises(AnswerLostError):
        rest.client.trigger_dag_run(DagRunRequest("übung.1-a", "r"))
    assert rest.client.get_dag_run("übung.1-a", "a:b+c~d") is not None


class TestLongPaths:
    def test_of_50_characters_of_dag_id_still_fit(self, rest: Rest) -> None:
        dag_id = "d" * 50
        rest.environment("3.3.1")
        rest.answers("POST", f"/dags/{dag_id}/dagRuns", {**FOUND, "dag_id": dag_id}, Body=body("3.3.1"))

        rest.client.trigger_dag_run(DagRunRequest(dag_id, "evt_1", RUN.conf))

    def test_go_over_the_command_line(self, rest: Rest, caplog: pytest.LogCaptureFixture) -> None:
        rest.environment("3.3.1")
        wanted = DagRunRequest(LONG_DAG_ID, "evt_1", {"secret": "secret"})

        rest.client.trigger_dag_run(wanted)

        assert rest.other.triggered == [wanted]
        assert "secret" not in caplog.text

    def test_of_a_run_are_searched_by_prefix_from_3_3_on(self, rest: Rest) -> None:
        rest.environment("3.3.1")
        others = [{**FOUND, "dag_run_id": f"{LONG_RUN_ID}{n}"} for n in range(3)]
        wanted = {**FOUND, "dag_run_id": LONG_RUN_ID, "state": "running"}
        rest.answers(
            "GET",
            "/dags/hello/dagRuns",
            {"dag_runs": [others[0], wanted, *others[1:]], "total_entries": 4},
            QueryParameters={"run_id_prefix_pattern": LONG_RUN_ID, "limit": 100, "order_by": "run_id"},
        )

        assert rest.client.get_dag_run("hello", LONG_RUN_ID) == DagRun("hello", LONG_RUN_ID, "running")

    def test_of_a_run_are_searched_by_pattern_on_3_2(self, rest: Rest) -> None:
        rest.environment("3.2.1")
        rest.answers(
            "GET",
            "/dags/hello/dagRuns",
            {"dag_runs": [], "total_entries": 0},
            QueryParameters={"run_id_pattern": LONG_RUN_ID, "limit": 100, "order_by": "run_id"},
        )

        assert rest.client.get_dag_run("hello", LONG_RUN_ID) is None
        assert rest.other.asked == []

    @pytest.mark.parametrize("version", ["2.11.2", "3.0.6"])
    def test_of_a_run_go_over_the_command_line_where_no_filter_is(self, rest: Rest, version: str) -> None:
        rest.environment(version)

        run = rest.client.get_dag_run("hello", LONG_RUN_ID)

        assert run is not None
        assert rest.other.asked == [("hello", LONG_RUN_ID)]

    @pytest.mark.parametrize(
        "response",
        [
            {"dag_runs": [{**FOUND, "dag_run_id": "x"}] * 100, "total_entries": 101},
            {"dag_runs": [{**FOUND, "dag_run_id": "x"}]},
            {},
            [],
            "text",
        ],
    )
    def test_of_a_run_in_an_incomplete_list_go_over_the_command_line(self, rest: Rest, response: object) -> None:
        rest.environment("3.3.1")
        rest.stub.add_response("invoke_rest_api", {"RestApiStatusCode": 200, "RestApiResponse": response})

        rest.client.get_dag_run("hello", LONG_RUN_ID)

        assert rest.other.asked == [("hello", LONG_RUN_ID)]

    def test_of_a_dag(self, rest: Rest) -> None:
        rest.environment("3.3.1")

        rest.client.get_dag_run(LONG_DAG_ID, "evt_1")

        assert rest.other.asked == [(LONG_DAG_ID, "evt_1")]


class TestLookUp:
    def test_of_a_run(self, rest: Rest) -> None:
        rest.answers("GET", "/dags/hello/dagRuns/evt_1", {**FOUND, "start_date": "2026-11-22T05:00:00Z"})

        run = rest.client.get_dag_run("hello", "evt_1")

        assert run == DagRun("hello", "evt_1", "queued", start_date="2026-11-22T05:00:00Z")

    def test_of_no_run_of_a_known_dag(self, rest: Rest) -> None:
        rest.refuses(404, {"detail": "The DagRun with dag_id: `hello` and run_id: `evt_1` was not found"})
        rest.answers("GET", "/dags/hello", {"dag_id": "hello"})

        assert rest.client.get_dag_run("hello", "evt_1") is None

    def test_of_an_unknown_dag(self, rest: Rest) -> None:
        rest.refuses(404)
        rest.refuses(404)

        with pytest.raises(DagNotFoundError, match="no DAG 'hello'"):
            rest.client.get_dag_run("hello", "evt_1")

    def test_answered_with_another_run(self, rest: Rest) -> None:
        rest.answers("GET", "/dags/hello/dagRuns/evt_1", {**FOUND, "dag_run_id": "evt_2"})

        with pytest.raises(AnswerLostError):
            rest.client.get_dag_run("hello", "evt_1")


class TestLists:
    def test_of_dags(self, rest: Rest) -> None:
        items = [{"dag_id": "hello", "is_paused": True, "owners": ["ann"], "fileloc": "/dags/hello.py", "tags": []}]
        query = {"limit": 1, "offset": 2, "order_by": "dag_id"}
        rest.answers("GET", "/dags", {"dags": items, "total_entries": 7}, QueryParameters=query)
        assert rest.client.list_dags(limit=1, offset=2) == ([Dag("hello", True, ("ann",), "/dags/hello.py")], 7)

    def test_of_runs(self, rest: Rest) -> None:
        query = {"limit": 5, "order_by": "-id", "state": "queued"}
        rest.answers("GET", "/dags/hello/dagRuns", {"dag_runs": [FOUND], "total_entries": 9}, QueryParameters=query)
        assert rest.client.list_dag_runs("hello", limit=5, state="queued") == ([DagRun("hello", "evt_1", "queued")], 9)

    def test_of_runs_go_over_the_command_line_where_the_path_is_too_long(self, rest: Rest) -> None:
        assert rest.client.list_dag_runs("d" * 250, limit=5)[0][0].dag_run_id == "of the command line"

    @pytest.mark.parametrize("response", [{}, [], {"dags": "none"}, "text"])
    def test_that_are_none_are_lost_answers(self, rest: Rest, response: object) -> None:
        query = {"limit": 1, "offset": 0, "order_by": "dag_id"}
        rest.answers("GET", "/dags", response, QueryParameters=query)
        with pytest.raises(AnswerLostError):
            rest.client.list_dags(limit=1)


PARAM = (
    "Invalid input for param n: 'secret' is not of type 'integer'\n\nFailed validating 'type' in schema:\n"
    "    {'type': 'integer'}\n\nOn instance:\n    'secret'"
)


class TestRefusal:
    @pytest.mark.parametrize(
        ("status", "response", "error", "text"),
        [
            (400, {"detail": PARAM}, InvalidConfError, r"'n' fails 'type' of \{'type': 'integer'\}"),
            (400, {"detail": "{'conf': ['secret']}"}, InvalidConfError, "JSON object"),
            (400, {"detail": "The run_id provided 'x' does not match"}, InvalidRequestError, "run_id provided"),
            (400, {"detail": "DAG with dag_id: 'hello' has import errors"}, DagNotFoundError, "import errors"),
            (400, {"detail": "Dag with dag_id: 'hello' does not allow manual runs"}, CommandRejectedError, "allow"),
            (404, {"detail": "DAG with dag_id: 'hello' not found"}, DagNotFoundError, "no DAG 'hello'"),
            (
                422,
                {"detail": [{"loc": ["body", "conf"], "msg": "Input should be a valid dictionary", "input": "secret"}]},
                InvalidConfError,
                "body.conf: Input should be a valid dictionary",
            ),
            (
                422,
                {"detail": [{"loc": ["body", "logical_date"], "msg": "Field required", "input": {"conf": "secret"}}]},
                InvalidRequestError,
                "body.logical_date: Field required",
            ),
            (
                422,
                {"detail": {"reason": "Value rejected by database", "orig_error": "secret"}},
                InvalidRequestError,
                "Value rejected by database",
            ),
            (422, "no json", InvalidRequestError, "does not say why"),
            (422, '{"detail": "Nope"}', CommandRejectedError, "Nope"),
            (401, {}, EnvironmentUnavailableError, r"airflow:InvokeRestApi.*role/acme/<role>"),
            (403, {}, EnvironmentUnavailableError, r"airflow:InvokeRestApi.*role/acme/<role>"),
            (429, {}, EnvironmentUnavailableError, "throttled"),
        ],
    )
    def test_of_airflow(self, rest: Rest, status: int, response: Any, error: type[JetwayError], text: str) -> None:
        rest.environment("3.3.1")
        rest.refuses(status, response)

        with pytest.raises(error, match=text) as caught:
            rest.client.trigger_dag_run(RUN)

        assert "secret" not in str(caught.value)

    @pytest.mark.parametrize("status", [500, 502, 503])
    def test_of_a_web_server_in_trouble(self, rest: Rest, status: int) -> None:
        rest.environment("3.3.1")
        rest.refuses(status, code="RestApiServerException")

        with pytest.raises(EnvironmentUnavailableError, match=str(status)):
            rest.client.trigger_dag_run(RUN)

    @pytest.mark.parametrize(
        ("code", "error", "text"),
        [
            ("AccessDeniedException", EnvironmentUnavailableError, "airflow:InvokeRestApi"),
            ("ThrottlingException", EnvironmentUnavailableError, "throttled"),
            ("ResourceNotFoundException", EnvironmentUnavailableError, "no environment 'acme'"),
            ("InternalServerException", EnvironmentUnavailableError, "InternalServerException"),
            ("RestApiClientException", EnvironmentUnavailableError, "RestApiClientException"),
            ("ValidationException", CommandRejectedError, "MWAA refuses POST /dags/hello/dagRuns"),
        ],
    )
    def test_of_mwaa(self, rest: Rest, code: str, error: type[JetwayError], text: str) -> None:
        rest.environment("3.3.1")
        rest.refuses(None, code=code)

        with pytest.raises(error, match=text):
            rest.client.trigger_dag_run(RUN)

    def test_of_an_environment_too_old(self, rest: Rest) -> None:
        rest.environment("2.4.3")
        rest.stub.add_client_error(
            "invoke_rest_api", "ValidationException", "Update your environment to use InvokeRestApi"
        )

        with pytest.raises(EnvironmentUnavailableError, match="cannot do InvokeRestApi yet"):
            rest.client.trigger_dag_run(RUN)

    def test_of_an_environment_that_is_updating(self, rest: Rest) -> None:
        rest.environment("3.3.1", "UPDATING")

        with pytest.raises(EnvironmentUnavailableError, match="UPDATING"):
            rest.client.trigger_dag_run(RUN)

    def test_before_anything_is_sent(self, rest: Rest) -> None:
        with pytest.raises(InvalidRequestError):
            rest.client.trigger_dag_run(DagRunRequest("a/b", "evt_1"))
        with pytest.raises(InvalidRequestError):
            rest.client.get_dag_run("..", "evt_1")


class TestDuplicate:
    def test_that_is_there(self, rest: Rest) -> None:
        rest.environment("3.3.1")
        rest.refuses(409, {"detail": {"reason": "Unique constraint violation", "orig_error": "secret"}})
        rest.answers("GET", "/dags/hello/dagRuns/evt_1", {**FOUND, "state": "success"})

        with pytest.raises(RunAlreadyExistsError) as caught:
            rest.client.trigger_dag_run(RUN)

        assert caught.value.run.state == "success"
        assert "secret" not in str(caught.value)

    def test_that_boto3_made_itself(self, rest: Rest) -> None:
        """The first of two calls created the run, and its answer was lost inside boto3."""
        rest.environment("3.3.1")
        rest.stub.add_client_error(
            "invoke_rest_api",
            "RestApiClientException",
            response_meta={"RetryAttempts": 1},
            modeled_fields={"RestApiStatusCode": 409, "RestApiResponse": {}},
        )
        rest.answers("GET", "/dags/hello/dagRuns/evt_1", FOUND)

        assert rest.client.trigger_dag_run(RUN).dag_run_id == "evt_1"

    def test_of_a_date(self, rest: Rest) -> None:
        rest.environment("3.3.1")
        rest.refuses(409)
        rest.refuses(404)
        rest.answers("GET", "/dags/hello", {})

        with pytest.raises(CommandRejectedError, match="another run with the logical date"):
            rest.client.trigger_dag_run(DagRunRequest("hello", "evt_1", logical_date=datetime(2024, 5, 1, tzinfo=UTC)))

    def test_of_nothing_that_can_be_seen(self, rest: Rest) -> None:
        rest.environment("2.11.2")
        rest.refuses(409)
        rest.refuses(404)
        rest.answers("GET", "/dags/hello", {})

        with pytest.raises(TransientError, match="was not created"):
            rest.client.trigger_dag_run(RUN)


def api(response: object, status: int = 200) -> Reaction:
    """Answer as InvokeRestApi does."""
    body = json.dumps({"RestApiStatusCode": status, "RestApiResponse": response}).encode()
    if status < 300:
        return answer(200, body)
    return answer(400, body, x_amzn_errortype="RestApiClientException")


class TestOnTheWire:
    """boto3 unstubbed, against a control plane on loopback."""

    @pytest.fixture
    def control_plane(self, certificate: Path) -> Iterator[WebServer]:
        with WebServer(certificate) as server:
            server.will(answer(200, json.dumps(environment_answer("3.3.1")).encode()))
            yield server
            assert not server.script

    @pytest.fixture
    def live(self, control_plane: WebServer, certificate: Path) -> RestClient:
        mwaa = boto3.client(
            "mwaa",
            region_name="eu-central-1",
            endpoint_url=f"https://{control_plane.host}",
            verify=str(certificate),
            aws_access_key_id="AKIATEST",
            aws_secret_access_key="test",
            config=Config(inject_host_prefix=False, read_timeout=0.3, retries={"total_max_attempts": 1}),
        )
        return RestClient(mwaa, Environment(mwaa, "acme"), fallback=OtherClient)

    def test_run_is_created(self, control_plane: WebServer, live: RestClient) -> None:
        control_plane.will(api(FOUND))

        assert live.trigger_dag_run(RUN) == DagRun("hello", "evt_1", "queued")

        assert json.loads(control_plane.requests[-1].body) == {
            "Path": "/dags/hello/dagRuns",
            "Method": "POST",
            "Body": body("3.3.1"),
        }

    def test_refusal_is_read(self, control_plane: WebServer, live: RestClient) -> None:
        control_plane.will(api({"detail": PARAM}, 400))

        with pytest.raises(InvalidConfError, match="'n' fails 'type'"):
            live.trigger_dag_run(RUN)

    @pytest.mark.parametrize("loss", [reset, half_an_answer, silence], ids=lambda loss: loss.__name__)
    def test_lost_answer_of_a_run_that_was_created(
        self, control_plane: WebServer, live: RestClient, loss: Reaction
    ) -> None:
        control_plane.will(loss, api(FOUND))

        assert live.trigger_dag_run(RUN).dag_run_id == "evt_1"

    @pytest.mark.parametrize("loss", [reset, half_an_answer, silence], ids=lambda loss: loss.__name__)
    def test_lost_answer_of_a_run_that_is_not_to_be_seen(
        self, control_plane: WebServer, live: RestClient, loss: Reaction
    ) -> None:
        control_plane.will(loss, api({}, 404), api({"dag_id": "hello"}))

        with pytest.raises(AnswerLostError, match="not to be seen"):
            live.trigger_dag_run(RUN)

    def test_lost_answer_whose_look_up_fails(self, control_plane: WebServer, live: RestClient) -> None:
        control_plane.will(reset, answer(500))

        with pytest.raises(AnswerLostError, match="not to be seen"):
            live.trigger_dag_run(RUN)

    @pytest.mark.parametrize("garbage", [b"no json", b"{}", b""])
    def test_garbage(self, control_plane: WebServer, live: RestClient, garbage: bytes) -> None:
        control_plane.will(answer(200, garbage), api(FOUND))

        assert live.trigger_dag_run(RUN).dag_run_id == "evt_1"

    def test_control_plane_that_is_not_there(self, certificate: Path) -> None:
        with WebServer(certificate) as gone:
            url = f"https://{gone.host}"
        mwaa = boto3.client(
            "mwaa",
            region_name="eu-central-1",
            endpoint_url=url,
            aws_access_key_id="AKIATEST",
            aws_secret_access_key="test",
            config=Config(retries={"total_max_attempts": 1}),
        )

        with pytest.raises(EnvironmentUnavailableError, match="EndpointConnectionError"):
            RestClient(mwaa, Environment(mwaa, "acme"), fallback=OtherClient).get_dag_run("hello", "evt_1")


class TestLostAnswer:
    def test_of_a_gateway_that_gave_up(self, rest: Rest) -> None:
        rest.environment("3.3.1")
        rest.refuses(504, code="RestApiServerException")
        rest.answers("GET", "/dags/hello/dagRuns/evt_1", FOUND)

        assert rest.client.trigger_dag_run(RUN).dag_run_id == "evt_1"

    @pytest.mark.parametrize("response", [{}, [], "text", {**FOUND, "dag_run_id": "evt_2"}])
    def test_in_garbage(self, rest: Rest, response: object) -> None:
        rest.environment("3.3.1")
        rest.answers("POST", "/dags/hello/dagRuns", response, Body=body("3.3.1"))
        rest.answers("GET", "/dags/hello/dagRuns/evt_1", FOUND)

        assert rest.client.trigger_dag_run(RUN).dag_run_id == "evt_1"


class TestConnect:
    def test_gives_the_transport_that_was_asked_for(self, mwaa: MWAAClient) -> None:
        assert type(connect("acme", client=mwaa)).__name__ == "CliClient"
        assert type(connect("acme", "rest", client=mwaa)).__name__ == "RestClient"

    def test_knows_two_transports(self, mwaa: MWAAClient) -> None:
        with pytest.raises(ValueError, match="'ftp'"):
            connect("acme", "ftp", client=mwaa)  # type: ignore[arg-type]

    def test_bounds_the_times_of_boto3(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")

        client: Any = connect("acme", "rest")

        config: Config = client._client.meta.config
        times: Mapping[str, Any] = vars(config)
        assert (times["connect_timeout"], times["read_timeout"]) == (5, 15)
        assert times["retries"]["total_max_attempts"] == 2

    def test_falls_back_to_a_real_command_line(self, rest: Rest) -> None:
        rest.environment("3.3.1")
        rest.stub.add_response("create_cli_token", {"CliToken": "t", "WebServerHostname": "acme.invalid"})

        with pytest.raises(EnvironmentUnavailableError, match=r"acme\.invalid cannot be reached"):
            connect("acme", "rest", client=rest.mwaa).trigger_dag_run(DagRunRequest(LONG_DAG_ID, "evt_1"))


def test_nothing_of_conf_is_logged(rest: Rest, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    rest.environment("3.3.1")
    rest.refuses(400, {"detail": PARAM})

    with pytest.raises(InvalidConfError):
        rest.client.trigger_dag_run(DagRunRequest("hello", "evt_1", {"n": "secret"}))

    assert "secret" not in caplog.text
