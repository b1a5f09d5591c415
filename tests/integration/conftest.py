"""Two local stacks for the integration tests, beside the one of `make up`: the real template, real Airflow.

One reaches Airflow over the CLI endpoint, one over InvokeRestApi. Each has its share of the modules; with `-n 3` they
are side by side, and beside what needs none; otherwise one comes after the other.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import boto3
import pytest
from rich.console import Console
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

from jetway.ledger import Ledger
from tools import venvs
from tools.checks.decisions import Decision
from tools.checks.decisions import denials as denied
from tools.emulator.ministack.service import CREDENTIALS, REGION
from tools.examples import PARAMETERS
from tools.progress import Progress
from tools.stack import stack as local_stack
from tools.stack.calls import airflow_api, let_send, read_report, wait_for
from tools.stack.stack import Stack

HERE = Path(__file__).parent
DAG_ID = "hello_jetway"


Transport = Literal["cli", "rest"]

# What these modules look at is the same over both transports, or is InvokeRestApi.
OVER_REST = frozenset(
    {
        "test_all_runs.py",  # commands cannot list what has ended
        "test_cli_triggers.py",
        "test_denials.py",  # a token of the command line is good for 45 s, whatever is denied meanwhile
        "test_doctor.py",
        "test_examples.py",
        "test_http_access.py",
        "test_import_dag.py",
        "test_kinds.py",
        "test_loader.py",
        "test_loading.py",
        "test_rest_transport.py",
        "test_run_from_everywhere.py",
        "test_whole_folder.py",
        "test_workers.py",
    }
)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "transport" in metafunc.fixturenames:
        module = Path(str(metafunc.module.__file__)).name
        metafunc.parametrize("transport", ["rest" if module in OVER_REST else "cli"], indirect=True, scope="session")


def _stack_of(nodeid: str) -> str:
    """The transport of the stack that a test needs, or none."""
    found = re.search(r"\[(?:.*-)?(cli|rest)(?:-.*)?\]$", nodeid)
    return found[1] if found else ""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def order(item: pytest.Item) -> tuple[int, bool]:
        """Stacks come first, and none is started twice. An event that is denied holds its lane: that module is last."""
        return ("cli", "rest", "").index(_stack_of(item.nodeid)), item.path.name == "test_denials.py"

    items.sort(key=order)
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.integration)


class ByTransport(LoadScopeScheduling):  # type: ignore[misc]  # pytest-xdist's is not typed
    """One worker for each stack; what needs none goes, a module at a time, to the one that has least to do.

    (Groups of pytest-xdist 3.8 do not work with pytest 9.)
    """

    def _split_scope(self, nodeid: str) -> str:
        return _stack_of(nodeid) or nodeid.partition("::")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    return ByTransport(config, log)


LONGEST = 120.0  # seconds for an event out


# From the beginning of the deployment to the firing of the schedule: the DAG must be there, on a slow machine too.
SCHEDULE_AHEAD = timedelta(seconds=90)


class Deployment:
    """Parameters of template.yaml that the tests deploy with; the schedule's moment is set at the first deployment."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.schedule_at: datetime | None = None

    def parameters(self, **changes: str) -> dict[str, str]:
        if self.schedule_at is None:
            self.schedule_at = (datetime.now(UTC) + SCHEDULE_AHEAD).replace(microsecond=0)
        return {
            **PARAMETERS,
            "Transport": self.transport,
            "ScheduleDagId": DAG_ID,
            "ScheduleExpression": f"at({self.schedule_at:%Y-%m-%dT%H:%M:%S})",
            "ScheduleTimezone": "UTC",
            "MaxEventAgeHours": "1",
            "GraceMinutes": "1",
            "LogLevel": "DEBUG",
            "WorkerShortfallMinutes": "1",
            # An update restarts Airflow, whichever test is running then; see `applying`.
            "ApplyUpdates": "manual",
            "ScalingRaiseAfterMinutes": "1",
            "ScalingCoolDownMinutes": "0",
            "VerifyAfterSeconds": "5",
            "Webhooks": "enabled",
            "Tags": "team=data",
            **changes,
        }


@pytest.fixture(scope="session")
def transport(request: pytest.FixtureRequest) -> Transport:
    """The way to Airflow of the stack that this test's module has."""
    way: Transport = request.param
    return way


@pytest.fixture(scope="session")
def deployment(transport: Transport) -> Deployment:
    return Deployment(transport)


# They have no permission at all, so Lambda cannot write their logs either.
_WITHOUT_POWER = ("ImportDagRole", "ResolveRequirementsRole")


class Denials:
    """What IAM may refuse on a stack."""

    def __init__(self) -> None:
        self._wanted: list[tuple[str, str]] = [(role, "logs:CreateLogStream") for role in _WITHOUT_POWER]

    @contextmanager
    def wanted(self, stack: Stack, who: str, action: str) -> Iterator[None]:
        """Let IAM refuse an action to a role (by its logical id), a user (by its ARN) or a service (by its name), from
        now on; it must have done so at the end of the block."""
        before = len(self._found(stack, who, action))
        self._wanted.append((who, action))
        yield
        wait_for(f"{action} denied to {who}", lambda: len(self._found(stack, who, action)) > before or None, seconds=20)

    def unexpected(self, stack: Stack) -> list[Decision]:
        return [found for found in denied(stack.decisions()) if not self._is_wanted(found)]

    def _is_wanted(self, found: Decision) -> bool:
        return any(found.action == action and who in {found.role, found.who} for who, action in self._wanted)

    def _found(self, stack: Stack, who: str, action: str) -> list[Decision]:
        found = denied(stack.decisions())
        return [each for each in found if each.action == action and who in {each.role, each.who}]


