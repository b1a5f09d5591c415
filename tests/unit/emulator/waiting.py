"""Waiting for something that another thread or process does."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_for(predicate: Callable[[], object], seconds: float = 30.0) -> None:
    """Poll until the predicate holds; fail after a deadline that no healthy machine reaches."""
    deadline = time.monotonic() + seconds
    while not predicate():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)
