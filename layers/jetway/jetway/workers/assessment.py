"""How many workers are needed, how many run, and whether more of them would help: pure arithmetic.

MWAA scales on task counts alone and has no metric of its workers:

    required = (running tasks + queued tasks) / tasks per worker,   kept between MinWorkers and MaxWorkers
    https://docs.aws.amazon.com/mwaa/latest/userguide/mwaa-autoscaling.html

A worker is counted by the samples that its container gives to CPUUtilization in one minute:
https://docs.aws.amazon.com/mwaa/latest/userguide/accessing-metrics-cw-container-queue-db.html
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from jetway.airflow.environment import EnvironmentFacts

# Tasks that one worker of each class takes at once, and whether the class scales at all:
# https://docs.aws.amazon.com/mwaa/latest/userguide/environment-class.html
TASKS_PER_WORKER: Mapping[str, int] = {
    "mw1.micro": 3,
    "mw1.small": 5,
    "mw1.medium": 10,
    "mw1.large": 20,
    "mw1.xlarge": 40,
    "mw1.2xlarge": 80,
}
DOES_NOT_SCALE = frozenset({"mw1.micro"})
# A worker that is ill keeps its tasks until MWAA replaces it.
_REPLACEMENT = (
    "The configuration option mwaa.worker_replacement_threshold_seconds sets when MWAA replaces an unhealthy worker."
)

OVERLOADED_PERCENT = 95.0  # the threshold of AWS's own recommended alarms for worker CPU and memory
STALLED_SECONDS = 300.0  # a worker takes minutes to start: a younger queue with nothing running is no stall yet
STEADY_MINUTES = 10  # so many minutes with data must agree before workers are called superfluous
SUPERFLUOUS_BELOW = 0.7  # of the workers that run; nearer to what is needed is a margin, not a waste

WorkerHealth = Literal[
    "unknown",
    "healthy",
    "over-provisioned",
    "scaling",
    "bounded-by-parallelism",
    "bounded-by-pool",
    "bounded-by-max-workers",
    "worker-overloaded",
    "stalled",
]

# The verdict as a metric: the greater, the worse, so that an alarm needs one threshold. `unknown` is no data.
VERDICT_CODES: Mapping[WorkerHealth, int] = {
    "healthy": 0,
    "over-provisioned": 1,
    "scaling": 2,
    "bounded-by-parallelism": 3,
    "bounded-by-pool": 4,
    "bounded-by-max-workers": 5,
    "worker-overloaded": 6,
    "stalled": 7,
}


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """What the environment's settings say of its workers.

    Attributes:
        tasks_per_worker: tasks that one worker takes at once.
        scales: False for mw1.micro, whose one worker is all there is.
    """

    environment_class: str
    min_workers: int
    max_workers: int
    tasks_per_worker: int

    @property
    def scales(self) -> bool:
        return self.environment_class not in DOES_NOT_SCALE


@dataclass(frozen=True, slots=True)
class Pool:
    """Slots of one Airflow pool: open, and of queued tasks; and tasks that wait for a slot. None: no data."""

    name: str
    open: float | None = None
    queued: float | None = None
    starving: float | None = None


@dataclass(frozen=True, slots=True)
class Minute:
    """Tasks and workers of one past minute; None: no data."""

    running: float | None
    queued: float | None
    workers: int | None


@dataclass(frozen=True, slots=True)
class Readings:
    """What CloudWatch says now. Every member may be missing: late, never sent, or blocked by the user.

    Attributes:
        running, queued: tasks, as MWAA's own queue counts them (namespace AWS/MWAA; the autoscaler's numbers).
        oldest: seconds that the oldest queued task has waited.
        workers: containers that run.
        cpu, memory: percent, of the busier of base and additional workers.
        open_slots: tasks that the executor would still take (core.parallelism).
        starving: tasks that wait for a slot of their pool, over all pools.
        completed_per_minute: tasks that ended, on average over the last minutes.
        history: past minutes, oldest first, the newest being now.
    """

    running: float | None = None
    queued: float | None = None
    oldest: float | None = None
    workers: int | None = None
    cpu: float | None = None
    memory: float | None = None
    open_slots: float | None = None
    starving: float | None = None
    completed_per_minute: float | None = None
    pools: Sequence[Pool] = ()
    history: Sequence[Minute] = ()


@dataclass(frozen=True, slots=True)
class Saturation:
    """The measurement: what is published every minute. None: cannot be told, and is not published.

    Attributes:
        required: workers by MWAA's formula, before the bounds.
        target: the same within the bounds: what MWAA will have.
        running: workers that run.
        shortfall: workers that are missing now.
        idle: workers beyond what is needed; one is always needed.
        utilization: percent of the running workers' task slots that are taken.
        backlog_per_worker: queued tasks for each worker that runs.
        drain_seconds: time in which the queue will be done at the observed rate of completion.
        headroom: workers left below MaxWorkers; negative when more are needed than MaxWorkers allows.
        queue_wait: seconds that the oldest queued task has waited.
        verdict: what limits the environment now.
        because: the verdict in a sentence, with what to do.
        more_workers_help: whether a higher MaxWorkers would shorten the queue; None when it cannot be told.
    """

    required: int | None
    target: int | None
    running: int | None
    shortfall: int | None
    idle: int | None
    utilization: float | None
    backlog_per_worker: float | None
    drain_seconds: float | None
    headroom: int | None
    queue_wait: float | None
    verdict: WorkerHealth
    because: str
    more_workers_help: bool | None = None


def worker_settings(
    environment_class: str, min_workers: int, max_workers: int, options: Mapping[str, str] | None = None
) -> WorkerSettings:
    """Read what GetEnvironment says of the workers.

    Args:
        options: AirflowConfigurationOptions. `celery.worker_autoscale` is "max,min" and overrides the class's default.

    >>> worker_settings("mw1.small", 1, 10, {"celery.worker_autoscale": "8,8"}).tasks_per_worker
    8
    """
    most, _, _ = str((options or {}).get("celery.worker_autoscale", "")).partition(",")
    most = most.strip()
    # A class that is newer than this code counts as the smallest that scales: rather too many workers than too few.
    tasks = TASKS_PER_WORKER.get(environment_class, TASKS_PER_WORKER["mw1.small"])
    if most.isascii() and most.isdigit() and int(most) > 0:
        tasks = int(most)
    return WorkerSettings(environment_class, min_workers, max_workers, tasks)


def settings_of(facts: EnvironmentFacts) -> WorkerSettings:
    """Read what an environment's settings say of its workers."""
    return worker_settings(facts.environment_class, facts.min_workers, facts.max_workers, facts.options)


