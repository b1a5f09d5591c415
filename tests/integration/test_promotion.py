"""What breaks only in the environment is rolled back, and what is deleted goes: real Airflow, real functions."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import UTC, datetime
from typing import Any

import pytest
import requests

from jetway.aws.s3 import head
from tests.integration.conftest import drop
from tests.unit.emulator.wheels import wheel
from tools.stack.calls import airflow_api, let_send, read_report, wait_for
from tools.stack.stack import ENVIRONMENT_BUCKET, ENVIRONMENT_NAME, Stack

LONGEST = 90.0
VERIFY = "VerifyPromotion"


def dag_file(dag_id: str, body: str = "") -> bytes:
    """A DAG file for Airflow 2 and 3."""
    return f"""
try:
    from airflow.sdk import DAG, Variable
except ImportError:
    from airflow.models import Variable
    from airflow.models.dag import DAG

{body}
with DAG("{dag_id}", schedule=None):
    pass
""".encode()


def physical_name(stack: Stack, logical: str) -> str:
    resources = stack.client("cloudformation").describe_stack_resources(StackName="jetway")["StackResources"]
    (name,) = [found["PhysicalResourceId"] for found in resources if found["LogicalResourceId"] == logical]
    return str(name)


def invoke(stack: Stack, logical: str) -> Any:
    """Invoke a function as its schedule does, rather than wait for the minute."""
    answer = stack.client("lambda", read_timeout=120).invoke(FunctionName=physical_name(stack, logical), Payload=b"{}")
    found = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, found
    return found


def standing(stack: Stack, key: str) -> dict[str, Any] | None:
    table = physical_name(stack, "ArtifactTable")
    item = stack.client("dynamodb").get_item(TableName=table, Key={"pk": {"S": f"artifact#{key}"}}).get("Item")
    return json.loads(item["standing"]["S"]) if item else None


def in_stage(stack: Stack, key: str, stage: str, *, function: str = VERIFY, seconds: float = LONGEST) -> dict[str, Any]:
    """Let the function look until the artifact is in that stage."""

    def look() -> dict[str, Any] | None:
        invoke(stack, function)
        found = standing(stack, key)
        return found if found is not None and found["stage"] == stage else None

    return wait_for(f"{key} to be {stage}", look, seconds=seconds, pause=1.0)


def live(stack: Stack, key: str) -> str | None:
    """The version in the drop bucket that is live, or None."""
    found = head(stack.client("s3"), ENVIRONMENT_BUCKET, key)
    return found.metadata["jetway-source-version"] if found else None


def wait_until_live(stack: Stack, key: str, version: str | None) -> None:
    wait_for(f"version {version} of {key}", lambda: True if live(stack, key) == version else None, seconds=LONGEST)


def wait_for_dag(stack: Stack, dag_id: str) -> None:
    wait_for(f"DAG {dag_id}", lambda: airflow_api(stack, "GET", f"/dags/{dag_id}"), seconds=LONGEST)


def messages(stack: Stack) -> str:
    """A queue that gets what the artifact topic sends from now on."""
    sqs, sns = stack.client("sqs"), stack.client("sns")
    url: str = sqs.create_queue(QueueName="artifact-messages")["QueueUrl"]
    arn = let_send(sqs, url, "sns")
    sns.subscribe(TopicArn=physical_name(stack, "ArtifactTopic"), Protocol="sqs", Endpoint=arn)
    return url


@pytest.mark.slow  # a minute of patience; make demo shows one, too
def test_a_dag_that_breaks_only_in_the_environment_is_rolled_back(stack: Stack) -> None:
    url = messages(stack)
    key, dag_id = "dags/regions.py", "regions"
    good = drop(stack, key, dag_file(dag_id))
    wait_for_dag(stack, dag_id)
    in_stage(stack, key, "good")

    bad = drop(stack, key, dag_file(dag_id, 'REGION = Variable.get("a_variable_that_nobody_has_made")'))
    wait_until_live(stack, key, bad)
    found = in_stage(stack, key, "rolled-back")
    assert found["rolled_back"] == [bad]
    assert live(stack, key) == good
    report = read_report(stack, key)
    assert report is not None
    assert report["outcome"] == "rolled-back"
    assert "a_variable_that_nobody_has_made" in report["verification"]["problems"][0]["message"]
    assert report["verification"]["restored"]["version"] == good
    tags = stack.client("s3").get_object_tagging(Bucket=stack.outputs["DropBucketName"], Key=key, VersionId=bad)
    assert tags["TagSet"] == [{"Key": "jetway:verdict", "Value": "rolled-back"}]

    def message() -> str | None:
        for got in stack.client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
            body = json.loads(got["Body"])
            if body["Subject"].endswith(f"{key} was rolled back"):
                return str(body["Message"])
        return None

    assert f"Version {good} is live again" in wait_for("the message", message, seconds=30)
    wait_for_dag(stack, dag_id)


def test_a_deleted_dag_file_goes_and_comes_back(stack: Stack) -> None:
    key, dag_id = "dags/team/deleted.py", "deleted"
    s3, bucket = stack.client("s3"), stack.outputs["DropBucketName"]
    version = drop(stack, key, dag_file(dag_id))
    wait_for_dag(stack, dag_id)
    marker = s3.delete_object(Bucket=bucket, Key=key)["VersionId"]
    wait_until_live(stack, key, None)
    s3.delete_object(Bucket=bucket, Key=key, VersionId=marker)
    wait_until_live(stack, key, version)
    wait_for_dag(stack, dag_id)


@pytest.mark.slow
def test_a_dag_that_vanishes_is_rolled_back(stack: Stack) -> None:
    key, dag_id = "dags/vanishing.py", "vanishing"
    good = drop(stack, key, dag_file(dag_id))
    wait_for_dag(stack, dag_id)
    in_stage(stack, key, "good")
    # The gate's Airflow makes that DAG; the environment's does not, and there is no import error either.
    hidden = f"""
