"""Who may call the HTTP API on the local stack: nobody unknown, webhooks by their secret, DAGs by access.yaml."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.integration.conftest import drop
from tests.integration.http_callers import assume_role, call_as, make_user, send_webhook
from tests.integration.test_spine import wait_for_run
from tools.emulator.ministack.service import ACCOUNT
from tools.generate import openapi
from tools.stack.calls import airflow_api, call_api, read_report, wait_for
from tools.stack.stack import Stack

PAGES = {"GET /", "GET /docs", "GET /docs/{file}", "GET /openapi.json"}
LONGEST = 90.0


def routes(stack: Stack) -> set[str]:
    found = stack.client("apigatewayv2").get_routes(ApiId=stack.http_api_id)["Items"]
    return {route["RouteKey"] for route in found}


def test_every_route_that_is_deployed_refuses_whoever_does_not_sign(stack: Stack) -> None:
    deployed = routes(stack)
    described = {
        f"{method.upper()} {path}" for path, operations in openapi.document()["paths"].items() for method in operations
    }
    assert deployed == described | PAGES
    for route in deployed:
        method, path = route.split()
        url = stack.http_api_url + path.replace("{", "").replace("}", "")
        credentials = [{}, {"X-Hub-Signature-256": "sha256=" + "0" * 64}]
        if route not in PAGES:
            # API Gateway would refuse it; MiniStack leaves it to the function, whose pages (without data) ask nobody.
            credentials.append({"Authorization": "Bearer abc"})
        for headers in credentials:
            answer = requests.request(method, url, headers=headers, json={"conf": {}}, timeout=40)
            assert answer.status_code in {401, 403}, (route, headers)


def test_pages_of_others_may_not_call(stack: Stack) -> None:
    """Not unless HttpCorsOrigins names them, which MiniStack does not hand on from CloudFormation to the gateway."""
    headers = {"Origin": "https://portal.example.com", "Access-Control-Request-Method": "GET"}
    for method in ("OPTIONS", "GET"):
        answer = requests.request(method, f"{stack.http_api_url}/dags", headers=headers, timeout=40)
        assert answer.status_code in {401, 403}
        assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.fixture(scope="module")
def webhook(stack: Stack, dag: str) -> Iterator[str]:
    """A trigger for webhooks with a secret, in force, and one for calls."""
    stack.client("secretsmanager").create_secret(Name="jetway/webhooks/pushed", SecretString="the first secret")
    drop(
        stack,
        "triggers/pushed.yaml",
        f'dag: {dag}\non: {{http: {{auth: hmac}}}}\nconf: {{key: "{{{{ ref }}}}"}}\n'.encode(),
    )
    drop(stack, "triggers/called.yaml", f"dag: {dag}\non: {{http: {{auth: iam}}}}\n".encode())

    def answered() -> bool | None:
        return send_webhook(stack, "pushed", {}, "the first secret", "ping").status_code == 200 or None

    wait_for("the trigger in force", answered, seconds=LONGEST)

    def called() -> bool | None:
        asked = call_api(stack, "POST", "/triggers/called?dry_run=true", body={"key": "a call"})
        return asked.status_code != 404 or None

    wait_for("the other trigger in force", called, seconds=LONGEST)  # the API remembers for ten seconds what is
    yield "pushed"
    for name in ("pushed", "called"):
        stack.client("s3").delete_object(Bucket=stack.outputs["DropBucketName"], Key=f"triggers/{name}.yaml")


def test_a_webhook_is_a_run_once_and_its_secret_may_be_rotated(stack: Stack, dag: str, webhook: str) -> None:
    push = {"ref": "refs/heads/main"}
    accepted = send_webhook(stack, webhook, push, "the first secret")
    assert accepted.status_code == 202
    run = wait_for_run(stack, dag, accepted.json()["dag_run_id"])
    assert (run["state"], run["conf"]) == ("success", {"key": "refs/heads/main"})
    again = send_webhook(stack, webhook, push, "the first secret")  # as GitHub's Redeliver
    assert (again.status_code, again.json()["state"]) == (200, "duplicate")
    assert again.json()["dag_run_id"] == accepted.json()["dag_run_id"]
    assert send_webhook(stack, webhook, push, "forged").status_code == 401
    assert send_webhook(stack, "unknown", push, "the first secret").status_code == 401

    secrets = stack.client("secretsmanager")
    secrets.put_secret_value(SecretId="jetway/webhooks/pushed", SecretString="the second secret")
    number = iter(range(1000))

    def takes(secret: str) -> bool | None:
        return send_webhook(stack, webhook, {"ref": f"{next(number)}"}, secret, "ping").status_code == 200 or None

    wait_for("the new secret", lambda: takes("the second secret"), seconds=LONGEST)
    assert takes("the first secret")  # both are valid while senders change over


def test_a_trigger_with_iam_is_called_while_webhooks_are_enabled(stack: Stack, dag: str, webhook: str) -> None:
    answer = call_api(
        stack, "POST", "/triggers/called", body={"key": "a call"}, headers={"Prefer": "wait=25, state=final"}
    )
    assert (answer.status_code, answer.json()["state"]) == (200, "success")
    again = call_api(stack, "POST", f"/triggers/{webhook}", body={"ref": "x"})
    assert (again.status_code, "POST /webhooks/pushed" in again.json()["detail"]) == (404, True)


def access(stack: Stack, text: str) -> dict[str, Any]:
    version = drop(stack, "access.yaml", text.encode())

    def look() -> dict[str, Any] | None:
        report = read_report(stack, "access.yaml")
        return report if report and report["source"]["version"] == version else None

    return wait_for("the report on access.yaml", look, seconds=LONGEST)


@pytest.fixture
def everybody_again(stack: Stack) -> Iterator[None]:
    yield
    stack.client("s3").delete_object(Bucket=stack.outputs["DropBucketName"], Key="access.yaml")


def test_access_yaml_says_who_may_start_and_see_which_dags(stack: Stack, dag: str, everybody_again: None) -> None:
    ann, role = make_user(stack, "ann"), assume_role(stack, "billing", "i-0abc")
    runs = f"{stack.http_api_url}/dags/{dag}/dagRuns"
    assert call_as(ann, runs, "POST", {"dag_run_id": "by-ann"}).status_code == 202  # without a list IAM alone counts
    text = f"""\
