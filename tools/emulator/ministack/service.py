"""MiniStack, which stands for AWS: S3, EventBridge, SQS, Lambda, API Gateway, CloudFormation… on loopback."""

from __future__ import annotations

import json
import os
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from tools.emulator import processes

NAME = "ministack"
REGION = "eu-central-1"
ACCOUNT = "000000000000"

# No AWS account is needed and none may be used by mistake.
CREDENTIALS: Mapping[str, str] = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": REGION,
    "AWS_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}


def start(
    python: Path, *, port: int, folder: Path, temporary: Path, decisions: Path, lambda_env: Mapping[str, str]
) -> processes.Process:
    """Start MiniStack and wait until it answers.

    Args:
        python: interpreter of MiniStack's virtual environment.
        port: the loopback port to serve.
        folder: where log and pid file go.
        temporary: where the code of functions is unpacked.
        decisions: the file that IAM's decisions are appended to, one JSON object a line.
        lambda_env: environment variables that every function sees, beside its own.

    Raises:
        ProcessError: it ended or did not answer; the text has the end of its log.
    """
    temporary.mkdir(parents=True, exist_ok=True)
    env = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(temporary),
        "TMPDIR": str(temporary),
        **CREDENTIALS,
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "MINISTACK_HOST": "127.0.0.1",
        "MINISTACK_REGION": REGION,
        "MINISTACK_ACCOUNT_ID": ACCOUNT,
        "LAMBDA_EXECUTOR": "local",
        "AUTH": "true",  # every function by its own role; CREDENTIALS are the root user's
        "JETWAY_DECISIONS": str(decisions),
        "IOT_MTLS_ENABLED": "0",  # it would listen on a fixed port
        "EVENTS_BEGIN_AFTER": os.environ.get("EVENTS_BEGIN_AFTER", "0"),
        **lambda_env,
    }
    # -P: this folder is not to be searched for modules, or tools/emulator/ministack/service.py would hide the real one.
    server = Path(__file__).with_name("server.py")
    process = processes.start(NAME, [str(python), "-P", str(server)], folder=folder, env=env)
    processes.wait_until(lambda: ready(port), seconds=60, what="MiniStack", processes=[process])
    return process


def ready(port: int) -> bool:
    """Whether MiniStack answers on that port."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/_ministack/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


_making = threading.Lock()  # boto3's own session is not for threads; its clients are


def client(service_name: str, endpoint: str, ca_bundle: str | None = None, **config: Any) -> Any:
    """Return a boto3 client of a local stack; the same one to whoever asks again.

    Args:
        endpoint: MiniStack's URL, or the gateway's for mwaa.
        ca_bundle: file of the CA that has signed the gateway's certificate.
        config: members of botocore's Config.
    """
    with _making:
        return _make_client(service_name, endpoint, ca_bundle, json.dumps(config))


@cache  # whoever waits asks often, and to make one takes far longer than its calls
def _make_client(service_name: str, endpoint: str, ca_bundle: str | None, config: str) -> Any:
    make: Any = boto3.client  # its stubs know service names as literals only
    return make(
        service_name,
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        verify=ca_bundle,
        config=Config(inject_host_prefix=False, **json.loads(config)),
    )
