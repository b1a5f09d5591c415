"""Lambda's Runtime API on loopback, enough of it for the real runtime client (awslambdaric) to run one function.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

from __future__ import annotations

import json
import queue
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

ARN = "arn:aws:lambda:eu-central-1:111122223333:function:bench"


@dataclass
class RuntimeApi:
    """Hands out events and takes answers.

    Attributes:
        asked: set when the function has asked for its first event: its init is over.
    """

    events: queue.Queue[Any] = field(default_factory=queue.Queue)
    answers: queue.Queue[tuple[str, bytes, float]] = field(default_factory=queue.Queue)
    asked: threading.Event = field(default_factory=threading.Event)
    timeout: float = 30.0

    def __enter__(self) -> Self:
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # or a warm call takes 40 ms more

            def do_GET(self) -> None:
                api.asked.set()
                event = api.events.get()
                body = json.dumps(event).encode()
                self.send_response(200)
                self.send_header("Lambda-Runtime-Aws-Request-Id", f"{time.monotonic_ns()}")
                self.send_header("Lambda-Runtime-Deadline-Ms", f"{int((time.time() + api.timeout) * 1000)}")
                self.send_header("Lambda-Runtime-Invoked-Function-Arn", ARN)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                api.answers.put((self.path.rpartition("/")[2], body, time.perf_counter()))
                self.send_response(202)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parent's name for it
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def address(self) -> str:
        """For AWS_LAMBDA_RUNTIME_API."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    def invoke(self, event: Any) -> tuple[Any, float]:
        """Return the function's answer and the seconds it took.

        Raises:
            RuntimeError: the function failed.
        """
        began = time.perf_counter()
        self.events.put(event)
        kind, body, ended = self.answers.get(timeout=self.timeout)
        if kind != "response":
            raise RuntimeError(f"the function ended with {kind}: {body.decode()[:2000]}")
        return json.loads(body), ended - began
