"""The metrics that MWAA puts to CloudWatch, computed from the real Airflow.

Namespace `AWS/MWAA` has the queue and the containers, `AmazonMWAA` Airflow's own:
https://docs.aws.amazon.com/mwaa/latest/userguide/accessing-metrics-cw-container-queue-db.html
https://docs.aws.amazon.com/mwaa/latest/userguide/access-metrics-cw.html

MWAA tells the number of workers only by how many samples CPUUtilization has in a minute. So each worker that MWAA's
formula would run between the bounds gives one sample a minute, whatever the period of the other metrics. There are
no real workers here: the processor time and memory of the local executor's tasks are shared out among them.
"""

from __future__ import annotations

import json
import logging
import math
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from tools.emulator.gateway import airflow_state
from tools.emulator.gateway.environment import Description, tasks_per_worker

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient

    from tools.emulator.gateway.airflow_state import AirflowState

log = logging.getLogger(__name__)

_BATCH = 500  # PutMetricData takes 1000
# vCPU and GB of one worker: https://docs.aws.amazon.com/mwaa/latest/userguide/environment-class.html
_WORKER_SIZE = {
    "mw1.micro": (1, 3),
    "mw1.small": (1, 2),
    "mw1.medium": (2, 4),
    "mw1.large": (4, 8),
    "mw1.xlarge": (8, 24),
    "mw1.2xlarge": (16, 48),
}
_FRESH_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Load:
    """Processor time (in processors: 1.0 is one busy processor) and memory in bytes."""

    processors: float = 0.0
    memory: int = 0


def workers(environment: Description, state: AirflowState) -> tuple[int, int]:
    """Base and additional workers: `(running + queued) / tasks per worker` within the bounds.

    https://docs.aws.amazon.com/mwaa/latest/userguide/mwaa-autoscaling.html
    """
    required = math.ceil((state.running + state.queued) / tasks_per_worker(environment))
    low, high = environment["MinWorkers"], environment["MaxWorkers"]
    return low, min(max(required, low), high) - low


def parallelism(environment: Description) -> int:
    """How many tasks the executor takes: `core.parallelism`, else half as much again as all workers run."""
    options = environment.get("AirflowConfigurationOptions") or {}
    given = str(options.get("core.parallelism", "")).strip()
    if given.isdigit() and int(given) > 0:
        return int(given)
    most: int = environment["MaxWorkers"] * tasks_per_worker(environment)
    return math.ceil(1.5 * most)


def aws_mwaa(environment: Description, state: AirflowState, loads: Mapping[str, Load] | None) -> list[dict[str, Any]]:
    """The data of namespace AWS/MWAA, without timestamps.

    Args:
        loads: by Cluster ("Worker", "Scheduler", "WebServer"); None leaves the containers out.
    """
    name = environment["Name"]
    data = [
        _datum("QueuedTasks", state.queued, "Count", Environment=name),
        _datum("RunningTasks", state.running, "Count", Environment=name),
        _datum("ApproximateAgeOfOldestTask", state.oldest_queued, "Seconds", Environment=name),
    ]
    if loads is None:
        return data
    base, additional = workers(environment, state)
    schedulers, web_servers = environment["Schedulers"], environment["MinWebservers"]
    containers = (
        ("BaseWorker", base, "Worker", base + additional),
        ("AdditionalWorker", additional, "Worker", base + additional),
        ("Scheduler", schedulers, "Scheduler", schedulers),
        ("WebServer", web_servers, "WebServer", web_servers),
    )
    processors, gigabytes = _WORKER_SIZE[environment["EnvironmentClass"]]
    for cluster, count, load_of, sharers in containers:
        if not count:
            continue
        load = loads.get(load_of, Load())
        for metric, used in (
            ("CPUUtilization", load.processors / processors),
            ("MemoryUtilization", load.memory / (gigabytes * 1024**3)),
        ):
            percent = min(100.0, round(100 * used / sharers, 3))
            data.append(_datum(metric, percent, "Percent", count, Cluster=cluster, Environment=name))
    return data


