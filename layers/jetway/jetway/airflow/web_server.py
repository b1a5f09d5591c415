"""An exchange with the environment's web server: connection, bounds of an answer, and what a failure proves."""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import Literal

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError

from jetway.errors import AnswerLostError, EnvironmentUnavailableError

CONNECT_TIMEOUT = 5.0

# Load balancers drop connections idle for 60 s, and a frozen Lambda does not see it happen.
CONNECTION_MAX_IDLE = 45.0

MAX_ANSWER_BYTES = 8 * 1024 * 1024

_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*(?::[0-9]{1,5})?")


@dataclass(frozen=True, slots=True)
class WebResponse:
    """What the web server answered, read whole."""

    status: int
    body: bytes
    location: str | None = None
    cookies: tuple[str, ...] = ()


class Credential(requests.auth.AuthBase):
    """Puts a token into one header of one request.

    As `auth`, not as a header: requests would prefer an entry of ~/.netrc over a header of ours.
    """

    def __init__(self, value: str, header: str = "Authorization") -> None:
        self._value = value
        self._header = header

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers[self._header] = self._value
        return request


class _Nobody(requests.auth.AuthBase):
    """Keeps requests from looking into ~/.netrc."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


class _Session(requests.Session):
    """A session to which no answer is a redirect.

    `allow_redirects=False` is not enough: requests prepares the next request all the same, for which it
    reads the whole body, whatever its size, and fails on an address that it cannot parse.
    """

    def get_redirect_target(self, resp: requests.Response) -> None:  # noqa: ARG002 - the parent's signature
        return None


def new_session() -> requests.Session:
    """Return a session that keeps one connection, tries nothing twice, follows nothing and keeps no cookies."""
    session = _Session()
    # A repeated request could be a repeated command; whether to repeat is decided where its meaning is known.
    session.mount("https://", HTTPAdapter(max_retries=0, pool_connections=1, pool_maxsize=1))
    # What we send alone says who we are; a web server session left in a cookie must not.
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    return session


def check_host(name: str, host: str) -> str:
    """Return the web server's name that MWAA gives.

    Raises:
        EnvironmentUnavailableError: it is none.
    """
    if _HOST.fullmatch(host) is None:
        raise EnvironmentUnavailableError(
            f"MWAA environment {name!r} returns {host[:100]!r} as its web server's name, which is not valid."
        )
    return host


class WebServer:
    """Makes one exchange at a time."""

    def __init__(
        self,
        *,
        session: requests.Session | None = None,
        clock: Callable[[], float] = time.time,
        connect_timeout: float = CONNECT_TIMEOUT,
        read_timeout: float,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
    ) -> None:
        """Take the parts; nothing is sent.

        Args:
            session: from `new_session`; its `verify` and the REQUESTS_CA_BUNDLE variable are honoured.
            clock: seconds. Wall-clock time, because a frozen Lambda's monotonic clock may stand still.
            connect_timeout: seconds until the connection stands.
            read_timeout: seconds until the answer is there, whole.
            max_answer_bytes: a longer answer counts as lost.
        """
        self._session = session or new_session()
        self._clock = clock
        self._timeouts = (connect_timeout, read_timeout)
        self._max_answer_bytes = max_answer_bytes
        self._last_used = 0.0

    def exchange(
        self,
        method: Literal["GET", "POST"],
        url: str,
        *,
        data: bytes | None,
        headers: Mapping[str, str],
        credential: Credential | None,
        lost: str,
    ) -> WebResponse:
        """Send one request and return its answer.

        Args:
            lost: what may be when no answer comes.

        Raises:
            EnvironmentUnavailableError: nothing was sent.
            AnswerLostError: no answer came, or not all of it.
        """
        now, host = self._clock(), url.split("/")[2]
        if not 0 <= now - self._last_used < CONNECTION_MAX_IDLE:
            self._session.close()  # closes connections only; the session stays usable
        send = self._session.post if method == "POST" else self._session.get
        try:
            with send(
                url,
                data=data,
                headers=dict(headers),
                auth=credential or _Nobody(),
                timeout=self._timeouts,
                allow_redirects=False,
                stream=True,
            ) as response:
                body = self._read(response, host, deadline=now + self._timeouts[1], lost=lost)
                found = getattr(response.raw, "headers", None)
                cookies = tuple(found.getlist("Set-Cookie")) if found is not None else ()
                return WebResponse(response.status_code, body, response.headers.get("Location"), cookies)
        except (requests.RequestException, HTTPError) as exc:
            if _never_sent(exc):
                raise EnvironmentUnavailableError(
                    f"The web server {host} cannot be reached: {_root(exc)}. A private web server can be reached "
                    "only from its VPC; see SubnetIds and SecurityGroupIds."
                ) from exc
            raise AnswerLostError(f"No response from the web server {host}: {_root(exc)}. {lost}") from exc
        finally:
            self._last_used = self._clock()

    def _read(self, response: requests.Response, host: str, *, deadline: float, lost: str) -> bytes:
        body = bytearray()
        # read1 returns what has come; requests' own iter_content waits until a chunk is full.
        while chunk := response.raw.read1(64 * 1024, decode_content=True):
            body += chunk
            if len(body) > self._max_answer_bytes:
                raise AnswerLostError(
                    f"The web server {host} answered with more than {self._max_answer_bytes} bytes; the rest was "
                    f"not read. {lost}"
                )
            # The timeout of requests counts from byte to byte: a trickle would hold us for hours.
            if self._clock() > deadline:
                raise AnswerLostError(
                    f"The web server {host} did not finish its response in {self._timeouts[1]:g} s. {lost}"
                )
        return bytes(body)


def _never_sent(exc: BaseException) -> bool:
    """Whether the request failed before a byte of the command left: then it cannot have run."""
    if isinstance(exc, requests.exceptions.ConnectTimeout | requests.exceptions.ProxyError | ValueError):
        return True  # ValueError: requests' InvalidURL and its kin
    causes = tuple(_causes(exc))
    return any(
        isinstance(cause, NewConnectionError | ConnectTimeoutError | ssl.SSLCertVerificationError) for cause in causes
    )


def _causes(exc: BaseException) -> Iterator[BaseException]:
    """Yield the exceptions that requests and urllib3 have wrapped into one another."""
    seen: set[int] = set()
    waiting: list[object] = [exc]
    while waiting:
        current = waiting.pop(0)
        if not isinstance(current, BaseException) or id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        # Not __context__: that can be an error of an earlier attempt.
        waiting += [getattr(current, "reason", None), current.__cause__, *current.args]


def _root(exc: BaseException) -> str:
    """Name the innermost cause in a few words; requests' own texts repeat addresses and objects."""
    root = list(_causes(exc))[-1]
    return f"{type(root).__name__}: {root}"[:200]
