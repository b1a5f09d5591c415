"""What can go wrong between Jetway and the web server, on a real connection."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from jetway.airflow import DagRunRequest
from jetway.errors import (
    AnswerLostError,
    CommandRejectedError,
    DagNotFoundError,
    EnvironmentBusyError,
    EnvironmentUnavailableError,
    InvalidRequestError,
    JetwayError,
    PermissionMissingError,
    TokenRefusedError,
)
from tests.unit.airflow.webserver import (
    Reaction,
    WebServer,
    answer,
    created,
    envelope,
    output,
    reset,
    traceback,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.airflow.conftest import Stage

RUN = DagRunRequest("hello", "evt_1", {"key": "a b"})
SEEN = output("queued\n")
NOT_SEEN = output("None\n")


@contextmanager
def second_web_server(certificate: Path) -> Iterator[WebServer]:
    with WebServer(certificate) as other:
        yield other


class TestRequest:
    def test_is_what_mwaa_documents(self, stage: Stage) -> None:
        stage.ready()
        stage.web.will(created("evt_1"))

        stage.client().trigger_dag_run(RUN)

        (request,) = stage.web.requests
        assert request.path == "/aws_mwaa/cli/"
        assert request.token == "t1"
        assert request.headers["content-type"] == "text/plain"
        assert request.argv == [
            *("dags", "trigger", "--output", "json", "--run-id=evt_1", "--conf", '{"key":"a b"}'),
            *("--no-replace-microseconds", "hello"),
        ]

    def test_has_no_slash_at_the_end_on_airflow_2(self, stage: Stage) -> None:
        stage.ready("2.10.3")
        stage.web.will(created("evt_1"))

        stage.client().trigger_dag_run(RUN)

        assert stage.web.paths == ["/aws_mwaa/cli"]

    def test_token_wins_over_netrc(self, stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        netrc = tmp_path / "netrc"
        netrc.write_text("machine localhost login me password secret\n")
        monkeypatch.setenv("NETRC", str(netrc))
        stage.ready()
        stage.web.will(created("evt_1"))

        stage.client().trigger_dag_run(RUN)

        assert stage.web.requests[0].token == "t1"

    def test_cookies_are_not_kept(self, stage: Stage) -> None:
        stage.ready()
        stage.web.will(answer(200, envelope("None\n"), Set_Cookie="session=abc; Path=/"), NOT_SEEN)
        client = stage.client()

        client.get_dag_run("hello", "evt_1")
        client.get_dag_run("hello", "evt_1")

        assert "cookie" not in stage.web.requests[1].headers


class TestConnection:
    def test_is_kept(self, stage: Stage) -> None:
        stage.ready()
        stage.web.will(NOT_SEEN, NOT_SEEN)
        client = stage.client()

        client.get_dag_run("hello", "evt_1")
        stage.clock.now += 30
        client.get_dag_run("hello", "evt_1")

        assert len({request.connection for request in stage.web.requests}) == 1

    def test_is_made_anew_after_a_pause(self, stage: Stage) -> None:
        """The load balancer would have dropped it; a command must not be the one to find out."""
        stage.ready()
        stage.token("t2")
        stage.web.will(NOT_SEEN, NOT_SEEN)
        client = stage.client()

        client.get_dag_run("hello", "evt_1")
        stage.clock.now += 50
        client.get_dag_run("hello", "evt_1")

        assert len({request.connection for request in stage.web.requests}) == 2


MINT, ACME = "airflow:CreateCliToken", "arn:aws:airflow:eu-west-1:1:environment/acme"


class TestToken:
    def test_is_used_for_45_seconds(self, stage: Stage) -> None:
        stage.ready()
        stage.token("t2")
        stage.web.will(NOT_SEEN, NOT_SEEN, NOT_SEEN)
        client = stage.client()

        client.get_dag_run("hello", "evt_1")
        stage.clock.now += 44
        client.get_dag_run("hello", "evt_1")
        stage.clock.now += 1
        client.get_dag_run("hello", "evt_1")

        assert [request.token for request in stage.web.requests] == ["t1", "t1", "t2"]

    def test_counts_as_old_when_the_clock_is_set_back(self, stage: Stage) -> None:
        stage.ready()
        stage.ready(token="t2")
        stage.web.will(NOT_SEEN, NOT_SEEN)
        client = stage.client()

        client.get_dag_run("hello", "evt_1")
        stage.clock.now -= 3600
        client.get_dag_run("hello", "evt_1")

        assert [request.token for request in stage.web.requests] == ["t1", "t2"]

    @pytest.mark.parametrize("status", [401, 403])
    def test_is_minted_anew_once_when_refused(self, stage: Stage, status: int) -> None:
        stage.ready()
        stage.token("t2")
        stage.web.will(answer(status, b"Forbidden"), created("evt_1"))

        assert stage.client().trigger_dag_run(RUN).dag_run_id == "evt_1"

        assert [request.token for request in stage.web.requests] == ["t1", "t2"]
        assert stage.web.commands[0] == stage.web.commands[1]

    @pytest.mark.parametrize("status", [401, 403])
    def test_refused_twice_is_an_error(self, stage: Stage, status: int) -> None:
        stage.ready()
        stage.token("t2")
        stage.web.will(answer(status), answer(status))

        with pytest.raises(TokenRefusedError, match=str(status)):
            stage.client().trigger_dag_run(RUN)

    def test_refused_twice_is_forgotten(self, stage: Stage) -> None:
        stage.ready()
        stage.token("t2")
        stage.token("t3")
        stage.web.will(answer(401), answer(401), NOT_SEEN)
        client = stage.client()

        with pytest.raises(TokenRefusedError):
            client.get_dag_run("hello", "evt_1")
        client.get_dag_run("hello", "evt_1")

        assert stage.web.requests[-1].token == "t3"

    @pytest.mark.parametrize(
        ("code", "text"),
        [
            ("ResourceNotFoundException", "no environment 'acme'"),
            ("ThrottlingException", "ThrottlingException"),
        ],
    )
    def test_cannot_be_minted(self, stage: Stage, code: str, text: str) -> None:
        stage.environment()
        stage.stub.add_client_error("create_cli_token", code)

        with pytest.raises(EnvironmentUnavailableError, match=text):
            stage.client().trigger_dag_run(RUN)

    @pytest.mark.parametrize(
        ("code", "words", "action", "resource"),
        [
            ("AccessDeniedException", "", "airflow:CreateCliToken", None),
            ("AccessDeniedException", "Access denied", "airflow:CreateCliToken", None),
            (
                "AccessDeniedException",
                f"User: arn:aws:sts::1:assumed-role/r/f is not authorized to perform: {MINT} on resource: {ACME} …",
                MINT,
                ACME,
            ),
            ("ValidationException", "Access denied when fetching EC2 subnet details", "airflow:CreateCliToken", None),
            ("ValidationException", "You lack permission ec2:DescribeSubnets", "ec2:DescribeSubnets", None),
        ],
    )
    def test_is_not_given_for_want_of_a_right(
        self, stage: Stage, code: str, words: str, action: str, resource: str | None
    ) -> None:
        stage.environment()
        stage.stub.add_client_error("create_cli_token", code, words)

        with pytest.raises(PermissionMissingError, match="CreateCliToken on environment 'acme' is denied") as caught:
            stage.client().trigger_dag_run(RUN)
        assert (caught.value.action, caught.value.resource) == (action, resource)
        assert stage.web.requests == []

    @pytest.mark.parametrize("host", ["evil.example/x?", "user@evil.example", "-", "a b", "[::1]"])
    def test_for_a_host_that_is_none_is_not_used(self, stage: Stage, host: str) -> None:
        stage.environment()
        stage.stub.add_response("create_cli_token", {"CliToken": "t1", "WebServerHostname": host})

        with pytest.raises(EnvironmentUnavailableError, match="which is not valid"):
            stage.client().trigger_dag_run(RUN)

    def test_and_conf_are_in_no_log_and_no_text(self, stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        stage.environment()
        stage.token("token-secret")
        stage.token("token-secret")
        echo = b"cannot run: dags trigger --conf {'password':'conf-secret'}"
        stage.web.will(answer(401, b"token-secret"), answer(400, echo))
        client = stage.client()

        with pytest.raises(CommandRejectedError) as caught:
            client.trigger_dag_run(DagRunRequest("hello", "evt_1", {"password": "conf-secret"}))

        shown = caplog.text + str(caught.value) + repr(vars(client)) + repr(client._endpoint._token)
        assert "conf-secret" not in shown
        assert "token-secret" not in caplog.text.replace("'CliToken': 'token-secret'", "")
        assert "token-secret" not in str(caught.value) + repr(client._endpoint._token)


class TestRedirect:
    @pytest.mark.parametrize("status", [307, 308])
    @pytest.mark.parametrize("absolute", [False, True])
    def test_on_the_same_host_is_followed_once(self, stage: Stage, status: int, *, absolute: bool) -> None:
        """Airflow 3's web server to a client that still believes in Airflow 2."""
        stage.ready("2.11.2")
        location = f"https://{stage.web.host}/aws_mwaa/cli/" if absolute else "/aws_mwaa/cli/"
        stage.web.will(answer(status, b"moved", Location=location), created("evt_1"))

        assert stage.client().trigger_dag_run(RUN).dag_run_id == "evt_1"

        assert stage.web.paths == ["/aws_mwaa/cli", "/aws_mwaa/cli/"]
        assert stage.web.requests[0].body == stage.web.requests[1].body
        assert [request.token for request in stage.web.requests] == ["t1", "t1"]

    def test_in_a_circle_ends(self, stage: Stage) -> None:
        stage.ready()
        again = answer(307, Location="/aws_mwaa/cli/")
        stage.web.will(again, again)

        with pytest.raises(EnvironmentUnavailableError, match="only one redirect"):
            stage.client().trigger_dag_run(RUN)

    def test_to_another_port_takes_no_token_there(self, stage: Stage, certificate: Path) -> None:
        stage.ready()
        with second_web_server(certificate) as other:
            stage.web.will(answer(307, Location=f"https://{other.host}/aws_mwaa/cli/?secret=1"))

            with pytest.raises(EnvironmentUnavailableError, match="same host") as caught:
                stage.client().trigger_dag_run(RUN)

            assert other.requests == []
            assert "secret" not in str(caught.value)

    @pytest.mark.parametrize(
        "location",
        [
            "http://{host}/aws_mwaa/cli/",
            "https://evil.example/aws_mwaa/cli/",
            "//evil.example/aws_mwaa/cli/",
            "https://{host}.evil.example/",
            "https://{host}@evil.example/",
            "https://[bad/",
            "https://localhost:notaport/",
            "",
        ],
    )
    def test_elsewhere_is_not_followed(self, stage: Stage, location: str) -> None:
        stage.ready()
        stage.web.will(answer(307, Location=location.format(host=stage.web.host)))

        if location == "":  # leads to the same address: followed, and answered by a redirect again
            stage.web.will(answer(307, Location=""))
        with pytest.raises(EnvironmentUnavailableError, match="redirects a CLI command"):
            stage.client().trigger_dag_run(RUN)

    @pytest.mark.parametrize("location", ["https://a\\@{host}/cli", "https://evil.example\\@{host}/cli"])
    def test_with_a_tricky_address_comes_back_to_us(self, stage: Stage, location: str) -> None:
        stage.ready()
        stage.web.will(answer(307, Location=location.format(host=stage.web.host)), created("evt_1"))

        stage.client().trigger_dag_run(RUN)

        assert stage.web.paths == ["/aws_mwaa/cli/", "/cli"]

    @pytest.mark.parametrize("status", [301, 302, 303])
    def test_to_a_login_page_is_not_followed(self, stage: Stage, status: int) -> None:
        stage.ready()
        stage.web.will(answer(status, Location="/login?next=x"))

        with pytest.raises(EnvironmentUnavailableError, match="'/login'"):
            stage.client().trigger_dag_run(RUN)


