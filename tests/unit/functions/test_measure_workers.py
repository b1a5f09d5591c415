"""measure_workers at its edge: a schedule in, and every minute the data that most alarms stand on."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from functions.measure_workers import app
from jetway.errors import JetwayError

from .edge import Edge, Function
from .sources import scheduled

ALARMS = {
    "WorkerShortfall",
    "Verdict",
    "IdleWorkers",
    "DeadLetters",
    "DispatchQueueAge",
    "WorkQueueAge",
    "FunctionErrors",
    "FunctionThrottles",
    "UpdateFailed",
}
LOAD: Mapping[tuple[str, ...], float] = {
    ("RunningTasks",): 5,
    ("QueuedTasks",): 19,
    ("ApproximateAgeOfOldestTask",): 90,
    ("CPUUtilization", "BaseWorker"): 40,
}


@pytest.fixture
def measure(edge: Edge) -> Function:
    return edge.deploy(app, "MeasureWorkers", WatchedPools="default_pool")


def put(namespace: str, name: str, value: float, /, minutes: int = 10, **dimensions: str) -> None:
    this_minute = datetime.now(UTC).replace(second=0, microsecond=0)
    of = [{"Name": key, "Value": text} for key, text in dimensions.items()]
    data: list[Any] = [
        {"MetricName": name, "Dimensions": of, "Timestamp": this_minute - timedelta(minutes=ago), "Value": value}
        for ago in range(minutes)
    ]
    boto3.client("cloudwatch").put_metric_data(Namespace=namespace, MetricData=data)


def load(values: Mapping[tuple[str, ...], float] = LOAD) -> None:
    for (name, *cluster), value in values.items():
        dimensions: Any = {"Cluster": cluster[0]} if cluster else {}
        put("AWS/MWAA", name, value, **dimensions, Environment="acme")


def test_a_right_that_is_missing_is_loud_and_no_error_of_the_function(
    edge: Edge, measure: Function, caplog: pytest.LogCaptureFixture
) -> None:
    edge.aws.mwaa.denies["GetEnvironment"] = "AccessDeniedException"
    assert measure(scheduled())["because"].startswith("permission-missing: ")
    assert measure.metrics() == {"PermissionMissing": 1.0}
    assert vars(caplog.records[-1])["action"] == "airflow:GetEnvironment"


def test_every_alarm_has_its_data_cold_and_warm(
    edge: Edge, measure: Function, caplog: pytest.LogCaptureFixture
) -> None:
    load()
    for name in ("DispatchDeadLetters.fifo", "UndeliveredEvents"):
        put("AWS/SQS", "ApproximateNumberOfMessagesVisible", 2, QueueName=name)
    put("AWS/SQS", "ApproximateAgeOfOldestMessage", 30, QueueName="DispatchQueue.fifo")
    put("AWS/SQS", "ApproximateAgeOfOldestMessage", 40, QueueName="ArtifactQueue")
    for name in ("StartDagRun", "MeasureWorkers"):
        put("AWS/Lambda", "Errors", 1, minutes=1, FunctionName=name)
        put("AWS/Lambda", "Throttles", 0, minutes=1, FunctionName=name)
    measured = measure(scheduled())
    metrics = measure.metrics()
    assert metrics.keys() >= ALARMS
    assert {name: metrics[name] for name in ALARMS} == {
        "WorkerShortfall": 4.0,
        "Verdict": 2.0,
        "IdleWorkers": 0.0,
        "DeadLetters": 4.0,
        "DispatchQueueAge": 30.0,
        "WorkQueueAge": 40.0,
        "FunctionErrors": 2.0,
        "FunctionThrottles": 0.0,
        "UpdateFailed": 0.0,
    }
    assert (measured["verdict"], measured["required"], measured["running"]) == ("scaling", 5, 1)
    assert (metrics["RequiredWorkers"], metrics["MaxWorkers"]) == (5.0, 10.0)
    line = vars(caplog.records[-1])
    assert (line["msg"], line["required"], line["settings"]["max_workers"]) == ("workers scaling", 5, 10)
    assert sorted(set(measure.clients_made())) == ["cloudwatch", "mwaa"]
    measure(scheduled())
    assert measure.metrics() == metrics
    assert measure.clients_made() == []


def test_a_failed_update_is_told_and_over_when_the_next_one_works(edge: Edge, measure: Function) -> None:
    """Facts of this minute: nothing is remembered."""
    edge.aws.mwaa.more = {"LastUpdate": {"Status": "FAILED", "CreatedAt": datetime.now(UTC)}}
    measure(scheduled())
    assert measure.metrics()["UpdateFailed"] == 1.0
    edge.aws.mwaa.more, edge.aws.mwaa.max_workers = {}, 3
    measure(scheduled())
    assert (measure.metrics()["UpdateFailed"], measure.metrics()["MaxWorkers"]) == (0.0, 3.0)


def test_without_data_nothing_is_made_up_but_the_measurement_itself_shows(edge: Edge, measure: Function) -> None:
    """The alarm no-measurement counts samples of UpdateFailed."""
    assert measure(scheduled())["verdict"] == "unknown"
    assert measure.metrics() == {
        "MinWorkers": 1.0,
        "MaxWorkers": 10.0,
        "UpdateFailed": 0.0,
    }


@pytest.mark.parametrize("call", ["cloudwatch.GetMetricData", "mwaa.GetEnvironment"])
def test_when_nothing_can_be_measured_the_function_fails_and_says_nothing(
    edge: Edge, measure: Function, call: str
) -> None:
    """So that no-measurement and function-errors rise; the next minute measures again."""
    load()
    edge.aws.fails(call)
    with pytest.raises((ClientError, JetwayError), match="Throttling"):
        measure(scheduled())
    assert measure.metrics() == {}
    edge.aws.works()
    measure(scheduled())
    assert measure.metrics()["RequiredWorkers"] == 5.0


def test_all_functions_and_queues_of_the_stack_are_watched(edge: Edge, measure: Function) -> None:
    measure(scheduled())
    (asked,) = edge.aws.asked("cloudwatch.GetMetricData")
    found: dict[str, set[str]] = {}
    for query in asked["MetricDataQueries"]:
        for dimension in query["MetricStat"]["Metric"]["Dimensions"]:
            found.setdefault(dimension["Name"], set()).add(dimension["Value"])
    assert {"StartDagRun", "MeasureWorkers", "SyncTriggers"} <= found["FunctionName"]
    queues = ("DispatchQueue", "CollectQueue", "WaitingQueue", "ArtifactQueue", "TriggerSyncQueue")
    letters = ("DispatchDeadLetters", "UndeliveredEvents", "CollectDeadLetters", "TriggerSyncDeadLetters")
    assert {edge.url(name).rpartition("/")[2] for name in queues + letters} <= found["QueueName"]
    assert found["Environment"] == {"acme"}
