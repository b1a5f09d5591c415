"""The HTTP API's function in process: AWS is moto, MWAA a server on loopback; `ask` is API Gateway."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from moto import mock_aws

from functions.http_api import app
from jetway.wiring.http_api import wired
from tests.unit.ledger_table import make_table
from tests.unit.moto_clients import client
from tests.unit.sample_events import sample_event

DROP = "acme-drop"
ENVIRONMENT = {
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
    "ENVIRONMENT_NAME": "acme",
    "TRANSPORT": "rest",
    "BUDGET_TABLE": "ledger",
    "REST_CALLS_PER_SECOND": "10",
    "DROP_BUCKET": DROP,
    "LEDGER_TABLE": "ledger",
    "REPLAY_TABLE": "replays",
    "IDEMPOTENCY_TABLE": "idempotency",
    "WEBHOOKS": "enabled",
    "WEBHOOK_SECRET_PREFIX": "acme/webhooks/",
}


# Queues whose length /health tells beside that of the dispatch queue, and the variables that name them.
QUEUES = {"collect": "COLLECT_QUEUE_URL", "waiting": "WAITING_QUEUE_URL", "dead.fifo": "DEAD_LETTERS_URL"}

# A deadline that comes in a finalizer is printed by Python, and comes again: tests/unit/http/test_deadline.py.
IGNORED_ONCE = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@dataclass
class Context:
    """What Lambda tells of an invocation."""

    seconds_left: float = 29.0
    function_name: str = "http_api"
    memory_limit_in_mb: int = 512
    invoked_function_arn: str = "arn:aws:lambda:eu-central-1:111122223333:function:http_api"
    aws_request_id: str = "b9b5c2b6"

    def get_remaining_time_in_millis(self) -> int:
        return int(self.seconds_left * 1000)


@contextmanager
def in_process(monkeypatch: pytest.MonkeyPatch, **more: str) -> Iterator[str]:
    """Run the function's AWS: a dispatch queue, whose URL is yielded, an empty drop bucket, two tables."""
    for name, value in {**ENVIRONMENT, **more}.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        queue = client("sqs").create_queue(QueueName="dispatch.fifo", Attributes={"FifoQueue": "true"})
        client("s3").create_bucket(Bucket=DROP, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        for name, resource in (("replays", "WebhookReplays"), ("idempotency", "IdempotencyKeys")):
            make_table(resource, name)
        for name, variable in QUEUES.items():
            fifo: Any = {"FifoQueue": "true"} if name.endswith(".fifo") else {}
            monkeypatch.setenv(variable, client("sqs").create_queue(QueueName=name, Attributes=fifo)["QueueUrl"])
        set_queue(monkeypatch, queue["QueueUrl"])
        yield queue["QueueUrl"]


def set_queue(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Tell the function which queue is the dispatch queue."""
    monkeypatch.setenv("DISPATCH_QUEUE_URL", url)
    wired().forget()


def ask(
    method: str,
    path: str,
    *,
    query: Mapping[str, str] | None = None,
    body: object = "",
    headers: Mapping[str, str] | None = None,
    authorizer: Mapping[str, Any] | None = None,
    nobody: bool = False,
    seconds: float = 29,
) -> dict[str, Any]:
    """Call the function as API Gateway does.

    Args:
        body: text, or bytes sent in base64, or anything else as JSON.
        authorizer: who calls, as API Gateway says it; the sample event's role by default.
        nobody: nobody that API Gateway knows calls.
        seconds: that Lambda has left.
    """
    event = sample_event("http_trigger_dag_run")
    event["requestContext"]["http"] |= {"method": method, "path": path}
    event |= {"rawPath": path, "routeKey": f"{method} {path}", "queryStringParameters": dict(query or {})}
    event["headers"] = {"content-type": "application/json", **(headers or {})}
    if isinstance(body, bytes):
        event |= {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}
    else:
        event["body"] = body if isinstance(body, str) else json.dumps(body)
    if authorizer is not None:
        event["requestContext"]["authorizer"] = authorizer
    if nobody:
        del event["requestContext"]["authorizer"]
    context: Any = Context(seconds)
    return app.handler(event, context)


def queued(queue: str) -> list[dict[str, Any]]:
    """Take what is on the dispatch queue."""
    answer = client("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10, AttributeNames=["All"])
    return [dict(message) for message in answer.get("Messages", [])]