import sys
try:
    from airflow.sdk import DAG
except ImportError:
    from airflow.models.dag import DAG
if "jetway_loader" in sys.modules:
    with DAG("{dag_id}", schedule=None):
        pass
"""
    drop(stack, key, hidden.encode())
    found = in_stage(stack, key, "rolled-back", seconds=400)
    assert "has vanished" in found["problems"][0]["message"]
    assert live(stack, key) == good
    wait_for_dag(stack, dag_id)


# ------------------------------------------------------------------------------------------------ updates

OFFLINE = "--no-index\n--find-links /usr/local/airflow/plugins\n--constraint /usr/local/airflow/plugins/c.txt\n"
UPDATED = 240.0  # Airflow is restarted


def plugins() -> bytes:
    """A plugins.zip with a wheel that can be installed, one that cannot, and constraints."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        made.writestr("c.txt", "")
        for version, requires in (("1.0", ""), ("2.0", "a-package-that-nobody-has")):
            name = f"jetway_sample-{version}-py3-none-any.whl"
            made.writestr(name, wheel("jetway_sample", version, f"VERSION = {version!r}\n", requires))
    return out.getvalue()


def environment(stack: Stack) -> dict[str, Any]:
    found: dict[str, Any] = stack.client("mwaa").get_environment(Name=ENVIRONMENT_NAME)["Environment"]
    return found


def applied(stack: Stack, key: str, stage: str) -> dict[str, Any]:
    """Let both functions work until the artifact is in that stage and no update is on its way."""

    def look() -> dict[str, Any] | None:
        for function in ("ApplyUpdatesFunction", VERIFY):
            invoke(stack, function)
        found = standing(stack, key)
        done = environment(stack)["Status"] in {"AVAILABLE", "UPDATE_FAILED"}
        return found if done and found is not None and found["stage"] == stage else None

    return wait_for(f"{key} to be {stage}", look, seconds=UPDATED, pause=1.0)


