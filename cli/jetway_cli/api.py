"""Calls of the stack's HTTP API, signed with the caller's credentials (SigV4, service execute-api)."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jetway_cli.errors import NegativeError, StackTroubleError, WrongUseError

if TYPE_CHECKING:
    from jetway_cli.stack import Target

TIMEOUT = (5.0, 35.0)  # seconds to connect, to answer: API Gateway itself gives up after 30
PAUSES = (0.5, 1.0, 2.0)  # seconds before each further try
WRONG_USE = frozenset({400, 413, 415, 422})


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of the API.

    Attributes:
        body: a JSON object; empty when the answer held none.
        location: where the run is shown, or None.
    """

    status: int
    body: Mapping[str, Any]
    location: str | None

    @property
    def problem(self) -> str:
        """What the API says was wrong, as a sentence."""
        detail = self.body.get("detail") or self.body.get("message") or f"status {self.status}"
        return str(detail).strip()


class Api:
    """The HTTP API of one stack."""

    def __init__(self, target: Target, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._target = target
        self._sleep = sleep
        self.base = (target.api_url or target.output("HttpApiUrl")).rstrip("/")

    def call(self, method: str, path: str, *, body: object = None, headers: Mapping[str, str] | None = None) -> Answer:
        """Call the API until it answers with something else than trouble, four times at most.

        Whoever posts must make a second post harmless: with an Idempotency-Key or a run id.

        Args:
            path: from the base address on, each part percent-encoded; a whole URL of the API is taken as well.

        Raises:
            StackTroubleError: it could not be reached, or answers 429 or 5xx.
        """
        import requests

        url = path if path.startswith(self.base) else self.base + path
        trouble = ""
        for pause in (*PAUSES, None):
            try:
                answer = self._send(method, url, body, headers or {})
            except requests.exceptions.RequestException as exc:
                trouble = f"could not be reached ({type(exc).__name__})"
            else:
                if answer.status != 429 and answer.status < 500:
                    return answer
                trouble = f"answered {answer.status}: {answer.problem}"
            if pause is not None:
                self._sleep(pause)
        raise StackTroubleError(f"The API at {self.base} {trouble}; try again later.")

    def _send(self, method: str, url: str, body: object, headers: Mapping[str, str]) -> Answer:
        import requests
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.exceptions import NoCredentialsError, NoRegionError

        session = self._target.session
        credentials = session.get_credentials()
        if credentials is None:
            raise NoCredentialsError
        if session.region_name is None:
            raise NoRegionError
        data = b"" if body is None else json.dumps(body).encode()
        request = AWSRequest(method, url, data=data, headers={"Content-Type": "application/json", **headers})
        SigV4Auth(credentials.get_frozen_credentials(), "execute-api", session.region_name).add_auth(request)
        # A redirect would carry the signature to another host.
        sent = requests.request(
            method, url, data=data, headers=dict(request.headers), timeout=TIMEOUT, allow_redirects=False
        )
        try:
            parsed = sent.json()
        except ValueError:
            parsed = {}
        return Answer(sent.status_code, parsed if isinstance(parsed, dict) else {}, sent.headers.get("Location"))


def check(answer: Answer) -> Answer:
    """Return an answer that is no refusal.

    Raises:
        WrongUseError, NegativeError, StackTroubleError: the API refused; the text is its own.
    """
    if answer.status < 300:
        return answer
    if answer.status in {401, 403}:
        raise StackTroubleError(
            f"The API does not take your credentials: {answer.problem}. They need execute-api:Invoke on it."
        )
    raise (WrongUseError if answer.status in WRONG_USE else NegativeError)(answer.problem)
