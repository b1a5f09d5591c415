"""Metrics: what is counted in Airflow's database, and what MWAA would tell of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.emulator.conftest import Clock
from tools.emulator.gateway import airflow_state
from tools.emulator.gateway.airflow_state import AirflowState, Pool, Task, summarise
from tools.emulator.gateway.environment import tasks_per_worker
from tools.emulator.gateway.metrics import Load, MetricsPublisher, amazon_mwaa, aws_mwaa, parallelism, workers

NOW = datetime(2026, 6, 1, 12, 0, 30, tzinfo=UTC)
ENVIRONMENT: Mapping[str, Any] = {
    "Name": "e",
    "EnvironmentClass": "mw1.small",
    "MinWorkers": 1,
    "MaxWorkers": 10,
    "Schedulers": 2,
    "MinWebservers": 2,
    "AirflowConfigurationOptions": {},
}
SCHEMA = """
CREATE TABLE task_instance (dag_id, run_id, state, pool, pool_slots, queued_dttm, updated_at);
CREATE TABLE dag (dag_id, max_active_tasks);
CREATE TABLE slot_pool (pool, slots);
CREATE TABLE import_error (id);
CREATE TABLE job (job_type, state, latest_heartbeat);
"""


def task(
    state: str, *, dag: str = "d", pool: str = "default_pool", slots: int = 1, age: float = 0, limit: int = 16
) -> Task:
    return Task(dag, "r", state, pool, slots, NOW - timedelta(seconds=age), limit)


def state(running: int = 0, queued: int = 0) -> AirflowState:
    return AirflowState(running, queued, 0, 0.0, 0, 1.0, {})


def test_what_airflow_does_is_read_from_its_database(tmp_path: Path) -> None:
    database = tmp_path / "airflow.db"
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.executescript(SCHEMA)
        connection.executemany(
            "INSERT INTO task_instance VALUES (?, 'r', ?, ?, 1, ?, ?)",
            [
                ("d", "running", "default_pool", "2026-06-01 11:59:00.5", "2026-06-01 12:00:00"),
                ("d", "queued", "default_pool", "2026-06-01 12:00:00", "2026-06-01 12:00:00"),
                ("d", "success", "default_pool", "2026-06-01 11:00:00", "2026-06-01 12:00:00"),
                ("d", "scheduled", "tiny", None, "2026-06-01 12:00:20"),
                ("d", None, "default_pool", None, "2026-06-01 12:00:20"),
            ],
        )
        connection.execute("INSERT INTO dag VALUES ('d', 16)")
        connection.executemany("INSERT INTO slot_pool VALUES (?, ?)", [("default_pool", 128), ("tiny", 0)])
        connection.execute("INSERT INTO import_error VALUES (1)")
        connection.executemany(
            "INSERT INTO job VALUES (?, ?, ?)",
            [
                ("SchedulerJob", "running", "2026-06-01 12:00:25"),
                ("SchedulerJob", "success", "2026-06-01 12:00:29"),
                ("TriggererJob", "running", "2026-06-01 12:00:29"),
            ],
        )
    assert airflow_state.read(database, now=NOW) == AirflowState(
        running=1,
        queued=1,
        starving=1,
        oldest_queued=30.0,
        import_errors=1,
        heartbeat_age=5.0,
        pools={"default_pool": Pool(126, 1, 1, 0), "tiny": Pool(0, 0, 0, 1)},
    )


def test_reading_makes_no_database(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError):
        airflow_state.read(tmp_path / "airflow.db", now=NOW)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("tasks", "pool", "running", "queued", "starving"),
    [
        ([], 5, 0, 0, 0),
        (["running", "scheduled", "scheduled"], 5, 1, 2, 0),
        (["running", "scheduled", "scheduled"], 2, 1, 1, 1),
        (["running", "queued", "scheduled"], 2, 1, 1, 1),
        (["running"] * 3 + ["scheduled"] * 9, -1, 3, 9, 0),
        (["deferred", "up_for_retry", "scheduled"], 1, 0, 1, 0),
    ],
)
def test_a_task_is_queued_when_only_the_executor_holds_it(
    tasks: list[str], pool: int, running: int, queued: int, starving: int
) -> None:
    found = summarise([task(name) for name in tasks], {"default_pool": pool}, now=NOW)
    assert (found.running, found.queued, found.starving) == (running, queued, starving)


def test_a_dags_own_limit_holds_tasks_that_no_worker_could_take() -> None:
    tasks = [task("running", limit=2), *[task("scheduled", limit=2) for _ in range(5)], task("scheduled", dag="other")]
    found = summarise(tasks, {"default_pool": 128}, now=NOW)
    assert (found.queued, found.starving) == (2, 0)


def test_a_task_of_several_slots_takes_them_all() -> None:
    tasks = [task("scheduled", slots=3), task("scheduled", slots=3)]
    found = summarise(tasks, {"default_pool": 5}, now=NOW)
    assert (found.queued, found.starving, found.pools["default_pool"]) == (1, 1, Pool(2, 0, 3, 1))


def test_the_oldest_queued_task_counts() -> None:
    tasks = [task("running", age=900), task("queued", age=60), task("scheduled", age=90)]
    assert summarise(tasks, {"default_pool": 128}, now=NOW).oldest_queued == 90.0


@pytest.mark.parametrize(
    ("running", "queued", "low", "high", "expected"),
    [
        (0, 0, 1, 10, (1, 0)),
        (5, 0, 1, 10, (1, 0)),
        (5, 1, 1, 10, (1, 1)),
        (4, 20, 1, 10, (1, 4)),
        (4, 200, 1, 10, (1, 9)),
        (0, 0, 3, 3, (3, 0)),
        (0, 100, 3, 5, (3, 2)),
    ],
)
def test_workers_follow_mwaas_formula(
    running: int, queued: int, low: int, high: int, expected: tuple[int, int]
) -> None:
    environment = {**ENVIRONMENT, "MinWorkers": low, "MaxWorkers": high}
    assert workers(environment, state(running, queued)) == expected


@given(st.integers(0, 10_000), st.integers(0, 10_000), st.integers(1, 25), st.integers(0, 24))
def test_workers_are_within_the_bounds_and_enough_when_they_can_be(
    running: int, queued: int, low: int, more: int
) -> None:
    base, additional = workers({**ENVIRONMENT, "MinWorkers": low, "MaxWorkers": low + more}, state(running, queued))
    assert base == low
    assert 0 <= additional <= more
    if additional < more:
        assert (base + additional) * 5 >= running + queued
    if additional > 0:
        assert (base + additional - 1) * 5 < running + queued


@pytest.mark.parametrize(
    ("options", "tasks", "most"),
    [
        ({}, 5, 75),
        ({"celery.worker_autoscale": "20,20"}, 20, 300),
        ({"celery.worker_autoscale": "nonsense"}, 5, 75),
        ({"core.parallelism": "7"}, 5, 7),
        (None, 5, 75),
    ],
)
def test_options_override_the_class(options: dict[str, str] | None, tasks: int, most: int) -> None:
    environment = {**ENVIRONMENT, "AirflowConfigurationOptions": options}
    assert (tasks_per_worker(environment), parallelism(environment)) == (tasks, most)


def samples(data: list[dict[str, Any]], metric: str) -> dict[str, tuple[float, int]]:
    """Value and sample count of a metric, by Cluster."""
    found = {}
    for datum in data:
        if datum["MetricName"] == metric:
            dimensions = {item["Name"]: item["Value"] for item in datum["Dimensions"]}
            assert dimensions.pop("Environment") == "e"
            found[dimensions["Cluster"]] = (
                (datum["Value"], 1) if "Value" in datum else (datum["Values"][0], datum["Counts"][0])
            )
    return found


def test_the_number_of_samples_is_the_number_of_containers() -> None:
    loads = {"Worker": Load(1.6, 2 * 1024**3), "Scheduler": Load(0.1, 1024**3)}
    data = aws_mwaa(ENVIRONMENT, state(running=4, queued=14), loads)
    assert samples(data, "CPUUtilization") == {
        "BaseWorker": (40.0, 1),
        "AdditionalWorker": (40.0, 3),
        "Scheduler": (5.0, 2),
        "WebServer": (0.0, 2),
    }
    assert samples(data, "MemoryUtilization")["AdditionalWorker"] == (25.0, 3)


def test_no_additional_worker_no_sample() -> None:
    assert "AdditionalWorker" not in samples(aws_mwaa(ENVIRONMENT, state(), {}), "CPUUtilization")


def test_no_worker_is_busier_than_busy() -> None:
    assert samples(aws_mwaa(ENVIRONMENT, state(), {"Worker": Load(8.0, 10**12)}), "CPUUtilization")["BaseWorker"] == (
        100,
        1,
    )


def test_airflows_own_metrics_have_aws_names_and_dimensions() -> None:
    found = AirflowState(
        2, 3, 4, 5.0, 6, 1.0, {"default_pool": Pool(9, 2, 3, 4), "endless": Pool(None)}, succeeded=7, failed=8
    )
    told = {
        (datum["MetricName"], *(item["Value"] for item in datum["Dimensions"])): datum["Value"]
        for datum in amazon_mwaa(ENVIRONMENT, found)
    }
    assert told == {
        ("RunningTasks", "Executor", "e"): 2,
        ("QueuedTasks", "Executor", "e"): 3,
        ("OpenSlots", "Executor", "e"): 70,
        ("TasksStarving", "Scheduler", "e"): 4,
        ("ImportErrors", "DAG Processing", "e"): 6,
        ("TaskInstanceSuccesses", "All", "All", "e"): 7,
        ("TaskInstanceFailures", "All", "All", "e"): 8,
        ("SchedulerHeartbeat", "Scheduler", "e"): 1,
        ("PoolRunningSlots", "default_pool", "e"): 2,
        ("PoolQueuedSlots", "default_pool", "e"): 3,
        ("PoolStarvingTasks", "default_pool", "e"): 4,
        ("PoolOpenSlots", "default_pool", "e"): 9,
        ("PoolRunningSlots", "endless", "e"): 0,
        ("PoolQueuedSlots", "endless", "e"): 0,
        ("PoolStarvingTasks", "endless", "e"): 0,
    }


@pytest.mark.parametrize("age", [None, 61.0])
def test_a_silent_scheduler_gives_no_heartbeat(age: float | None) -> None:
    found = AirflowState(0, 0, 0, 0.0, 0, age, {})
    assert "SchedulerHeartbeat" not in {datum["MetricName"] for datum in amazon_mwaa(ENVIRONMENT, found)}


class CloudWatch:
    """Remembers what it was given."""

    def __init__(self) -> None:
        self.given: list[tuple[str, dict[str, Any]]] = []

    def put_metric_data(self, *, Namespace: str, MetricData: list[dict[str, Any]]) -> None:  # noqa: N803
        self.given += [(Namespace, datum) for datum in MetricData]

    def count(self, metric: str) -> int:
        return sum(datum["MetricName"] == metric for _, datum in self.given)


def test_workers_are_counted_once_a_minute_also_across_a_restart(tmp_path: Path, clock: Clock) -> None:
    database = tmp_path / "airflow.db"
    with closing(sqlite3.connect(database)) as connection:
        connection.executescript(SCHEMA)
    clock.now = NOW.timestamp()
    cloudwatch = CloudWatch()

    def publish() -> None:
        client = cast("Any", cloudwatch)
        MetricsPublisher(client, database, lambda: ENVIRONMENT, dict, tmp_path / "memory", clock=clock).publish()

    publish()
    publish()
    assert cloudwatch.count("RunningTasks") == 4, "in both namespaces, twice"
    assert cloudwatch.count("CPUUtilization") == 3
    clock.now += 30
    publish()
    assert cloudwatch.count("CPUUtilization") == 6
    assert {namespace for namespace, _ in cloudwatch.given} == {"AWS/MWAA", "AmazonMWAA"}
    assert cloudwatch.given[-1][1]["Timestamp"] == NOW + timedelta(seconds=30)
