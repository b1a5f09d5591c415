"""A loopback proxy that signs: it opens the status page and Swagger UI of an API with IAM authorization in a browser.

A browser cannot sign with SigV4. The proxy can, with the AWS credentials of whoever started it; so whoever reaches
it acts as them. Therefore it listens on loopback only, and serves only a browser that has opened a secret address:
other users of the machine and other pages of the browser do not know it. An address opens one browser: then there is
another one. It is at a loopback address of its own where the machine has such, since a cookie of 127.0.0.1 goes to
every server there, whatever its port.

    with serve(url, credentials, region) as proxy, page_to(proxy.address) as page:
        webbrowser.open(page)
        proxy.wait()
"""

from __future__ import annotations

import hmac
import html
import secrets
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError

if TYPE_CHECKING:
    from botocore.credentials import Credentials, ReadOnlyCredentials

    AnyCredentials = Credentials | ReadOnlyCredentials

COOKIE = "jetway_ui"
KEY = "key"  # query parameter of the secret address
PAGE = "page"  # and of the page to open, when it is not the status page
PAGES = frozenset({"", "docs"})
LONGEST_BODY = 1024 * 1024  # bytes
TIMEOUT = (5.0, 35.0)  # seconds to connect and to answer; API Gateway answers within 30

_PASSED_ON = ("accept", "content-type", "idempotency-key", "prefer")
# What belongs to one connection, or was changed by reading the answer, is not passed back.
_KEPT_BACK = {
    "connection",
    "content-encoding",
    "content-length",
    "keep-alive",
    "transfer-encoding",
    "set-cookie",
    "date",
    "server",
}


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy that runs."""

    server: _Server
    thread: threading.Thread

    @property
    def address(self) -> str:
        """To open in one browser; it holds the secret. Once it was opened, it is another one."""
        return self.server.address()

    @property
    def origin(self) -> str:
        """The same without the secret."""
        return f"http://{self.server.host}"

    def wait(self) -> None:
        """Wait until it ends."""
        self.thread.join()


@contextmanager
def page_to(address: str) -> Iterator[str]:
    """Make a page that leads to an address, for this user only, as long as the block runs; return where it is.

    What a browser is started with, every user of the machine can read in the list of processes.
    """
    with tempfile.TemporaryDirectory(prefix="jetway-ui-") as folder:  # nobody else may look into it
        page = Path(folder) / "open.html"
        to = html.escape(address)
        page.write_text(f'<!doctype html><title>Jetway</title><meta http-equiv="refresh" content="0; url={to}">')
        page.chmod(0o600)
        yield page.as_uri()


@contextmanager
def serve(
    url: str,
    credentials: Callable[[], AnyCredentials],
    region: str,
    *,
    port: int = 0,
    opened: Callable[[str], None] = lambda _next: None,
) -> Iterator[Proxy]:
    """Run the proxy for as long as the block runs.

    Args:
        url: base address of the API, as the stack's output HttpApiUrl has it.
        credentials: returns the caller's, asked anew for each request since temporary ones expire.
        region: of the API.
        port: on loopback; 0 is any free one.
        opened: gets the next address, when one was opened.

    Raises:
        OSError: the port is taken.
    """
    server = _listening(port)
    server.api, server.credentials, server.region = url.rstrip("/"), credentials, region
    server.opened = opened
    server.key, server.session = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    server.host = "{}:{}".format(*server.server_address)
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
    thread.start()
    try:
        yield Proxy(server, thread)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _listening(port: int) -> _Server:
    own = ".".join(["127", *(str(1 + secrets.randbelow(254)) for _ in range(3))])
    try:
        return _Server((own, port), _Handler)
    except OSError:  # macOS has 127.0.0.1 only; or the port is taken, and then it is there as well
        return _Server(("127.0.0.1", port), _Handler)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, *where: Any) -> None:
        super().__init__(*where)
        self._taking = threading.Lock()

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of connections that the browser has cut; everything else is a fault of ours."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]

    api: str
    credentials: Callable[[], AnyCredentials]
    region: str
    opened: Callable[[str], None]
    key: str
    session: str
    host: str

    def address(self) -> str:
        return f"http://{self.host}/?{urlencode({KEY: self.key})}"

    def take(self, key: str) -> bool:
        """Whether it is the key; then it is none any more."""
        with self._taking:
            if not _is_same(key, self.key):
                return False
            self.key = secrets.token_urlsafe(32)
        self.opened(self.address())
        return True


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        if self._opens():
            return
        self._forward()

    def do_POST(self) -> None:
        self._forward()

    def _opens(self) -> bool:
        """Take the secret out of the address and into a cookie."""
        address = urlsplit(self.path)
        asked = dict(parse_qsl(address.query))
        key, page = asked.get(KEY, ""), asked.get(PAGE, "")
        if address.path != "/" or KEY not in asked or self.headers.get("Host") != self.server.host:
            return False
        # A browser that was let in may open the other page that was printed as well.
        if not self._has_session() and not self.server.take(key):
            return False
        self.send_response(303)
        self.send_header("Location", f"/{page if page in PAGES else ''}")
        self.send_header("Set-Cookie", f"{COOKIE}={self.server.session}; Path=/; HttpOnly; SameSite=Strict")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Content-Length", "0")
        self.end_headers()
        return True

    def _forward(self) -> None:
        length = self.headers.get("Content-Length", "0")
        if not length.isdecimal() or int(length) > LONGEST_BODY:
            self._refuse(413, "The body is too large.")
            return
        body = self.rfile.read(int(length))
        refusal = self._refusal()
        if refusal is not None:
            self._refuse(403, refusal)
            return
        headers = {name: self.headers[name] for name in _PASSED_ON if name in self.headers}
        request = AWSRequest(self.command, self.server.api + self.path, data=body, headers=headers)
        try:
            SigV4Auth(self.server.credentials(), "execute-api", self.server.region).add_auth(request)
            answer = requests.request(
                self.command,
                self.server.api + self.path,
                data=body,
                headers=dict(request.headers),
                timeout=TIMEOUT,
                allow_redirects=False,
            )
        except requests.RequestException as exc:
            self._refuse(
                502,
                (
                    f"The API at {self.server.api} does not respond ({type(exc).__name__}). Check the stack and "
                    "the network, then load this page again. If that does not help, end `jetway ui` with Ctrl-C "
                    "and start it again."
                ),
            )
            return
        except BotoCoreError as exc:
            self._refuse(502, (f"Your AWS credentials cannot be renewed ({exc}). Sign in again, then load this page."))
            return
        self._send(answer.status_code, answer.content, dict(answer.headers))

    def _refusal(self) -> str | None:
        """Say why this request is none of ours, None when it is."""
        # A name that somebody lets point to loopback is still not our name.
        if self.headers.get("Host") != self.server.host:
            return "This is not the right address. Use the one that `jetway ui` printed."
        if self.headers.get("Origin", f"http://{self.server.host}") != f"http://{self.server.host}":
            return "Another page is not allowed to call this one."
        if not self._has_session():
            return "Open the newest address that `jetway ui` printed. Each address works in one browser."
        if not self.path.startswith("/") or self.path.startswith("//"):
            # Behind the API's address it would be another host's, and be signed for it.
            return "A path must begin with exactly one slash."
        return None

    def _has_session(self) -> bool:
        try:
            cookies = SimpleCookie(self.headers.get("Cookie", ""))
        except CookieError:
            return False
        return COOKIE in cookies and _is_same(cookies[COOKIE].value, self.server.session)

    def _refuse(self, status: int, why: str) -> None:
        self.close_connection = True
        self._send(status, why.encode(), {"Content-Type": "text/plain; charset=utf-8"})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in _KEPT_BACK:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with suppress(BrokenPipeError, ConnectionResetError):  # the browser has left the page
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parent's name for it
        """Say nothing: the secret address would be in it."""


def _is_same(text: str, secret: str) -> bool:
    return hmac.compare_digest(text.encode(errors="replace"), secret.encode())
