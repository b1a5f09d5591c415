"""What `jetway workers` shows."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetway.workers_view import ROWS, sparkline, view_queries, workers_view

NOW = datetime(2026, 11, 22, 6, 30, 20, tzinfo=UTC)


def at(ago: int) -> datetime:
    return NOW.replace(second=0) - timedelta(minutes=ago)


def test_the_newest_values_and_the_hour_before() -> None:
    found = {
        "verdict": {at(2): 5.0, at(1): 5.0, at(0): 0.0},
        "minWorkers": {at(0): 1.0},
        "maxWorkers": {at(0): 7.0},
        "requiredWorkers": {at(59): 0.0, at(1): 8.0, at(0): 4.0},
        "queueWait": {at(0): 660.0},
        "workerUtilization": {at(3): 33.3333},
        "idleWorkers": {at(20): 3.0},
        "workerCostPerHour": {at(4): 0.055},
    }
    view = workers_view(found, now=NOW)
    assert (view.verdict, view.bounds, view.measured_at) == ("healthy", (1, 7), at(0))
    assert view.verdicts == (("bounded-by-max-workers", 2), ("healthy", 1))
    rows = {row.metric: row for row in view.rows}
    assert (rows["RequiredWorkers"].value, len(rows["RequiredWorkers"].sparkline)) == ("4", 60)
    assert rows["RequiredWorkers"].sparkline.startswith("▁ ")
    assert rows["RequiredWorkers"].sparkline.endswith(" █▅")
    assert rows["QueueWait"].value == "11 min"
    assert rows["WorkerUtilization"].value == "33.3 %"
    assert rows["IdleWorkers"].value == "-"  # twenty minutes old is no news
    assert rows["WorkerCostPerHour"].value == "0.06 $"


def test_nothing_measured_is_shown_as_such() -> None:
    view = workers_view({}, now=NOW)
    assert (view.verdict, view.verdicts, view.measured_at, view.bounds) == ("unknown", (), None, None)
    assert {row.value for row in view.rows} == {"-"}
    assert [row.metric for row in view.rows] == list(ROWS)


def test_ids_are_as_cloudwatch_wants_them() -> None:
    queries: list[Any] = view_queries("prod")
    assert all(re.fullmatch(r"[a-z][a-zA-Z0-9_]*", query["Id"]) for query in queries)
    assert len({query["Id"] for query in queries}) == len(queries)


@pytest.mark.parametrize(
    ("values", "drawn"),
    [([], ""), ([0, 0], "▁▁"), ([5, 5], "██"), ([None, 1], " █"), ([0, 7], "▁█"), ([-2, 0, 2], "▁▅█")],
)
def test_sparklines(values: list[float | None], drawn: str) -> None:
    assert sparkline(values) == drawn


@given(st.lists(st.none() | st.floats(-1e9, 1e9), max_size=80))
def test_a_sparkline_has_a_character_for_every_value(values: list[float | None]) -> None:
    assert len(sparkline(values)) == len(values)
