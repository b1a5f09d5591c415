"""Processor time and memory of Airflow's programs, as MWAA's containers would have them.

The scheduler's process is the Scheduler, whatever it has started (the local executor and its tasks) the workers.
Where the system does not tell (macOS) they are 0.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from tools.emulator import processes
from tools.emulator.gateway.metrics import Load
from tools.emulator.processes import Usage

if TYPE_CHECKING:
    from tools.emulator.airflow import Airflow

_CLUSTERS = {
    "airflow-api-server": "WebServer",
    "airflow-webserver": "WebServer",
    "airflow-scheduler": "Scheduler",
    "airflow-dag-processor": "Scheduler",
}


class LoadMeter:
    """Loads since the last measurement."""

    def __init__(self, airflow: Airflow, clock: Callable[[], float] = time.monotonic) -> None:
        self._airflow = airflow
        self._clock = clock
        self._before = self._now()
        self._at = clock()

    def measure(self) -> Mapping[str, Load]:
        """Loads by cluster: "Worker", "Scheduler", "WebServer"."""
        now, at = self._now(), self._clock()
        elapsed = max(at - self._at, 0.001)
        loads = {}
        for cluster, usage in now.items():
            used = usage.seconds - self._before.get(cluster, Usage()).seconds
            # A restart of Airflow begins to count at 0 again.
            loads[cluster] = Load(max(0.0, used) / elapsed, usage.memory)
        self._before, self._at = now, at
        return loads

    def _now(self) -> dict[str, Usage]:
        totals: dict[str, Usage] = {}
        for name, cluster in _CLUSTERS.items():
            process = processes.find(self._airflow.run_folder, name)
            if process is None:
                continue
            leader, others = processes.usage(process)
            totals[cluster] = totals.get(cluster, Usage()) + leader
            rest = "Worker" if name == "airflow-scheduler" else cluster
            totals[rest] = totals.get(rest, Usage()) + others
        return totals
