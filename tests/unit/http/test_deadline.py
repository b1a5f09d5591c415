"""A deadline ends what hangs, wherever it is when its time comes."""

from __future__ import annotations

import signal
import sys
import time

import pytest

from jetway.http.deadline import DeadlineError, deadline


def test_a_deadline_that_comes_where_exceptions_are_ignored_comes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python prints what a finalizer or a callback of a weak reference raises, and goes on."""
    ignored: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda seen: ignored.append(seen.exc_type))

    class Slow:
        def __del__(self) -> None:
            time.sleep(5)

    def hang() -> None:
        Slow()  # gone at once
        time.sleep(5)

    with pytest.raises(DeadlineError), deadline(0.05):
        hang()
    assert ignored == [DeadlineError]


def test_a_deadline_is_over_with_its_block() -> None:
    with deadline(60):
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 0
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
