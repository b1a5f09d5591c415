"""Embedded metrics carried from logs to CloudWatch."""

from __future__ import annotations

import json
from typing import Any

from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

from tools.emulator.emf_bridge import Bridge, metric_data


def line() -> str:
    """A line as Powertools writes it."""
    metrics = EphemeralMetrics(namespace="Jetway", service="s")
    metrics.add_dimension("Environment", "prod")
    metrics.add_metric("Runs", MetricUnit.Count, 1)
    metrics.add_metric("Runs", MetricUnit.Count, 2)
    metrics.add_metric("Latency", MetricUnit.Seconds, 0.5)
    return json.dumps(metrics.serialize_metric_set())


class FakeLogs:
    def __init__(self, *events: dict[str, Any]) -> None:
        self.events = list(events)

    def describe_log_groups(self, **_: Any) -> dict[str, Any]:
        return {"logGroups": [{"logGroupName": "/jetway/stack/f"}]}

    def filter_log_events(self, **_: Any) -> dict[str, Any]:
        return {"events": self.events}


class FakeCloudWatch:
    def __init__(self) -> None:
        self.put: list[tuple[str, Any]] = []

    def put_metric_data(self, *, Namespace: str, MetricData: list[Any]) -> None:  # noqa: N803 - boto3's spelling
        self.put += [(Namespace, datum) for datum in MetricData]


def test_a_line_of_powertools_becomes_data() -> None:
    found = {datum["MetricName"]: (namespace, datum) for namespace, datum in metric_data(line())}
    namespace, runs = found["Runs"]
    assert namespace == "Jetway"
    assert (runs["Values"], runs["Counts"], runs["Unit"]) == ([1.0, 2.0], [1.0, 1.0], "Count")
    assert {"Name": "Environment", "Value": "prod"} in runs["Dimensions"]
    assert found["Latency"][1]["Values"] == [0.5]


def test_other_lines_are_left_alone() -> None:
    for text in ("START RequestId", '{"message": "_aws"}', '{"_aws": 1', '{"_aws": 1}', '{"_aws": {}}'):
        assert list(metric_data(text)) == []


def test_every_line_is_carried_once() -> None:
    event = {"logStreamName": "x", "timestamp": 1_000_000, "message": line()}
    cloudwatch = FakeCloudWatch()
    logs = FakeLogs(event)
    bridge = Bridge(logs, cloudwatch)
    assert [bridge.look(1_000.0) for _ in range(3)] == [2, 0, 0]
    logs.events.append({**event, "timestamp": 1_000_900})
    assert bridge.look(1_001.0) == 2
    assert len(cloudwatch.put) == 4