def amazon_mwaa(environment: Description, state: AirflowState) -> list[dict[str, Any]]:
    """The data of namespace AmazonMWAA, without timestamps."""
    name = environment["Name"]
    open_slots = max(0, parallelism(environment) - state.running - state.queued)
    data = [
        _datum("RunningTasks", state.running, "Count", Function="Executor", Environment=name),
        _datum("QueuedTasks", state.queued, "Count", Function="Executor", Environment=name),
        _datum("OpenSlots", open_slots, "Count", Function="Executor", Environment=name),
        _datum("TasksStarving", state.starving, "Count", Function="Scheduler", Environment=name),
        _datum("TaskInstanceSuccesses", state.succeeded, "Count", DAG="All", Task="All", Environment=name),
        _datum("TaskInstanceFailures", state.failed, "Count", DAG="All", Task="All", Environment=name),
        _datum("ImportErrors", state.import_errors, "Count", Function="DAG Processing", Environment=name),
    ]
    if state.heartbeat_age is not None and state.heartbeat_age < _FRESH_SECONDS:
        data.append(_datum("SchedulerHeartbeat", 1, "Count", Function="Scheduler", Environment=name))
    for pool, slots in state.pools.items():
        values = {
            "PoolRunningSlots": slots.running,
            "PoolQueuedSlots": slots.queued,
            "PoolStarvingTasks": slots.starving,
        }
        if slots.open is not None:
            values["PoolOpenSlots"] = slots.open
        data += [_datum(metric, value, "Count", Pool=pool, Environment=name) for metric, value in values.items()]
    return data


class MetricsPublisher:
    """Puts the metrics at every full period.

    Args:
        describe: the environment's description now.
        measure: the containers' loads since the last call.
        memory: a file that remembers the minute whose workers were counted, so that a restart does not count twice.
    """

    def __init__(
        self,
        client: CloudWatchClient,
        database: Path,
        describe: Callable[[], Description],
        measure: Callable[[], Mapping[str, Load]],
        memory: Path,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._client = client
        self._database = database
        self._describe = describe
        self._measure = measure
        self._memory = memory
        self._clock = clock
        self._published_at: datetime | None = None

    def run(self, period: float, stop: threading.Event) -> None:
        """Publish at once, then at every full period of the clock, until told to stop."""
        while not stop.is_set():
            try:
                self.publish()
            except (sqlite3.Error, ClientError, BotoCoreError) as exc:
                log.warning("metrics of this period are lost: %s", exc)
            now = self._clock()
            stop.wait((math.floor(now / period) + 1) * period - now)

    def publish(self) -> None:
        """Publish once.

        Raises:
            sqlite3.Error, ClientError, BotoCoreError: Airflow's database or CloudWatch is out of reach.
        """
        now = datetime.fromtimestamp(self._clock(), UTC)
        state = airflow_state.read(self._database, now=now, since=self._published_at)
        environment = self._describe()
        loads = self._measure() if self._first_in_minute(now) else None
        for namespace, data in (
            ("AWS/MWAA", aws_mwaa(environment, state, loads)),
            ("AmazonMWAA", amazon_mwaa(environment, state)),
        ):
            stamped: list[Any] = [{**datum, "Timestamp": now} for datum in data]
            for begin in range(0, len(stamped), _BATCH):
                self._client.put_metric_data(Namespace=namespace, MetricData=stamped[begin : begin + _BATCH])
        self._published_at = now
        self._memory.write_text(json.dumps({"minute": now.strftime("%Y-%m-%dT%H:%M")}))

    def _first_in_minute(self, now: datetime) -> bool:
        try:
            counted = json.loads(self._memory.read_text())["minute"]
        except (FileNotFoundError, ValueError, KeyError):
            return True
        return bool(counted != now.strftime("%Y-%m-%dT%H:%M"))


def _datum(name: str, value: float, unit: str, count: int = 1, **dimensions: str) -> dict[str, Any]:
    datum: dict[str, Any] = {
        "MetricName": name,
        "Unit": unit,
        "Dimensions": [{"Name": key, "Value": text} for key, text in dimensions.items()],
    }
    return datum | ({"Value": value} if count == 1 else {"Values": [value], "Counts": [count]})
