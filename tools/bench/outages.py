"""The MWAA gateway killed at random moments, and Airflow's programs started again when they have died by themselves."""

from __future__ import annotations

import random
from contextlib import suppress
from typing import TYPE_CHECKING

from tools.background import Background
from tools.emulator import airflow, processes
from tools.emulator.airflow import Airflow
from tools.emulator.gateway import service

if TYPE_CHECKING:
    from tools.bench.scene import Weather
    from tools.stack.stack import Stack

_LOOK_SECONDS = 5.0
_TRIES = 5
_DOWN = (0.5, 4.0)  # seconds, at least and at most, that nobody starts it again


class GatewayKiller(Background):
    """Kills the gateway with all that it runs, again and again, until it is told to stop.

    Args:
        weather: begins anew in the new gateway.
        pauses: seconds between two kills, at least and at most; None for never.
    """

    def __init__(self, stack: Stack, weather: Weather, pauses: tuple[float, float] | None, *, seed: int) -> None:
        super().__init__("outages")
        self._stack, self._weather, self._pauses = stack, weather, pauses
        self._random = random.Random(seed)  # noqa: S311 - no secret hangs on it
        self.kills = 0

    def _run(self) -> None:
        while self._pauses is not None and not self._over.wait(self._random.uniform(*self._pauses)):
            self._weather.remember()
            processes.stop_named(self._stack.run_folder, "gateway", grace=0)
            self.kills += 1
            self._over.wait(self._random.uniform(*_DOWN))
            self._start()
            self._weather.again()

    def _start(self) -> None:
        config, folder = self._stack.gateway_config, self._stack.run_folder
        for _ in range(_TRIES):
            with suppress(processes.ProcessError):  # a busy machine takes longer
                service.start(config, folder.parent / "gateway.json", folder=folder)
                return
        raise processes.ProcessError(f"The gateway does not start: see {folder / 'gateway.log'}.")


class AirflowKeeper(Background):
    """Starts Airflow's programs again when they end, as MWAA does with its containers.

    On SQLite the scheduler ends when it cannot write for half a minute, which a busy machine brings about.
    """

    def __init__(self, stack: Stack) -> None:
        super().__init__("keeper")
        self._airflow = Airflow.read(stack.gateway_config.airflow)
        self._programs = len(airflow.running(self._airflow))
        self.restarts = 0

    def _run(self) -> None:
        while not self._over.wait(_LOOK_SECONDS):
            if len(airflow.running(self._airflow)) < self._programs:
                self.restarts += 1
                with suppress(processes.ProcessError):  # not ready in time: looked at again
                    airflow.start(self._airflow)
