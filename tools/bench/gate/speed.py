"""How long `jetway check --load` takes, from the command line and back, and reading alone."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jetway.artifacts.findings import Candidate
from jetway.artifacts.python.dag_file import check_dag_file
from jetway_cli.check import environment_of
from tools.bench.gate.corpus import good

MANY = 100
TIMES = 10
READ = 1000


@dataclass(frozen=True)
class Speed:
    """Seconds.

    Attributes:
        one: of a check of one file, with the process that was kept.
        all: of one of `many` files.
        read: of reading one file.
        load: of the machine, over the last minute.
    """

    one: Sequence[float]
    all: Sequence[float]
    many: int
    read: Sequence[float]
    load: float
    processors: int


def see(version: str, gate: Path, folder: Path) -> Speed:
    """Measure.

    Args:
        gate: the Python that is loaded with.
        folder: to write files to.
    """
    dags = folder / "dags"
    dags.mkdir()
    for number in range(MANY):
        (dags / f"dag_{number}.py").write_text(good(f"dag_{number}"))
    _check(version, gate, dags / "dag_0.py")  # the process is kept from now on
    one = [_check(version, gate, dags / "dag_0.py") for _ in range(TIMES)]
    many = [_check(version, gate, dags) for _ in range(TIMES // 2)]
    return Speed(one, many, MANY, _read(version), os.getloadavg()[0], os.cpu_count() or 1)


def _check(version: str, gate: Path, path: Path) -> float:
    command = [sys.executable, "-m", "jetway_cli", "check", "--load", "--airflow-python", str(gate)]
    started = time.perf_counter()
    done = subprocess.run(
        [*command, "--airflow-version", version, str(path)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"the check failed: {done.stdout[-1000:]}{done.stderr[-1000:]}")
    return time.perf_counter() - started


def _read(version: str) -> list[float]:
    facts, times = environment_of(version), []
    for number in range(READ):
        content = good(f"dag_{number}").encode()
        started = time.perf_counter()
        check_dag_file(Candidate(f"dags/dag_{number}.py", len(content), content), facts)
        times.append(time.perf_counter() - started)
    return times[1:]  # the first one imports
