"""The simulator: no task is lost, the bounds hold, and MWAA's formula is followed."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from jetway.workers.floors import parse_floors
from jetway.workers.scaling import Policy
from tests.unit.sample_events import ROOT
from tools.bench.workers.__main__ import main
from tools.bench.workers.simulation import Physics, Strategy, Task, simulate
from tools.bench.workers.traces import TraceError, read_trace

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


@pytest.mark.thorough
def test_the_manual_shows_what_the_simulator_prints(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if not line.startswith(("| load", "|---"))]
    assert len(rows) >= 20
    manual = (ROOT / "docs" / "workers.md").read_text(encoding="utf-8").splitlines()
    assert [row for row in rows if row not in manual] == []


@pytest.mark.parametrize(
    "text",
    [
        "at,seconds\n1000,60\n1012.5,30\n",
        "app,func,end_timestamp,duration\na,b,1042.5,30\na,b,1060,60\n",  # in order of the end
    ],
)
def test_a_recorded_load_is_replayed(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    path = tmp_path / "recorded.csv"
    path.write_text(text)
    assert read_trace(path) == [Task(0.0, 60.0), Task(12.5, 30.0)]
    assert read_trace(path, every=2, stretch=3) == [Task(0.0, 180.0)]
    assert main(["--trace", str(path)]) == 0
    assert re.search(r"^\| recorded \| default bounds 1-10 \| 0\.0 \|", capsys.readouterr().out, re.MULTILINE)


def test_of_a_long_trace_the_first_days_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    path.write_text("at,seconds\n0,1\n345599,1\n345600,1\n")
    assert [task.at for task in read_trace(path)] == [0.0, 345_599.0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ":1: its first line must name the columns"),
        ("at;seconds\n1;2\n", ":1: its first line must name the columns"),
        ("at,seconds\n", "it has no task"),
        ("at,seconds\n1,2\n3,much\n", ":3: a time or a duration is no number"),
        ("at,seconds\n1\n", ":2: a time or a duration is no number"),
        ("at,seconds\nnan,2\n", ":2: a time or a duration is no number"),
        ("end_timestamp,duration\n5,-1\n", ":2: a time or a duration is no number"),
    ],
)
def test_a_trace_that_cannot_be_read_says_where(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    path = tmp_path / "wrong.csv"
    path.write_text(text)
    with pytest.raises(TraceError, match=said):
        read_trace(path)
    with pytest.raises(SystemExit) as ended:
        main(["--trace", str(path)])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
