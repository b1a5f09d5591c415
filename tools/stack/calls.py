"""Calls that a user of the stack would make: signed HTTP, and reading what Airflow and the drop bucket say."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from tools.emulator.ministack.service import CREDENTIALS, REGION
from tools.stack.stack import ENVIRONMENT_NAME

if TYPE_CHECKING:
    from tools.stack.stack import Stack

T = TypeVar("T")


class NotLiveError(RuntimeError):
    """A DAG file was not promoted; the text says why."""


class TooLateError(RuntimeError):
    """What was waited for did not come in time."""


def wait_for(what: str, look: Callable[[], T | None], *, seconds: float, pause: float = 0.25) -> T:
    """Look until there is something, and return it.

    Raises:
        TooLateError: nothing came within so many seconds.
    """
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found is not None:
            return found
        if time.monotonic() > deadline:
            raise TooLateError(f"{what}: nothing after {seconds:.0f} s.")
        time.sleep(pause)


def call_api(
    stack: Stack,
    method: str,
    path: str,
    *,
    body: object = None,
    headers: Mapping[str, str] | None = None,
    signed: bool = True,
) -> requests.Response:
    """Call the HTTP API, signed with SigV4 as AWS_IAM authorization demands.

    Args:
        body: sent as JSON; a str is sent as it is.
    """
    data = body if isinstance(body, str) else "" if body is None else json.dumps(body)
    request = AWSRequest(
        method,
        stack.http_api_url + path,
        data=data.encode(),
        headers={"Content-Type": "application/json", **(headers or {})},
    )
    if signed:
        keys = Credentials(CREDENTIALS["AWS_ACCESS_KEY_ID"], CREDENTIALS["AWS_SECRET_ACCESS_KEY"])
        SigV4Auth(keys, "execute-api", REGION).add_auth(request)
    return requests.request(
        method, stack.http_api_url + path, data=data.encode(), headers=dict(request.headers), timeout=40
    )


def read_report(stack: Stack, key: str) -> dict[str, Any] | None:
    """Return the latest validation report of a dropped file, or None when there is none yet."""
    try:
        answer = stack.client("s3").get_object(Bucket=stack.outputs["DropBucketName"], Key=f"reports/{key}/latest.json")
    except ClientError as exc:
        if exc.response["Error"]["Code"] == "NoSuchKey":
            return None
        raise
    report: dict[str, Any] = json.loads(answer["Body"].read())
    return report


def put_live(stack: Stack, file: Path, dag_id: str) -> None:
    """Drop a DAG file and wait until it is promoted and Airflow lists its DAG. Nothing is dropped when that is so.

    Raises:
        NotLiveError: the gate did not promote it.
        TooLateError: no report, or no DAG, came.
    """
    s3, bucket, key, body = stack.client("s3"), stack.outputs["DropBucketName"], f"dags/{file.name}", file.read_bytes()
    if _listed(stack, dag_id) and _holds(stack, key, body):
        return
    version = s3.put_object(Bucket=bucket, Key=key, Body=body)["VersionId"]

    def judged() -> dict[str, Any] | None:
        report = read_report(stack, key)
        return report if report is not None and report["source"]["version"] == version else None

    # The first file waits until the gate has imported Airflow, which takes a slow machine a while.
    report = wait_for(f"the report on {key}", judged, seconds=150)
    if report["verdict"] == "rejected":
        findings = "\n".join(f"  {found['rule']}: {found['message']} {found['remedy']}" for found in report["findings"])
        raise NotLiveError(f"{key} was rejected, so {dag_id} cannot be run:\n{findings}")
    wait_for(f"{dag_id} in Airflow", lambda: _listed(stack, dag_id) or None, seconds=90)


def _listed(stack: Stack, dag_id: str) -> bool:
    """Whether Airflow has the DAG's file, too: of one that is gone it keeps what it knew."""
    dag = airflow_api(stack, "GET", f"/dags/{dag_id}")
    return dag is not None and not dag.get("is_stale", False) and dag.get("is_active", True)


def _holds(stack: Stack, key: str, body: bytes) -> bool:
    try:
        answer = stack.client("s3").get_object(Bucket=stack.outputs["DropBucketName"], Key=key)
    except ClientError as exc:
        if exc.response["Error"]["Code"] == "NoSuchKey":
            return False
        raise
    return bool(answer["Body"].read() == body)


# Ten calls a second are for all who call, and Jetway may use them up.
_THROTTLED_BESIDE_JETWAY = {"mode": "standard", "total_max_attempts": 10}


def airflow_api(stack: Stack, method: str, path: str, **more: Any) -> dict[str, Any] | None:
    """Call Airflow's REST API through MWAA's InvokeRestApi; None when Airflow answers 404, or 5xx as in an update.

    Args:
        more: QueryParameters, Body.
    """
    try:
        mwaa = stack.client("mwaa", retries=_THROTTLED_BESIDE_JETWAY)
        answer = mwaa.invoke_rest_api(Name=ENVIRONMENT_NAME, Method=method, Path=path, **more)
    except ClientError as exc:
        modelled: Mapping[str, Any] = exc.response  # RestApiStatusCode is a member of MWAA's own errors only
        status = modelled.get("RestApiStatusCode", 0)
        if status == 404 or status >= 500:
            return None
        raise
    content: dict[str, Any] = answer["RestApiResponse"]
    return content


def list_runs(stack: Stack, dag_id: str) -> dict[str, dict[str, Any]]:
    """Return the DAG's newest runs by run id."""
    answer = airflow_api(stack, "GET", f"/dags/{dag_id}/dagRuns", QueryParameters={"limit": 100, "order_by": "-id"})
    return {run["dag_run_id"]: run for run in (answer or {}).get("dag_runs", [])}


def let_send(sqs: Any, url: str, *services: str) -> str:
    """Add to a queue's policy that AWS's services may send to it; return the queue's ARN.

    Args:
        sqs: a client.
        services: "events", whose rules then may; "sns", whose topics then may.
    """
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    policy = json.loads(found.get("Policy") or '{"Version": "2012-10-17", "Statement": []}')
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": [f"{service}.amazonaws.com" for service in services]},
        "Action": "sqs:SendMessage",
        "Resource": found["QueueArn"],
    }
    if statement not in policy["Statement"]:
        policy["Statement"].append(statement)
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(policy)})
    return str(found["QueueArn"])
