"""The API against its own description: schemathesis makes calls of it, good and bad ones, on the local stack."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

import pytest
import requests
import schemathesis
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from hypothesis import HealthCheck, Phase, settings

from tools.emulator.ministack.service import REGION
from tools.venvs import ROOT

if TYPE_CHECKING:
    from botocore.credentials import Credentials

    from tools.stack.stack import Stack

schema = schemathesis.openapi.from_dict(json.loads((ROOT / "docs" / "openapi.json").read_text()))

# API Gateway answers 404, not 405, to a method that a path has not.
OTHERS = [
    check for check in schemathesis.checks.CHECKS.get_all() if check.__name__ in {"unsupported_method", "ignored_auth"}
]

LONGEST_KEY = 255


class Signed(requests.auth.AuthBase):
    """Signs as AWS_IAM demands."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        body = request.body.encode() if isinstance(request.body, str) else request.body or b""
        unsigned = AWSRequest(str(request.method), str(request.url), data=body)
        SigV4Auth(self._credentials, "execute-api", REGION).add_auth(unsigned)
        request.headers.update(dict(unsigned.headers))
        return request


@schema.parametrize()  # type: ignore[untyped-decorator]
@settings(
    max_examples=15,
    deadline=None,
    derandomize=True,  # the same calls every time: a red build can be repeated
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_answers_are_as_described_and_never_a_server_error(case: Any, stack: Stack, credentials: Credentials) -> None:
    key = (case.headers or {}).get("Idempotency-Key", "")
    if 1 <= len(key) <= LONGEST_KEY:  # each call its own: a valid one that comes with another body is rightly refused
        case.headers["Idempotency-Key"] = uuid.uuid5(uuid.NAMESPACE_URL, f"{key} {case.body!r}").hex
    case.call_and_validate(base_url=stack.http_api_url, auth=Signed(credentials), timeout=40, excluded_checks=OTHERS)


@pytest.mark.parametrize(
    ("method", "path"),
    [(method, path) for path, operations in schema.raw_schema["paths"].items() for method in operations]
    + [("get", path) for path in ("/", "/docs", "/docs/swagger-ui.css", "/openapi.json")],
)
def test_no_route_is_open(stack: Stack, method: str, path: str) -> None:
    answer = requests.request(method, stack.http_api_url + path.replace("{", "").replace("}", ""), timeout=40)
    assert answer.status_code in {401, 403}
