"""Calls of the stack's HTTP API, signed with the caller's credentials (SigV4, service execute-api)."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jetway_cli.errors import SIGN_IN, NegativeError, StackTroubleError, WrongUseError, sentence

if TYPE_CHECKING:
    from jetway_cli.stack import Target

CONNECTING, ANSWERING = 5.0, 35.0  # seconds at most: API Gateway itself gives up after 30
PAUSES = (0.5, 1.0, 2.0)  # seconds before each further try
WRONG_USE = frozenset({400, 413, 415, 422})
PROBLEM = "urn:jetway:problem:"


@dataclass(frozen=True, slots=True)
class ApiResponse:
    """An answer of the API.

    Attributes:
        body: a JSON object; empty when the answer held none.
    """

    status: int
    body: Mapping[str, Any]

    @property
    def problem(self) -> str:
        """What the API says was wrong, as a sentence."""
        return sentence(self.body.get("detail") or self.body.get("message") or f"status {self.status}")

    @property
    def reason(self) -> str:
        """The stable word of the problem, or nothing when the answer is not a problem of Jetway's."""
        kind = str(self.body.get("type") or "")
        return kind.removeprefix(PROBLEM) if kind.startswith(PROBLEM) else ""

    @property
    def is_trouble(self) -> bool:
        """Whether the same call may be answered later."""
        return self.status == 429 or self.status >= 500


class ApiTroubleError(StackTroubleError):
    """The API could not be reached, or answers 429 or 5xx.

    Attributes:
        answer: the last one, None when there was none.
    """

    def __init__(self, said: str, answer: ApiResponse | None = None) -> None:
        super().__init__(said)
        self.answer = answer


class Api:
    """The HTTP API of one stack."""

    def __init__(self, target: Target, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._target = target
        self._sleep = sleep
        self.base = (target.api_url or target.output("HttpApiUrl")).rstrip("/")

    def call(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        tries: int = len(PAUSES) + 1,
        seconds: float = ANSWERING,
    ) -> ApiResponse:
        """Call the API until it answers with something else than trouble.

        Whoever posts must make a second post harmless: with an Idempotency-Key or a run id.

        Args:
            path: from the base address on, each part percent-encoded.
            tries: so often at most.
            seconds: that one try may take.

        Raises:
            ApiTroubleError: it could not be reached, or answers 429 or 5xx.
            WrongUseError: no call can be made of this.
        """
        from requests import exceptions as http

        trouble, answer = "", None
        for pause in (*PAUSES[: tries - 1], None):
            try:
                answer = self._send(method, self.base + path, body, headers or {}, seconds)
            except (http.InvalidURL, http.InvalidSchema, http.MissingSchema, http.InvalidHeader) as exc:
                raise WrongUseError(f"The API cannot be called: {sentence(exc)} Check --api-url.") from exc
            except http.RequestException as exc:
                answer, kind = None, type(exc).__name__
                trouble = f"could not be reached ({kind}). Check the network and the address."
            else:
                if not answer.is_trouble:
                    return answer
                trouble = f"answered {answer.status}: {answer.problem}"
            if pause is not None:
                self._sleep(pause)
        raise ApiTroubleError(f"The API at {self.base} {trouble}", answer)

    def require(self, answer: ApiResponse) -> ApiResponse:
        """Return an answer that is not a refusal.

        Raises:
            WrongUseError, NegativeError, StackTroubleError: the API refused; the text is its own.
        """
        if answer.status < 300:
            return answer
        if answer.reason == "dag-not-allowed":
            raise NegativeError(answer.problem)
        if answer.status in {401, 403}:
            raise StackTroubleError(self._why_not_let_in(answer))
        if not answer.reason and "detail" not in answer.body:
            raise StackTroubleError(
                f"The API at {self.base} answered {answer.status}: {answer.problem} This is not Jetway's HTTP "
                "API, or its version differs. Check --stack, --api-url and JETWAY_API_URL."
            )
        raise (WrongUseError if answer.status in WRONG_USE else NegativeError)(answer.problem)

    def _why_not_let_in(self, answer: ApiResponse) -> str:
        """Say whether the credentials are bad, or good and not enough: API Gateway itself does not tell."""
        from botocore.exceptions import BotoCoreError, ClientError

        bad = f"Your AWS credentials are wrong or have expired. {SIGN_IN}"
        if answer.status == 401:
            return f"The API could not identify the caller. {bad}"
        try:
            identity = self._target.client("sts").get_caller_identity()
        except ClientError:
            return f"The API denied access. {bad}"
        except BotoCoreError:
            return (
                f"The API denied access: {answer.problem} {SIGN_IN} If the credentials are right, they need "
                f"execute-api:Invoke on {self.base}."
            )
        return (
            f"The API denied access to {identity['Arn']}: {answer.problem} The credentials are valid, but they "
            f"need execute-api:Invoke on {self.base}, in this Region ({self._target.session.region_name})."
        )

    def _send(self, method: str, url: str, body: object, headers: Mapping[str, str], seconds: float) -> ApiResponse:
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
            method,
            url,
            data=data,
            headers=dict(request.headers),
            timeout=(min(CONNECTING, seconds), min(ANSWERING, seconds)),
            allow_redirects=False,
        )
        try:
            parsed = sent.json()
        except ValueError:
            parsed = {}
        return ApiResponse(sent.status_code, parsed if isinstance(parsed, dict) else {})