class TestStatus:
    @pytest.mark.parametrize(
        ("status", "error"),
        [
            (429, EnvironmentBusyError),
            (503, AnswerLostError),
            (500, AnswerLostError),
            (502, AnswerLostError),
            (504, AnswerLostError),
            (408, AnswerLostError),
            (404, EnvironmentUnavailableError),
            (405, EnvironmentUnavailableError),
            (413, InvalidRequestError),
            (400, CommandRejectedError),
            (418, CommandRejectedError),
        ],
    )
    @pytest.mark.parametrize("body", [b"", b"<html>no</html>", b'{"message": "no"}'])
    def test_has_its_error(self, stage: Stage, status: int, error: type[JetwayError], body: bytes) -> None:
        stage.ready()
        stage.web.will(answer(status, body))

        with pytest.raises(error, match=str(status)) as caught:
            stage.client().trigger_dag_run(RUN)

        assert type(caught.value) is error

    @pytest.mark.parametrize(
        ("status", "error"),
        [(503, EnvironmentBusyError), (500, EnvironmentUnavailableError), (504, EnvironmentUnavailableError)],
    )
    def test_of_a_question_that_creates_nothing(self, stage: Stage, status: int, error: type[JetwayError]) -> None:
        stage.ready()
        stage.web.will(answer(status, b"<html>no</html>"))

        with pytest.raises(error, match=str(status)):
            stage.client().get_dag_run("hello", "evt_1")

    @pytest.mark.parametrize("status", [500, 502, 503, 504])
    def test_of_a_run_that_was_made_all_the_same(self, stage: Stage, status: int) -> None:
        """A proxy gives up on a web server that has done what it was asked."""
        stage.ready()
        stage.web.will(answer(status, b"<html>no</html>"), output("queued\n"))

        assert stage.client().trigger_dag_run(RUN).dag_run_id == RUN.dag_run_id

    @pytest.mark.parametrize("status", [400, 404, 500, 502])
    def test_counts_less_than_the_output(self, stage: Stage, status: int) -> None:
        stage.ready()
        stage.web.will(traceback("airflow.exceptions.DagNotFound: Dag id hello not found", status))

        with pytest.raises(DagNotFoundError):
            stage.client().trigger_dag_run(RUN)

    def test_may_come_with_half_an_envelope(self, stage: Stage) -> None:
        stage.ready()
        whole = json.loads(envelope("queued\n"))
        stage.web.will(answer(200, json.dumps({"stdout": whole["stdout"]}).encode()))

        assert stage.client().get_dag_run("hello", "evt_1") is not None

    @pytest.mark.parametrize("status", ["CREATING", "ROLLING_BACK", "CREATING_SNAPSHOT", "DELETING", "UNAVAILABLE"])
    def test_of_the_environment_holds_commands_back(self, stage: Stage, status: str) -> None:
        stage.environment(status=status)

        with pytest.raises(EnvironmentUnavailableError, match=f"'acme' is {status}"):
            stage.client().trigger_dag_run(RUN)
        assert stage.web.requests == []

    def test_that_updates_lets_runs_start_once_a_question_was_answered(self, stage: Stage) -> None:
        """Under GRACEFUL it may serve for all the twelve hours that tasks have to end."""
        stage.environment(status="UPDATING")
        stage.token()
        stage.web.will(output("3.3.1\n"), created("evt_1"), created("evt_1"))
        client = stage.client()

        assert client.trigger_dag_run(RUN).dag_run_id == RUN.dag_run_id
        client.trigger_dag_run(RUN)

        assert [request.argv[0] for request in stage.web.requests] == ["version", "dags", "dags"], "asked once"

    @pytest.mark.parametrize("refusal", [answer(503), answer(502), answer(504), reset])
    def test_that_updates_and_does_not_serve_holds_them_and_none_is_in_doubt(
        self, stage: Stage, refusal: Reaction
    ) -> None:
        stage.environment(status="UPDATING")
        stage.token()
        stage.web.will(refusal)

        with pytest.raises(EnvironmentUnavailableError, match="'acme' is UPDATING") as caught:
            stage.client().trigger_dag_run(RUN)
        assert caught.value.status == "UPDATING"
        assert [request.argv[0] for request in stage.web.requests] == ["version"], "nothing was to be created"

    def test_of_an_environment_that_is_not_there(self, stage: Stage) -> None:
        stage.stub.add_client_error("get_environment", "ResourceNotFoundException")

        with pytest.raises(EnvironmentUnavailableError, match="no environment 'acme'"):
            stage.client().trigger_dag_run(RUN)


