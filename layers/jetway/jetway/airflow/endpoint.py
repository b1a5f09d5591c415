"""MWAA's CLI endpoint over HTTPS: token, connection, redirect and the bounds of an answer.

https://docs.aws.amazon.com/mwaa/latest/userguide/call-mwaa-apis-cli.html
"""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

import requests
from botocore.exceptions import BotoCoreError, ClientError
from requests.adapters import HTTPAdapter
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError

from jetway.errors import AnswerLostError, EnvironmentUnavailableError, TokenRefusedError, TransientError

from . import answers, commands
from .environment import unavailable

if TYPE_CHECKING:
    from mypy_boto3_mwaa import MWAAClient

    from .environment import Environment

CONNECT_TIMEOUT = 5.0
READ_TIMEOUT = 60.0  # `dags trigger` takes 2-3 s on an idle machine; the web server has one vCPU

# A token lives 60 s. It may be used again meanwhile, which spares CreateCliToken; the rest is for the way.
TOKEN_MAX_AGE = 45.0

# Load balancers drop connections idle for 60 s, and a frozen Lambda does not see it happen.
CONNECTION_MAX_IDLE = 45.0

MAX_ANSWER_BYTES = 8 * 1024 * 1024

_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*(?::[0-9]{1,5})?")


@dataclass(frozen=True, slots=True)
class _Token:
    text: str = field(repr=False)
    host: str
    minted_at: float


class _Bearer(requests.auth.AuthBase):
    """Puts the token into one request.

    As `auth`, not as a header: requests would prefer an entry of ~/.netrc over a header of ours.
    """

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
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
    # The token alone says who we are; a web server session left in a cookie must not.
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    return session


