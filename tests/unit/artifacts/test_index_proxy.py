"""The way out: to public addresses, by https; to others only where the operator names them."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

from jetway.artifacts.requirements.fetching import FetchError, fetch
from jetway.artifacts.requirements.index_proxy import AddressRefusedError, IndexProxy, is_refused, named

PRIVATE = [
    *("127.0.0.1", "127.8.8.8", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254"),
    *("169.254.170.2", "100.64.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0"),
    *("fd00:ec2::254", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::"),
    *("::127.0.0.1", "ff02::1", "fec0::1"),
]
PUBLIC = ["8.8.8.8", "151.101.0.223", "172.32.0.1", "2a04:4e42::223", "64:ff9b::808:808", "::ffff:8.8.8.8"]


@pytest.mark.parametrize("address", PRIVATE)
def test_addresses_that_are_not_public_are_refused(address: str) -> None:
    assert is_refused(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_not(address: str) -> None:
    assert not is_refused(address)


class Plain(BaseHTTPRequestHandler):
    asked: ClassVar[list[tuple[str, Any]]] = []

    def do_GET(self) -> None:
        self.asked.append((self.path, dict(self.headers)))
        if self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/to/"))
            self.end_headers()
            return
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"x" * 1000)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[int]:
    Plain.asked.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Plain) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def tunnel(proxy: IndexProxy, host: str, port: int, **headers: str) -> int:
    """Ask for a tunnel; return the status."""
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=10)
    given = {"Proxy-Authorization": proxy.authorization} | headers
    with_colon = f"[{host}]" if ":" in host else host
    connection.putrequest("CONNECT", f"{with_colon}:{port}", skip_host=True)
    for name, value in given.items():
        connection.putheader(name, value)
    connection.endheaders()
    try:
        return connection.getresponse().status
    finally:
        connection.close()


def test_a_tunnel_leads_to_no_address_that_is_not_public(server: int) -> None:
    with IndexProxy() as proxy:
        for host in ("127.0.0.1", "localhost", "::1", "0.0.0.0", "2130706433", "0x7f.1"):
            assert tunnel(proxy, host, server) == 502, host
    with IndexProxy({f"127.0.0.1:{server}"}) as proxy:
        assert tunnel(proxy, "127.0.0.1", server) == 200
        assert tunnel(proxy, "127.0.0.1", server + 1) == 502
    assert not Plain.asked


def test_a_name_that_leads_to_several_addresses_must_have_only_public_ones() -> None:
    def both(*_args: Any, **_more: Any) -> list[Any]:
        return [(0, 0, 0, "", ("8.8.8.8", 443)), (0, 0, 0, "", ("10.0.0.1", 443))]

    with pytest.raises(AddressRefusedError, match="not public"):
        IndexProxy(resolve=both).connected("example.com", 443)


def test_what_was_looked_at_is_what_is_connected_to(server: int) -> None:
    """A name server that says another thing the second time is not asked a second time."""
    asked: list[str] = []

    def changing(host: str, *_args: Any, **_more: Any) -> list[Any]:
        asked.append(host)
        return [(0, 0, 0, "", ("127.0.0.1", server))]

    with IndexProxy({f"example.com:{server}"}, resolve=changing).connected("example.com", server) as found:
        assert found.getpeername() == ("127.0.0.1", server)
    assert asked == ["example.com"]


def test_others_on_this_machine_have_no_use_of_it(server: int) -> None:
    with IndexProxy({f"127.0.0.1:{server}"}) as proxy:
        for given in ("", "Basic eDp5", proxy.authorization[:-2]):
            assert tunnel(proxy, "127.0.0.1", server, **{"Proxy-Authorization": given}) == 502


def test_plain_http_goes_to_hosts_that_the_operator_names_only(server: int) -> None:
    place = f"http://127.0.0.1:{server}/simple/?a=b"
    with IndexProxy({named(place)}) as proxy:
        status, _, body = fetch(place, proxy, most=10, seconds=10, headers={"Range": "bytes=0-9"})
    assert (status, body) == (200, b"x" * 10)
    ((path, headers),) = Plain.asked
    assert (path, headers["Range"], headers["Host"]) == ("/simple/?a=b", "bytes=0-9", f"127.0.0.1:{server}")
    assert "Proxy-Authorization" not in headers
    with IndexProxy({"example.com"}) as proxy, pytest.raises(FetchError, match="only https"):
        fetch(place, proxy, most=10, seconds=10)
    with IndexProxy() as proxy:
        connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=10)
        connection.request("GET", place, headers={"Proxy-Authorization": proxy.authorization})
        assert connection.getresponse().status == 502
        connection.close()
    assert len(Plain.asked) == 1


@pytest.mark.parametrize("to", ["http://127.0.0.1:1/", "https://127.0.0.1:1/", "file:///etc/passwd", "//10.0.0.1/x"])
def test_a_redirect_leads_no_further(server: int, to: str) -> None:
    with IndexProxy({f"127.0.0.1:{server}"}) as proxy, pytest.raises(FetchError):
        fetch(f"http://127.0.0.1:{server}/to/{to}", proxy, most=10, seconds=10)
    assert len(Plain.asked) == 1


def test_redirects_end(server: int) -> None:
    place = f"http://127.0.0.1:{server}/to/?"
    with IndexProxy({f"127.0.0.1:{server}"}) as proxy, pytest.raises(FetchError, match="too often"):
        fetch(place, proxy, most=10, seconds=10)


def test_a_server_that_says_nothing_is_not_waited_for_long() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with IndexProxy({f"127.0.0.1:{port}"}) as proxy, pytest.raises(FetchError, match="too long"):
            fetch(f"http://127.0.0.1:{port}/", proxy, most=10, seconds=0.3)


def test_what_is_no_request_harms_nobody() -> None:
    with IndexProxy() as proxy:
        for words in (b"\r\n\r\n", b"CONNECT\r\n\r\n", b"GET http://[::1/ HTTP/1.1\r\n\r\n", b"\xff" * 20000, b""):
            with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as client:
                client.sendall(words)
                client.shutdown(socket.SHUT_WR)
                assert client.recv(12) in {b"HTTP/1.1 502", b""}
        assert tunnel(proxy, "127.0.0.1", 9) == 502


def test_the_machines_own_proxy_is_asked_and_private_addresses_are_not_asked_of_it(
    server: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a company has between its machines and the internet: our proxy goes through it."""
    with IndexProxy({f"localhost:{server}"}) as upstream:
        monkeypatch.setenv("HTTPS_PROXY", upstream.url)
        monkeypatch.setenv("NO_PROXY", "")

        def unknown(*_args: Any, **_more: Any) -> list[Any]:
            raise OSError("only the proxy knows names")

        with IndexProxy(resolve=unknown) as proxy:
            assert tunnel(proxy, "localhost", server) == 200
        with IndexProxy() as proxy:
            assert tunnel(proxy, "localhost", server) == 502