@pytest.fixture(scope="session")
def denials() -> Denials:
    """For tests that want to be denied something."""
    return Denials()


@pytest.fixture(scope="session")
def stack(transport: Transport, deployment: Deployment, denials: Denials) -> Iterator[Stack]:
    """The deployed stack, with an empty Airflow and faults that tests can inject.

    At its end nobody must have been denied anything, but what a test has wanted.
    """
    os.environ["JETWAY_STATE"] = str(venvs.HOME / f"test-{transport}")
    local_stack.down()
    try:
        running = local_stack.up(Progress(Console(stderr=True)), parameters=deployment.parameters, faults=True)
        yield running
        unexpected = denials.unexpected(running)
    finally:
        local_stack.down()
    assert not unexpected, "IAM denied:\n" + "\n".join(sorted(set(map(str, unexpected))))


@contextmanager
def updates_applied(stack: Stack, deployment: Deployment) -> Iterator[None]:
    """Requirements, plugins and startup script come into force by themselves meanwhile."""
    progress = Progress(Console(stderr=True))
    version = stack.airflow_version
    wanted = deployment.parameters(ApplyUpdates="automatic")
    local_stack.up(progress, version=version, parameters=lambda: wanted, faults=True)
    try:
        yield
    finally:
        local_stack.up(progress, version=version, parameters=deployment.parameters, faults=True)


@pytest.fixture
def applying(stack: Stack, deployment: Deployment) -> Iterator[None]:
    """`updates_applied` during one test."""
    with updates_applied(stack, deployment):
        yield


@pytest.fixture(scope="session")
def dag(stack: Stack) -> str:
    """The example DAG, dropped, promoted and parsed; and a file for a DAG that never comes."""
    drop(stack, "data/no_such_dag/x.csv", b"x")
    file = venvs.ROOT / "dags" / f"{DAG_ID}.py"
    drop(stack, f"dags/{file.name}", file.read_bytes())
    report = wait_for("the report", lambda: read_report(stack, f"dags/{file.name}"), seconds=90)
    assert report["verdict"] == "accepted"
    wait_for("the DAG in Airflow", lambda: airflow_api(stack, "GET", f"/dags/{DAG_ID}"), seconds=90)
    return DAG_ID


def make_env(stack: Stack, **before: str) -> dict[str, str]:
    """The environment of a shell in which somebody has typed what README says, and nothing more.

    Args:
        before: variables of the shell, beside this process's.
    """
    own = {
        name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "JETWAY_", "MAKE", "MFLAGS"))
    }
    script = 'eval "$(make -s env)" && env -0'
    command = ["bash", "-c", script]
    env = {**own, "JETWAY_STATE": stack.state, **before}
    printed = subprocess.run(command, cwd=venvs.ROOT, env=env, capture_output=True, text=True, check=True).stdout
    return dict(line.split("=", 1) for line in printed.split("\0") if line)


def drop(stack: Stack, key: str, body: bytes) -> str:
    """Put an object in the drop bucket and return its version id."""
    version: str = stack.client("s3").put_object(Bucket=stack.outputs["DropBucketName"], Key=key, Body=body)[
        "VersionId"
    ]
    return version


@dataclass
class Listener:
    """Hears what Jetway tells the world."""

    sqs: Any
    url: str
    heard: list[dict[str, Any]] = field(default_factory=list)

    def wait_for(self, detail_type: str, *, about: str = "", **detail: object) -> dict[str, Any]:
        """Wait for an event of that type whose detail has these members, and that text in its identity."""

        def is_it(event: dict[str, Any]) -> bool:
            found = event["detail"]
            return (
                event["detail-type"] == detail_type
                and detail.items() <= found.items()
                and (not about or any(about in part for part in found["identity"]))
            )

        def look() -> dict[str, Any] | None:
            for message in self.sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10).get("Messages", []):
                self.heard.append(json.loads(message["Body"]))
                self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
            return next(filter(is_it, self.heard), None)

        return wait_for(f"{detail_type} {about} with {detail}", look, seconds=LONGEST)


@pytest.fixture(scope="session")
def listener(stack: Stack) -> Listener:
    """A queue that all of Jetway's events go to."""
    sqs, events = stack.client("sqs"), stack.client("events")
    url = sqs.create_queue(QueueName="listener")["QueueUrl"]
    arn = let_send(sqs, url, "events")
    events.put_rule(Name="listener", EventPattern=json.dumps({"source": ["jetway"]}))
    events.put_targets(Rule="listener", Targets=[{"Id": "queue", "Arn": arn}])
    return Listener(sqs, url)


@pytest.fixture(scope="session")
def ledger(stack: Stack) -> Ledger:
    """The stack's ledger, to be read."""
    resource = boto3.resource(
        "dynamodb",
        endpoint_url=stack.endpoint,
        region_name=REGION,
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
    )
    return Ledger(resource.Table(stack.outputs["LedgerTableName"]))