class CliEndpoint:
    """Runs Airflow commands on the web server of one environment, one at a time."""

    def __init__(
        self,
        client: MWAAClient,
        environment: Environment,
        *,
        session: requests.Session | None = None,
        clock: Callable[[], float] = time.time,
        connect_timeout: float = CONNECT_TIMEOUT,
        read_timeout: float = READ_TIMEOUT,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
        spend: Callable[[], None] = lambda: None,
    ) -> None:
        """Take the client and the environment; nothing is called before the first command.

        Args:
            client: boto3's mwaa client.
            environment: tells which Airflow version answers.
            session: from `new_session`; its `verify` and the REQUESTS_CA_BUNDLE variable are honoured.
            clock: seconds. Wall-clock time, because a frozen Lambda's monotonic clock may stand still.
            connect_timeout: seconds until the connection stands.
            read_timeout: seconds until the answer is there, whole.
            max_answer_bytes: a longer answer counts as lost.
            spend: waits for the turn of one command; raises OutOfTurnError when it comes too late.
        """
        self._client = client
        self._environment = environment
        self._session = session or new_session()
        self._clock = clock
        self._timeouts = (connect_timeout, read_timeout)
        self._max_answer_bytes = max_answer_bytes
        self._spend = spend
        self._token: _Token | None = None
        self._last_used = 0.0

    def run(self, argv: Sequence[str], *, creates: bool = False) -> answers.CliOutput:
        """Run one command and return what it printed.

        Args:
            argv: the command.
            creates: it creates something, so only a proof that it did not run counts as one.

        Raises:
            TokenRefusedError: 401 or 403, with a token minted for this command as well.
            EnvironmentBusyError, EnvironmentUnavailableError: the command did not run.
            AnswerLostError: the command was sent; whether it ran is not known.
            InvalidRequestError, CommandRejectedError: as `answers.read_output`.
            OutOfTurnError: it was not sent.
        """
        self._spend()
        line = commands.to_line(argv).encode()
        try:
            return self._run(line, creates=creates)
        except TransientError as exc:
            reason = self._environment.reason_of(exc)
            if reason is exc:
                raise
            raise reason from exc

    def _run(self, line: bytes, *, creates: bool) -> answers.CliOutput:
        try:
            return self._post(self._fresh_token(), line, creates=creates)
        except TokenRefusedError:
            self._token = None
        try:
            return self._post(self._fresh_token(), line, creates=creates)
        except TokenRefusedError:
            self._token = None
            raise

    def _fresh_token(self) -> _Token:
        now = self._clock()
        # A clock set back makes the age negative: the token counts as old then.
        if self._token is not None and 0 <= now - self._token.minted_at < TOKEN_MAX_AGE:
            return self._token
        name = self._environment.name
        try:
            answer = self._client.create_cli_token(Name=name)
        except (ClientError, BotoCoreError) as exc:
            raise unavailable(name, "CreateCliToken", exc) from exc
        host = answer["WebServerHostname"]
        if _HOST.fullmatch(host) is None:
            raise EnvironmentUnavailableError(
                f"MWAA environment {name!r} gives {host[:100]!r} as its web server's name, which is none."
            )
        self._token = _Token(answer["CliToken"], host, now)
        return self._token

    def _path(self) -> str:
        # Airflow 3's web server answers 307 to the path without the slash; whether Airflow 2's takes the one
        # with it is not documented.
        return "/aws_mwaa/cli/" if self._environment.facts().major >= 3 else "/aws_mwaa/cli"

    def _post(self, token: _Token, line: bytes, *, creates: bool) -> answers.CliOutput:
        url = f"https://{token.host}{self._path()}"
        status, location, body = self._exchange(url, token, line)
        if status in {307, 308} and location is not None:
            target = _same_origin(url, location)
            if target is not None:
                url = target
                status, location, body = self._exchange(url, token, line)
        if 300 <= status < 400:
            where = (location or "nowhere").partition("?")[0][:200]  # a query can hold secrets
            raise EnvironmentUnavailableError(
                f"The web server {token.host} redirects a CLI command ({status}, to {where!r}); only one "
                "redirect, on the same host, is followed. It may be starting or being updated."
            )
        return answers.read_output(status, body, token.host, creates=creates)

    def _exchange(self, url: str, token: _Token, line: bytes) -> tuple[int, str | None, bytes]:
        now = self._clock()
        if not 0 <= now - self._last_used < CONNECTION_MAX_IDLE:
            self._session.close()  # closes connections only; the session stays usable
        try:
            with self._session.post(
                url,
                data=line,
                headers={"Content-Type": "text/plain"},
                auth=_Bearer(token.text),
                timeout=self._timeouts,
                allow_redirects=False,
                stream=True,
            ) as response:
                body = self._read(response, token.host, deadline=now + self._timeouts[1])
                return response.status_code, response.headers.get("Location"), body
        except (requests.RequestException, HTTPError) as exc:
            if _never_sent(exc):
                raise EnvironmentUnavailableError(
                    f"The web server {token.host} cannot be reached: {_root(exc)}. A private web server is "
                    "reached from its VPC only: see SubnetIds and SecurityGroupIds."
                ) from exc
            raise AnswerLostError(
                f"No answer came from the web server {token.host}: {_root(exc)}. The command may have run."
            ) from exc
        finally:
            self._last_used = self._clock()

    def _read(self, response: requests.Response, host: str, *, deadline: float) -> bytes:
        body = bytearray()
        # read1 returns what has come; requests' own iter_content waits until a chunk is full.
        while chunk := response.raw.read1(64 * 1024, decode_content=True):
            body += chunk
            if len(body) > self._max_answer_bytes:
                raise AnswerLostError(
                    f"The web server {host} answered with more than {self._max_answer_bytes} bytes; "
                    "the rest was not read. The command may have run."
                )
            # The timeout of requests counts from byte to byte: a trickle would hold us for hours.
            if self._clock() > deadline:
                raise AnswerLostError(
                    f"The web server {host} did not end its answer in {self._timeouts[1]:g} s. "
                    "The command may have run."
                )
        return bytes(body)


def _same_origin(url: str, location: str) -> str | None:
    """Return where `location` leads, None when that is another scheme, host or port."""
    try:
        here, there = urlsplit(url), urlsplit(urljoin(url, location))
        same = (here.scheme, here.hostname, here.port or 443) == (
            there.scheme,
            there.hostname,
            there.port or 443,
        )
    except ValueError:
        return None
    # Put together from our own host: however the location is read, the token cannot go elsewhere.
    return here._replace(path=there.path, query=there.query).geturl() if same else None


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
