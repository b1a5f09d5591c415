"""`jetway` as its users run it: moto for SQS and DynamoDB, a loopback server for CloudFormation and the HTTP API."""

from __future__ import annotations

import json
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, partial, partialmethod
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

import pytest
from click.testing import CliRunner, Result
from moto import mock_aws
from moto.core.responses import ActionResult
from moto.iam.access_control import PermissionResult
from moto.s3.models import FakeBucket
from moto.s3.responses import S3Response
from moto.sqs.models import Message, SQSBackend

from jetway_cli.app import cli
from tests.unit.ledger_table import make_ledger_table
from tests.unit.moto_clients import client
from tests.unit.sample_events import ROOT
from tools.checks.rendered import transformed

from .checking import GOOD
from .iam_answers import IAM

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table
    from mypy_boto3_sqs import SQSClient

REGION = "eu-central-1"
LEDGER = "ledger"
STACK = "jetway"
ACCOUNT = "123456789012"  # moto's own
LOST = 0  # instead of a status: the connection ends without an answer
NO_STACK = (
    '<ErrorResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/"><Error><Type>Sender</Type>'
    "<Code>ValidationError</Code><Message>Stack with id {} does not exist</Message></Error></ErrorResponse>"
)


@dataclass
class Call:
    """One call of the HTTP API."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class Cloud:
    """What the command line talks to.

    Attributes:
        answers: of the HTTP API, in order: status, JSON body.
        checks: its answers to dry runs, in order; each DAG is good when there are none left.
        checked: its calls that were dry runs.
        outputs: of the stack.
        parameters: of the stack.
        status: of the stack.
        resources: of the stack: logical id, physical id, type and status.
        denied: actions that IAM says no role may do.
        gone: whether IAM has no role at all.
        trusts: who may take a role, by its name.
        policies: managed policies by their ARNs.
        inline: policies of a role, by its name: documents by the policy's name.
        attached: ARNs of a role's managed policies, by its name.
    """

    sqs: SQSClient
    dispatch_url: str
    dead_url: str
    collect_url: str
    uncollected_url: str
    undelivered_url: str
    url: str = ""
    outputs: dict[str, str] = field(default_factory=dict)
    answers: deque[tuple[int, dict[str, Any]]] = field(default_factory=deque)
    calls: list[Call] = field(default_factory=list)
    checks: deque[tuple[int, dict[str, Any]]] = field(default_factory=deque)
    checked: list[Call] = field(default_factory=list)
    parameters: dict[str, str] = field(default_factory=dict)
    status: str = "CREATE_COMPLETE"
    resources: list[tuple[str, str, str, str]] = field(default_factory=list)
    denied: set[str] = field(default_factory=set)
    gone: bool = False
    trusts: dict[str, Any] = field(default_factory=dict)
    policies: dict[str, Any] = field(default_factory=dict)
    inline: dict[str, dict[str, Any]] = field(default_factory=dict)
    attached: dict[str, list[str]] = field(default_factory=dict)

    @cached_property
    def ledger(self) -> Table:
        """The ledger's table, made when it is asked for: reading the template takes its time."""
        return make_ledger_table()

    def dead_letter(self, message: object, *, id_: str = "1", **members: Any) -> str:
        """Put a dead letter as `jetway.dispatch.dispatcher` writes it, and return SQS's id of it."""
        letter = {
            "reason": "dag-not-found",
            "error": "DagNotFoundError: Airflow has no DAG 'orders'.",
            "trigger": "data",
            "dag_id": "orders",
            "dag_run_id": "jetway__data__x",
            "first_try": "2026-11-22T06:00:00+00:00",
            "last_try": "2026-11-22T06:10:00+00:00",
            "tries": 3,
            "message": message,
        }
        return self.sqs.send_message(
            QueueUrl=self.dead_url,
            MessageBody=json.dumps(letter | members),
            MessageGroupId=f"group-{id_}",
            MessageDeduplicationId=f"dead-{id_}",
        )["MessageId"]

    def drain(self, url: str) -> list[dict[str, Any]]:
        """Take all messages of a queue."""
        found: list[dict[str, Any]] = []
        while messages := self.sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, MessageSystemAttributeNames=["All"]
        ).get("Messages", []):
            for message in messages:
                found.append(dict(message))
                self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return found


