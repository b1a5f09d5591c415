"""What is fetched of addresses that somebody's file, or a package index, names: through the proxy only, with bounds."""

from __future__ import annotations

import base64
import http.client
import ssl
import time
from collections.abc import Iterable, Iterator, Mapping
from email.message import Message
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

from jetway.artifacts.requirements.index_proxy import REFUSED
from jetway.artifacts.requirements.requirement_lines import UnreadableError, decode, redacted
from jetway.artifacts.requirements.requirements_model import read_requirements

if TYPE_CHECKING:
    from jetway.artifacts.requirements.index_proxy import IndexProxy

_MOST_REDIRECTS = 5
_LARGEST_CONSTRAINTS = 1024 * 1024
_SECONDS_FOR_CONSTRAINTS = 10.0
_CHUNK = 64 * 1024


class FetchError(OSError):
    """It cannot be had; the message says why, and holds nothing of what was answered."""


def fetch(
    url: str, proxy: IndexProxy, *, most: int, seconds: float, headers: Mapping[str, str] | None = None
) -> tuple[int, Message, bytes]:
    """Fetch by https, or by http from a host that the operator names.

    Args:
        url: where from; it may redirect to others of the kind.
        proxy: that leads there.
        most: bytes that are read.
        seconds: for all of it.
        headers: to send.

    Returns:
        Status, headers and the first bytes of the body.

    Raises:
        FetchError: it cannot be had.
    """
    deadline = time.monotonic() + seconds
    for _ in range(_MOST_REDIRECTS):
        try:
            status, found, body = _one(url, proxy, most, deadline, headers or {})
        except (OSError, http.client.HTTPException, ValueError) as exc:
            raise FetchError(f"{redacted(url)} cannot be fetched: {_why(exc)}") from exc
        if status not in {301, 302, 303, 307, 308} or "Location" not in found:
            return status, found, body
        url = urljoin(url, found["Location"])
    raise FetchError(f"{redacted(url)} redirects too often")


def constraints_at(urls: Iterable[str], proxy: IndexProxy) -> Iterator[str]:
    """Fetch constraint files and yield what they say, one requirement of an index after the other.

    Raises:
        FetchError: one cannot be had, or says something else.
    """
    for url in urls:
        status, _, body = fetch(url, proxy, most=_LARGEST_CONSTRAINTS + 1, seconds=_SECONDS_FOR_CONSTRAINTS)
        if status != 200:
            raise FetchError(f"{redacted(url)} cannot be fetched: the server answers {status}")
        if len(body) > _LARGEST_CONSTRAINTS:
            raise FetchError(f"{redacted(url)} has more than {_LARGEST_CONSTRAINTS:,} bytes")
        try:
            read = read_requirements(decode(body))
        except UnreadableError:
            raise FetchError(f"{redacted(url)} is not text") from None
        elsewhere = [one for one in read.wanted if one.requirement is None or one.source != "index"]
        options = (read.findings, read.constraints, read.nested, read.variables, read.indexes, read.find_links)
        if elsewhere or any(options):
            raise FetchError(f"{redacted(url)} has more than names and versions, which this check does not evaluate")
        yield from (str(one.requirement) for one in read.wanted)


def _one(
    url: str, proxy: IndexProxy, most: int, deadline: float, headers: Mapping[str, str]
) -> tuple[int, Message, bytes]:
    parts = urlsplit(url)
    host, left = parts.hostname or "", deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    given = {**headers, **_credentials(parts)}
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        connection = http.client.HTTPSConnection(
            "127.0.0.1", proxy.port, timeout=left, context=ssl.create_default_context()
        )
        connection.set_tunnel(host, parts.port or 443, {"Proxy-Authorization": proxy.authorization})
    elif parts.scheme == "http" and proxy.is_allowed(host, parts.port or 80):
        connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=left)
        path, given = (
            f"http://{parts.netloc.rpartition('@')[2]}{path}",
            {
                **given,
                "Host": parts.netloc.rpartition("@")[2],
                "Proxy-Authorization": proxy.authorization,
            },
        )
    else:
        raise ValueError("only https redirects are followed")
    try:
        connection.request("GET", path, headers=given)
        answer = connection.getresponse()
        body = bytearray()
        while len(body) < most and (chunk := answer.read(min(_CHUNK, most - len(body)))):
            body += chunk
            if time.monotonic() > deadline:
                raise TimeoutError
        return answer.status, answer.headers, bytes(body)
    finally:
        connection.close()


def _credentials(parts: SplitResult) -> dict[str, str]:
    if parts.username is None:
        return {}
    said = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Authorization": "Basic " + base64.b64encode(said.encode()).decode()}


def _why(exc: Exception) -> str:
    """Our own words, or the kind of the error: what a server says may be anything."""
    if isinstance(exc, ssl.SSLCertVerificationError):
        return "its certificate is not trusted"
    if isinstance(exc, TimeoutError):
        return "it takes too long"
    if isinstance(exc, OSError) and REFUSED in str(exc):
        return "it is at an address that is not public"
    return str(exc) if type(exc) is ValueError else type(exc).__name__