class TestEnvironmentThatUpdates:
    """A web server that is being replaced looks like one that is busy, out of reach or that refuses tokens."""

    @pytest.mark.parametrize(
        "reactions", [[answer(503)], [answer(502)], [answer(403), answer(403)]], ids=["503", "502", "403"]
    )
    def test_is_named_with_its_status(self, stage: Stage, reactions: list[Reaction]) -> None:
        stage.ready()
        client = stage.client()
        stage.web.will(NOT_SEEN, *reactions)
        client.get_dag_run("hello", "evt_1")
        stage.clock.now += 10  # AVAILABLE is remembered, and not believed any more
        if len(reactions) == 2:
            stage.token("t2")
        stage.environment(status="UPDATING")

        with pytest.raises(EnvironmentUnavailableError, match=r"'acme' is UPDATING\. No run starts until") as caught:
            client.get_dag_run("hello", "evt_1")

        assert caught.value.status == "UPDATING"

    def test_is_asked_for_every_few_seconds_only(self, stage: Stage) -> None:
        stage.ready()
        stage.web.will(answer(503), answer(503))
        client = stage.client()

        for _ in range(2):
            with pytest.raises(EnvironmentBusyError, match="about 4 CLI commands"):
                client.get_dag_run("hello", "evt_1")

    def test_does_not_turn_a_lost_answer_into_a_command_that_did_not_run(self, stage: Stage) -> None:
        stage.ready()
        stage.web.will(NOT_SEEN, reset)
        client = stage.client()
        client.get_dag_run("hello", "evt_1")
        stage.clock.now += 10

        with pytest.raises(AnswerLostError):
            client.get_dag_run("hello", "evt_1")
