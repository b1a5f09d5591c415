"""The plugin's calls of Jetway's HTTP API, against a real server on loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import requests

from jetway_airflow.client import JetwayApiError, JetwayClient


class Api:
    """Answers as it is told, and remembers what it was asked."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, dict[str, Any]]] = []
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        api = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                api.asked.append((self.command, self.path, dict(self.headers), body))
                status, found = api.answers.pop(0)
                content = json.dumps(found).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = _answer  # noqa: N815 (names that http.server looks for)

            def log_message(self, *_: object) -> None:
                """Nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    for name, value in (("ACCESS_KEY_ID", "key"), ("SECRET_ACCESS_KEY", "x"), ("DEFAULT_REGION", "eu-west-1")):
        monkeypatch.setenv(f"AWS_{name}", value)
    found = Api()
    thread = threading.Thread(target=found.server.serve_forever, daemon=True)
    thread.start()
    yield found
    found.server.shutdown()
    found.server.server_close()
    thread.join()


@pytest.fixture
def client(api: Api) -> JetwayClient:
    return JetwayClient(f"http://127.0.0.1:{api.server.server_address[1]}/", "us-east-1")


def test_a_start_is_signed_for_the_apis_region_and_carries_its_key(api: Api, client: JetwayClient) -> None:
    api.answers = [(202, {"dag_run_id": "r1"})]
    assert client.start("übung.1", {"conf": {"a": "é"}}, "dag/run/task/-1") == "r1"
    ((method, path, headers, body),) = api.asked
    assert (method, path) == ("POST", "/dags/%C3%BCbung.1/dagRuns")
    assert "/us-east-1/execute-api/aws4_request" in headers["Authorization"]
    assert headers["Idempotency-Key"] == "dag/run/task/-1"
    assert json.loads(body) == {"conf": {"a": "é"}}


def test_a_run_that_airflow_has_not_yet_has_no_state(api: Api, client: JetwayClient) -> None:
    api.answers = [(404, {"detail": "not there yet"}), (200, {"state": "running"})]
    assert [client.state("d", "jetway__http__x") for _ in range(2)] == [None, "running"]
    assert [path for _, path, _, _ in api.asked] == ["/dags/d/dagRuns/jetway__http__x"] * 2


@pytest.mark.parametrize("status", [400, 403, 409, 422])
def test_what_can_never_work_is_told_in_the_apis_words(api: Api, client: JetwayClient, status: int) -> None:
    api.answers = [(status, {"detail": "conf must be an object"})]
    with pytest.raises(JetwayApiError, match=f"{status} conf must be an object"):
        client.start("d", {}, "k")


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_what_may_work_another_time_is_left_to_airflows_retries(api: Api, client: JetwayClient, status: int) -> None:
    api.answers = [(status, {})]
    with pytest.raises(requests.HTTPError):
        client.start("d", {}, "k")
