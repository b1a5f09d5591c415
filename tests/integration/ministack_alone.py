"""MiniStack as the local stack runs it, without Airflow and Jetway: what only AWS's own services have to do with."""

from __future__ import annotations

import io
import json
import sysconfig
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3

from tools import venvs
from tools.emulator import processes
from tools.emulator.ministack import service as ministack


@contextmanager
def running(folder: Path, **settings: str) -> Iterator[dict[str, str]]:
    """A MiniStack of its own; gives what clients of it need.

    Args:
        settings: environment variables of MiniStack.
    """
    port = processes.free_port()
    paths = [sysconfig.get_path("purelib"), str(venvs.ROOT / "layers" / "jetway")]
    server = ministack.start(
        venvs.ensure("ministack"),
        port=port,
        folder=folder,
        temporary=folder / "temporary",
        decisions=folder / "decisions.jsonl",
        lambda_env={"PYTHONPATH": ":".join(paths), **settings},
    )
    try:
        yield {
            "endpoint_url": f"http://127.0.0.1:{port}",
            "region_name": ministack.REGION,
            "aws_access_key_id": "test",
            "aws_secret_access_key": "test",
        }
    finally:
        processes.stop(server)


def client(clients: dict[str, str], service: str) -> Any:
    return boto3.client(service, **clients)  # type: ignore[call-overload]


def make_function(clients: dict[str, str], name: str, code: str, timeout: int, **variables: str) -> None:
    """Make a function that may do everything with queues, and write its log."""
    iam: Any = client(clients, "iam")
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    may = {"Effect": "Allow", "Action": ["sqs:*", "logs:*"], "Resource": "*"}
    made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps({"Statement": [trust]}))
    iam.put_role_policy(RoleName=name, PolicyName="all", PolicyDocument=json.dumps({"Statement": [may]}))
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr("app.py", code)
    client(clients, "lambda").create_function(
        FunctionName=name,
        Runtime="python3.13",
        Role=made["Role"]["Arn"],
        Handler="app.handler",
        Code={"ZipFile": package.getvalue()},
        Timeout=timeout,
        Environment={"Variables": variables},
    )
