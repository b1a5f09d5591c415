"""The REST client unstubbed, on the wire; lost answers; and how a transport is chosen."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config

from jetway.airflow import DagRun, DagRunRequest
from jetway.airflow.rest import RestClient
from jetway.errors import (
    AnswerLostError,
    EnvironmentUnavailableError,
    InvalidConfError,
)
from jetway.wiring.airflow import connect
from tests.unit.airflow.conftest import environment_answer
from tests.unit.airflow.rest_stage import FOUND, LONG_DAG_ID, PARAM, RUN, OtherClient, Rest, body, rest_client
from tests.unit.airflow.webserver import Reaction, WebServer, answer, half_an_answer, reset, silence

if TYPE_CHECKING:
    from pathlib import Path

    from mypy_boto3_mwaa import MWAAClient


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
        return rest_client(mwaa, OtherClient)

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

        with pytest.raises(AnswerLostError, match="not visible"):
            live.trigger_dag_run(RUN)

    def test_lost_answer_whose_look_up_fails(self, control_plane: WebServer, live: RestClient) -> None:
        control_plane.will(reset, answer(500))

        with pytest.raises(AnswerLostError, match="not visible"):
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
            rest_client(mwaa, OtherClient).get_dag_run("hello", "evt_1")


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
        assert type(connect("acme", "cli", mwaa=mwaa)).__name__ == "CliClient"
        assert type(connect("acme", "rest", mwaa=mwaa)).__name__ == "RestClient"
        assert type(connect("acme", mwaa=mwaa)).__name__ == "AutoClient"

    def test_knows_no_other_transport(self, mwaa: MWAAClient) -> None:
        with pytest.raises(ValueError, match="'ftp'"):
            connect("acme", "ftp", mwaa=mwaa)  # type: ignore[arg-type]

    def test_bounds_the_times_of_boto3(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")

        client: Any = connect("acme", "rest")

        config: Config = client._api._client.meta.config
        times: Mapping[str, Any] = vars(config)
        assert (times["connect_timeout"], times["read_timeout"]) == (3, 15)
        assert times["retries"]["total_max_attempts"] == 2

    def test_falls_back_to_a_real_command_line(self, rest: Rest) -> None:
        rest.environment("3.3.1")
        rest.stub.add_response("create_cli_token", {"CliToken": "t", "WebServerHostname": "acme.invalid"})

        with pytest.raises(EnvironmentUnavailableError, match=r"acme\.invalid cannot be reached"):
            connect("acme", "rest", mwaa=rest.mwaa).trigger_dag_run(DagRunRequest(LONG_DAG_ID, "evt_1"))


def test_nothing_of_conf_is_logged(rest: Rest, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    rest.environment("3.3.1")
    rest.refuses(400, {"detail": PARAM})

    with pytest.raises(InvalidConfError):
        rest.client.trigger_dag_run(DagRunRequest("hello", "evt_1", {"n": "secret"}))

    assert "secret" not in caplog.text
