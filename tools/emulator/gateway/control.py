"""MWAA's control plane as boto3's `mwaa` client calls it (protocol rest-json).

https://docs.aws.amazon.com/mwaa/latest/API/API_Operations.html. A request must carry a signature for the right service;
whose it is, and whether they may, is asked of the local AWS (`callers`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from tools.emulator.gateway.callers import Ask, needs_of, nobody_asks
from tools.emulator.gateway.environment import USABLE, Environment, InvalidUpdateError, check_status
from tools.emulator.gateway.model import check_input, members
from tools.emulator.gateway.server import Request, Response, json_response

if TYPE_CHECKING:
    from tools.emulator.gateway.faults import Faults
    from tools.emulator.gateway.rest import RestApi
    from tools.emulator.gateway.throttle import Throttle
    from tools.emulator.gateway.tokens import Tokens


class ServiceError(Exception):
    """An error of the control plane, as botocore's model names it."""

    def __init__(self, status: int, code: str, message: str = "", members: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.members = members


Operation = Callable[[Request, str], dict[str, Any]]


class ControlPlane:
    """The operations of one environment."""

    def __init__(
        self,
        *,
        environment: Environment,
        tokens: Tokens,
        rest: RestApi,
        faults: Faults,
        throttle: Throttle,
        hostname: str,
        token_seconds: float = 60.0,
        ask: Ask = nobody_asks,
    ) -> None:
        self._ask = ask
        self._environment = environment
        self._tokens = tokens
        self._rest = rest
        self._faults = faults
        self._throttle = throttle
        self._hostname = hostname
        self._token_seconds = token_seconds
        self._operations: Mapping[tuple[str, str], tuple[str, Operation]] = {
            ("GET", "environments"): ("GetEnvironment", self._get),
            ("PATCH", "environments"): ("UpdateEnvironment", self._update),
            ("POST", "clitoken"): ("CreateCliToken", self._cli_token),
            ("POST", "webtoken"): ("CreateWebLoginToken", self._web_token),
            ("POST", "restapi"): ("InvokeRestApi", self._invoke_rest_api),
        }

    def handle(self, request: Request) -> Response:
        """Answer one request to the control plane."""
        try:
            _check_signature(request)
            return json_response(200, self._operate(request))
        except ServiceError as exc:
            # Smithy's rest-json: the error's name in a header, its members in the body.
            # https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html#operation-error-serialization
            body = exc.members or {"message": str(exc)}
            if exc.code == "AccessDeniedException":
                body = {"Message": str(exc)}
            return json_response(exc.status, body, {"x-amzn-ErrorType": exc.code})

    def _operate(self, request: Request) -> dict[str, Any]:
        resource, _, name = request.path.strip("/").partition("/")
        if (request.method, resource, name) == ("GET", "environments", ""):
            self._faults.count("api.ListEnvironments")
            self._authorize(request, "ListEnvironments", "")
            return {"Environments": [self.description()["Name"]]}
        found = self._operations.get((request.method, resource))
        if found is None or not name:
            raise ServiceError(404, "UnknownOperationException", "Unknown operation")
        operation, function = found
        self._faults.count(f"api.{operation}")
        self._authorize(request, operation, unquote(name))
        if (refused := self._faults.denied(operation)) is not None:
            raise ServiceError(*refused, _denial(operation, self._environment.describe()["Arn"]))
        if not self._throttle.admits(operation):
            self._faults.count(f"throttled.{operation}")
            raise ServiceError(429, "ThrottlingException", "Rate exceeded")
        return function(request, self._known(unquote(name)))

    def _authorize(self, request: Request, operation: str, name: str) -> None:
        """Raise ServiceError unless IAM lets the caller do this; asked before whether the environment exists."""
        known = self._environment.describe()
        arn = known["Arn"].rpartition("/")[0] + f"/{name}"
        changes = _body(request) if operation == "UpdateEnvironment" else {}
        refusal = self._ask(request, needs_of(operation, arn, known, changes))
        if refusal is not None:
            raise ServiceError(refusal.status, refusal.code, refusal.message)

    def description(self) -> dict[str, Any]:
        """The environment now, with a status that a test may have forced."""
        description = self._environment.describe()
        return description | {"Status": self._faults.status() or description["Status"]}

    def usable(self) -> bool:
        """Whether the web server answers: not while the environment is updating, unless a fault lets it serve."""
        return self.description()["Status"] in USABLE or self._faults.serves()

    def _known(self, name: str) -> str:
        if name != self._environment.describe()["Name"]:
            raise ServiceError(404, "ResourceNotFoundException", f"Environment {name} not found")
        return name

    def _get(self, _request: Request, _name: str) -> dict[str, Any]:
        return {"Environment": self.description()}

    def _update(self, request: Request, name: str) -> dict[str, Any]:
        changes = _body(request)
        _check("UpdateEnvironment", {"Name": name, **changes})
        known = members("UpdateEnvironment") - {"Name"}
        try:
            check_status(self.description())  # also one that a test has forced
            self._environment.update({key: value for key, value in changes.items() if key in known})
        except InvalidUpdateError as exc:
            raise ServiceError(400, "ValidationException", str(exc)) from exc
        return {"Arn": self._environment.describe()["Arn"]}

    def _cli_token(self, _request: Request, _name: str) -> dict[str, Any]:
        return {
            "CliToken": self._tokens.mint("cli", self._token_seconds),
            "WebServerHostname": self._hostname,
        }

    def _web_token(self, request: Request, _name: str) -> dict[str, Any]:
        return {
            "WebToken": self._tokens.mint("web", self._token_seconds),
            "WebServerHostname": self._hostname,
            "IamIdentity": _access_key(request),
            "AirflowIdentity": "Admin",
        }

    def _invoke_rest_api(self, request: Request, name: str) -> dict[str, Any]:
        wanted = _body(request)
        _check("InvokeRestApi", {"Name": name, **wanted})
        if self._faults.web_server_down() or not self.usable() or self._faults.strikes("busy", "rest"):
            status, answer = 503, {"message": "Service Unavailable"}
        else:
            status, answer = self._rest.invoke(
                wanted["Method"], wanted["Path"], wanted.get("QueryParameters"), wanted.get("Body")
            )
        values = {"RestApiStatusCode": status, "RestApiResponse": answer}
        if status >= 500:
            raise ServiceError(400, "RestApiServerException", members=values)
        if status >= 400:
            raise ServiceError(400, "RestApiClientException", members=values)
        return values


def _denial(operation: str, arn: str) -> str:
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
    return (
        f"User: arn:aws:sts::000000000000:assumed-role/denied/denied is not authorized to perform: airflow:{operation} "
        f"on resource: {arn} because no identity-based policy allows the airflow:{operation} action"
    )


def _check_signature(request: Request) -> None:
    authorization = request.headers.get("authorization", "")
    if not authorization:
        raise ServiceError(403, "MissingAuthenticationTokenException", "Missing Authentication Token")
    scope = _scope(authorization)
    if not authorization.startswith("AWS4-HMAC-SHA256 ") or len(scope) < 5 or "Signature=" not in authorization:
        raise ServiceError(403, "IncompleteSignatureException", "The request signature is not AWS Signature Version 4.")
    if scope[-2] != "airflow":
        raise ServiceError(
            403, "InvalidSignatureException", "Credential should be scoped to correct service: 'airflow'."
        )


def _scope(authorization: str) -> list[str]:
    """The parts of `Credential=<key>/<date>/<region>/<service>/aws4_request`."""
    credential = authorization.partition("Credential=")[2].partition(",")[0].strip()
    return credential.split("/")


def _access_key(request: Request) -> str:
    return _scope(request.headers.get("authorization", ""))[0]


def _body(request: Request) -> dict[str, Any]:
    try:
        value = json.loads(request.body or b"{}")
    except ValueError as exc:
        raise ServiceError(400, "SerializationException", "The body is not JSON.") from exc
    if not isinstance(value, dict):
        raise ServiceError(400, "SerializationException", "The body is not a JSON object.")
    return value


def _check(operation: str, values: dict[str, Any]) -> None:
    problems = check_input(operation, values)
    if problems:
        noun = "error" if len(problems) == 1 else "errors"
        text = f"{len(problems)} validation {noun} detected: {'; '.join(problems)}"
        raise ServiceError(400, "ValidationException", text)
