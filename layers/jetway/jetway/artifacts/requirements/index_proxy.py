"""The only way out for uv, and for what we fetch ourselves: a proxy on loopback that leads to public addresses only.

A requirements.txt may name any address, and any server may redirect to another one: to a machine's own services, to
those of a network, to where a cloud gives credentials out. The proxy resolves a name itself, looks at the addresses,
and connects to one that it has looked at. Plain http it does not pass on. Hosts that the operator names are excepted.
"""

from __future__ import annotations

import base64
import ipaddress
import secrets
import select
import socket
import socketserver
import threading
import time
import urllib.request
from collections.abc import Callable, Collection
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote, urlsplit

# Those of documentation, which lead nowhere, are not among them.
_REFUSED = tuple(
    ipaddress.ip_network(network)
    for network in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/3"),
        *("::/96", "64:ff9b:1::/48", "100::/64", "2001::/32", "2002::/16", "fc00::/7", "fe80::/9", "ff00::/8"),
    )
)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # an address of IPv4 is in its last four bytes

_LONGEST_HEAD = 16 * 1024
_HEAD_SECONDS, _CONNECT_SECONDS, _IDLE_SECONDS = 10.0, 10.0, 60.0
_MOST_CONNECTIONS = 100
_MOST_BYTES = 512 * 1024**2  # in all, in both directions
_LOOK = 0.5  # seconds between looks whether the proxy is over

# Not 403: of an index that forbids a package uv says that the package is not there, which would be certain.
REFUSED = "502 Refused"

ResolveHost = Callable[..., Any]


class AddressRefusedError(OSError):
    """The proxy leads nowhere there; the message says why."""


def is_refused(address: str) -> bool:
    """Whether an address is private, of this machine, of the link, or no single host's."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if ip.version == 6 and ip in _NAT64:
        ip = ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    return any(ip in network for network in _REFUSED if network.version == ip.version)


def named(place: str) -> str:
    """Return a host that an operator names by a URL, by host:port or by its name alone, as `IndexProxy` takes it.

    >>> named("https://index.example.com/simple"), named("index.example.com:8443"), named("Index.Example.com")
    ('index.example.com:443', 'index.example.com:8443', 'index.example.com')
    """
    if "://" not in place:
        return place.lower()
    parts = urlsplit(place)
    return f"{(parts.hostname or '').lower()}:{parts.port or (80 if parts.scheme == 'http' else 443)}"


class IndexProxy:
    """The proxy, for as long as it is entered.

    Args:
        allowed: hosts that the operator names, as of `named`: also at private addresses, and by plain http.
        resolve: looks up addresses, as `socket.getaddrinfo`.
    """

    def __init__(self, allowed: Collection[str] = (), *, resolve: ResolveHost = socket.getaddrinfo) -> None:
        self._allowed, self._resolve = frozenset(allowed), resolve
        token = secrets.token_urlsafe(16)  # for nobody else on this machine
        self.authorization = "Basic " + base64.b64encode(f"jetway:{token}".encode()).decode()
        self._token = token
        self._room = threading.BoundedSemaphore(_MOST_CONNECTIONS)
        self._lock, self._passed = threading.Lock(), 0
        self._over = threading.Event()
        self._server: _Server | None = None

    def __enter__(self) -> Self:
        self._server = _Server(self)
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, name="index-proxy", daemon=True
        ).start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _exc: BaseException | None, _at: TracebackType | None
    ) -> None:
        self._over.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    @property
    def port(self) -> int:
        """Where it listens, on 127.0.0.1."""
        if self._server is None:
            raise RuntimeError("the proxy is not entered.")
        port: int = self._server.server_address[1]
        return port

    @property
    def url(self) -> str:
        """Its address, for programs."""
        return f"http://jetway:{self._token}@127.0.0.1:{self.port}"

    def is_allowed(self, host: str, port: int) -> bool:
        """Whether the operator has named a host."""
        host = host.lower()
        return host in self._allowed or f"{host}:{port}" in self._allowed

    def serve(self, client: socket.socket) -> None:
        """Serve one connection."""
        if not self._room.acquire(blocking=False):
            client.sendall(_refusal("503 Service Unavailable", "too many connections"))
            return
        try:
            client.settimeout(_HEAD_SECONDS)
            head, rest = _head(client)
            server, first, answer = self._opened(head)
            with server:
                client.sendall(answer)
                server.sendall(first + rest)
                self._relay(client, server)
        except AddressRefusedError as exc:
            _tell(client, _refusal(REFUSED, str(exc)))
        except OSError as exc:
            _tell(client, _refusal("502 Bad Gateway", type(exc).__name__))
        finally:
            self._room.release()

    def _opened(self, head: bytes) -> tuple[socket.socket, bytes, bytes]:
        """A connection to where a request wants to go; what is sent there first; and what is answered at once."""
        line, *fields = head.decode("latin-1").split("\r\n")
        method, target, version = (*line.split(" "), "", "")[:3]
        named_fields = [field.partition(":") for field in fields]
        given = [value.strip() for name, _, value in named_fields if name.strip().lower() == "proxy-authorization"]
        if not any(secrets.compare_digest(one, self.authorization) for one in given):
            raise AddressRefusedError("the proxy requires authorization")
        if method == "CONNECT":
            host, port = _host_and_port(f"//{target}", 443)
            return self.connected(host, port), b"", b"HTTP/1.1 200 Connection established\r\n\r\n"
        host, port = _host_and_port(target, 80)
        if not target.startswith("http://") or not self.is_allowed(host, port):
            raise AddressRefusedError(f"plain http is not allowed: {host}")
        path = "/" + target.partition("://")[2].partition("/")[2]
        kept = [field for field in fields if not field.lower().startswith(("proxy-", "connection:")) and field]
        request = "\r\n".join([f"{method} {path} {version}", *kept, "Connection: close", "", ""])
        return self.connected(host, port), request.encode("latin-1"), b""

    def connected(self, host: str, port: int) -> socket.socket:
        """Connect to a host, at an address that was looked at.

        Raises:
            AddressRefusedError: it is none that this leads to.
            OSError: it cannot be reached.
        """
        upstream = None if self.is_allowed(host, port) else _upstream(host)
        if upstream is not None:
            self._look(host, port, must=False)
            return _through(*upstream, host, port)
        error: OSError = OSError(f"{host} has no address")
        for address in self._look(host, port):
            try:
                return socket.create_connection((address, port), _CONNECT_SECONDS)
            except OSError as exc:
                error = exc
        raise error

    def _look(self, host: str, port: int, *, must: bool = True) -> list[str]:
        """The addresses of a host, none of which is refused; `must`: it has to have some here."""
        try:
            found = [str(entry[4][0]) for entry in self._resolve(host, port, type=socket.SOCK_STREAM)]
        except (OSError, UnicodeError) as exc:
            if must:
                raise OSError(f"{host} has no address") from exc
            return []
        if not self.is_allowed(host, port) and any(map(is_refused, found)):
            raise AddressRefusedError(f"{host} is at an address that is not public")
        return list(dict.fromkeys(found))

    def _relay(self, client: socket.socket, server: socket.socket) -> None:
        """Pass on what comes, until one side ends."""
        other = {client: server, server: client}
        last = time.monotonic()
        for end in other:
            end.settimeout(_IDLE_SECONDS)
        while not self._over.is_set() and time.monotonic() - last < _IDLE_SECONDS:
            for end in select.select(list(other), [], [], _LOOK)[0]:
                data = end.recv(65536)
                if not data or not self._may_pass(len(data)):
                    return
                other[end].sendall(data)
                last = time.monotonic()

    def _may_pass(self, length: int) -> bool:
        with self._lock:
            self._passed += length
            return self._passed <= _MOST_BYTES


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, proxy: IndexProxy) -> None:
        self.proxy = proxy
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is nothing to talk of."""


