"""`python -m tools.bench.workers`: the table; `--tune`: the scaler's parameters compared; `--plot FOLDER`: pictures;
`--trace FILE`: a recorded load instead of the made-up ones.

Pictures need matplotlib: `uv pip install -r requirements/bench.txt`.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from jetway.workers.floors import parse_floors
from jetway.workers.scaling import Policy
from tools.bench.workers.loads import FLOORS, LOADS
from tools.bench.workers.simulation import Physics, Result, Strategy, Task, simulate
from tools.bench.workers.traces import TraceError, read_trace

Loads = Mapping[str, Callable[[], list[Task]]]

PRICE = 0.055  # dollars an hour for an additional mw1.small worker: the default of the parameter WorkerPrices
HIGHEST = 25  # MWAA's default quota of workers
COLOURS = {
    "default bounds 1-10": "tab:blue",
    "scale_workers 1-25": "tab:orange",
    "scale_workers + floors": "tab:red",
    "bounds 1-25 by hand": "tab:green",
}
POLICY = replace(Policy(), highest=HIGHEST)


def strategies(load: str) -> list[Strategy]:
    """MWAA's default bounds; scale_workers; the same with floors where they help; and the bounds set high by hand."""
    found = [
        Strategy("default bounds 1-10", 1, 10),
        Strategy("scale_workers 1-25", 1, 10, POLICY),
        Strategy("bounds 1-25 by hand", 1, HIGHEST),
    ]
    if load in FLOORS:
        found.insert(2, Strategy("scale_workers + floors", 1, 10, POLICY, parse_floors(FLOORS[load])))
    return found


def line(load: str, strategy: str, result: Result) -> str:
    cells = [load, strategy, *(f"{result.wait(percent) / 60:.1f}" for percent in (50, 95, 99))]
    cells += [f"{result.worker_hours:.0f}", f"{result.worker_hours * PRICE:.2f}", str(result.updates)]
    return "| " + " | ".join(cells) + " |"


def table(physics: Physics, loads: Loads = LOADS) -> dict[str, dict[str, Result]]:
    """Print the comparison and return it."""
    print("| load | strategy | wait p50, min | p95 | p99 | worker hours | cost, $ | updates |")
    print("|---|---|---|---|---|---|---|---|")
    results: dict[str, dict[str, Result]] = {}
    for load, make in loads.items():
        tasks = make()
        for strategy in strategies(load):
            result = simulate(tasks, strategy, physics)
            results.setdefault(load, {})[strategy.name] = result
            print(line(load, strategy.name, result), flush=True)
    return results


def tune(physics: Physics) -> None:
    """Compare the scaler's parameters over all loads (without floors): the sum of what each load costs and waits."""
    loads = {load: make() for load, make in LOADS.items()}
    print("| raise after | lower after | margin | cool-down | mean p95 wait, min | worker hours | updates |")
    print("|---|---|---|---|---|---|---|")
    grid = itertools.product((3, 5, 10, 20), (30, 90, 180), (1.0, 1.25, 1.5), (30, 60))
    for raise_after, lower_after, margin, cool_down in grid:
        policy = replace(
            POLICY,
            raise_after=raise_after,
            lower_after=lower_after,
            margin=margin,
            cool_down=timedelta(minutes=cool_down),
        )
        found = [simulate(tasks, Strategy("", 1, 10, policy), physics) for tasks in loads.values()]
        wait = sum(result.wait(95) for result in found) / len(found) / 60
        hours, updates = sum(result.worker_hours for result in found), sum(result.updates for result in found)
        cells = [raise_after, lower_after, margin, cool_down, f"{wait:.1f}", f"{hours:.0f}", updates]
        print("| " + " | ".join(map(str, cells)) + " |", flush=True)


