"""What a person sees while the local stack works: one line a step, live while it runs, timed when it ends."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from rich.console import Console
from rich.markup import escape


class Progress:
    """Prints steps to a console. Steps may run in threads: each prints its own line when it ends."""

    def __init__(self, console: Console | None = None) -> None:
        # Without a terminal rich takes 80 columns, too few for run ids.
        self.console = console or Console(highlight=False, width=None if sys.stdout.isatty() else 120)
        self._errors = Console(stderr=True, highlight=False, soft_wrap=True)
        self._place = threading.Lock()

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Show that `what` goes on, then how long it took, and ✗ when it failed."""
        started = time.monotonic()
        try:
            with self._live(what):
                yield
        except BaseException:
            self._line("[red]✗[/]", what, started)
            raise
        self._line("[green]✓[/]", what, started)

    @contextmanager
    def _live(self, what: str) -> Iterator[None]:
        """Show a spinner, if this is a terminal and no other step has the only place for one."""
        if not self.console.is_terminal or not self._place.acquire(blocking=False):
            yield
            return
        try:
            with self.console.status(escape(what)):
                yield
        finally:
            self._place.release()

    def _line(self, mark: str, what: str, started: float) -> None:
        seconds = time.monotonic() - started
        self.console.print(f"{mark} [dim]{seconds:6.1f} s[/]  {escape(what)}")

    def say(self, text: str) -> None:
        """Print a line; rich markup is rendered."""
        self.console.print(text)

    def complain(self, text: str) -> None:
        """Print what went wrong, on standard error: standard output may be read by a shell."""
        self._errors.print(text, style="red", markup=False)


def interrupt_when_told_to_end() -> None:
    """Make SIGTERM what Ctrl-C is, so that what was started is stopped."""

    def interrupt(_signal: int, _frame: object) -> NoReturn:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
