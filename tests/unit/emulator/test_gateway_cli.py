"""The CLI endpoint, called as clients of MWAA call it."""

from __future__ import annotations

import http.client
import ssl
import threading
from base64 import b64decode
from collections.abc import Iterator
from contextlib import closing

import pytest
import requests

from tests.unit.emulator.conftest import NAME, Clock, FakeRunner, Launch, Running
from tests.unit.emulator.waiting import wait_for
from tools.emulator.gateway.cli import BUSY
from tools.emulator.gateway.commands import supported
from tools.emulator.gateway.runner import CommandResult, RunnerError


def envelope(response: requests.Response) -> tuple[bytes, bytes]:
    body = response.json()
    assert set(body) == {"stdout", "stderr"}
    return b64decode(body["stdout"]), b64decode(body["stderr"])


def test_a_command_runs_and_its_output_comes_back(gateway: Running, runner: FakeRunner) -> None:
    runner.result = CommandResult(0, b"caf\xc3\xa9\n", b"\xff warning\n")
    response = gateway.cli("""dags trigger my_dag -r 'a b' -c '{"k": "it'"'"'s"}'""")
    assert response.status_code == 200
    assert envelope(response) == (b"caf\xc3\xa9\n", b"\xff warning\n")
    assert runner.commands == [["dags", "trigger", "my_dag", "-r", "a b", "-c", '{"k": "it\'s"}']]


def test_a_token_serves_for_sixty_seconds(gateway: Running, clock: Clock) -> None:
    answer = gateway.mwaa.create_cli_token(Name=NAME)
    assert answer["WebServerHostname"] == f"localhost:{gateway.config.port}"
    clock.now += 59
    assert gateway.cli("version", token=answer["CliToken"]).status_code == 200
    clock.now += 1
    assert gateway.cli("version", token=answer["CliToken"]).status_code == 401


@pytest.mark.parametrize("header", [None, "Bearer", "Bearer nonsense", "Basic YTpi", "nonsense"])
def test_no_command_runs_without_a_token(gateway: Running, runner: FakeRunner, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}
    response = gateway.http.post(f"{gateway.url}/aws_mwaa/cli/", data="version", headers=headers, timeout=30)
    assert response.status_code == 401
    assert runner.commands == []


def test_a_web_login_token_is_no_cli_token(gateway: Running) -> None:
    token = gateway.mwaa.create_web_login_token(Name=NAME)["WebToken"]
    assert gateway.cli("version", token=token).status_code == 401


def test_a_token_outlives_the_gateway(launch: Launch) -> None:
    token = launch().mwaa.create_cli_token(Name=NAME)["CliToken"]
    assert launch().cli("version", token=token).status_code == 200


def test_airflow_3_redirects_to_the_slash_and_a_client_that_follows_arrives(
    gateway: Running, runner: FakeRunner
) -> None:
    redirect = gateway.cli("version", path="/aws_mwaa/cli")
    assert redirect.status_code == 307
    assert redirect.headers["Location"] == f"{gateway.url}/aws_mwaa/cli/"
    assert runner.commands == []
    token = gateway.mwaa.create_cli_token(Name=NAME)["CliToken"]
    followed = gateway.http.post(
        f"{gateway.url}/aws_mwaa/cli", data="version", headers={"Authorization": f"Bearer {token}"}, timeout=30
    )
    assert followed.status_code == 200
    assert runner.commands == [["version"]]


@pytest.mark.parametrize("path", ["/aws_mwaa/cli", "/aws_mwaa/cli/"])
def test_airflow_2_takes_both_paths(launch: Launch, path: str) -> None:
    assert launch("2.11.2").cli("version", path=path).status_code == 200


def test_only_post_is_taken(gateway: Running) -> None:
    assert gateway.http.get(f"{gateway.url}/aws_mwaa/cli/", timeout=30).status_code == 405


def test_a_fifth_command_at_once_is_refused_in_aws_words(gateway: Running, runner: FakeRunner) -> None:
    runner.go.clear()
    answers: list[int] = []
    tokens = [gateway.mwaa.create_cli_token(Name=NAME)["CliToken"] for _ in range(5)]
    threads = [
        threading.Thread(target=lambda token=token: answers.append(gateway.cli("dags list", token=token).status_code))
        for token in tokens[:4]
    ]
    for thread in threads:
        thread.start()
    wait_for(lambda: len(runner.commands) == 4)
    refused = gateway.cli("dags list", token=tokens[4])
    assert (refused.status_code, refused.text) == (503, BUSY)
    runner.go.set()
    for thread in threads:
        thread.join()
    assert answers == [200] * 4
    assert gateway.cli("dags list").status_code == 200
    assert gateway.counters()["cli.503"] == 1


