"""Airflow's REST API behind MWAA: InvokeRestApi, the web login, and `/api` for those who have logged in.

Limits: an answer within 10 s and up to 6 MB.
https://docs.aws.amazon.com/mwaa/latest/userguide/access-mwaa-apache-airflow-rest-api.html
"""

from __future__ import annotations

import http.client
import json
import threading
from base64 import b64encode
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlencode

from tools.emulator.gateway.server import Request, Response, json_response
from tools.emulator.gateway.tokens import TokenError, Tokens, bearer

if TYPE_CHECKING:
    from tools.emulator.airflow import Airflow

_TIMEOUT_SECONDS = 10.0
_MAX_ANSWER = 6 * 1024 * 1024
_SESSION_SECONDS = 12 * 3600.0
_PASSED_ON = ("accept", "content-type")


class RestApi:
    """The REST API of the local Airflow."""

    def __init__(self, airflow: Airflow, *, seconds: float = _TIMEOUT_SECONDS) -> None:
        self._airflow = airflow
        self._seconds = seconds
        self._writing = threading.Lock()

    @property
    def prefix(self) -> str:
        """What MWAA puts before the caller's path."""
        return "/api/v2" if self._airflow.major >= 3 else "/api/v1"

    def invoke(self, method: str, path: str, query: Mapping[str, Any] | None, body: Any) -> tuple[int, dict[str, Any]]:
        """Call the API for InvokeRestApi; return RestApiStatusCode and RestApiResponse."""
        target = quote(self.prefix + "/" + path.lstrip("/"), safe="/%:@!$&'()*+,;=~")
        if query:
            target += "?" + urlencode([(name, _text(value)) for name, value in query.items()], doseq=True)
        data = b"" if body is None else json.dumps(body).encode()
        try:
            response = self.forward(method, target, data, {"content-type": "application/json"})
        except TimeoutError:
            return 504, {"message": f"Airflow did not answer within {self._seconds:g} s."}
        except (OSError, http.client.HTTPException) as exc:
            return 502, {"message": f"Airflow is not reachable: {exc}"}
        if len(response.body) > _MAX_ANSWER:
            return 500, {"message": "The answer is larger than 6 MB."}
        try:
            answer = json.loads(response.body or b"{}")
        except ValueError:
            answer = {"message": response.body.decode("utf-8", "replace")}
        return response.status, answer if isinstance(answer, dict) else {"result": answer}

    def forward(self, method: str, target: str, body: bytes, headers: Mapping[str, str]) -> Response:
        """Send a request to Airflow as its administrator.

        One that may write waits for others of its kind: the local Airflow's SQLite has one writer, where MWAA's
        PostgreSQL has many, and answers 500 ("database is locked") to what comes at the same time.

        Raises:
            OSError, http.client.HTTPException: Airflow is not reachable, or too slow (TimeoutError).
        """
        passed = {name: headers[name] for name in _PASSED_ON if name in headers}
        if self._airflow.major < 3:
            pair = f"{self._airflow.username}:{self._airflow.password}".encode()
            passed["authorization"] = f"Basic {b64encode(pair).decode()}"
        if method == "GET":
            return self._send(method, target, body, passed)
        with self._writing:
            return self._send(method, target, body, passed)

    def _send(self, method: str, target: str, body: bytes, passed: Mapping[str, str]) -> Response:
        connection = http.client.HTTPConnection("127.0.0.1", self._airflow.port, timeout=self._seconds)
        try:
            connection.request(method, target, body=body or None, headers=passed)
            answer = connection.getresponse()
            kind = answer.headers.get("content-type", "application/json")
            return Response(answer.status, answer.read(), {"Content-Type": kind})
        finally:
            connection.close()


class WebServer:
    """Login with a web login token, and the REST API for whoever has logged in."""

    def __init__(self, *, airflow_major: int, tokens: Tokens, rest: RestApi) -> None:
        self._tokens = tokens
        self._rest = rest
        # https://docs.aws.amazon.com/mwaa/latest/userguide/access-mwaa-apache-airflow-rest-api.html
        self.login_path = "/pluginsv2/aws_mwaa/login" if airflow_major >= 3 else "/aws_mwaa/login"
        self._cookie = "_token" if airflow_major >= 3 else "session"
        self._lock = threading.Lock()
        self._used: set[str] = set()

    def login(self, request: Request) -> Response:
        """Exchange a web login token (form member `token`) for a session cookie.

        A token logs in once: AWS does not say so, and who asks for a new one each time is right either way.
        """
        token = dict(parse_qsl(request.body.decode("utf-8", "replace"))).get("token", "")
        try:
            self._tokens.verify(token, "web")
        except TokenError as exc:
            return json_response(401, {"message": str(exc)})
        with self._lock:
            if token in self._used:
                return json_response(401, {"message": "The token has been used."})
            self._used.add(token)
        session = self._tokens.mint("session", _SESSION_SECONDS)
        cookie = f"{self._cookie}={session}; Path=/; Secure; HttpOnly; SameSite=Lax"
        return json_response(200, {}, {"Set-Cookie": cookie})

    def api(self, request: Request) -> Response:
        """Pass a request on to Airflow when it comes with a session."""
        try:
            self._tokens.verify(self._session(request), "session")
        except TokenError as exc:
            return json_response(401, {"detail": str(exc)})
        target = request.path + ("?" + urlencode(request.query) if request.query else "")
        try:
            return self._rest.forward(request.method, target, request.body, request.headers)
        except (OSError, http.client.HTTPException) as exc:
            return json_response(502, {"detail": f"Airflow is not reachable: {exc}"})

    def _session(self, request: Request) -> str:
        """The session that a request comes with: Airflow 3's API wants a bearer token, Airflow 2's the cookie."""
        if self._cookie == "_token":
            return bearer(request.headers.get("authorization", ""))
        try:
            cookies = SimpleCookie(request.headers.get("cookie", ""))
        except CookieError:
            return ""
        return cookies[self._cookie].value if self._cookie in cookies else ""


def _text(value: Any) -> Any:
    """A query parameter's value as text: JSON's true, not Python's True."""
    if isinstance(value, list):
        return [_text(item) for item in value]
    return json.dumps(value) if isinstance(value, bool) else value