def required_workers(running: float, queued: float, tasks_per_worker: int) -> int:
    """MWAA's formula: (running + queued) / tasks per worker, rounded up, before the bounds.

    https://docs.aws.amazon.com/mwaa/latest/userguide/mwaa-autoscaling.html

    >>> required_workers(7, 4, 5)
    3
    """
    return math.ceil((running + queued) / tasks_per_worker)


def bounded(required: int, settings: WorkerSettings) -> int:
    """Keep a number of workers between MinWorkers and MaxWorkers, as MWAA does."""
    return min(max(required, settings.min_workers), settings.max_workers)


def measure(readings: Readings, settings: WorkerSettings) -> Saturation:
    """Work out the saturation from one set of readings."""
    running, queued, workers = readings.running, readings.queued, readings.workers
    required = None
    if running is not None and queued is not None:
        required = required_workers(running, queued, settings.tasks_per_worker)
    verdict, because, helps = judge(readings, settings)
    return Saturation(
        required=required,
        target=None if required is None else bounded(required, settings),
        running=workers,
        shortfall=None if required is None or workers is None else max(0, required - workers),
        idle=None if required is None or workers is None else max(0, workers - max(1, required)),
        utilization=_utilization(running, workers, settings),
        backlog_per_worker=None if queued is None or not workers else queued / workers,
        drain_seconds=_drain_seconds(queued, readings.completed_per_minute),
        headroom=None if required is None else settings.max_workers - max(required, settings.min_workers),
        queue_wait=readings.oldest,
        verdict=verdict,
        because=because,
        more_workers_help=helps,
    )


def judge(readings: Readings, settings: WorkerSettings) -> tuple[WorkerHealth, str, bool | None]:
    """Say what limits the environment now, why, and whether more workers would help.

    The worst comes first: work that does not move at all, then workers that are ill, then the limits, from the one
    that more workers lift to those that they do not.
    """
    running, queued = readings.running, readings.queued
    if running is None or queued is None:
        return "unknown", "CloudWatch has no recent RunningTasks and QueuedTasks (AWS/MWAA) of this environment.", None
    required = required_workers(running, queued, settings.tasks_per_worker)
    stall = _stall(readings, settings)
    if stall:
        return "stalled", stall, False
    overload = _overload(readings)
    if overload:
        # MWAA counts tasks, not load: another worker would be filled with as many tasks as this one.
        return "worker-overloaded", overload, False
    return _limit(readings, settings, required) or _rest(readings, settings, required)