def plot(results: dict[str, dict[str, Result]], folder: Path) -> None:
    """Draw workers and queue over time (workers.svg), and what each strategy waits and costs (workers-compared.svg)."""
    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt

    mpl.rcParams.update(
        {
            "svg.hashsalt": "jetway",
            "svg.fonttype": "none",
            "font.size": 9,
            "axes.spines.top": False,
            "axes.spines.right": False,
        }
    )
    folder.mkdir(parents=True, exist_ok=True)
    figure, axes = plt.subplots(len(results), 2, figsize=(11, 2.1 * len(results)), sharex=True, squeeze=False)
    for (left, right), (load, by_strategy) in zip(axes, results.items(), strict=True):
        for name, result in by_strategy.items():
            # The most of every 20 minutes: a sample now and then would miss the peaks.
            parts = [result.minutes[first : first + 20] for first in range(0, len(result.minutes), 20)]
            hours = [number / 3 for number in range(len(parts))]
            style = {"linewidth": 0.9, "label": name, "color": COLOURS[name]}
            left.plot(hours, [max(minute[1] for minute in part) for part in parts], **style)
            right.plot(hours, [max(minute[4] for minute in part) for part in parts], **style)
        left.set_ylabel(load)
        left.set_title("workers that run" if load == next(iter(results)) else "", loc="left")
        right.set_title("tasks in the queue" if load == next(iter(results)) else "", loc="left")
    for first in axes[min(1, len(results) - 1) : 3]:
        first[0].legend(loc="upper left", fontsize=7, frameon=False)
    for axis in axes[-1]:
        axis.set_xlabel("hours since Monday, 00:00")
    figure.tight_layout()
    figure.savefig(folder / "workers.svg", metadata={"Date": None})
    plt.close(figure)

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3), sharey=True)
    height = 0.8 / len(COLOURS)
    for number, (strategy, colour) in enumerate(COLOURS.items()):
        for row, by_strategy in enumerate(results.values()):
            if strategy in by_strategy:
                result, at = by_strategy[strategy], row + (number - (len(COLOURS) - 1) / 2) * height
                left.barh(at, max(0.1, result.wait(95) / 60), height, color=colour)
                right.barh(at, result.worker_hours, height, color=colour)
        right.barh(0, 0, color=colour, label=strategy)
    left.set_yticks(range(len(results)), list(results))
    left.invert_yaxis()
    left.set_xscale("log")
    left.set_xlabel("minutes")
    left.set_title("p95 wait of a task (the shorter, the better)", loc="left")
    right.set_xlabel("hours in four days")
    right.set_title("worker hours (the fewer, the cheaper)", loc="left")
    right.legend(fontsize=7, frameon=False)
    figure.tight_layout()
    figure.savefig(folder / "workers-compared.svg", metadata={"Date": None})
    plt.close(figure)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench.workers", description=__doc__)
    parser.add_argument("--tune", action="store_true", help="compare the scaler's parameters")
    parser.add_argument("--held", action="store_true", help="no events come in while the environment is UPDATING")
    parser.add_argument("--plot", type=Path, metavar="FOLDER", help="draw pictures there")
    parser.add_argument("--trace", type=Path, metavar="FILE", help="CSV: at,seconds or end_timestamp,duration")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="take one task of the trace's N")
    parser.add_argument("--stretch", type=float, default=1.0, help="the trace's tasks take so many times as long")
    given = parser.parse_args(arguments)
    if given.every < 1 or given.stretch <= 0:
        parser.error("--every is 1 or more, --stretch more than 0.")
    physics = Physics(events_held=given.held)
    if given.tune:
        tune(physics)
        return 0
    loads = LOADS
    if given.trace:
        try:
            tasks = read_trace(given.trace, every=given.every, stretch=given.stretch)
        except (TraceError, OSError) as exc:
            parser.error(str(exc))
        loads = {given.trace.stem: lambda: tasks}
    results = table(physics, loads)
    if given.plot:
        plot(results, given.plot)
    return 0


if __name__ == "__main__":
    sys.exit(main())
