"""The simulator: no task is lost, the bounds hold, and MWAA's formula is followed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.workers.simulation import Physics, Strategy, Task, simulate
from jetway.worker_floors import parse_floors
from jetway.worker_scaling import Policy

BURST = [Task(0.0, 300.0)] * 200 + [Task(7_200.0, 60.0)] * 10
QUICK = replace(Policy(), highest=20, lower_after=30)


@pytest.mark.parametrize(
    "strategy",
    [
        Strategy("default", 1, 10),
        Strategy("scaled", 1, 10, QUICK),
        Strategy("floor", 1, 10, QUICK, parse_floors('floors: [{from: "00:00", to: "01:00", min: 8}]')),
    ],
    ids=lambda strategy: strategy.name,
)
@pytest.mark.parametrize("held", [False, True])
def test_every_task_runs_once_and_the_bounds_hold(strategy: Strategy, held: bool) -> None:
    result = simulate(BURST, strategy, Physics(events_held=held))
    assert len(result.waits) == len(BURST)
    assert min(result.waits) >= 0
    assert all(low <= high for _, _, low, high, _ in result.minutes)
    assert max(running for _, running, _, _, _ in result.minutes) <= (10 if strategy.policy is None else 20)
    assert result.worker_hours * 3600 >= sum(task.seconds for task in BURST) / Physics().tasks_per_worker
    assert (result.updates > 0) is (strategy.policy is not None)


def test_a_saturated_environment_takes_as_long_as_it_must() -> None:
    # 200 tasks of 5 minutes on 50 slots are four rounds; nine of ten workers start after 3 minutes, decided after 0.
    result = simulate(BURST[:200], Strategy("default", 1, 10), Physics())
    assert 15 * 60 <= result.wait(100) <= 20 * 60
    assert result.wait(0) == 0.0


def test_workers_without_tasks_go_away() -> None:
    result = simulate(BURST, Strategy("default", 1, 10), Physics())
    assert result.minutes[10][1] == 10
    assert result.minutes[60][1] == 1


def test_lasting_demand_raises_the_maximum_and_shortens_the_wait() -> None:
    tasks = [Task(at * 60.0, 600.0) for at in range(240) for _ in range(8)]  # 16 workers
    before = simulate(tasks, Strategy("default", 1, 10), Physics())
    after = simulate(tasks, Strategy("scaled", 1, 10, QUICK), Physics())
    assert max(high for _, _, _, high, _ in after.minutes) == 20
    assert after.wait(95) < before.wait(95) / 2
