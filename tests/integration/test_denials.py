"""A right that is missing, and a file of which no event came, on a whole stack."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from jetway.ledger import Ledger
from tests.integration.conftest import Listener, drop, make_env
from tests.unit.sample_events import sample_event
from tools import venvs
from tools.stack.calls import call_api, list_runs, read_report, wait_for
from tools.stack.stack import Stack


@pytest.fixture
def faults(stack: Stack) -> Iterator[str]:
    """URL of the gateway's fault injection; none are active after the test."""
    url = f"{stack.gateway_url}/_local/faults"
    yield url
    requests.delete(url, timeout=10, verify=stack.ca_bundle)


def physical(stack: Stack, resource: str) -> str:
    found = stack.client("cloudformation").describe_stack_resource(StackName="jetway", LogicalResourceId=resource)
    name: str = found["StackResourceDetail"]["PhysicalResourceId"]
    return name


def deliver(stack: Stack, message: dict[str, Any], receives: int) -> dict[str, Any]:
    """Hand start_dag_run a message that is in no queue: a lane that waits 15 minutes would hold other tests up."""
    (record, *_) = sample_event("dispatch_batch")["Records"]
    attributes = {"MessageGroupId": "denied", "ApproximateReceiveCount": str(receives)}
    record |= {"messageId": "denied", "body": json.dumps(message), "attributes": record["attributes"] | attributes}
    answer = stack.client("lambda").invoke(
        FunctionName=physical(stack, "StartDagRun"), Payload=json.dumps({"Records": [record]}).encode()
    )
    said: dict[str, Any] = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, said
    return said


@pytest.mark.parametrize("code", ["AccessDeniedException", "ValidationException"])
def test_a_denial_holds_the_event_and_is_told_and_nothing_is_lost(
    stack: Stack, dag: str, ledger: Ledger, listener: Listener, faults: str, code: str
) -> None:
    run_id = f"denied-{code}"
    call = {"dag_run_id": run_id, "conf": {"key": code}, "logical_date": None, "note": None}
    call |= {"time": datetime.now(UTC).isoformat(), "request_id": run_id, "caller": "arn:aws:iam::1:user/ops"}
    message = {"trigger": {"name": "http", "kind": "http", "dag": dag}, "event": call}
    fault = {"kind": "denied", "operation": "InvokeRestApi", "code": code, "seconds": 60}
    requests.post(faults, json=fault, timeout=10, verify=stack.ca_bundle).raise_for_status()
    assert deliver(stack, message, 1)["batchItemFailures"] == [{"itemIdentifier": "denied"}]
    row = next(found for found in ledger.list_events("http") if found.dag_run_id == run_id)
    assert row.decision == "held"
    assert (row.because or "").startswith("permission-missing: ")
    assert "airflow:InvokeRestApi" in (row.because or "")
    told = listener.wait_for("PermissionMissing", function="start_dag_run")
    assert told["detail"]["action"] == "airflow:InvokeRestApi"
    asked = call_api(stack, "GET", "/dags")
    assert (asked.status_code, asked.json()["type"]) == (503, "urn:jetway:problem:permission-missing")
    requests.delete(faults, timeout=10, verify=stack.ca_bundle)
    assert deliver(stack, message, 2)["batchItemFailures"] == []
    assert run_id in list_runs(stack, dag)


def test_a_file_of_which_no_event_came_is_found(stack: Stack) -> None:
    """As in the minutes after a first deployment, or when EventBridge loses one."""
    events, rule = stack.client("events"), physical(stack, "ArtifactDroppedRule")
    events.disable_rule(Name=rule)
    try:
        drop(stack, "dags/never_told.py", b"LIMIT = 1\n")
    finally:
        events.enable_rule(Name=rule)
    assert read_report(stack, "dags/never_told.py") is None
    command: list[str | Path] = [venvs.ROOT / ".venv" / "bin" / "jetway", "sync", "--now"]
    done = subprocess.run(command, env=make_env(stack), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    report = wait_for("the report", lambda: read_report(stack, "dags/never_told.py"), seconds=60)
    assert report["outcome"] == "promoted"
