"""Load shapes: what comes in four days, from Monday on. Made up, but each is a complaint that MWAA's users have."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping

from tools.bench.workers.simulation import Task

DAY = 86_400.0
DAYS = 4
HOUR = 3_600.0

# Tasks a minute at a moment (seconds since Monday, 00:00).
Rate = Callable[[float], float]


def _poisson(rate: Rate, minutes: float, seed: int) -> list[Task]:
    """Tasks at random moments, of random length around `minutes` (log-normal, as durations of jobs are)."""
    source = random.Random(seed)  # noqa: S311 - a simulation
    tasks, now = [], 0.0
    highest = max(rate(moment) for moment in range(0, int(DAYS * DAY), 60))
    while now < DAYS * DAY:
        now += source.expovariate(highest / 60)
        if source.random() < rate(now) / highest:
            tasks.append(Task(now, 60 * minutes * source.lognormvariate(-0.125, 0.5)))
    return tasks


def _burst(at: float, count: int, minutes: float, seed: int) -> list[Task]:
    source = random.Random(seed)  # noqa: S311 - a simulation
    return [Task(at, 60 * minutes * source.lognormvariate(-0.125, 0.5)) for _ in range(count)]


def steady() -> list[Task]:
    """The same all day: four tasks a minute of five minutes, about four workers."""
    return _poisson(lambda _: 4, 5, 1)


def office_hours() -> list[Task]:
    """A wave from 8 to 18, which needs 12 workers at noon."""

    def rate(moment: float) -> float:
        hour = moment % DAY / HOUR
        return 0.5 + 11.5 * max(0.0, math.sin(math.pi * (hour - 8) / 10)) if 8 <= hour <= 18 else 0.5

    return _poisson(rate, 5, 2)


def nightly_burst() -> list[Task]:
    """A quiet day, and 1,500 tasks of ten minutes at 02:00."""
    tasks = _poisson(lambda _: 0.5, 5, 3)
    for day in range(DAYS):
        tasks += _burst(day * DAY + 2 * HOUR, 1_500, 10, 30 + day)
    return sorted(tasks, key=lambda task: task.at)


def morning_deadline() -> list[Task]:
    """A quiet day, and 200 short tasks at 06:00 sharp that people wait for."""
    tasks = _poisson(lambda _: 0.5, 5, 4)
    for day in range(DAYS):
        tasks += _burst(day * DAY + 6 * HOUR, 200, 3, 40 + day)
    return sorted(tasks, key=lambda task: task.at)


def sawtooth() -> list[Task]:
    """Hourly DAGs: 120 tasks of six minutes at every full hour."""
    tasks = [task for hour in range(24 * DAYS) for task in _burst(hour * HOUR, 120, 6, 100 + hour)]
    return sorted(tasks, key=lambda task: task.at)


def black_friday() -> list[Task]:
    """Five times the usual for two days, without a word of warning."""
    return _poisson(lambda moment: 20 if 2 * DAY <= moment < 4 * DAY else 4, 5, 5)


LOADS: Mapping[str, Callable[[], list[Task]]] = {
    "steady": steady,
    "office hours": office_hours,
    "nightly burst": nightly_burst,
    "morning deadline": morning_deadline,
    "sawtooth": sawtooth,
    "Black Friday": black_friday,
}

# What somebody who knows the load would write into floors.yaml.
FLOORS: Mapping[str, str] = {
    "nightly burst": 'floors: [{from: "02:00", to: "03:00", min: 15}]',
    "morning deadline": 'floors: [{from: "06:00", to: "06:30", min: 15}]',
}
