"""`jetway workers`: what the dashboard shows, as people and machines see it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from click.testing import Result

from jetway_cli.workers import PAUSE, views
from tests.unit.cli.conftest import REGION, Cloud

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient

Jetway = Callable[..., Result]

NOW = datetime.now(UTC).replace(second=0, microsecond=0)


@pytest.fixture
def cloudwatch(cloud: Cloud) -> CloudWatchClient:
    """CloudWatch of a stack that serves environment `prod`."""
    cloud.outputs["EnvironmentName"] = "prod"
    return boto3.client("cloudwatch", region_name=REGION)


def put_metric(
    cloudwatch: CloudWatchClient, name: str, values: Mapping[int, float], *, now: datetime = NOW, **dimensions: str
) -> None:
    """Put one metric, its values by minutes ago."""
    named = [{"Name": key, "Value": value} for key, value in ({"Environment": "prod"} | dimensions).items()]
    data: list[Any] = [
        {"MetricName": name, "Dimensions": named, "Value": value, "Timestamp": now - timedelta(minutes=ago)}
        for ago, value in values.items()
    ]
    cloudwatch.put_metric_data(Namespace="Jetway", MetricData=data)


def saturate(cloudwatch: CloudWatchClient, now: datetime = NOW) -> None:
    """Put what is measured of an environment that began to be saturated 20 minutes ago."""

    def put(name: str, values: Mapping[int, float], **dimensions: str) -> None:
        put_metric(cloudwatch, name, values, now=now, **dimensions)

    hour = range(60)
    need = [0 if ago > 20 else min(8, 21 - ago) for ago in hour]
    put("Verdict", {ago: 0 if ago > 20 else 2 if ago > 16 else 5 for ago in hour})
    put("MinWorkers", {0: 1})
    put("MaxWorkers", {0: 4})
    put("RequiredWorkers", dict(enumerate(need)))
    put("RunningWorkers", {ago: max(1, min(4, need[ago])) for ago in hour})
    put("WorkerShortfall", {ago: max(0, need[ago] - 4) for ago in hour})
    put("ScalingHeadroom", {ago: 4 - max(1, need[ago]) for ago in hour})
    put("WorkerUtilization", {ago: 0 if ago > 20 else 100 for ago in hour})
    put("QueueWait", {ago: max(0, 20 - ago) * 33 for ago in hour})
    put("EstimatedDrainTime", {ago: max(0, 20 - ago) * 45 for ago in hour})
    put("WorkerCostPerHour", {0: 0.165})
    put("DispatchQueueAge", {0: 1})
    put("DeadLetters", {0: 1})
    put("FunctionErrors", {0: 0})
    put("DagRunsStarted", {30: 3, 20: 4})
    put("DagRunsStarted", {30: 3, 20: 4}, Trigger="orders")
    put("EventsDeadLettered", {2: 1})
    put("EventsDeadLettered", {2: 1}, Trigger="orders")
    put("DagRunsStarted", {5: 0}, Trigger="silent")
    put("RequiredWorkers", {0: 99}, Environment="other")


def test_the_table_is_for_people(cloudwatch: CloudWatchClient, jetway: Jetway) -> None:
    saturate(cloudwatch)
    result = jetway("workers", "--until", NOW.isoformat())
    assert (result.exit_code, result.stderr) == (0, "")
    head, rest = result.stdout.split("\n\n", 1)
    assert head.splitlines() == [
        "prod: bounded-by-max-workers - more workers help: raise MaxWorkers (mw1.micro: use a larger class)",
        f"measured {NOW:%Y-%m-%d %H:%M:%S} UTC, MinWorkers 1, MaxWorkers 4",
        "in the hour: healthy 39 min, bounded-by-max-workers 17 min, scaling 4 min",
    ]
    table, triggers = rest.split("\n\n")
    rows = {line[:30].strip(): line[30:].split() for line in table.splitlines()[1:]}
    assert rows["workers required"] == ["8", "▁" * 39 + "▂▃▄▅▅▆▇" + "█" * 14]
    assert rows["oldest task waits"][:2] == ["11", "min"]
    assert rows["runs started"][:1] == ["7"]  # in the hour
    assert rows["workers idle"] == ["-"]
    assert rows["verdict"] == ["▁" * 39 + "▃" * 4 + "▆" * 17]
    assert [line.split() for line in triggers.splitlines()] == [
        ["trigger", "started", "duplicate", "dead-lettered"],
        ["orders", "7", "0", "1"],
    ]


def test_a_narrow_terminal_gets_the_newest_minutes(
    cloudwatch: CloudWatchClient, jetway: Jetway, monkeypatch: pytest.MonkeyPatch
) -> None:
    saturate(cloudwatch)
    monkeypatch.setenv("COLUMNS", "90")
    table = jetway("workers", "--until", NOW.isoformat()).stdout.split("\n\n")[1]
    assert max(map(len, table.splitlines())) <= 90
    assert all(line.endswith("▅▅▆▇" + "█" * 14) for line in table.splitlines() if line.startswith("workers required"))


def test_json_is_for_machines(cloudwatch: CloudWatchClient, jetway: Jetway) -> None:
    saturate(cloudwatch)
    found = json.loads(jetway("workers", "--json", "--until", NOW.isoformat()).stdout)
    assert (found["environment"], found["verdict"], found["bounds"]) == ("prod", "bounded-by-max-workers", [1, 4])
    assert found["measured_at"] == NOW.isoformat()
    rows = {(row["metric"], row["stat"]): row for row in found["rows"]}
    assert rows["RequiredWorkers", "Maximum"]["value"] == 8
    known = [value for value in rows["RequiredWorkers", "Maximum"]["minutes"] if value is not None]
    assert known[-3:] == [8, 8, 8]
    assert rows["DagRunsStarted", "Sum"]["value"] == 7
    assert found["triggers"] == [{"trigger": "orders", "started": 7, "duplicate": 0, "dead_lettered": 1}]


def test_no_fresh_measurement_is_a_negative_answer(cloudwatch: CloudWatchClient, jetway: Jetway) -> None:
    put_metric(cloudwatch, "Verdict", {30: 0})
    result = jetway("workers")
    assert result.exit_code == 1
    assert "no fresh measurement" in result.stderr
    assert "healthy 1 min" in result.stdout


def test_another_hour_than_the_last(cloudwatch: CloudWatchClient, jetway: Jetway) -> None:
    saturate(cloudwatch)
    put_metric(cloudwatch, "Verdict", {300: 7})
    result = jetway("workers", "--until", (NOW - timedelta(minutes=299)).isoformat())
    assert result.stdout.startswith("prod: stalled - ")
    assert "trigger" not in result.stdout
    assert jetway("workers", "--until", "5h", "--watch").exit_code == 2


def test_a_stack_that_is_older_is_said_so(cloud: Cloud, jetway: Jetway) -> None:
    result = jetway("workers")
    assert result.exit_code == 3
    assert "no output EnvironmentName" in result.stderr


def test_watch_looks_again_and_sees_what_is_new(cloudwatch: CloudWatchClient) -> None:
    put_metric(cloudwatch, "Verdict", {1: 0})
    slept = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        put_metric(cloudwatch, "Verdict", {0: 7})

    seen = islice(views(cloudwatch, "prod", clock=lambda: NOW, sleep=sleep), 2)
    assert [view.verdict for view in seen] == ["healthy", "stalled"]
    assert slept == [PAUSE]


def test_the_first_minutes_of_a_stack_are_told_from_a_measurement_that_fails(
    cloudwatch: CloudWatchClient, jetway: Jetway
) -> None:
    result = jetway("workers")
    assert result.exit_code == 1
    assert "about two minutes after a stack is deployed" in result.stderr
    put_metric(cloudwatch, "Verdict", {30: 0})
    assert "two minutes" not in jetway("workers").stderr
