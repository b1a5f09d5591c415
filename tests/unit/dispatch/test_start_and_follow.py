"""start_dag_run and follow_runs at their edge: from a batch of SQS to Airflow, the ledger and the bus, and back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from moto import mock_aws

from functions.follow_runs import app as following
from functions.start_dag_run import app as starting
from jetway.observability import metrics
from tests.unit.ledger_table import make_table
from tests.unit.mwaa_server import MwaaServer
from tests.unit.sample_events import sample_event

CONTEXT: Any = SimpleNamespace(
    function_name="start_dag_run",
    memory_limit_in_mb=512,
    invoked_function_arn="arn:aws:lambda:eu-central-1:111122223333:function:start_dag_run",
    aws_request_id="52fdfc07-2182-154f-163f-5f0f9a621d72",
    get_remaining_time_in_millis=lambda: 300_000,
)


class Airflow:
    """The REST API: runs by (dag_id, dag_run_id)."""

    def __init__(self) -> None:
        self.runs: dict[tuple[str, str], dict[str, Any]] = {}
        self.ended: list[dict[str, Any]] = []
        self.paused = False
        self.status = 200

    def __call__(self, asked: dict[str, Any]) -> tuple[int, object]:
        if self.status != 200:
            return self.status, {"detail": "busy"}
        _, dag_id, *more = asked["Path"].strip("/").split("/")
        if asked["Method"] == "POST" and more == ["dagRuns"]:
            body = asked["Body"]
            run = {"dag_id": dag_id, "dag_run_id": body["dag_run_id"], "state": "queued", "conf": body["conf"]}
            if (dag_id, run["dag_run_id"]) in self.runs:
                return 409, {"detail": "there"}
            self.runs[dag_id, run["dag_run_id"]] = run
            return 200, run
        if more == ["dagRuns", "list"] or dag_id == "~":
            return 200, {"dag_runs": self.ended, "total_entries": len(self.ended)}
        if not more:
            return 200, {"dag_id": dag_id, "is_paused": self.paused, "fileloc": "x"}
        return 200, self.runs[dag_id, more[1]]


@pytest.fixture
def airflow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Airflow]:
    airflow = Airflow()
    with MwaaServer(airflow) as server, mock_aws():
        sqs = boto3.client("sqs", region_name="eu-central-1")
        fifo: Any = {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
        queues = {name: sqs.create_queue(QueueName=f"{name}.fifo", Attributes=fifo) for name in ("dispatch", "dead")}
        plain = {name: sqs.create_queue(QueueName=name) for name in ("waiting", "told")}
        url = plain["told"]["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        events = boto3.client("events", region_name="eu-central-1")
        events.create_event_bus(Name="acme-bus")
        events.put_rule(Name="told", EventPattern=json.dumps({"source": ["jetway"]}), EventBusName="acme-bus")
        events.put_targets(Rule="told", EventBusName="acme-bus", Targets=[{"Id": "queue", "Arn": arn}])
        make_table("LedgerTable", "ledger")
        for name, value in {
            "ENVIRONMENT_NAME": "acme",
            "TRANSPORT": "rest",
            "DISPATCH_QUEUE_URL": queues["dispatch"]["QueueUrl"],
            "DEAD_LETTERS_URL": queues["dead"]["QueueUrl"],
            "WAITING_QUEUE_URL": plain["waiting"]["QueueUrl"],
            "MAX_EVENT_AGE_HOURS": "87600",
            "GRACE_MINUTES": "10",
            "LEDGER_TABLE": "ledger",
            "LEDGER_RETENTION_DAYS": "45",
            "EVENT_BUS_NAME": "acme-bus",
            "METRICS_BY_TRIGGER": "false",
            "AWS_DEFAULT_REGION": "eu-central-1",
            "AWS_ENDPOINT_URL_MWAA": server.url,
            "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
        }.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(metrics, "namespace", "Jetway")  # read at import, before this
        yield airflow


def told() -> list[dict[str, Any]]:
    """Take the events that came to the bus."""
    sqs = boto3.client("sqs")
    url = sqs.get_queue_url(QueueName="told")["QueueUrl"]
    found: list[dict[str, Any]] = []
    while got := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
        for message in got:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        found += [json.loads(message["Body"]) for message in got]
    return found


def letters() -> list[dict[str, Any]]:
    sqs = boto3.client("sqs")
    url = sqs.get_queue_url(QueueName="dead.fifo")["QueueUrl"]
    got = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
    return [json.loads(message["Body"]) for message in got]


def one() -> dict[str, Any]:
    """A batch of one good message."""
    event = sample_event("dispatch_batch")
    return {"Records": [deepcopy(event["Records"][0])]}


def written(capsys: pytest.CaptureFixture[str]) -> dict[str, float]:
    """The metrics that were written since the last call."""
    (document,) = (json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line)
    assert document["Environment"] == "acme"
    named = document["_aws"]["CloudWatchMetrics"][0]["Metrics"]
    return {metric["Name"]: sum(document[metric["Name"]]) for metric in named}


def test_a_message_becomes_a_run_a_row_and_an_event_and_its_end_is_told(
    airflow: Airflow, capsys: pytest.CaptureFixture[str]
) -> None:
    assert starting.handler(one(), CONTEXT) == {"batchItemFailures": []}
    (run,) = airflow.runs.values()
    assert run["dag_id"] == "ingest_orders"
    assert run["conf"]["bucket"] == "acme-drop"
    counted = written(capsys)
    assert (sorted(counted), counted["DagRunsStarted"]) == (["DagRunsStarted", "DispatchLatency"], 1.0)
    (event,) = told()
    assert (event["detail-type"], event["detail"]["dag_run_id"]) == ("DagRunStarted", run["dag_run_id"])
    assert event["detail"]["paused"] is False

    assert starting.handler(one(), CONTEXT) == {"batchItemFailures": []}
    assert written(capsys)["DagRunsDuplicate"] == 1.0
    assert (len(airflow.runs), told()) == (1, [])

    at = "2026-11-22T07:00:00+00:00"
    airflow.ended = [run | {"state": "failed", "start_date": at, "end_date": at, "id": 1}]
    following.handler({}, CONTEXT)
    assert written(capsys)["DagRunsFailed"] == 1.0
    (event,) = told()
    assert (event["detail-type"], event["detail"]["dag_run_id"]) == ("DagRunFailed", run["dag_run_id"])
    following.handler({}, CONTEXT)
    assert written(capsys) == {"DagRunsSucceeded": 0.0, "DagRunsFailed": 0.0, "DagRunsOpen": 0.0}


def test_a_run_behind_a_paused_dag_is_counted_and_told_as_such(
    airflow: Airflow, capsys: pytest.CaptureFixture[str]
) -> None:
    airflow.paused = True
    starting.handler(one(), CONTEXT)
    assert written(capsys)["RunsBehindPausedDag"] == 1.0
    assert [event["detail"]["paused"] for event in told()] == [True]


def test_what_airflow_cannot_take_now_stays_on_the_queue(airflow: Airflow, capsys: pytest.CaptureFixture[str]) -> None:
    airflow.status = 503
    event = one()
    assert starting.handler(event, CONTEXT) == {
        "batchItemFailures": [{"itemIdentifier": event["Records"][0]["messageId"]}]
    }
    assert written(capsys)["EventsHeld"] == 1.0
    airflow.status = 200
    assert starting.handler(event, CONTEXT) == {"batchItemFailures": []}
    assert len(airflow.runs) == 1


@pytest.mark.filterwarnings("ignore:No application metrics")  # there was nothing to count
def test_with_little_time_left_nothing_is_begun(airflow: Airflow) -> None:
    event = one()
    late = SimpleNamespace(**vars(CONTEXT) | {"get_remaining_time_in_millis": lambda: 5_000})
    assert starting.handler(event, late)["batchItemFailures"] == [{"itemIdentifier": event["Records"][0]["messageId"]}]
    assert airflow.runs == {}


def test_garbage_is_a_dead_letter_and_not_a_failure(airflow: Airflow, capsys: pytest.CaptureFixture[str]) -> None:
    event = one()
    event["Records"][0]["body"] = "{}"
    assert starting.handler(event, CONTEXT) == {"batchItemFailures": []}
    assert [letter["reason"] for letter in letters()] == ["unknown-event"]
    assert written(capsys)["EventsDeadLettered"] == 1.0
    assert [event["detail-type"] for event in told()] == ["EventDeadLettered"]
    assert airflow.runs == {}
