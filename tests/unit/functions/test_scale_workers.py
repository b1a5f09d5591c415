"""scale_workers at its edge: its schedule and floors.yaml in; UpdateEnvironment, events and metrics out."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from functions.scale_workers import app
from jetway.errors import JetwayError

from .edge import Edge, Function
from .sources import scheduled
from .test_measure_workers import load

ALARMS = {"FloorsInvalid"}
FLOORS_DROPPED = {
    "source": "aws.s3",
    "detail-type": "Object Created",
    "detail": {"bucket": {"name": "acme-drop"}, "object": {"key": "floors.yaml"}},
}
FLOORS = "timezone: UTC\nfloors:\n  - {cron: 0 0 * * *, hours: 24, workers: 3}\n"


@pytest.fixture
def scale(edge: Edge) -> Function:
    return edge.deploy(app, "ScaleWorkers", ScalingMode="act", ScalingMaxWorkers="20")


def saturate(tasks: int) -> None:
    busy: dict[tuple[str, ...], float] = {
        ("RunningTasks",): 5,
        ("QueuedTasks",): tasks - 5,
        ("ApproximateAgeOfOldestTask",): 90,
        ("CPUUtilization", "BaseWorker"): 40,
    }
    load(busy)


def put(text: str) -> None:
    boto3.client("s3").put_object(Bucket="acme-drop", Key="floors.yaml", Body=text.encode())


def test_what_is_wanted_is_done_once_cold_and_warm(
    edge: Edge, scale: Function, caplog: pytest.LogCaptureFixture
) -> None:
    scale(scheduled())
    calm = scale.metrics()
    assert calm.keys() >= ALARMS, "the alarm treats missing data as missing"
    assert (calm["WantedMaxWorkers"], calm["WorkersScaled"], calm["FloorsInvalid"]) == (10.0, 0.0, 0.0)
    assert {"mwaa", "cloudwatch", "sqs", "s3", "dynamodb", "eventbridge"} <= set(scale.clients_made())
    saturate(75)
    answer = scale(scheduled())
    assert scale.clients_made() == []
    assert (scale.metrics()["WantedMaxWorkers"], scale.metrics()["WorkersScaled"]) == (19.0, 1.0)
    assert edge.aws.mwaa.updates == [{"MinWorkers": 1, "MaxWorkers": 19, "WorkerReplacementStrategy": "GRACEFUL"}]
    assert edge.told() == ["WorkersKept", "WorkersScaled"]
    line = vars(caplog.records[-1])
    assert (line["msg"], line["applied"], line["environment"]) == ("workers raise", True, "acme")
    assert (answer["applied"], answer["environment"]) == (True, "acme")
    edge.aws.mwaa.status = "UPDATING"
    scale(scheduled())
    assert len(edge.aws.mwaa.updates) == 1
    assert scale.metrics()["WorkersScaled"] == 0.0


def test_advice_is_a_price_and_no_update(edge: Edge) -> None:
    scale = edge.deploy(
        app, "ScaleWorkers", ScalingMode="advise", ScalingMaxWorkers="20", WorkerPrices="mw1.small=0.055"
    )
    saturate(75)
    scale(scheduled())
    assert edge.aws.mwaa.updates == []
    assert edge.told() == ["WorkerScalingAdvised"]
    metrics = scale.metrics()
    assert (metrics["WorkersScaled"], metrics["WorkerCostPerHour"]) == (0.0, 0.0)
    assert metrics["AdvisedCostPerMonth"] >= 0.0
    scale = edge.deploy(app, "ScaleWorkers", ScalingMode="advise", WorkerPrices="mw1.large=1.0")
    scale(scheduled())
    assert not {"WorkerCostPerHour", "AdvisedCostPerMonth"} & scale.metrics().keys(), "no price, no cost"


def test_the_same_advice_is_one_event_a_day_and_each_update_its_own(edge: Edge) -> None:
    saturate(75)
    ids = []
    for mode in ("advise", "advise", "act"):
        edge.aws.works()
        edge.deploy(app, "ScaleWorkers", ScalingMode=mode, ScalingMaxWorkers="20")(scheduled())
        (put_,) = edge.aws.asked("eventbridge.PutEvents")
        ids.append(put_["Entries"][0]["Detail"].partition('"id": "')[2].partition('"')[0])
    assert ids[0] == ids[1] != ids[2]
    assert ids[2].startswith("workers:acme:")


def test_events_that_wait_are_tasks_to_come(edge: Edge) -> None:
    scale = edge.deploy(app, "ScaleWorkers", ScalingMode="advise", TasksPerEvent="4")
    fifo: Any = {"MessageGroupId": "a", "MessageDeduplicationId": "1"}
    boto3.client("sqs").send_message(QueueUrl=edge.url("DispatchQueue"), MessageBody="{}", **fifo)
    boto3.client("sqs").send_message(QueueUrl=edge.url("WaitingQueue"), MessageBody="{}")
    scale(scheduled())
    assert scale.metrics()["TasksToCome"] == 8.0


def test_a_wrong_floors_file_raises_its_alarm_until_it_is_right(
    edge: Edge, scale: Function, caplog: pytest.LogCaptureFixture
) -> None:
    put("floors: what?\n")
    scale(FLOORS_DROPPED)
    assert scale.metrics()["FloorsInvalid"] == 1.0
    (line,) = (vars(line) for line in caplog.records if line.levelname == "ERROR")
    assert line["msg"] == "floors.yaml is not in force, but the last good version is"
    assert line["error"]
    put("floors: []\n")
    scale(FLOORS_DROPPED)
    assert scale.metrics()["FloorsInvalid"] == 0.0


@pytest.mark.parametrize("call", ["cloudwatch.GetMetricData", "mwaa.GetEnvironment", "mwaa.UpdateEnvironment"])
def test_a_transient_error_is_one_of_the_function_and_the_next_invocation_does_it(
    edge: Edge, scale: Function, call: str
) -> None:
    """Of the schedule five minutes later, of a dropped file at once: EventBridge tries that ten times."""
    saturate(75)
    edge.aws.fails(call)
    with pytest.raises((ClientError, JetwayError), match="Throttling"):
        scale(FLOORS_DROPPED)
    assert (scale.metrics(), edge.told(), edge.aws.mwaa.updates) == ({}, [], [])
    edge.aws.works()
    if call == "mwaa.UpdateEnvironment":
        return  # it is written down, and apply_updates asks for it again
    scale(scheduled())
    assert scale.metrics()["WorkersScaled"] == 1.0


@pytest.mark.parametrize(
    ("call", "code"),
    [
        ("GetEnvironment", "AccessDeniedException"),
        ("UpdateEnvironment", "AccessDeniedException"),
        ("UpdateEnvironment", "ValidationException"),
    ],
)
def test_a_right_that_is_missing_is_loud_and_no_error_of_the_function(
    edge: Edge, scale: Function, caplog: pytest.LogCaptureFixture, call: str, code: str
) -> None:
    saturate(75)
    edge.aws.mwaa.denies[call] = code
    assert scale(scheduled())["because"].startswith("permission-missing: ")
    assert scale.metrics() == {"PermissionMissing": 1.0}
    assert vars(caplog.records[-1])["action"] == f"airflow:{call}"
    edge.aws.mwaa.denies.clear()
    scale(scheduled())
    assert scale.metrics()["WorkersScaled"] == 1.0, "nothing was begun, so nothing is held"


def test_what_mwaa_does_not_want_is_a_decision_that_says_so(edge: Edge, scale: Function) -> None:
    saturate(75)
    edge.aws.fails("mwaa.UpdateEnvironment", "ValidationException")
    answer = scale(scheduled())
    assert answer["decision"]["action"] == "wait"
    assert answer["decision"]["because"].startswith("MWAA rejected the update: as the test has it")
    assert scale.metrics()["WorkersScaled"] == 0.0


def test_an_event_that_the_bus_does_not_take_is_an_error_after_the_metrics(edge: Edge, scale: Function) -> None:
    edge.aws.fails("eventbridge.PutEvents", "AccessDeniedException")
    with pytest.raises((ClientError, JetwayError), match="AccessDeniedException"):
        scale(scheduled())
    assert scale.metrics()["FloorsInvalid"] == 0.0
