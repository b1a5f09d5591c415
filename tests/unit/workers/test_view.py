"""What `jetway workers` shows."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import boto3
import pytest
import yaml
from botocore.stub import Stubber
from hypothesis import given
from hypothesis import strategies as st

from jetway.workers.assessment import WorkerHealth
from jetway.workers.view import REMEDIES, TriggerRow, ViewMetrics, ask_view, sparkline, view_queries, workers_view
from tests.unit.sample_events import ROOT

NOW = datetime(2026, 11, 22, 6, 30, 20, tzinfo=UTC)


def at(ago: int) -> datetime:
    return NOW.replace(second=0) - timedelta(minutes=ago)


def test_the_newest_values_and_the_hour_before() -> None:
    found = {
        "verdict": {at(2): 5.0, at(1): 5.0, at(0): 0.0},
        "lowest": {at(0): 1.0},
        "highest": {at(0): 7.0},
        "required": {at(59): 0.0, at(1): 8.0, at(0): 4.0},
        "queue_wait": {at(0): 660.0},
        "utilization": {at(3): 33.3333},
        "idle": {at(20): 3.0},
        "cost_per_hour": {at(4): 0.055},
        "latency_p95": {at(40): 3.25},
        "started": {at(61): 99.0, at(59): 2.0, at(3): 1.0},
    }
    view = workers_view(ViewMetrics(found), now=NOW)
    assert (view.verdict, view.bounds, view.measured_at) == ("healthy", (1, 7), at(0))
    assert view.verdicts == (("bounded-by-max-workers", 2), ("healthy", 1))
    assert view.timeline == " " * 57 + "▆▆▁"
    rows = {row.label: row for row in view.rows}
    assert (rows["workers required"].value, len(rows["workers required"].sparkline)) == (4, 60)
    assert rows["workers required"].sparkline.startswith("▁ ")
    assert rows["workers required"].sparkline.endswith(" █▅")
    assert rows["oldest task waits"].text == "11 min"
    assert rows["task slots taken"].text == "33.3 %"
    assert rows["workers idle"].text == "-"  # twenty minutes old is no news
    assert rows["additional workers, by the hour"].text == "0.06 $"
    assert rows["event to run, p95"].text == "3.2 s"  # events come seldom: the newest of the hour
    assert (rows["runs started"].text, rows["runs started"].shown) == ("3", "sum")
    assert rows["runs started"].minutes[0] == 2.0


def test_events_are_counted_by_trigger() -> None:
    found = {
        "started_0": {at(1): 2.0, at(59): 1.0, at(60): 9.0},
        "duplicate_0": {at(4): 1.0},
        "started_1": {at(4): 0.0},
        "dead_lettered_2": {at(4): 1.0},
    }
    view = workers_view(ViewMetrics(found, ["a", "b", "c"]), now=NOW)
    assert view.triggers == (TriggerRow("a", 3, 1, 0), TriggerRow("c", 0, 0, 1))


def test_nothing_measured_is_shown_as_such() -> None:
    view = workers_view(ViewMetrics(), now=NOW)
    assert (view.verdict, view.verdicts, view.measured_at, view.bounds) == ("unknown", (), None, None)
    assert {row.text for row in view.rows} == {"-"}
    assert view.timeline == " " * 60


def test_every_verdict_has_its_remedy() -> None:
    assert REMEDIES.keys() == set(get_args(WorkerHealth))


def test_it_shows_what_the_dashboard_shows() -> None:
    """Each metric that the dashboard draws is a row, a bound, the verdict, or counted by trigger."""
    body = yaml.safe_load((ROOT / "dashboard.yaml").read_text(encoding="utf-8"))["Fn::Sub"]
    drawn = {
        (metric[1], next((one["stat"] for one in metric if isinstance(one, dict) and "stat" in one), None))
        for widget in json.loads(body)["widgets"]
        for metric in widget["properties"].get("metrics", [])
        if isinstance(metric[0], str)
    }
    queries: list[Any] = view_queries("prod")
    asked = {(query["MetricStat"]["Metric"]["MetricName"], query["MetricStat"]["Stat"]) for query in queries}
    names = {name for name, _ in asked}
    missing = {(name, stat) for name, stat in drawn if (name, stat) not in asked and (stat or name not in names)}
    assert missing == set()


def test_ids_are_as_cloudwatch_wants_them() -> None:
    queries: list[Any] = view_queries("prod")
    assert all(re.fullmatch(r"[a-z][a-zA-Z0-9_]*", query["Id"]) for query in queries)
    assert len({query["Id"] for query in queries}) == len(queries)


def test_more_triggers_than_one_call_takes_are_asked_for_in_two() -> None:
    cloudwatch = boto3.client(
        "cloudwatch", region_name="eu-central-1", aws_access_key_id="x", aws_secret_access_key="x"
    )
    names = [f"t{number:03}" for number in range(200)]
    metrics: list[Any] = [
        {
            "Namespace": "Jetway",
            "MetricName": "DagRunsStarted",
            "Dimensions": [{"Name": "Environment", "Value": "prod"}, {"Name": "Trigger", "Value": name}],
        }
        for name in names
    ]
    queries = view_queries("prod", names)
    with Stubber(cloudwatch) as stub:
        stub.add_response("list_metrics", {"Metrics": metrics[:150], "NextToken": "more"})
        stub.add_response("list_metrics", {"Metrics": metrics[150:]})
        for some in (queries[:500], queries[500:]):
            stub.add_response(
                "get_metric_data",
                {"MetricDataResults": [{"Id": some[-1]["Id"], "Timestamps": [at(1)], "Values": [2.0]}]},
                {"MetricDataQueries": some, "StartTime": at(60), "EndTime": at(-1)},
            )
        found = ask_view(cloudwatch, "prod", NOW)
        stub.assert_no_pending_responses()
    assert found.triggers == names
    assert found.values == {queries[499]["Id"]: {at(1): 2.0}, queries[-1]["Id"]: {at(1): 2.0}}


@pytest.mark.parametrize(
    ("values", "drawn"),
    [([], ""), ([0, 0], "▁▁"), ([5, 5], "██"), ([None, 1], " █"), ([0, 7], "▁█"), ([-2, 0, 2], "▁▅█")],
)
def test_sparklines(values: list[float | None], drawn: str) -> None:
    assert sparkline(values) == drawn


@given(st.lists(st.none() | st.floats(-1e9, 1e9), max_size=80))
def test_a_sparkline_has_a_character_for_every_value(values: list[float | None]) -> None:
    assert len(sparkline(values)) == len(values)
