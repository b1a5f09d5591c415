"""A recorded load as CSV, for `--trace`: columns `at,seconds`, or `end_timestamp,duration` of a published trace.

The second form is that of the Azure Functions Invocation Trace 2021, whose licence (CC-BY) lets it be used:
https://github.com/Azure/AzurePublicDataset/blob/master/AzureFunctionsInvocationTrace2021.md
It is not part of this repository: it is downloaded from its publisher, and a test needs no network.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

from tools.bench.workers.loads import DAY, DAYS
from tools.bench.workers.simulation import Task


class TraceError(ValueError):
    """A trace cannot be read; the text says where and what to do."""


def read_trace(path: Path, *, every: int = 1, stretch: float = 1.0) -> list[Task]:
    """Read the first days of a trace, in order of time, its first task at 0.

    Args:
        every: takes one task of so many, for a trace of a larger system than one environment.
        stretch: tasks take so many times as long; invocations of functions are shorter than tasks.

    Raises:
        TraceError: it is no CSV of one of the two forms, or has no task.
        OSError: it cannot be opened.
    """
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        names = set(rows.fieldnames or ())
        if not ({"at", "seconds"} <= names or {"end_timestamp", "duration"} <= names):
            raise TraceError(f"{path}:1: its first line must name the columns at,seconds or end_timestamp,duration.")
        found = sorted(_tasks(rows, path), key=lambda task: task.at)[::every]
    if not found:
        raise TraceError(f"{path}: it has no task.")
    first = found[0].at
    return [Task(task.at - first, task.seconds * stretch) for task in found if task.at - first < DAYS * DAY]


def _tasks(rows: csv.DictReader[str], path: Path) -> Iterator[Task]:
    for row in rows:
        try:
            task = _task(row)
        except (ValueError, TypeError):
            task = None
        if task is None or not math.isfinite(task.at) or not 0 <= task.seconds < math.inf:
            raise TraceError(f"{path}:{rows.line_num}: a time or a duration is no number of seconds.")
        yield task


def _task(row: Mapping[str, str]) -> Task:
    if "at" in row:
        return Task(float(row["at"]), float(row["seconds"]))
    duration = float(row["duration"])
    return Task(float(row["end_timestamp"]) - duration, duration)
