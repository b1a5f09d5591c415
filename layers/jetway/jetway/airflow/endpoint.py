"""MWAA's CLI endpoint: token, command and redirect.

https://docs.aws.amazon.com/mwaa/latest/userguide/call-mwaa-apis-cli.html
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from jetway.airflow import cli_responses, commands
from jetway.errors import EnvironmentUnavailableError, TokenRefusedError, TransientError

from .environment import unavailable
from .web_server import CONNECT_TIMEOUT, MAX_ANSWER_BYTES, Credential, WebResponse, WebServer, check_host

if TYPE_CHECKING:
    import requests
    from mypy_boto3_mwaa import MWAAClient

    from .environment import Environment

READ_TIMEOUT = 60.0  # `dags trigger` takes 2-3 s on an idle machine; the web server has one vCPU

# A token lives 60 s. It may be used again meanwhile, which spares CreateCliToken; the rest is for the way.
TOKEN_MAX_AGE = 45.0


@dataclass(frozen=True, slots=True)
class _Token:
    text: str = field(repr=False)
    host: str
    minted_at: float


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
        self._clock = clock
        self._spend = spend
        self._web_server = WebServer(
            session=session,
            clock=clock,
            connect_timeout=connect_timeout,
            read_timeout=read_timeout,
            max_answer_bytes=max_answer_bytes,
        )
        self._token: _Token | None = None

    def run(self, argv: Sequence[str], *, creates: bool = False) -> cli_responses.CliOutput:
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

    def _run(self, line: bytes, *, creates: bool) -> cli_responses.CliOutput:
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
        self._token = _Token(answer["CliToken"], check_host(name, answer["WebServerHostname"]), now)
        return self._token

    def _path(self) -> str:
        # Airflow 3's web server answers 307 to the path without the slash; whether Airflow 2's takes the one
        # with it is not documented.
        return "/aws_mwaa/cli/" if self._environment.facts().major >= 3 else "/aws_mwaa/cli"

    def _post(self, token: _Token, line: bytes, *, creates: bool) -> cli_responses.CliOutput:
        url = f"https://{token.host}{self._path()}"
        answer = self._exchange(url, token, line)
        if answer.status in {307, 308} and answer.location is not None:
            target = _same_origin(url, answer.location)
            if target is not None:
                answer = self._exchange(target, token, line)
        if 300 <= answer.status < 400:
            where = (answer.location or "nowhere").partition("?")[0][:200]  # a query can hold secrets
            raise EnvironmentUnavailableError(
                f"The web server {token.host} redirects a CLI command ({answer.status}, to {where!r}); Jetway follows "
                "only one redirect, on the same host. The web server might be starting or updating."
            )
        return cli_responses.read_output(answer.status, answer.body, token.host, creates=creates)

    def _exchange(self, url: str, token: _Token, line: bytes) -> WebResponse:
        return self._web_server.exchange(
            "POST",
            url,
            data=line,
            headers={"Content-Type": "text/plain"},
            credential=Credential(f"Bearer {token.text}"),
            lost="The command might have run.",
        )


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
