"""What goes on beside a `with` block ends with it, and its error is heard of."""

from __future__ import annotations

import threading

import pytest

from tools.background import Background


class Counting(Background):
    def __init__(self, error: Exception | None = None) -> None:
        super().__init__("counting")
        self.begun = threading.Event()
        self.ended = False
        self._raised = error

    def _run(self) -> None:
        self.begun.set()
        if self._raised is not None:
            raise self._raised
        self._over.wait(60)
        self.ended = True


def test_it_works_until_the_block_ends() -> None:
    with Counting() as counting:
        assert counting.begun.wait(5)
        assert not counting.ended
    assert counting.ended
    assert not any(thread.name == "counting" for thread in threading.enumerate())


def test_what_ends_it_early_is_raised_at_the_end_of_the_block_once() -> None:
    with pytest.raises(ValueError, match="gone"), Counting(ValueError("gone")) as counting:
        assert counting.begun.wait(5)
    counting.stop()
