"""The arithmetic of saturation: MWAA's formula, every number that is published, and every verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetway.workers.assessment import (
    TASKS_PER_WORKER,
    VERDICT_CODES,
    Minute,
    Pool,
    Readings,
    WorkerHealth,
    WorkerSettings,
    bounded,
    measure,
    required_workers,
    worker_settings,
)

SMALL = WorkerSettings("mw1.small", min_workers=1, max_workers=4, tasks_per_worker=5)
MICRO = WorkerSettings("mw1.micro", min_workers=1, max_workers=1, tasks_per_worker=3)


def steady(running: float | None, queued: float | None, workers: int | None, minutes: int = 15) -> Sequence[Minute]:
    return [Minute(running, queued, workers)] * minutes


@pytest.mark.parametrize(
    ("running", "queued", "tasks", "workers"),
    [(0, 0, 5, 0), (1, 0, 5, 1), (5, 0, 5, 1), (5, 1, 5, 2), (100, 100, 80, 3), (0, 1, 40, 1), (2.5, 0.5, 3, 1)],
)
def test_required_workers_by_mwaas_formula(running: float, queued: float, tasks: int, workers: int) -> None:
    assert required_workers(running, queued, tasks) == workers


@pytest.mark.parametrize(
    ("environment_class", "options", "tasks"),
    [
        *((name, {}, tasks) for name, tasks in TASKS_PER_WORKER.items()),
        ("mw1.small", {"celery.worker_autoscale": "8,2"}, 8),
        ("mw1.small", {"celery.worker_autoscale": " 12 , 12 "}, 12),
        ("mw1.medium", {"celery.worker_autoscale": "0,0"}, 10),
        ("mw1.medium", {"celery.worker_autoscale": "many"}, 10),
        ("mw1.medium", {"celery.worker_autoscale": "²,1"}, 10),
        ("mw1.medium", {"core.parallelism": "3"}, 10),
        ("mw9.colossal", {}, 5),
    ],
)
def test_tasks_per_worker(environment_class: str, options: dict[str, str], tasks: int) -> None:
    assert worker_settings(environment_class, 1, 10, options).tasks_per_worker == tasks


def test_every_number_of_a_busy_environment() -> None:
    readings = Readings(running=10, queued=15, oldest=90, workers=2, completed_per_minute=5)
    saturation = measure(readings, SMALL)
    assert (saturation.required, saturation.target, saturation.running) == (5, 4, 2)
    assert (saturation.shortfall, saturation.idle, saturation.headroom) == (3, 0, -1)
    assert (saturation.utilization, saturation.backlog_per_worker) == (100.0, 7.5)
    assert (saturation.drain_seconds, saturation.queue_wait) == (180.0, 90)


def test_every_number_of_an_idle_environment() -> None:
    saturation = measure(Readings(running=0, queued=0, oldest=0, workers=3), SMALL)
    assert (saturation.required, saturation.target, saturation.idle) == (0, 1, 2)
    assert (saturation.utilization, saturation.drain_seconds, saturation.headroom) == (0.0, 0.0, 3)


@pytest.mark.parametrize(
    ("verdict", "readings", "settings", "helps"),
    [
        ("unknown", Readings(), SMALL, None),
        ("unknown", Readings(running=3, workers=1), SMALL, None),
        ("healthy", Readings(running=0, queued=0, workers=1), SMALL, False),
        ("healthy", Readings(running=5, queued=0, workers=1), SMALL, False),
        # The scheduler fills free slots within seconds.
        ("healthy", Readings(running=3, queued=2, oldest=4, workers=1), SMALL, False),
        # Nobody counts the workers, but the bounds allow what is needed.
        ("healthy", Readings(running=9, queued=4), SMALL, False),
        # Idle for too short a time, or by too little.
        ("healthy", Readings(running=0, queued=0, workers=4, history=steady(0, 0, 4, 5)), SMALL, False),
        ("healthy", Readings(running=14, queued=0, workers=4, history=steady(14, 0, 4)), SMALL, False),
        ("healthy", Readings(running=0, queued=0, workers=4, history=steady(None, 0, 4)), SMALL, False),
        ("over-provisioned", Readings(running=2, queued=0, workers=4, history=steady(2, 0, 4)), SMALL, False),
        ("scaling", Readings(running=5, queued=6, oldest=30, workers=1), SMALL, False),
        ("scaling", Readings(running=5, queued=90, oldest=30, workers=3), SMALL, False),
        # A queue of 0 seconds of age is young, even with nothing running.
        ("scaling", Readings(running=0, queued=30, oldest=60, workers=1), SMALL, False),
        ("bounded-by-max-workers", Readings(running=20, queued=1, oldest=30, workers=4), SMALL, True),
        ("bounded-by-max-workers", Readings(running=20, queued=30, oldest=3000), SMALL, True),
        ("bounded-by-max-workers", Readings(running=3, queued=1, workers=1), MICRO, False),
        # More workers come first: only then does the pool matter.
        ("bounded-by-max-workers", Readings(running=20, queued=9, workers=4, starving=7), SMALL, True),
        ("bounded-by-pool", Readings(running=2, queued=0, workers=1, starving=7), SMALL, False),
        ("bounded-by-pool", Readings(running=2, queued=0, workers=1, pools=[Pool("gpu", starving=1)]), SMALL, False),
        ("healthy", Readings(running=2, queued=0, workers=1, pools=[Pool("gpu", open=0, queued=2)]), SMALL, False),
        ("bounded-by-parallelism", Readings(running=5, queued=0, workers=1, open_slots=0), SMALL, False),
        ("bounded-by-parallelism", Readings(running=5, queued=3, workers=2, open_slots=-1), SMALL, False),
        ("scaling", Readings(running=5, queued=3, workers=1, open_slots=0), SMALL, False),
        ("worker-overloaded", Readings(running=5, queued=0, workers=1, cpu=95), SMALL, False),
        ("worker-overloaded", Readings(running=5, queued=0, workers=1, cpu=10, memory=99), SMALL, False),
        ("worker-overloaded", Readings(running=20, queued=9, workers=4, cpu=99), SMALL, False),
        ("healthy", Readings(running=5, queued=0, workers=1, cpu=94.9, memory=94.9), SMALL, False),
        ("stalled", Readings(running=0, queued=1, oldest=300, workers=1), SMALL, False),
        ("stalled", Readings(running=0, queued=90, oldest=4000, workers=4, cpu=99), SMALL, False),
        ("stalled", Readings(running=0, queued=1, workers=1, history=steady(0, 1, 1)), SMALL, False),
        ("scaling", Readings(running=0, queued=9, workers=1, history=steady(0, 9, 1, 4)), SMALL, False),
        ("stalled", Readings(running=1, queued=2, oldest=900, workers=2, history=steady(1, 2, 2)), SMALL, False),
    ],
)
def test_verdicts(verdict: WorkerHealth, readings: Readings, settings: WorkerSettings, helps: bool | None) -> None:
    saturation = measure(readings, settings)
    assert (saturation.verdict, saturation.more_workers_help) == (verdict, helps), saturation.because


def test_a_queue_that_shrinks_is_no_stall() -> None:
    history = [Minute(2, 20.0 - minute, 4) for minute in range(15)]
    assert measure(Readings(2, 5, 900, 4, history=history), SMALL).verdict == "healthy"


def test_every_verdict_has_a_code_and_is_reached_above() -> None:
    assert set(VERDICT_CODES) | {"unknown"} == set(get_args(WorkerHealth))
    table = next(m for m in test_verdicts.pytestmark if m.name == "parametrize").args[1]  # type: ignore[attr-defined]
    assert {row[0] for row in table} == set(get_args(WorkerHealth))


def test_the_reason_says_what_to_do() -> None:
    def because(settings: WorkerSettings = SMALL, **readings: Any) -> str:
        return measure(Readings(**readings), settings).because

    assert "Raise MaxWorkers (now 4) to 7" in because(running=20, queued=15, workers=4)
    assert "larger class" in because(MICRO, running=3, queued=1, workers=1)
    assert "'gpu'" in because(running=1, queued=0, workers=1, pools=[Pool("gpu", starving=2)])
    assert "core.parallelism" in because(running=1, queued=0, workers=1, open_slots=0)
    idle = steady(0, 0, 4)
    assert "Lower MinWorkers (now 3)" in because(
        WorkerSettings("mw1.small", 3, 4, 5), running=0, queued=0, workers=4, history=idle
    )


counts = st.one_of(st.none(), st.floats(0, 1e6), st.integers(0, 10_000))
minutes = st.builds(Minute, counts, counts, st.one_of(st.none(), st.integers(0, 50)))
all_settings = st.builds(
    lambda name, low, more, tasks: WorkerSettings(name, low, low + more, tasks),
    st.sampled_from(sorted(TASKS_PER_WORKER)),
    st.integers(1, 25),
    st.integers(0, 25),
    st.integers(1, 100),
)
all_readings = st.builds(
    Readings,
    running=counts,
    queued=counts,
    oldest=counts,
    workers=st.one_of(st.none(), st.integers(0, 50)),
    cpu=counts,
    memory=counts,
    open_slots=st.one_of(st.none(), st.integers(-10, 100)),
    starving=counts,
    completed_per_minute=counts,
    pools=st.lists(st.builds(Pool, st.text(max_size=5), counts, counts, counts), max_size=3),
    history=st.lists(minutes, max_size=20),
)


@given(st.integers(0, 100_000), st.integers(0, 100_000), st.integers(1, 100))
def test_required_workers_are_enough_and_no_more(running: int, queued: int, tasks: int) -> None:
    required = required_workers(running, queued, tasks)
    assert required * tasks >= running + queued
    assert (required - 1) * tasks < running + queued or required == 0


@given(all_readings, all_settings)
def test_no_readings_break_the_arithmetic(readings: Readings, settings: WorkerSettings) -> None:
    saturation = measure(readings, settings)
    numbers = [saturation.shortfall, saturation.idle, saturation.utilization, saturation.backlog_per_worker]
    assert all(number is None or (number >= 0 and math.isfinite(number)) for number in numbers)
    assert not (saturation.shortfall and saturation.idle)
    assert saturation.because
    if saturation.target is not None:
        assert settings.min_workers <= saturation.target <= settings.max_workers
    if saturation.verdict == "unknown":
        assert readings.running is None or readings.queued is None
    if saturation.verdict == "bounded-by-max-workers":
        assert saturation.headroom is not None
        assert saturation.headroom < 0
        assert saturation.more_workers_help is settings.scales
    if saturation.verdict == "scaling":
        assert saturation.required is not None
        assert readings.workers is None or saturation.required > readings.workers
    if saturation.verdict == "over-provisioned":
        assert not saturation.shortfall


@given(all_settings, st.integers(0, 1000), st.integers(0, 1000), st.integers(0, 1000))
def test_more_work_never_needs_fewer_workers(settings: WorkerSettings, running: int, queued: int, more: int) -> None:
    before = required_workers(running, queued, settings.tasks_per_worker)
    after = required_workers(running, queued + more, settings.tasks_per_worker)
    assert after >= before
    assert bounded(after, settings) >= bounded(before, settings)