def settled(stack: Stack) -> bool:
    """Let both functions work; whether no artifact waits for an update or is verified after one."""
    for function in ("ApplyUpdatesFunction", VERIFY):
        invoke(stack, function)
    found = [standing(stack, key) for key in ("plugins.zip", "requirements.txt", "startup.sh")]
    return not any(each["stage"] in {"waiting", "updating", "verifying"} for each in found if each)


def updates_asked(stack: Stack) -> int:
    """How many times UpdateEnvironment was called."""
    url = f"{stack.gateway_url}/_local/counters"
    counters: dict[str, int] = requests.get(url, verify=stack.ca_bundle, timeout=10).json()
    return counters.get("api.UpdateEnvironment", 0)


def in_force(stack: Stack, thing: str) -> str | None:
    """The version in the drop bucket that the environment uses."""
    found = environment(stack)
    path, version = found.get(f"{thing}S3Path"), found.get(f"{thing}S3ObjectVersion")
    if not path:
        return None
    head = stack.client("s3").head_object(Bucket=ENVIRONMENT_BUCKET, Key=path, VersionId=version)
    source: str = head["Metadata"]["jetway-source-version"]
    return source


@pytest.mark.slow
@pytest.mark.usefixtures("applying")
def test_requirements_and_plugins_come_as_one_update_and_break_or_work(stack: Stack) -> None:
    wait_for("what other tests have dropped", lambda: True if settled(stack) else None, seconds=UPDATED, pause=1.0)
    before = updates_asked(stack)
    needs = dag_file("needs_a_package", "import jetway_sample\nassert jetway_sample.VERSION")
    zipped = drop(stack, "plugins.zip", plugins())
    asked = drop(stack, "requirements.txt", f"{OFFLINE}jetway-sample==1.0\n".encode())
    drop(stack, "dags/needs_a_package.py", needs)
    script = drop(stack, "startup.sh", f"export DROPPED={datetime.now(UTC):%H%M%S}\n".encode())
    dropped = {"plugins.zip": zipped, "requirements.txt": asked, "startup.sh": script}
    for key, version in dropped.items():
        wait_until_live(stack, key, version)
    applied(stack, "requirements.txt", "good")
    assert updates_asked(stack) == before + 1
    assert {key: (standing(stack, key) or {})["stage"] for key in dropped} == dict.fromkeys(dropped, "good")
    assert [in_force(stack, thing) for thing in ("Plugins", "Requirements", "StartupScript")] == [zipped, asked, script]
    wait_for_dag(stack, "needs_a_package")
    in_stage(stack, "dags/needs_a_package.py", "good", seconds=UPDATED)

    # What that version needs is nowhere: pip fails, MWAA only logs that and succeeds, and the DAG breaks.
    bad = drop(stack, "requirements.txt", f"{OFFLINE}jetway-sample==2.0\n".encode())
    wait_until_live(stack, "requirements.txt", bad)
    found = applied(stack, "requirements.txt", "rolled-back")
    assert found["rolled_back"][-1] == bad
    wait_for("the way back", lambda: in_force(stack, "Requirements") == asked or None, seconds=UPDATED)
    report = read_report(stack, "requirements.txt")
    assert report is not None
    pip, *dags = report["verification"]["problems"]
    assert pip["where"] == "requirements.txt"
    assert "a-package-that-nobody-has" in pip["message"]
    # Airflow may not have parsed the file by then.
    assert [(dag["where"], "No module named 'jetway_sample'" in dag["message"]) for dag in dags] in (
        [],
        [("needs_a_package.py", True)],
    )
    wait_for_dag(stack, "needs_a_package")

    # An update that fails: MWAA goes back by itself.
    broken = drop(stack, "startup.sh", b"exit 1\n")
    wait_until_live(stack, "startup.sh", broken)
    found = applied(stack, "startup.sh", "rolled-back")
    assert found["rolled_back"][-1] == broken
    assert "exit code 1" in found["problems"][0]["message"]
    assert in_force(stack, "StartupScript") == script
