"""measure_workers and scale_workers end to end: CloudWatch as it is in, metrics, log lines, events and updates out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from jsonschema import Draft202012Validator
from moto import mock_aws

from functions.measure_workers import app as measuring
from functions.scale_workers import app as scaling
from jetway.observability import metrics
from jetway.wiring.scale_workers import wired
from tests.unit.artifacts.buckets import TABLE, make_artifact_table
from tests.unit.mwaa_server import MwaaServer
from tests.unit.sample_events import ROOT

CONTEXT: Any = SimpleNamespace(
    function_name="workers",
    memory_limit_in_mb=512,
    invoked_function_arn="arn:aws:lambda:us-east-1:111122223333:function:workers",
    aws_request_id="52fdfc07-2182-154f-163f-5f0f9a621d72",
)
SCHEMA = Draft202012Validator(json.loads((ROOT / "docs/schemas/WorkerScaling.json").read_text()))


@pytest.fixture
def mwaa() -> Iterator[MwaaServer]:
    with MwaaServer() as server:
        yield server


@pytest.fixture
def told(mwaa: MwaaServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """AWS with the functions' environment variables; given is what tells the events that came."""
    with mock_aws():
        sqs, events = boto3.client("sqs", region_name="us-east-1"), boto3.client("events", region_name="us-east-1")
        url, queue = (sqs.create_queue(QueueName=name)["QueueUrl"] for name in ("told", "dispatch"))
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        events.put_rule(Name="told", EventPattern=json.dumps({"source": ["jetway"]}))
        events.put_targets(Rule="told", Targets=[{"Id": "queue", "Arn": arn}])
        boto3.client("s3", region_name="us-east-1").create_bucket(Bucket="drop")
        dynamodb = boto3.client("dynamodb", region_name="us-east-1")
        make_artifact_table(dynamodb)
        dynamodb.create_table(
            TableName="batches",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        )
        for name, value in {
            "ENVIRONMENT_NAME": "acme",
            "POOLS": "default_pool",
            "QUEUES": "dispatch",
            "WORK_QUEUES": "artifact,collect",
            "DEAD_LETTER_QUEUES": "dead",
            "FUNCTIONS": "start_dag_run",
            "AWS_LAMBDA_FUNCTION_NAME": "measure_workers",
            "SCALING_MODE": "advise",
            "SCALING_MIN_WORKERS": "1",
            "SCALING_USUAL_MAX_WORKERS": "10",
            "SCALING_MAX_WORKERS": "20",
            "SCALING_RAISE_AFTER_MINUTES": "5",
            "SCALING_LOWER_AFTER_MINUTES": "90",
            "SCALING_COOL_DOWN_MINUTES": "60",
            "TASKS_PER_EVENT": "1",
            "WORKER_PRICES": "mw1.small=0.055",
            "DROP_BUCKET": "drop",
            "EVENT_QUEUE_URLS": queue,
            "BATCH_TABLE": "batches",
            "ARTIFACT_TABLE": TABLE,
            "APPLY_UPDATES": "automatic",
            "WORKER_REPLACEMENT_STRATEGY": "GRACEFUL",
            "EVENT_BUS_NAME": "default",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL_MWAA": mwaa.url,
            "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
        }.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(metrics, "namespace", "Jetway")  # read at import, before this

        def tell() -> list[dict[str, Any]]:
            messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
            return [json.loads(message["Body"]) for message in messages]

        yield tell


def saturate(tasks: int) -> None:
    """One worker for ten minutes, with so many tasks running or queued."""
    this_minute = datetime.now(UTC).replace(second=0, microsecond=0)
    data: list[Any] = []
    for ago in range(10):
        values: Mapping[tuple[str, ...], float] = {
            ("RunningTasks",): 5,
            ("QueuedTasks",): tasks - 5,
            ("ApproximateAgeOfOldestTask",): 90,
            ("CPUUtilization", "BaseWorker"): 40,
        }
        for (name, *cluster), value in values.items():
            dimensions = [{"Name": "Cluster", "Value": one} for one in cluster]
            dimensions.append({"Name": "Environment", "Value": "acme"})
            at = this_minute - timedelta(minutes=ago)
            data.append({"MetricName": name, "Dimensions": dimensions, "Timestamp": at, "Value": value})
    boto3.client("cloudwatch").put_metric_data(Namespace="AWS/MWAA", MetricData=data)


@pytest.mark.usefixtures("told")
def test_a_measurement_is_metrics_and_a_log_line(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    saturate(24)
    measured = measuring.handler({}, CONTEXT)
    assert (measured["verdict"], measured["required"], measured["running"], measured["shortfall"]) == (
        "scaling",
        5,
        1,
        4,
    )
    line = vars(caplog.records[-1])
    assert (line["msg"], line["required"]) == ("workers scaling", 5)
    assert "5 workers are needed, 1 run" in line["because"]
    (published,) = [json.loads(text) for text in capsys.readouterr().out.splitlines() if '"_aws"' in text]
    (directive,) = published["_aws"]["CloudWatchMetrics"]
    assert (directive["Namespace"], directive["Dimensions"]) == ("Jetway", [["Environment"]])
    assert (published["Environment"], published["WorkerShortfall"], published["Verdict"]) == ("acme", [4.0], [2.0])


@pytest.mark.usefixtures("told")
def test_a_measurement_is_of_the_bounds_of_its_minute(mwaa: MwaaServer) -> None:
    saturate(24)
    assert measuring.handler({}, CONTEXT)["verdict"] == "scaling"
    mwaa.max_workers = 1
    assert measuring.handler({}, CONTEXT)["verdict"] == "bounded-by-max-workers"


def test_every_decision_is_a_log_line_and_an_event_that_say_why(
    mwaa: MwaaServer,
    told: Callable[[], list[dict[str, Any]]],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def decide() -> dict[str, Any]:
        scaling.handler({}, CONTEXT)
        (event,) = told()
        SCHEMA.validate(event["detail"])
        line = vars(caplog.records[-1])
        assert line["msg"] == f"workers {event['detail']['decision']['action']}"
        assert line["decision"] == event["detail"]["decision"]
        assert line["decision"]["because"]
        return event

    assert decide()["detail-type"] == "WorkersKept"
    saturate(75)
    event = decide()
    assert event["detail-type"] == "WorkerScalingAdvised"
    assert event["detail"]["decision"]["because"].startswith("MinWorkers 1 → 1, MaxWorkers 10 → 19: 15 to 15 workers")
    assert mwaa.updates == []

    monkeypatch.setenv("SCALING_MODE", "act")
    wired.cache_clear()
    assert decide()["detail-type"] == "WorkersScaled"
    assert mwaa.updates == [{"MinWorkers": 1, "MaxWorkers": 19, "WorkerReplacementStrategy": "GRACEFUL"}]