def test_a_failing_command_is_answered_with_400_and_its_output(gateway: Running, runner: FakeRunner) -> None:
    runner.result = CommandResult(1, b"", b"DagNotFound: no\n")
    response = gateway.cli("dags trigger no")
    assert response.status_code == 400
    assert envelope(response) == (b"", b"DagNotFound: no\n")


@pytest.mark.parametrize("body", [b"dags trigger 'x", b"dags trigger \xff", b"version \\"])
def test_what_shlex_cannot_split_is_refused(gateway: Running, runner: FakeRunner, body: bytes) -> None:
    response = gateway.cli(body)
    assert response.status_code == 400
    assert envelope(response)[1]
    assert runner.commands == []


@pytest.mark.parametrize(
    "command", ["pools list", "db reset -y", "", "dags", "--help", "airflow version", "users list"]
)
def test_a_command_that_mwaa_does_not_offer_is_refused(gateway: Running, runner: FakeRunner, command: str) -> None:
    response = gateway.cli(command)
    assert response.status_code == 403
    assert b"does not support" in envelope(response)[1]
    assert runner.commands == []


@pytest.mark.parametrize(
    ("command", "majors"),
    [
        ("dags trigger", {2, 3}),
        ("dags list-import-errors", {2, 3}),
        ("version", {2, 3}),
        ("cheat-sheet", {2, 3}),
        ("dags backfill", {2}),
        ("tasks run", {2}),
        ("assets list", {3}),
        ("backfill create", {3}),
        ("connections get", set()),
        ("dags details", set()),
        ("scheduler", set()),
    ],
)
def test_commands_by_version(command: str, majors: set[int]) -> None:
    assert {major for major in (2, 3) if supported([*command.split(), "--more"], major)} == majors


def test_a_command_that_takes_too_long_is_504(gateway: Running, runner: FakeRunner) -> None:
    runner.result = CommandResult(-9, b"", b"", timed_out=True)
    assert gateway.cli("dags list").status_code == 504


def test_a_command_of_unknown_fate_is_502(gateway: Running, runner: FakeRunner) -> None:
    runner.result = RunnerError("gone")
    assert gateway.cli("dags list").status_code == 502
    runner.result = CommandResult(0, b"", b"")
    assert gateway.cli("dags list").status_code == 200


@pytest.fixture
def connection(gateway: Running) -> Iterator[http.client.HTTPSConnection]:
    context = ssl.create_default_context(cafile=str(gateway.config.certificate.with_name("ca.pem")))
    with closing(
        http.client.HTTPSConnection("localhost", gateway.config.port, context=context, timeout=30)
    ) as connection:
        yield connection


def test_a_command_completes_when_its_client_has_gone(
    gateway: Running, runner: FakeRunner, connection: http.client.HTTPSConnection
) -> None:
    runner.go.clear()
    token = gateway.mwaa.create_cli_token(Name=NAME)["CliToken"]
    connection.request("POST", "/aws_mwaa/cli/", body="dags list", headers={"Authorization": f"Bearer {token}"})
    wait_for(lambda: runner.commands)
    connection.close()
    runner.go.set()
    assert runner.finished.acquire(timeout=30)
    assert gateway.cli("version").status_code == 200


def test_a_connection_is_kept(connection: http.client.HTTPSConnection) -> None:
    for _ in range(2):
        connection.request("GET", "/_local/health")
        answer = connection.getresponse()
        assert (answer.status, answer.read(), answer.will_close) == (200, b'{"status": "ready"}', False)


@pytest.mark.parametrize(
    "header", [("Transfer-Encoding", "chunked"), ("Content-Length", "17000000"), ("Content-Length", "-1")]
)
def test_a_body_of_unknown_or_excessive_length_is_refused(
    connection: http.client.HTTPSConnection, header: tuple[str, str]
) -> None:
    connection.putrequest("POST", "/aws_mwaa/cli/")
    connection.putheader(*header)
    connection.endheaders()
    assert connection.getresponse().status == 413
