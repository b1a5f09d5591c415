"""Tokens (JWT) in front of the HTTP API: the stack deployed anew with an issuer, whose keys API Gateway asks for."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from rich.console import Console

from tests.integration.conftest import Deployment, drop
from tests.integration.issuer import Issuer, new_key, serve
from tools.emulator import certificates
from tools.progress import Progress
from tools.stack import stack as local_stack
from tools.stack.calls import read_report, wait_for
from tools.stack.stack import Stack

pytestmark = pytest.mark.slow

LONGEST = 90.0


@pytest.fixture(scope="module")
def issuer(stack: Stack) -> Iterator[Issuer]:
    with serve(certificates.ensure(Path(stack.state) / "certificates")) as issuer:
        yield issuer


@pytest.fixture(scope="module")
def tokens(stack: Stack, dag: str, deployment: Deployment, issuer: Issuer) -> Iterator[Stack]:
    """The stack with tokens for reading and starting; put back afterwards."""
    progress = Progress(Console(stderr=True))
    changes = {
        "JwtIssuer": issuer.url,
        "JwtAudience": "jetway",
        "ReadAuthorization": "JWT",
        "StartAuthorization": "JWT",
    }
    yield local_stack.up(progress, parameters=lambda: deployment.parameters(**changes), faults=True)
    local_stack.up(progress, parameters=deployment.parameters, faults=True)


def call(stack: Stack, token: str | None, path: str, body: object = None, **headers: str) -> requests.Response:
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    method = "GET" if body is None else "POST"
    return requests.request(method, stack.http_api_url + path, json=body, headers=headers, timeout=40)


def test_the_authorizer_is_the_parameters(tokens: Stack, issuer: Issuer) -> None:
    (authorizer,) = tokens.client("apigatewayv2").get_authorizers(ApiId=tokens.http_api_id)["Items"]
    assert (authorizer["AuthorizerType"], authorizer["IdentitySource"]) == ("JWT", ["$request.header.Authorization"])
    assert authorizer["JwtConfiguration"] == {"Issuer": issuer.url, "Audience": ["jetway"]}


def test_a_token_starts_and_follows_a_run(tokens: Stack, issuer: Issuer, dag: str) -> None:
    answer = call(tokens, issuer.token(), f"/dags/{dag}/dagRuns", {}, Prefer="wait=25, state=final")
    assert answer.status_code in {200, 202}
    location = answer.headers["Location"]

    def ended() -> dict[str, Any] | None:
        run = call(tokens, issuer.token(), location)
        return run.json() if run.status_code == 200 and run.json()["state"] == "success" else None

    wait_for("the end of the run", ended, seconds=LONGEST)


def test_other_tokens_are_refused(tokens: Stack, issuer: Issuer, dag: str) -> None:
    now = int(time.time())
    for token in (
        None,
        "abc",
        issuer.token(aud="another"),
        issuer.token(exp=now - 10),
        issuer.token(nbf=now + 600),
        issuer.token(iss="https://localhost:1"),
        issuer.token(key=new_key()),
    ):
        for path, body in (("/dags", None), (f"/dags/{dag}/dagRuns", {}), ("/triggers/x", {}), ("/health", None)):
            assert call(tokens, token, path, body).status_code in {401, 403}, (token, path)


def test_pages_are_open_and_hold_no_data(tokens: Stack) -> None:
    for path in ("/", "/docs", "/docs/swagger-ui.css", "/openapi.json"):
        answer = call(tokens, None, path)
        assert answer.status_code == 200
        assert "jetway-local" not in answer.text


def test_access_yaml_knows_the_claims_of_a_token(tokens: Stack, issuer: Issuer, dag: str) -> None:
    text = (
        f"allow:\n- jwt: {{groups: data-team}}\n  dags: [{dag}]\n- jwt: {{sub: reader}}\n  dags: ['*']\n  only: read\n"
    )
    version = drop(tokens, "access.yaml", text.encode())

    def reported() -> bool | None:
        report = read_report(tokens, "access.yaml")
        return bool(report and report["source"]["version"] == version and report["verdict"] == "accepted") or None

    wait_for("the report", reported, seconds=LONGEST)
    path = f"/dags/{dag}/dagRuns"

    def in_force() -> bool | None:
        return call(tokens, issuer.token(), path).status_code == 403 or None

    try:
        wait_for("the list in force", in_force, seconds=LONGEST)
        assert call(tokens, issuer.token(groups=["ops", "data-team"]), path, {}).status_code == 202
        assert call(tokens, issuer.token(sub="reader"), path).status_code == 200
        refused = call(tokens, issuer.token(sub="reader"), path, {})
        assert (refused.status_code, "jwt: {sub: reader}" in refused.json()["detail"]) == (403, True)
    finally:
        tokens.client("s3").delete_object(Bucket=tokens.outputs["DropBucketName"], Key="access.yaml")
