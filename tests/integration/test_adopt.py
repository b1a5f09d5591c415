"""A stack made again over what a deleted one has left: on an AWS stand-in of its own, with CloudFormation's import.

Functions are left out: what counts is that bucket, tables and key are the same ones, with all that is in them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from tools import venvs
from tools.aws.adopt import adopt, chosen, import_template, left_behind, names_of
from tools.aws.aws_checks import AwsDeployError
from tools.emulator import processes
from tools.emulator.ministack import service as ministack
from tools.venvs import ROOT

STACK = "adopted"

# What a whole stack has beside what can be imported: it goes with the stack, and comes with the next deployment.
QUEUE = "  DispatchQueue:\n    Type: AWS::SQS::Queue\n"


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder, port = tmp_path_factory.mktemp("adopt"), processes.free_port()
    process = ministack.start(
        Path(venvs.ensure("ministack")),
        port=port,
        folder=folder,
        temporary=folder / "tmp",
        decisions=folder / "decisions.jsonl",
        lambda_env={},
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        for name, value in ministack.CREDENTIALS.items():
            patch.setenv(name, value)
        yield boto3.Session(region_name=ministack.REGION)
    processes.stop(process)


def deploy(cloudformation: Any, body: str, *, update: bool = False) -> dict[str, str]:
    """Create or update the stack; return its physical ids by logical ids."""
    call, waiter = (
        (cloudformation.update_stack, "stack_update_complete")
        if update
        else (cloudformation.create_stack, "stack_create_complete")
    )
    call(StackName=STACK, TemplateBody=body)
    cloudformation.get_waiter(waiter).wait(StackName=STACK, WaiterConfig={"Delay": 1})
    return resources(cloudformation)


def resources(cloudformation: Any) -> dict[str, str]:
    found = cloudformation.describe_stack_resources(StackName=STACK)["StackResources"]
    return {each["LogicalResourceId"]: each["PhysicalResourceId"] for each in found}


def test_a_stack_is_made_again_over_what_it_has_left(session: Any) -> None:
    body, types, _ = import_template((ROOT / "template.yaml").read_text(encoding="utf-8"))
    whole = body + QUEUE
    cloudformation, s3, dynamodb = (session.client(name) for name in ("cloudformation", "s3", "dynamodb"))
    before = deploy(cloudformation, whole)
    accepted = json.dumps({"orders": "dag: ingest"}).encode()
    s3.put_object(Bucket=before["DropBucket"], Key="accepted/triggers.json", Body=accepted)
    row = {"id": {"S": "orders#1"}, "decision": {"S": "started"}}
    dynamodb.put_item(TableName=before["LedgerTable"], Item=row)

    cloudformation.delete_stack(StackName=STACK)
    cloudformation.get_waiter("stack_delete_complete").wait(StackName=STACK, WaiterConfig={"Delay": 1})
    assert session.client("sqs").list_queues().get("QueueUrls", []) == []

    ids = chosen(left_behind(STACK, types, names_of(session)), {}) | {"Key": before["Key"]}
    assert ids == {name: before[name] for name in types}, "what it has left is found by name"
    adopt(cloudformation, STACK, ids, {"EnvironmentName": "prod", "ReportRetentionDays": "30"})
    after = deploy(cloudformation, whole, update=True)

    assert {name: after[name] for name in types} == {name: before[name] for name in types}
    assert "DispatchQueue" in after
    assert s3.get_object(Bucket=after["DropBucket"], Key="accepted/triggers.json")["Body"].read() == accepted
    assert dynamodb.get_item(TableName=after["LedgerTable"], Key={"id": {"S": "orders#1"}})["Item"] == row


def test_what_two_stacks_have_left_must_be_named(session: Any) -> None:
    found = {"DropBucket": ["a", "b"], "LedgerTable": []}
    with pytest.raises(AwsDeployError, match="Name yours: DropBucket=a or b"):
        chosen(found, {})
    assert chosen(found, {"DropBucket": "b"}) == {"DropBucket": "b"}
    with pytest.raises(AwsDeployError, match="just deploy"):
        chosen({"DropBucket": []}, {})
