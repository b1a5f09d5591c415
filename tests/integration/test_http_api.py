"""The HTTP API on the local stack with real Airflow: waits, dry runs, lists, and the snippet of the docs."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.integration.conftest import make_env
from tests.integration.test_spine import wait_for_run
from tools import venvs
from tools.stack.calls import call_api, list_runs
from tools.stack.stack import Stack
from tools.venvs import ROOT


def test_a_caller_follows_a_run_to_its_end_with_plain_calls(stack: Stack, dag: str) -> None:
    path = f"/dags/{dag}/dagRuns"
    dry = call_api(stack, "POST", f"{path}?dry_run=true", body={"dag_run_id": "followed", "conf": {"a": 1}})
    assert (dry.status_code, dry.json()["dry_run"]) == (200, True)
    body = {"dag_run_id": "followed", "conf": {"a": 1}}
    answer = call_api(stack, "POST", path, body=body, headers={"Prefer": "wait=25, state=final"})
    while answer.status_code == 202 or answer.json()["state"] not in {"success", "failed"}:
        answer = call_api(stack, "GET", answer.headers.get("Location", f"{path}/followed"))
        assert answer.status_code in {200, 404}
    assert answer.json()["state"] == "success"
    runs = call_api(stack, "GET", f"{path}?state=success&limit=100").json()
    assert "followed" in {run["dag_run_id"] for run in runs["dag_runs"]}
    assert runs["total_entries"] >= 1
    again = call_api(stack, "POST", f"{path}?dry_run=true", body=body)
    assert (again.status_code, again.json()["type"]) == (409, "urn:jetway:problem:run-already-exists")


def test_dags_and_health_are_shown(stack: Stack, dag: str) -> None:
    dags = call_api(stack, "GET", "/dags").json()
    assert dag in {found["dag_id"] for found in dags["dags"]}
    health = call_api(stack, "GET", "/health")
    assert (health.status_code, health.json()["status"]) == (200, "healthy")


@pytest.mark.skipif(shutil.which("curl") is None, reason="the snippet needs curl")
def test_the_snippet_of_the_docs_starts_a_run(stack: Stack, dag: str) -> None:
    (snippet,) = re.findall(
        r"^```bash\n(.*?)^```", (ROOT / "docs" / "http-api.md").read_text(), re.DOTALL | re.MULTILINE
    )
    version = subprocess.run(["curl", "--version"], capture_output=True, text=True, check=True).stdout
    if tuple(map(int, version.split()[1].split(".")[:2])) < (7, 75):
        pytest.skip("curl signs from 7.75 on")
    env = make_env(stack)
    result = subprocess.run(["bash", "-c", snippet], capture_output=True, text=True, check=True, env=env)
    assert json.loads(result.stdout)["state"] == "accepted"


@pytest.mark.slow
def test_the_official_client_starts_and_follows_a_run(stack: Stack, dag: str) -> None:
    """The snippet of the docs, in a virtual environment that has the client and no Jetway."""
    (snippet,) = re.findall(r"^```py\n(.*?)^```", (ROOT / "docs" / "http-api.md").read_text(), re.DOTALL | re.MULTILINE)
    env = make_env(stack)
    python = str(venvs.ensure("airflow-client"))
    result = subprocess.run([python, "-c", snippet], capture_output=True, text=True, check=True, env=env, timeout=180)
    assert result.stdout == "success\n"


def test_of_calls_with_one_key_and_other_bodies_one_is_a_run_and_the_others_are_refused(stack: Stack, dag: str) -> None:
    """All at once, each body twice: one body wins, and both its calls are the same run."""
    path, headers = f"/dags/{dag}/dagRuns", {"Idempotency-Key": "all-at-once"}

    def call(number: int) -> tuple[int, requests.Response]:
        return number, call_api(stack, "POST", path, body={"conf": {"number": number}}, headers=headers)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(call, [0, 1, 2, 3] * 2))
    accepted = [(number, answer.json()["dag_run_id"]) for number, answer in answers if answer.status_code == 202]
    assert len(accepted) == 2
    assert len(set(accepted)) == 1
    refused = [answer.json()["type"] for _, answer in answers if answer.status_code == 422]
    assert refused == ["urn:jetway:problem:idempotency-key-reused"] * 6
    number, run_id = accepted[0]
    assert wait_for_run(stack, dag, run_id)["conf"] == {"number": number}
    spaced = call_api(stack, "POST", path, body=f' {{ "conf":{{"number" : {number}.0}} }}', headers=headers)
    assert (spaced.status_code, spaced.json()["dag_run_id"]) == (202, run_id)
    assert sum(run["conf"].keys() == {"number"} for run in list_runs(stack, dag).values()) == 1
