"""Airflow's REST API on the environment's web server itself, with a session of Jetway's own.

CreateWebLoginToken gives a token, the web server's login page turns it into a session, and the session opens the API:
no budget of InvokeRestApi stands between, no bound of a path, and no ten seconds.
https://docs.aws.amazon.com/mwaa/latest/userguide/access-mwaa-apache-airflow-rest-api.html

    Airflow 2   /aws_mwaa/login             cookie session   sent back as a cookie   /api/v1
    Airflow 3   /pluginsv2/aws_mwaa/login   cookie _token    sent as a bearer token  /api/v2
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from botocore.exceptions import BotoCoreError, ClientError

from jetway.airflow import rest_responses
from jetway.errors import AnswerLostError, EnvironmentUnavailableError, TokenRefusedError, TransientError

from .environment import unavailable
from .web_server import Credential, WebServer, check_host

if TYPE_CHECKING:
    import requests
    from mypy_boto3_mwaa import MWAAClient

    from .environment import Environment
    from .rest import Method
    from .web_server import WebResponse

READ_TIMEOUT = 30.0

# A session lives twelve hours.
SESSION_MAX_AGE = 11 * 3600.0

# What a web server answers that does not know the session: by itself, or by a way to its login page.
_NOT_LOGGED_IN = frozenset({301, 302, 303, 307, 308, 401, 403})


@dataclass(frozen=True, slots=True)
class _Login:
    """What differs between Airflow 2 and 3."""

    path: str
    cookie: str
    api: str


_LOGINS = {
    2: _Login("/aws_mwaa/login", "session", "/api/v1"),
    3: _Login("/pluginsv2/aws_mwaa/login", "_token", "/api/v2"),
}


@dataclass(frozen=True, slots=True)
class _Session:
    credential: Credential = field(repr=False)
    host: str
    major: int
    made_at: float


class WebServerApi:
    """`jetway.airflow.rest.RestCalls` on the web server, one call at a time."""

    longest_path: int | None = None

    def __init__(
        self,
        client: MWAAClient,
        environment: Environment,
        *,
        session: requests.Session | None = None,
        clock: Callable[[], float] = time.time,
        **bounds: Any,
    ) -> None:
        """Take the parts; nothing is called.

        Args:
            client: boto3's mwaa client.
            environment: tells which Airflow answers, and its status.
            session: from `web_server.new_session`.
            clock: seconds; wall-clock time, for a frozen Lambda's monotonic clock may stand still.
            bounds: of an answer, as `web_server.WebServer` takes them.
        """
        self._client = client
        self._environment = environment
        self._clock = clock
        self._web_server = WebServer(session=session, clock=clock, **{"read_timeout": READ_TIMEOUT, **bounds})
        self._session: _Session | None = None

    def call(
        self,
        method: Method,
        path: str,
        dag_id: str,
        *,
        creates: bool = False,
        query: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> object:
        """Make one call; see `jetway.airflow.rest.RestCalls`."""
        call = rest_responses.RestCall(self._environment.name, method, path, dag_id, creates=creates)
        target = path + ("?" + urlencode({name: _text(value) for name, value in query.items()}) if query else "")
        data = None if body is None else json.dumps(body).encode()
        try:
            return self._document(self._logged_in(method, target, data), call)
        except TransientError as exc:
            reason = self._environment.reason_of(exc)
            if reason is exc:
                raise
            raise reason from exc

    def _logged_in(self, method: Method, target: str, data: bytes | None) -> WebResponse:
        """Send a request; with a new session, once, when the one that is there is over."""
        there = self._session
        session = self._fresh_session()
        answer = self._send(session, method, target, data)
        if answer.status in _NOT_LOGGED_IN:
            self._session = None
            if session is there:  # the refusal says that nothing was done, so this asks for nothing twice
                answer = self._send(self._fresh_session(), method, target, data)
        return answer

    def _send(self, session: _Session, method: Method, target: str, data: bytes | None) -> WebResponse:
        return self._web_server.exchange(
            method,
            f"https://{session.host}{_LOGINS[session.major].api}{target}",
            data=data,
            headers={"Accept": "application/json", **({} if data is None else {"Content-Type": "application/json"})},
            credential=session.credential,
            lost="Airflow might have done it.",
        )

    def _document(self, answer: WebResponse, call: rest_responses.RestCall) -> object:
        if answer.status in _NOT_LOGGED_IN:
            self._session = None
            if answer.status == 403:
                raise EnvironmentUnavailableError(
                    f"Airflow answers 403 to {call}: the Airflow role of the session is not allowed to do this. Set "
                    "the parameter AirflowRole to a role that can create DAG runs (User, Op or Admin), or grant "
                    "the permission in Airflow."
                )
            raise TokenRefusedError(
                f"{call} is rejected ({answer.status}) with a new session. Jetway tries again later."
            )
        try:
            document: object = json.loads(answer.body or b"{}")
        except (ValueError, RecursionError):
            document = {}
        if answer.status < 300:
            return document
        raise rest_responses.explain_status(answer.status, document, call)

    def _fresh_session(self) -> _Session:
        major, now = self._environment.facts().major, self._clock()
        found = self._session
        # A clock set back makes the age negative: the session counts as old then.
        if found is not None and found.major == major and 0 <= now - found.made_at < SESSION_MAX_AGE:
            return found
        self._session = self._log_in(3 if major >= 3 else 2, now)
        return self._session

    def _log_in(self, major: int, now: float) -> _Session:
        name, login = self._environment.name, _LOGINS[major]
        try:
            token = self._client.create_web_login_token(Name=name)
        except (ClientError, BotoCoreError) as exc:
            raise unavailable(name, "CreateWebLoginToken", exc) from exc
        host = check_host(name, token["WebServerHostname"])
        try:
            answer = self._web_server.exchange(
                "POST",
                f"https://{host}{login.path}",
                data=urlencode({"token": token["WebToken"]}).encode(),
                headers={"Content-Type": "application/x-www-form-urlencoded"},
                credential=None,
                lost="Nothing was requested from Airflow yet.",
            )
        except AnswerLostError as exc:
            raise EnvironmentUnavailableError(f"The login of the web server {host} did not respond. {exc}") from exc
        text = _cookie(answer.cookies, login.cookie)
        if answer.status in {401, 403}:
            raise TokenRefusedError(f"The web server {host} rejects a new login token ({answer.status}).")
        if answer.status >= 400 or text is None:
            raise EnvironmentUnavailableError(
                f"The login of the web server {host} answers {answer.status} without a session. It might be starting "
                "or updating."
            )
        credential = Credential(f"Bearer {text}") if major >= 3 else Credential(f"{login.cookie}={text}", "Cookie")
        return _Session(credential, host, major, now)


def _cookie(headers: tuple[str, ...], name: str) -> str | None:
    """Return the value of a cookie as the web server wrote it; None when it set none of that name."""
    for header in headers:
        try:
            found = SimpleCookie(header)
        except CookieError:
            continue
        if name in found and found[name].coded_value:
            return found[name].coded_value
    return None


def _text(value: Any) -> Any:
    """A query parameter's value as text: JSON's true, not Python's True."""
    return json.dumps(value) if isinstance(value, bool) else value
