"""A web server on loopback that speaks MWAA's CLI endpoint, with TLS, from a script."""

from __future__ import annotations

import base64
import json
import shlex
import ssl
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self


@dataclass(frozen=True)
class Request:
    """One request as it came in; `argv` is the body taken apart as a shell would."""

    path: str
    token: str | None
    headers: dict[str, str]
    body: bytes
    connection: int
    method: str = "POST"

    @property
    def argv(self) -> list[str]:
        return shlex.split(self.body.decode())


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def do_GET(self) -> None:
        self.do_POST()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        authorization = self.headers.get("Authorization", "")
        self.server.stage.requests.append(
            Request(
                path=self.path,
                token=authorization.removeprefix("Bearer ") or None,
                headers={name.lower(): value for name, value in self.headers.items()},
                body=body,
                connection=self.client_address[1],
                method=self.command,
            )
        )
        if not self.server.stage.script:
            answer(418, b"nothing was expected")(self)
            return
        self.server.stage.script.popleft()(self)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parent's name for it
        """Say nothing: pytest shows what matters."""


Reaction = Callable[[Handler], None]


class Server(ThreadingHTTPServer):
    daemon_threads = True
    stage: WebServer

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of connections that a test has cut on purpose."""


@dataclass
class WebServer:
    """The server with its script: one reaction for each request, in order."""

    certificate: Path
    script: deque[Reaction] = field(default_factory=deque)
    requests: list[Request] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.stage = self
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def host(self) -> str:
        return f"localhost:{self._server.server_address[1]}"

    def will(self, *reactions: Reaction) -> None:
        self.script.extend(reactions)

    @property
    def paths(self) -> list[str]:
        return [request.path for request in self.requests]

    @property
    def commands(self) -> list[list[str]]:
        return [request.argv for request in self.requests]


def answer(status: int, body: bytes = b"", **headers: str) -> Reaction:
    """Answer with a status and a body."""

    def react(handler: Handler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return react


def envelope(stdout: str = "", stderr: str = "") -> bytes:
    """Return the body that MWAA makes of a command's output."""
    return json.dumps(
        {
            "stdout": base64.b64encode(stdout.encode()).decode(),
            "stderr": base64.b64encode(stderr.encode()).decode(),
        }
    ).encode()


def output(stdout: str = "", stderr: str = "", status: int = 200) -> Reaction:
    """Answer with the output of a command."""
    return answer(status, envelope(stdout, stderr))


def rows(*values: dict[str, object]) -> Reaction:
    """Answer with a JSON list behind a log line, as Airflow prints it."""
    log = "[2026-11-22T05:23:30.807+0000] {__init__.py:43} INFO - Loaded API auth backend"
    return output(f"{log}\n{json.dumps(values)}\n")


def created(run_id: str, dag_id: str = "hello") -> Reaction:
    """Answer as `dags trigger` does."""
    return rows({"conf": {}, "dag_id": dag_id, "dag_run_id": run_id, "state": "queued", "logical_date": None})


def traceback(line: str, status: int = 400) -> Reaction:
    """Answer as a command that died of an exception."""
    return output(stderr=f'Traceback (most recent call last):\n  File "x.py", line 1, in x\n{line}\n', status=status)


def silence(handler: Handler) -> None:
    """Take the command and never answer."""
    handler.server.stage.released.wait(30)
    handler.close_connection = True


def reset(handler: Handler) -> None:
    """Take the command and cut the connection."""
    handler.close_connection = True


def half_an_answer(handler: Handler) -> None:
    """Promise more than is sent, then cut the connection."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"stdout":')
    handler.close_connection = True


def trickle(handler: Handler) -> None:
    """Send a byte now and then, for ever."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000000")
    handler.end_headers()
    while not handler.server.stage.released.wait(0.05):
        handler.wfile.write(b" ")
        handler.wfile.flush()
