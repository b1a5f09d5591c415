"""HTTPS on 127.0.0.1: a request in, a response out, one thread per connection.

Everything that knows MWAA is elsewhere; this module knows sockets only.
"""

from __future__ import annotations

import json
import logging
import socket
import ssl
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

log = logging.getLogger(__name__)

_MAX_BODY = 16 * 1024 * 1024
_IDLE_SECONDS = 75.0


class AnswerLostError(Exception):
    """Raised by a handler that did its work and whose answer must not arrive: the connection is closed."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request.

    Attributes:
        path: without the query string, still percent-encoded.
        headers: names in lower case.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Response:
    """A response; Content-Length is added."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


def json_response(status: int, value: Any, headers: Mapping[str, str] | None = None) -> Response:
    """A response with a JSON body."""
    return Response(status, json.dumps(value).encode(), {"Content-Type": "application/json", **(headers or {})})


def text_response(status: int, text: str) -> Response:
    """A response with a plain sentence."""
    return Response(status, text.encode(), {"Content-Type": "text/plain; charset=utf-8"})


App = Callable[[Request], Response]


class Server(ThreadingHTTPServer):
    """Serves an app over TLS on 127.0.0.1.

    Args:
        port: 0 takes a free one; `server_port` tells which.
        app: called in a thread per connection.
    """

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, port: int, certificate: Path, key: Path, app: App) -> None:
        self.app = app
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate, key)
        super().__init__(("127.0.0.1", port), _Handler)

    def server_bind(self) -> None:
        # http.server would look the host's name up, which can take seconds and serves nothing here.
        socket_address = self.server_address
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(socket_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "localhost", int(self.server_address[1])

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Shake hands in the connection's own thread, so that a slow client holds nobody up."""
        request.settimeout(_IDLE_SECONDS)
        with self._context.wrap_socket(request, server_side=True) as connection:
            _Handler(connection, client_address, self)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the base class's signature
        error = sys.exc_info()[1]
        if isinstance(error, OSError):  # the client went away, or does not trust us
            log.info("connection ended: %s", error)
        else:
            log.error("connection failed", exc_info=error)


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are two writes: Nagle would add 40 ms
    timeout = _IDLE_SECONDS

    def handle_one_request(self) -> None:
        """Read one request, answer it. Any method is passed on: the app says 405."""
        try:
            self.raw_requestline = self.rfile.readline(65537)
        except TimeoutError:
            self.close_connection = True
            return
        if not self.raw_requestline:
            self.close_connection = True
            return
        if self.parse_request():
            self._answer()
            self.wfile.flush()

    def _answer(self) -> None:
        began = time.monotonic()
        try:
            length = int(self.headers.get("Content-Length", "0"))
        except ValueError:
            length = -1
        if not 0 <= length <= _MAX_BODY or "Transfer-Encoding" in self.headers:
            self.close_connection = True
            self._write(text_response(413, "The body must have a Content-Length of at most 16 MB."))
            return
        parts = urlsplit(self.path)
        request = Request(
            method=self.command,
            path=parts.path,
            query=dict(parse_qsl(parts.query, keep_blank_values=True)),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self.rfile.read(length),
        )
        try:
            response = self.server.app(request)
        except AnswerLostError:
            log.info("%s %s answer lost on purpose", request.method, request.path)
            self.close_connection = True
            return
        except Exception:  # the last line of defence: the client gets 500, the log the reason
            log.exception("%s %s failed", request.method, request.path)
            response = json_response(500, {"message": "The gateway failed; see its log."})
        log.info("%s %s %d %.0f ms", request.method, request.path, response.status, 1000 * (time.monotonic() - began))
        self._write(response)

    def _write(self, response: Response) -> None:
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(response.body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        log.info(format, *args)

    def log_request(self, code: Any = "-", size: Any = "-") -> None:
        """Nothing: `_answer` logs the request, without its query string, which may hold a token."""
