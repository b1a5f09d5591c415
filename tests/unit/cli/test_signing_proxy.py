"""The loopback proxy: it signs for the browser that was given its address, and for nobody else."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest
import requests
from botocore.credentials import Credentials

from jetway_cli.signing_proxy import COOKIE, Proxy, page_to, serve


@dataclass
class Api:
    """What the proxy forwards to; `seen` has every request that came through."""

    url: str = ""
    seen: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)


@pytest.fixture
def api() -> Iterator[Api]:
    made = Api()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            made.seen.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            self.send_response(202)
            self.send_header("Location", "/dags/a/dagRuns/r")
            self.send_header("Set-Cookie", "of=the-api")
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parent's name for it
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{server.server_address[1]}/stage"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield made
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def proxy(api: Api) -> Iterator[Proxy]:
    with serve(api.url, lambda: Credentials("AKIATEST", "secret", "session"), "eu-central-1") as proxy:
        yield proxy


@pytest.fixture
def browser(proxy: Proxy) -> Iterator[requests.Session]:
    """A browser that has opened the printed address."""
    with requests.Session() as session:
        assert session.get(proxy.address, allow_redirects=False).status_code == 303
        yield session


def test_what_the_browser_asks_is_signed_with_the_callers_credentials(
    api: Api, proxy: Proxy, browser: requests.Session
) -> None:
    answer = browser.post(
        f"{proxy.origin}/dags/a/dagRuns?dry_run=true",
        data=b'{"conf": {}}',
        headers={"Origin": proxy.origin, "Prefer": "wait=5", "Authorization": "Bearer of-the-browser"},
    )
    assert (answer.status_code, answer.headers["Location"]) == (202, "/dags/a/dagRuns/r")
    assert "of" not in browser.cookies
    ((method, path, headers, body),) = api.seen
    assert (method, path, body) == ("POST", "/stage/dags/a/dagRuns?dry_run=true", b'{"conf": {}}')
    assert headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIATEST/")
    assert "/eu-central-1/execute-api/aws4_request" in headers["authorization"]
    assert (headers["x-amz-security-token"], headers["prefer"]) == ("session", "wait=5")
    assert "cookie" not in headers


def test_the_secret_is_not_left_in_the_address(proxy: Proxy) -> None:
    answer = requests.get(proxy.address, allow_redirects=False, timeout=5)
    assert answer.headers["Location"] == "/"
    assert "HttpOnly" in answer.headers["Set-Cookie"]
    assert "SameSite=Strict" in answer.headers["Set-Cookie"]


@pytest.mark.parametrize("path", ["/", "/dags", "/?key=", "/?key=wrong"])
def test_nobody_else_is_served(api: Api, proxy: Proxy, path: str) -> None:
    assert requests.get(proxy.origin + path, timeout=5).status_code == 403
    assert api.seen == []


@pytest.mark.parametrize(
    "headers", [{"Host": "evil.example"}, {"Origin": "https://evil.example"}, {"Origin": "null"}, {"Cookie": 'a="'}]
)
def test_other_pages_of_the_same_browser_are_not_served(
    api: Api, proxy: Proxy, browser: requests.Session, headers: dict[str, str]
) -> None:
    if "Cookie" in headers:
        browser.cookies.clear()
    assert browser.post(f"{proxy.origin}/dags/a/dagRuns", data=b"{}", headers=headers).status_code == 403
    assert api.seen == []


def test_the_secret_does_not_open_it_under_another_name(api: Api, proxy: Proxy) -> None:
    answer = requests.get(proxy.address, headers={"Host": "evil.example"}, allow_redirects=False, timeout=5)
    assert (answer.status_code, "Set-Cookie" in answer.headers) == (403, False)


def test_it_listens_on_loopback_only_and_where_no_other_server_gets_its_cookie(proxy: Proxy) -> None:
    host = urlsplit(proxy.origin).hostname
    assert host is not None
    assert host.startswith("127.")
    if sys.platform == "linux":  # which has all of 127.0.0.0/8
        assert host != "127.0.0.1"


def test_an_address_opens_one_browser_and_then_there_is_another(api: Api) -> None:
    told: list[str] = []
    signing = serve(api.url, lambda: Credentials("AKIATEST", "secret"), "eu-central-1", opened=told.append)
    with signing as proxy, requests.Session() as first, requests.Session() as second:
        address = proxy.address
        assert first.get(address, allow_redirects=False).status_code == 303
        assert told == [proxy.address] != [address]
        assert second.get(address, allow_redirects=False).status_code == 403
        assert first.get(f"{address}&page=docs", allow_redirects=False).headers["Location"] == "/docs"
        assert told == [proxy.address]
        assert second.get(proxy.address, allow_redirects=False).status_code == 303
        assert first.cookies[COOKIE] not in f"{address}{told}"


@pytest.mark.parametrize("target", ["@evil.example/x", "http://evil.example/", "//evil.example/x", "*"])
def test_what_is_signed_goes_to_the_api_and_nowhere_else(
    api: Api, proxy: Proxy, browser: requests.Session, target: str
) -> None:
    host = urlsplit(proxy.origin).netloc
    with socket.create_connection(
        (str(urlsplit(proxy.origin).hostname), int(urlsplit(proxy.origin).port or 0)), 5
    ) as raw:
        cookie = f"{COOKIE}={browser.cookies[COOKIE]}"
        raw.sendall(f"GET {target} HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n".encode())
        answer = raw.makefile("rb").read()
    assert [path for _, path, _, _ in api.seen] in ([], ["/stage/evil.example/x"]), answer


def test_the_page_that_leads_to_the_address_is_for_this_user_only(proxy: Proxy) -> None:
    with page_to(proxy.address) as place:
        page = Path(url2pathname(urlsplit(place).path))
        assert proxy.address not in place
        assert f'content="0; url={proxy.address}"' in page.read_text()
        assert (page.stat().st_mode & 0o777, page.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert not page.exists()


def test_an_api_that_is_gone_is_a_502() -> None:
    with (
        serve("http://127.0.0.1:9", lambda: Credentials("AKIATEST", "secret"), "eu-central-1") as proxy,
        requests.Session() as session,
    ):
        session.get(proxy.address, allow_redirects=False)
        assert session.get(proxy.origin + "/dags").status_code == 502
