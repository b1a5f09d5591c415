"""The whole stack taken out, deleted and made again over what it has left, as docs/environments.md tells it.

On an AWS stand-in of its own, by the real `sam deploy`, without Airflow: what the functions do that need none of it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.integration import ministack_alone
from tools import venvs
from tools.checks import decisions
from tools.emulator.ministack.service import CREDENTIALS, REGION
from tools.stack import deploy
from tools.stack.calls import wait_for

STACK = deploy.STACK_NAME
KEPT = {"DropBucket", "ArtifactTable", "BatchTable", "LedgerTable", "Key"}
TRIGGER = b"dag: hello_jetway\non: {event: {source: [acme.orders]}}\n"
ROW = {"id": {"S": "orders#1"}, "decision": {"S": "started"}}


@pytest.fixture
def aws(tmp_path: Path) -> Iterator[dict[str, str]]:
    with ministack_alone.running(tmp_path) as clients:
        yield clients


def run(aws: Mapping[str, str], *command: str) -> str:
    """Run a command as somebody with credentials does; it must succeed."""
    env = {**os.environ, **CREDENTIALS, "AWS_ENDPOINT_URL": aws["endpoint_url"]}
    done = subprocess.run(
        [sys.executable, *command], cwd=venvs.ROOT, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def resources(aws: dict[str, str]) -> dict[str, str]:
    pages: Any = boto3.client("cloudformation", **aws).get_paginator("list_stack_resources")  # type: ignore[call-overload]
    return {
        one["LogicalResourceId"]: one["PhysicalResourceId"]
        for page in pages.paginate(StackName=STACK)
        for one in page["StackResourceSummaries"]
    }


@pytest.mark.slow
def test_a_stack_works_again_over_what_it_has_left(aws: dict[str, str], tmp_path: Path) -> None:
    make: Any = boto3.client
    events, s3, dynamodb, cloudformation, functions = (
        make(name, **aws) for name in ("events", "s3", "dynamodb", "cloudformation", "lambda")
    )
    sam = venvs.ensure("sam").with_name("sam")
    template = deploy.build(sam, venvs.python_with_pip(), folder=venvs.HOME / "test-adopt")
    s3.create_bucket(Bucket="acme-airflow", CreateBucketConfiguration={"LocationConstraint": REGION})
    parameters = {"EnvironmentName": "acme", "EnvironmentBucketName": "acme-airflow", "AirflowLayers": "airflow3"}

    def rules() -> list[str]:
        return [one["Name"] for one in events.list_rules(NamePrefix=f"{STACK}.")["Rules"]]

    deploy.deploy(sam, template, endpoint=aws["endpoint_url"], parameters=parameters)
    before = resources(aws)
    s3.put_object(Bucket=before["DropBucket"], Key="triggers/orders.yaml", Body=TRIGGER)
    wait_for("the trigger's rule", lambda: rules() or None, seconds=180)
    dynamodb.put_item(TableName=before["LedgerTable"], Item=ROW)

    run(aws, "-m", "jetway_cli", "uninstall", "--yes", "--stack", STACK)
    assert rules() == []
    cloudformation.delete_stack(StackName=STACK)
    cloudformation.get_waiter("stack_delete_complete").wait(StackName=STACK, WaiterConfig={"Delay": 1})
    assert functions.list_functions()["Functions"] == []

    assert "Now `make deploy`" in run(aws, "-m", "tools.aws.adopt", "default")
    assert resources(aws).keys() == KEPT
    deploy.deploy(sam, template, endpoint=aws["endpoint_url"], parameters=parameters)
    after = resources(aws)
    assert {name: after[name] for name in KEPT} == {name: before[name] for name in KEPT}
    assert after.keys() == before.keys()
    sweep = functions.get_function_configuration(FunctionName=after["SweepArtifacts"])["Environment"]["Variables"]
    assert (sweep["DROP_BUCKET"], sweep["ARTIFACT_TABLE"]) == (before["DropBucket"], before["ArtifactTable"])

    swept = run(aws, "-m", "jetway_cli", "sync", "--now", "--stack", STACK)
    assert "0 files have no report" in swept
    wait_for("the trigger's rule again", lambda: rules() or None, seconds=180)
    (target,) = events.list_targets_by_rule(Rule=rules()[0])["Targets"]
    assert target["Arn"].rpartition(":")[2] == after["DispatchQueue"].rpartition("/")[2]
    assert dynamodb.get_item(TableName=after["LedgerTable"], Key={"id": ROW["id"]})["Item"] == ROW
    # Those of the stack that was deleted ran on for a moment without their roles, and there is no MWAA here.
    roles = [name for logical, name in after.items() if logical.endswith("Role")]
    denied = [
        each
        for each in decisions.denials(decisions.read(tmp_path / "decisions.jsonl"))
        if not each.action.startswith("airflow:") and any(f"/{role}/" in each.who for role in roles)
    ]
    assert list(map(str, denied)) == []