class _Handler(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        self.server.proxy.serve(self.request)  # type: ignore[attr-defined]


def _head(client: socket.socket) -> tuple[bytes, bytes]:
    """The head of a request, and what has come after it."""
    found, deadline = b"", time.monotonic() + _HEAD_SECONDS
    while b"\r\n\r\n" not in found:
        data = client.recv(4096)
        if not data or len(found) > _LONGEST_HEAD or time.monotonic() > deadline:
            raise OSError("not a valid request")
        found += data
    head, _, rest = found.partition(b"\r\n\r\n")
    return head, rest


def _host_and_port(target: str, port: int) -> tuple[str, int]:
    try:
        parts = urlsplit(target)
        host, port = parts.hostname or "", parts.port or port
    except ValueError as exc:
        raise AddressRefusedError("this is not a valid address") from exc
    if not host:
        raise AddressRefusedError("this is not a valid address")
    return host, port


def _upstream(host: str) -> tuple[str, int, str | None] | None:
    """The proxy of this machine, if it has one for that host: its host, port and authorization."""
    given = urllib.request.getproxies_environment()
    place = given.get("https") or given.get("all")
    if not place or urllib.request.proxy_bypass_environment(host, given):  # type: ignore[attr-defined]  # undocumented
        return None
    parts = urlsplit(place if "://" in place else f"http://{place}")
    if not parts.hostname:
        return None
    said = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    authorization = "Basic " + base64.b64encode(said.encode()).decode() if parts.username else None
    return parts.hostname, parts.port or 80, authorization


def _through(proxy: str, proxy_port: int, authorization: str | None, host: str, port: int) -> socket.socket:
    """Connect by the machine's own proxy."""
    server = socket.create_connection((proxy, proxy_port), _CONNECT_SECONDS)
    try:
        place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        lines = [f"CONNECT {place} HTTP/1.1", f"Host: {place}"]
        lines += [f"Proxy-Authorization: {authorization}"] if authorization else []
        server.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))
        head, rest = _head(server)
        leads = head.split(b" ")[1:2] == [b"200"] and not rest
    except BaseException:
        server.close()
        raise
    if not leads:
        server.close()
        raise OSError("this machine's proxy does not reach this host")
    return server


def _refusal(status: str, why: str) -> bytes:
    body = f"{why}\n".encode()
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


def _tell(client: socket.socket, answer: bytes) -> None:
    try:
        client.sendall(answer)
    except OSError:
        return  # it is gone
