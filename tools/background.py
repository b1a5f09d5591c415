"""Something that goes on beside a `with` block until that ends."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from typing import Self


class Background(ABC):
    """A thread that works from the beginning of a `with` block to its end, and whose error is raised there."""

    def __init__(self, name: str) -> None:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._error: Exception | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Wait until it has ended.

        Raises:
            Exception: what has ended it before its time.
        """
        self._over.set()
        self._thread.join()
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _work(self) -> None:
        try:
            self._run()
        except Exception as exc:  # noqa: BLE001 - raised where somebody hears of it
            self._error = exc

    @abstractmethod
    def _run(self) -> None:
        """Work, and look at `_over` or wait for it."""
