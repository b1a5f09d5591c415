"""The MWAA gateway killed at random moments, and Airflow's programs started again when they have died by themselves."""

from __future__ import annotations

import random
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from local import airflow, processes
from local.airflow import Airflow
from local.gateway import service

if TYPE_CHECKING:
    from bench.scene import Weather
    from local.stack import Stack

_LOOK_SECONDS = 5.0
_DOWN = (0.5, 4.0)  # seconds, at least and at most, that nobody starts it again


class GatewayKiller:
    """Kills the gateway with all that it runs, again and again, until it is told to stop.

    Args:
        weather: begins anew in the new gateway.
        pauses: seconds between two kills, at least and at most; None for never.
    """

    def __init__(self, stack: Stack, weather: Weather, pauses: tuple[float, float] | None, *, seed: int) -> None:
        self._stack, self._weather, self._pauses = stack, weather, pauses
        self._random = random.Random(seed)  # noqa: S311 - no secret hangs on it
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="outages", daemon=True)
        self.kills = 0

    def __enter__(self) -> GatewayKiller:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Kill it no more; it runs afterwards."""
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while self._pauses is not None and not self._over.wait(self._random.uniform(*self._pauses)):
            self._weather.remember()
            processes.stop_named(self._stack.run_folder, "gateway", grace=0)
            self.kills += 1
            self._over.wait(self._random.uniform(*_DOWN))
            config = self._stack.gateway_config
            service.start(config, self._stack.run_folder.parent / "gateway.json", folder=self._stack.run_folder)
            self._weather.again()


class AirflowKeeper:
    """Starts Airflow's programs again when they end, as MWAA does with its containers.

    On SQLite the scheduler ends when it cannot write for half a minute, which a busy machine brings about.
    """

    def __init__(self, stack: Stack) -> None:
        self._airflow = Airflow.read(stack.gateway_config.airflow)
        self._programs = len(airflow.running(self._airflow))
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)
        self.restarts = 0

    def __enter__(self) -> AirflowKeeper:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave it to itself."""
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(_LOOK_SECONDS):
            if len(airflow.running(self._airflow)) < self._programs:
                self.restarts += 1
                with suppress(processes.ProcessError):  # not ready in time: looked at again
                    airflow.start(self._airflow)
