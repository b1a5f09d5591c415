"""How often operations may be called: MWAA's throttle, as a token bucket for everybody who calls.

AWS gives one figure for InvokeRestApi, ten calls a second, and does not say for whom: the strict reading is for all
callers of an account together. For the two tokens AWS gives none.
https://docs.aws.amazon.com/mwaa/latest/userguide/mwaa-faqs.html
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping


class Throttle:
    """A bucket for each operation, which holds what may be called within a second."""

    def __init__(self, rates: Mapping[str, float], *, clock: Callable[[], float] = time.monotonic) -> None:
        """Take the rates; the buckets are full.

        Args:
            rates: calls a second by operation; 0, or an operation that is not there, has no bound.
            clock: seconds.
        """
        self._lock = threading.Lock()
        self._clock = clock
        self._rates = dict(rates)
        self._levels: dict[str, tuple[float, float]] = {}  # calls that are left, and when that was so

    @property
    def rates(self) -> dict[str, float]:
        """Calls a second by operation."""
        with self._lock:
            return dict(self._rates)

    def change(self, rates: Mapping[str, float]) -> None:
        """Put other rates in force; operations that are not named keep theirs.

        Raises:
            ValueError, TypeError: a rate is no number from 0 on.
        """
        for operation, rate in rates.items():
            if isinstance(rate, bool) or not isinstance(rate, int | float):
                raise TypeError(f"calls a second of {operation} must be a number")
            if not 0 <= rate < float("inf"):
                raise ValueError(f"calls a second of {operation} must be 0 (no bound) or more")
        with self._lock:
            self._rates |= rates
            self._levels.clear()

    def admits(self, operation: str) -> bool:
        """Whether the operation may be called now; uses one call up."""
        with self._lock:
            rate = self._rates.get(operation, 0.0)
            if rate == 0:
                return True
            now, most = self._clock(), max(1.0, rate)
            left, then = self._levels.get(operation, (most, now))
            left = min(most, left + (now - then) * rate)
            admitted = left >= 1
            self._levels[operation] = (left - admitted, now)
            return admitted