def _limit(readings: Readings, settings: WorkerSettings, required: int) -> tuple[WorkerHealth, str, bool] | None:
    """What keeps tasks waiting, when something does."""
    workers, queued = readings.workers, readings.queued or 0
    # Without a count of workers MWAA's formula is trusted: it will have as many as the bounds allow.
    missing = required > (bounded(required, settings) if workers is None else workers)
    at_most = workers is None or workers >= settings.max_workers
    if queued and missing and required > settings.max_workers and at_most:
        remedy = (
            f"Raise MaxWorkers (now {settings.max_workers}) to {required}, or spread the load."
            if settings.scales
            else f"{settings.environment_class} has one worker and does not scale. Use a larger class."
        )
        return "bounded-by-max-workers", f"{required} workers are needed. {remedy}", settings.scales
    pool = next((pool for pool in readings.pools if (pool.starving or 0) > 0), None)
    if pool or (readings.starving or 0) > 0:
        count = (pool.starving if pool else readings.starving) or 0
        where = f"pool {pool.name!r}" if pool else "their pools"
        text = f"{count:.0f} tasks wait for a slot of {where}. More workers do not help. Give the pool more slots."
        return "bounded-by-pool", text, False
    if readings.open_slots is not None and readings.open_slots <= 0 and not (queued and missing):
        text = "The executor has no open slot. More workers do not help. Raise core.parallelism."
        return "bounded-by-parallelism", text, False
    if queued and missing:
        text = f"{required} workers are needed, {_count(workers)} run; MWAA starts more, which takes minutes."
        return "scaling", text, False
    return None


def _rest(readings: Readings, settings: WorkerSettings, required: int) -> tuple[WorkerHealth, str, bool]:
    steady = _steady_peak(readings, settings)
    workers = readings.workers
    peak = max(1, required, steady or 0)
    if settings.scales and workers is not None and steady is not None and peak < SUPERFLUOUS_BELOW * workers:
        text = f"{workers} workers run; no more than {peak} were needed in {len(readings.history)} minutes."
        if settings.min_workers > peak:
            text += f" Lower MinWorkers (now {settings.min_workers})."
        return "over-provisioned", text, False
    return "healthy", f"{required} workers are needed, {_count(workers)} run.", False


def _stall(readings: Readings, settings: WorkerSettings) -> str | None:
    queued, running, oldest = readings.queued or 0, readings.running or 0, readings.oldest
    if not queued:
        return None
    newest = list(readings.history)[-round(STALLED_SECONDS / 60) :]
    if not running:
        lasting = all(minute.queued and minute.running == 0 for minute in newest)
        enough = len(newest) * 60 >= STALLED_SECONDS and lasting
        if enough if oldest is None else oldest >= STALLED_SECONDS:
            return (
                f"{queued:.0f} tasks are queued and none runs. Check the workers' logs: the workers do not start, or "
                f"do not take tasks from the queue. {_REPLACEMENT}"
            )
        return None
    workers = readings.workers
    free = workers is not None and running < workers * settings.tasks_per_worker and _took_nothing(newest)
    if free and oldest is not None and oldest >= STALLED_SECONDS:
        return (
            f"{queued:.0f} tasks have been queued for {oldest:.0f} s although workers have free slots. Check for "
            f"tasks that are stuck as running, and for workers that are being replaced. {_REPLACEMENT}"
        )
    return None


def _took_nothing(newest: Sequence[Minute]) -> bool:
    """Whether tasks were queued all the time and the queue never shrank."""
    queues = [minute.queued for minute in newest if minute.queued]
    if len(queues) * 60 < STALLED_SECONDS or len(queues) < len(newest):
        return False
    return all(later >= earlier for earlier, later in pairwise(queues))


def _overload(readings: Readings) -> str | None:
    for name, value in (("CPU", readings.cpu), ("memory", readings.memory)):
        if value is not None and value >= OVERLOADED_PERCENT:
            return (
                f"Worker {name} is at {value:.0f} %. Lower celery.worker_autoscale, so that a worker takes fewer "
                f"tasks, or use a larger class. {_REPLACEMENT}"
            )
    return None


def _steady_peak(readings: Readings, settings: WorkerSettings) -> int | None:
    """The most workers needed in the past minutes; None when too few of them have data."""
    peaks = []
    for minute in readings.history:
        if minute.running is None or minute.queued is None:
            continue
        peaks.append(required_workers(minute.running, minute.queued, settings.tasks_per_worker))
    return max(peaks) if len(peaks) >= STEADY_MINUTES else None


def _utilization(running: float | None, workers: int | None, settings: WorkerSettings) -> float | None:
    if running is None or not workers:
        return None
    return 100.0 * running / (workers * settings.tasks_per_worker)


def _drain_seconds(queued: float | None, completed_per_minute: float | None) -> float | None:
    if queued is None:
        return None
    if queued <= 0:
        return 0.0
    return 60.0 * queued / completed_per_minute if completed_per_minute else None


def _count(workers: int | None) -> str:
    return "an unknown number" if workers is None else str(workers)
