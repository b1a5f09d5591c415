"""The MWAA gateway killed at random moments, and started again: the web server of a bad day."""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING

from local import processes
from local.gateway import service

if TYPE_CHECKING:
    from bench.scene import Weather
    from local.stack import Stack

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
