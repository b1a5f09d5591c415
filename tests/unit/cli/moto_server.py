"""moto as a server on loopback, for programs in processes of their own. moto's own server needs Flask."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from botocore.awsrequest import AWSPreparedRequest
from botocore.compat import HTTPHeaders
from moto.core.models import botocore_stubber


class _Handler(BaseHTTPRequestHandler):
    """Hands each request to moto, as to the service that it is signed for."""

    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        signed_for = re.search(r"Credential=[^/]+/\d+/([a-z0-9-]+)/([a-z0-9-]+)/", self.headers["Authorization"])
        assert signed_for, self.headers
        region, service = signed_for.groups()
        headers = HTTPHeaders()
        for name, value in self.headers.items():
            if name.lower() != "host":
                headers[name] = value

        url = f"https://{service}.{region}.amazonaws.com{self.path}"
        found = botocore_stubber.process_request(AWSPreparedRequest(self.command, url, headers, body, False))
        assert found is not None, url
        status, told, content = found
        sent = content.encode() if isinstance(content, str) else content
        self.send_response(int(status))
        for name, value in told.items():
            if name.lower() not in {"content-length", "transfer-encoding", "connection", "date", "server"}:
                self.send_header(name, str(value))
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(sent)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _answer  # noqa: N815 - http.server's names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parent's name for it
        """Say nothing: pytest shows what matters."""


@contextmanager
def moto_server() -> Iterator[str]:
    """Serve what `mock_aws` has in this process, and give the address for AWS_ENDPOINT_URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
