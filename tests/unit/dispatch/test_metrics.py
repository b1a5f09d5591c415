"""Metrics: for the environment always, for a trigger when wanted; never a dimension that grows without bound."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from jetway.dispatch.metrics import count
from jetway.dispatch.run_events import PAUSED, STALE
from jetway.ledger import Decision, Entry
from jetway.observability import metrics

NOW = datetime(2026, 11, 22, 6, tzinfo=UTC)


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "Jetway")
    monkeypatch.setattr(metrics.provider, "namespace", "Jetway")
    metrics.clear_metrics()
    metrics.set_default_dimensions(Environment="env")
    yield
    metrics.clear_metrics()


def entry(decision: Decision, because: str | None = None, latency: float | None = None) -> Entry:
    return Entry("orders#x", "orders", "s3", (), decision, NOW, because=because, dag_id="etl", latency=latency)


def printed(capsys: pytest.CaptureFixture[str]) -> list[tuple[set[str], dict[str, float]]]:
    found = []
    for line in capsys.readouterr().out.splitlines():
        document = json.loads(line)
        (directive,) = document["_aws"]["CloudWatchMetrics"]
        (dimensions,) = directive["Dimensions"]
        values = {metric["Name"]: document[metric["Name"]][0] for metric in directive["Metrics"]}
        found.append((set(dimensions) - {"service"}, values))
    return found


def test_a_start_is_counted_for_its_trigger_and_for_the_environment(capsys: pytest.CaptureFixture[str]) -> None:
    count(entry("started", because=PAUSED, latency=2.5), environment="env", by_trigger=True)
    assert printed(capsys) == [
        ({"Environment", "Trigger"}, {"DagRunsStarted": 1}),
        ({"Environment", "Trigger"}, {"DispatchLatency": 2.5}),
        ({"Environment", "Trigger"}, {"RunsBehindPausedDag": 1}),
        ({"Environment"}, {"DagRunsStarted": 1, "DispatchLatency": 2.5, "RunsBehindPausedDag": 1}),
    ]


def test_a_run_behind_a_dag_that_is_gone_is_counted_beside_those_behind_paused_ones(
    capsys: pytest.CaptureFixture[str],
) -> None:
    count(entry("started", because=STALE), environment="env", by_trigger=False)
    assert printed(capsys) == [({"Environment"}, {"DagRunsStarted": 1, "RunsBehindStaleDag": 1})]


def test_triggers_have_no_metrics_of_their_own_when_that_is_not_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    count(entry("dead-lettered", because="x: y"), environment="env", by_trigger=False)
    assert printed(capsys) == [({"Environment"}, {"EventsDeadLettered": 1})]


@pytest.mark.parametrize("decision", ["held", "waiting", "skipped"])
def test_what_comes_in_numbers_is_counted_for_the_environment_only(
    decision: Decision, capsys: pytest.CaptureFixture[str]
) -> None:
    count(entry(decision), environment="env", by_trigger=True)
    ((dimensions, _values),) = printed(capsys)
    assert dimensions == {"Environment"}


@pytest.mark.parametrize(("because", "counted"), [("loop: too long", {"ChainsStopped": 1}), ("loopy: no", {})])
def test_a_chain_that_was_stopped_is_counted(
    capsys: pytest.CaptureFixture[str], because: str, counted: dict[str, int]
) -> None:
    count(entry("skipped", because=because), environment="env", by_trigger=True)
    assert printed(capsys) == [({"Environment"}, {"EventsSkipped": 1, **counted})]
