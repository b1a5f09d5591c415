"""MWAA's control plane on loopback: GetEnvironment, and InvokeRestApi answered from a script."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

RestAnswer = Callable[[dict[str, Any]], tuple[int, object]]


def denial(operation: str) -> dict[str, str]:
    """What IAM says of a call that it refuses; MWAA has the member in both spellings."""
    arn = "arn:aws:airflow:eu-central-1:111122223333:environment/acme"
    text = (
        "User: arn:aws:sts::111122223333:assumed-role/jetway-StartDagRunRole/f is not authorized to perform: "
        f"airflow:{operation} on resource: {arn} because no identity-based policy allows the airflow:{operation} action"
    )
    return {"message": text, "Message": text}


@dataclass
class MwaaServer:
    """The server; `answer` gets the input of InvokeRestApi and returns status and document.

    Attributes:
        status, max_workers: what GetEnvironment tells.
        more: members that it tells beside those, or instead.
        described: how often GetEnvironment was called.
        cli_host: the web server that a CLI token is for.
        gone: there is no such environment (any more).
        updates: what UpdateEnvironment was called with.
        asked: method and path of every InvokeRestApi.
        denies: operation → how it is refused: with AccessDeniedException, or ValidationException.
        release: set at the end, so that an answer that hangs does not outlive its test.
    """

    answer: RestAnswer = field(default=lambda _asked: (404, {"detail": "not found"}))
    status: str = "AVAILABLE"
    max_workers: int = 10
    more: dict[str, Any] = field(default_factory=dict)
    described: int = 0
    cli_host: str = "localhost:1"
    gone: bool = False
    updates: list[dict[str, Any]] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    denies: dict[str, str] = field(default_factory=dict)
    release: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_PATCH(self) -> None:
                if self._denied("UpdateEnvironment"):
                    self.rfile.read(int(self.headers["Content-Length"]))
                    return
                server.updates.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self._send(200, {"Arn": "arn:aws:airflow:eu-central-1:111122223333:environment/acme"})

            def do_GET(self) -> None:
                server.described += 1
                if self._denied("GetEnvironment"):
                    return
                if server.gone:
                    self._send(404, {"message": "No environment."}, "ResourceNotFoundException")
                    return
                self._send(
                    200,
                    {
                        "Environment": {
                            "Name": "acme",
                            "Status": server.status,
                            "AirflowVersion": "3.3.1",
                            "SourceBucketArn": "arn:aws:s3:::acme-airflow",
                            "DagS3Path": "dags",
                            "MaxWorkers": server.max_workers,
                            **server.more,
                        }
                    },
                )

            def do_POST(self) -> None:
                if self.path.startswith("/clitoken/"):
                    if self._denied("CreateCliToken"):
                        return
                    self._send(200, {"CliToken": "token", "WebServerHostname": server.cli_host})
                    return
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if self._denied("InvokeRestApi"):
                    return
                server.asked.append((asked["Method"], asked["Path"]))
                status, document = server.answer(asked)
                content = {"RestApiStatusCode": status, "RestApiResponse": document}
                self._send(200 if status < 400 else 400, content)

            def _denied(self, operation: str) -> bool:
                code = server.denies.get(operation)
                if code is not None:
                    self._send(403 if code == "AccessDeniedException" else 400, denial(operation), code)
                return code is not None

            def _send(self, status: int, content: object, code: str = "RestApiClientException") -> None:
                body = json.dumps(content, default=datetime.timestamp).encode()
                self.send_response(status)
                if status >= 400:
                    self.send_header("x-amzn-ErrorType", code)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                with contextlib.suppress(BrokenPipeError):  # a caller whose time is over has hung up
                    self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parent's name for it
                """Say nothing: pytest shows what matters."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.release.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"