allow:
  - {{iam: "arn:aws:iam::{ACCOUNT}:root", dags: ["*"]}}
  - {{iam: "arn:aws:iam::{ACCOUNT}:role/billing", dags: ["hello_*"]}}
  - {{iam: "arn:aws:iam::{ACCOUNT}:user/ann", dags: ["invoice_*"]}}
"""
    assert access(stack, text)["verdict"] == "accepted"

    def refused() -> dict[str, Any] | None:
        answer = call_as(ann, runs)
        return answer.json() if answer.status_code == 403 else None

    problem = wait_for("the list in force", refused, seconds=LONGEST)
    assert problem["type"] == "urn:jetway:problem:dag-not-allowed"
    assert f"{{iam: arn:aws:iam::{ACCOUNT}:user/ann, dags: [{dag}]}}" in problem["detail"]
    assert call_as(ann, runs, "POST", {"dag_run_id": "by-ann-2"}).status_code == 403
    assert call_as(ann, f"{stack.http_api_url}/dags").json() == {"dags": [], "total_entries": 0}
    assert call_as(ann, f"{stack.http_api_url}/events").json() == {"events": []}

    answer = call_as(role, runs, "POST", {"dag_run_id": "by-billing"})
    assert answer.status_code == 202
    assert wait_for_run(stack, dag, "by-billing")["state"] == "success"
    assert call_as(role, stack.http_api_url + answer.headers["Location"]).json()["state"] == "success"
    events = call_as(role, f"{stack.http_api_url}/events?trigger=http").json()["events"]
    assert {event["dag_id"] for event in events} == {dag}
    assert "by-ann-2" not in {run["dag_run_id"] for run in call_as(role, runs).json()["dag_runs"]}

    broken = access(stack, text.replace("dags", "dag"))
    assert broken["verdict"] == "rejected"
    assert "last-good-in-force" in json.dumps(broken["findings"])
    assert call_as(ann, runs).status_code == 403


def test_a_wait_ends_when_the_call_becomes_a_dead_letter(stack: Stack, dag: str) -> None:
    source = dag_with_params()
    drop(stack, "dags/strict.py", source)
    wait_for("the DAG", lambda: airflow_api(stack, "GET", "/dags/strict"), seconds=LONGEST)
    answer = call_api(
        stack, "POST", "/dags/strict/dagRuns", body={"conf": {"day": "monday"}}, headers={"Prefer": "wait=25"}
    )
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:jetway:problem:invalid-conf")
    assert "jetway redrive" in answer.json()["detail"]


def dag_with_params() -> bytes:
    return b"""
from datetime import datetime

try:
    from airflow.sdk import DAG, Param
except ImportError:  # Airflow 2
    from airflow import DAG
    from airflow.models.param import Param

dag = DAG("strict", schedule=None, start_date=datetime(2026, 1, 1), params={"day": Param(1, type="integer")})
"""
