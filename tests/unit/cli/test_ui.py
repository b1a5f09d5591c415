"""`jetway ui` as a person runs it: the console script, a server that stands for the API, requests of a browser."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
import requests
from click.testing import Result

from tests.unit.cli.conftest import REGION, Cloud


@pytest.fixture
def served(cloud: Cloud) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command while it runs, and the address that it printed."""
    cloud.answers.append((200, {"openapi": "3.1.0"}))
    env = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join(sys.path),
        "PYTHONUNBUFFERED": "1",
        "AWS_ACCESS_KEY_ID": "AKIATEST",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "JETWAY_API_URL": f"{cloud.url}/api",
    }
    command = [sys.executable, "-m", "jetway_cli", "ui", "--no-browser"]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        found = re.search(r"^Status page +(http://127\.\d+\.\d+\.\d+:\d+/\?key=\S+)$", said)
        assert found, said + process.stdout.read()
        yield process, found[1]
        process.kill()


def test_it_signs_for_the_browser_that_has_its_address_until_it_is_interrupted(
    cloud: Cloud, served: tuple[subprocess.Popen[str], str]
) -> None:
    process, address = served
    with requests.Session() as browser:
        opened = browser.get(f"{address}&page=docs", allow_redirects=False)
        assert (opened.status_code, opened.headers["Location"]) == (303, "/docs")
        assert browser.get(f"{address}&page=//evil", allow_redirects=False).headers["Location"] == "/"
        cloud.answers.append((200, {"status": "healthy"}))
        assert browser.get(address.partition("?")[0] + "health").json() == {"status": "healthy"}
    call = cloud.calls[-1]
    assert call.path == "/api/health"
    assert call.headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIATEST/")
    assert f"/{REGION}/execute-api/aws4_request" in call.headers["authorization"]
    assert requests.get(address.partition("?")[0] + "health", timeout=10).status_code == 403
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) == 130


def test_whoever_may_not_call_the_api_is_told_at_once(cloud: Cloud, jetway: Callable[..., Result]) -> None:
    cloud.answers.append((403, {"message": "Forbidden"}))
    result = jetway("ui", "--no-browser")
    assert result.exit_code == 3
    assert "execute-api:Invoke" in result.output


def test_a_port_that_is_taken_is_said_so(cloud: Cloud, jetway: Callable[..., Result]) -> None:
    cloud.answers.append((200, {"openapi": "3.1.0"}))
    with socket.create_server(("", 0)) as taken:  # at every address of this machine
        port = str(taken.getsockname()[1])
        result = jetway("ui", "--no-browser", "--port", port)
    assert result.exit_code == 3
    assert f"Port {port}" in result.output


def test_what_is_not_the_api_is_told_before_anything_is_opened(cloud: Cloud, jetway: Callable[..., Result]) -> None:
    cloud.answers.append((200, {"hello": "world"}))
    result = jetway("ui", "--no-browser")
    assert (result.exit_code, result.stdout) == (3, "")
    assert "not as Jetway's HTTP API does" in result.stderr