def _handler(cloud: Cloud) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._api()

        def do_POST(self) -> None:
            if self.path == "/":
                asked = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                if asked.get("StackName", [STACK]) != [STACK]:
                    self._send(400, NO_STACK.format(*asked["StackName"]).encode(), "text/xml")
                    return
                if asked["Action"][0] in {"SimulatePrincipalPolicy", "GetRole"} and cloud.gone:
                    self._send(404, NO_STACK.replace("ValidationError", "NoSuchEntity").encode(), "text/xml")
                    return
                answer: dict[str, Callable[[Cloud], str]] = {
                    "ListStackResources": _resources,
                    "GetTemplate": _template,
                    **{name: partial(one, asked) for name, one in IAM.items()},
                }
                self._send(200, answer.get(asked["Action"][0], _stacks)(cloud).encode(), "text/xml")
            else:
                self._api()

        def _api(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            call = Call(self.command, self.path, headers, json.loads(body) if body else None)
            if self.path.endswith("?dry_run=true"):
                cloud.checked.append(call)
                status, answer = (
                    cloud.checks.popleft() if cloud.checks else (200, {**(call.body or {}), "dry_run": True})
                )
            else:
                cloud.calls.append(call)
                status, answer = cloud.answers.popleft() if cloud.answers else (500, {"detail": "nothing was expected"})
            if status == LOST:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            self._send(status, json.dumps(answer).encode(), "application/json")

        def _send(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parent's name for it
            """Say nothing: pytest shows what matters."""

    return Handler


def _stacks(cloud: Cloud) -> str:
    """DescribeStacks' answer.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DescribeStacks.html
    """
    members = "".join(
        f"<member><OutputKey>{name}</OutputKey><OutputValue>{value}</OutputValue></member>"
        for name, value in cloud.outputs.items()
    )
    given = "".join(
        f"<member><ParameterKey>{name}</ParameterKey><ParameterValue>{value}</ParameterValue></member>"
        for name, value in cloud.parameters.items()
    )
    return (
        '<DescribeStacksResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/"><DescribeStacksResult>'
        "<Stacks><member><StackName>jetway</StackName><CreationTime>2026-11-22T06:00:00Z</CreationTime>"
        f"<StackId>arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/jetway/1</StackId>"
        f"<StackStatus>{cloud.status}</StackStatus><Outputs>{members}</Outputs><Parameters>{given}</Parameters>"
        "</member></Stacks>"
        "</DescribeStacksResult></DescribeStacksResponse>"
    )


def _resources(cloud: Cloud) -> str:
    """ListStackResources' answer."""
    members = "".join(
        f"<member><LogicalResourceId>{logical}</LogicalResourceId><PhysicalResourceId>{physical}</PhysicalResourceId>"
        f"<ResourceType>{kind}</ResourceType><ResourceStatus>{status}</ResourceStatus>"
        "<LastUpdatedTimestamp>2026-11-22T06:00:00Z</LastUpdatedTimestamp></member>"
        for logical, physical, kind, status in cloud.resources
    )
    return (
        '<ListStackResourcesResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/">'
        f"<ListStackResourcesResult><StackResourceSummaries>{members}</StackResourceSummaries>"
        "</ListStackResourcesResult></ListStackResourcesResponse>"
    )


def _template(_: Cloud) -> str:
    """GetTemplate's answer: the template as SAM leaves it."""
    body = escape(json.dumps(transformed(ROOT / "template.yaml")))
    return (
        '<GetTemplateResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/"><GetTemplateResult>'
        f"<TemplateBody>{body}</TemplateBody></GetTemplateResult></GetTemplateResponse>"
    )


def _at_once(queues: SQSBackend, receive: Any, name: str, count: int, _wait: int, *more: Any) -> list[Message]:
    """A long poll that finds nothing ends at once: in moto nothing comes by itself."""
    found: list[Message] = receive(queues, name, count, 0, *more)
    return found


def tell_of_event_bridge(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have moto answer GetBucketNotificationConfiguration in full: it keeps EventBridgeConfiguration, untold."""
    get = S3Response.get_bucket_notification
    monkeypatch.setattr(S3Response, "get_bucket_notification", lambda response: _with_event_bridge(get, response))


def enforce_no_bucket_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have moto keep bucket policies only: it knows no conditions, so that a Deny without TLS denies everything."""
    monkeypatch.setattr(FakeBucket, "get_permission", lambda *_: PermissionResult.NEUTRAL)


def _with_event_bridge(get: Callable[[S3Response], Any], response: S3Response) -> Any:
    kept = response.backend.get_bucket_notification_configuration(response.bucket_name)
    if kept is None or kept.event_bridge is None:
        return get(response)
    response.data["Action"] = "GetBucketNotificationConfiguration"
    return response.serialized(ActionResult({"EventBridgeConfiguration": {}}))


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """A deployed stack."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "JETWAY_API_URL", "JETWAY_STACK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_REGION", REGION)
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setattr("jetway_cli.api.PAUSES", (0.01, 0.02, 0.04))
    monkeypatch.setattr(SQSBackend, "receive_message", partialmethod(_at_once, SQSBackend.receive_message))
    with mock_aws():
        sqs = client("sqs", REGION)
        urls = [
            sqs.create_queue(QueueName=name, Attributes={"FifoQueue": "true", "ContentBasedDeduplication": "true"})[
                "QueueUrl"
            ]
            for name in ("dispatch.fifo", "dead.fifo")
        ]
        names = ("collect", "uncollected", "undelivered")
        standard: dict[str, Any] = {f"{name}_url": sqs.create_queue(QueueName=name)["QueueUrl"] for name in names}
        cloud = Cloud(sqs, dispatch_url=urls[0], dead_url=urls[1], **standard)
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(cloud))
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        cloud.url = f"http://127.0.0.1:{server.server_port}"
        cloud.outputs |= {
            "HttpApiUrl": f"{cloud.url}/api",
            "DispatchQueueUrl": cloud.dispatch_url,
            "DispatchDeadLettersUrl": cloud.dead_url,
            "CollectQueueUrl": cloud.collect_url,
            "CollectDeadLettersUrl": cloud.uncollected_url,
            "UndeliveredEventsUrl": cloud.undelivered_url,
            "LedgerTableName": LEDGER,
        }
        monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDFORMATION", cloud.url)
        try:
            yield cloud
        finally:
            server.shutdown()
            server.server_close()


@pytest.fixture
def jetway(cloud: Cloud) -> Callable[..., Result]:
    """Run a command; a traceback fails the test."""

    def run(*args: str, stdin: str | None = None) -> Result:
        result = CliRunner().invoke(cli, args, input=stdin, prog_name="jetway")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert "Traceback" not in result.output
        return result

    return run


@pytest.fixture
def dags(tmp_path: Path) -> Path:
    """A dags folder with one good file."""
    folder = tmp_path / "dags"
    (folder / "team").mkdir(parents=True)
    (folder / "team/orders.py").write_text(GOOD)
    return folder
