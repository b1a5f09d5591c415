"""What every place shows of a run that waits for a worker, has failed, or has succeeded."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import boto3

from tests.unit.signals.table import shows
from tests.unit.signals.world import REGION, World

SEEN = ("wait", "events", "get", "ledger", "page", "metrics")


@shows("queued", *SEEN, "workers", "health")
def test_queued_because_no_worker_is_free(world: World) -> dict[str, str]:
    world.mwaa.max_workers = 1
    saturate()
    world.measure()
    seen = follow(world, "3s")
    seen["page"] = world.page(workers="view.verdict,view.remedy")
    return {**seen, "workers": world.jetway("workers"), "health": world.ask("GET", "/health")}


@shows("failed", *SEEN, "health", "out")
def test_failed(world: World) -> dict[str, str]:
    world.airflow.to_come = ["failed"]
    return {**follow(world), "health": world.ask("GET", "/health"), "out": world.outcoming()}


@shows("success", *SEEN, "out")
def test_success(world: World) -> dict[str, str]:
    world.airflow.to_come = ["success"]
    return {**follow(world), "out": world.outcoming()}


def follow(world: World, timeout: str = "20s") -> dict[str, str]:
    """Start a run, wait for it, and let follow_runs look."""
    wait = world.jetway("run", "hello", "--run-id", "r_1", "--wait", "--timeout", timeout)
    world.follow()
    return {
        "wait": wait,
        "events": world.jetway("events"),
        "get": world.get(),
        "ledger": world.events(),
        "page": world.page(events="event.decision,event.state"),
        "metrics": world.counted(),
    }


def saturate(tasks: int = 24) -> None:
    """One worker for ten minutes, with so many tasks running or queued, as MWAA measures it."""
    this_minute = datetime.now(UTC).replace(second=0, microsecond=0)
    data: list[Any] = []
    for ago in range(10):
        values: dict[tuple[str, ...], float] = {
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
    boto3.client("cloudwatch", region_name=REGION).put_metric_data(Namespace="AWS/MWAA", MetricData=data)
