"""What a file does while it is loaded: looked at about once a second by a thread.

The thread looks when it has Python's lock, so that what it looks at stands still. Of a C call that keeps the lock it
sees the end. (faulthandler's thread looks without it, which ends the process now and then: it follows frames that the
file's own thread has just given back.)
"""

from __future__ import annotations

import linecache
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

_EACH_SECONDS = 1.0
_LONGEST = 100


class Samples:
    """Takes samples from its making on, of the thread that makes it.

    Args:
        file: the judged file's absolute path.
    """

    def __init__(self, file: str) -> None:
        self._file, self._started, self._waited = file, time.perf_counter(), _waited()
        self._met: Counter[tuple[int, str]] = Counter()
        self._whose, self._over = threading.get_ident(), threading.Event()
        with suppress(RuntimeError):  # no more threads are to be had
            threading.Thread(target=self._look, daemon=True).start()

    def stop(self) -> dict[str, Any]:
        """Take no more.

        Returns:
            "busy", the seconds that it took but for those that it waited for a processor that others had; and, where a
            sample met the file, "at" (the line that it was at most often) and "doing", for people.
        """
        self._over.set()
        busy = time.perf_counter() - self._started - (_waited() - self._waited)
        met = self._met.copy()
        if not met:
            return {"busy": busy}
        line, inside = met.most_common(1)[0][0]
        text = linecache.getline(self._file, line).strip()
        shown = text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
        return {"busy": busy, "at": line, "doing": f"`{shown}`{f', in {inside}' if inside else ''}"}

    def _look(self) -> None:
        while not self._over.wait(_EACH_SECONDS):
            found = self._where(sys._current_frames().get(self._whose))
            if found is not None:
                self._met[found] += 1

    def _where(self, innermost: FrameType | None) -> tuple[int, str] | None:
        """The line of the file that is being run, and the function elsewhere that it is in."""
        frame = innermost
        while frame is not None and frame.f_code.co_filename != self._file:
            frame = frame.f_back
        if frame is None or innermost is None:
            return None
        code = innermost.f_code
        elsewhere = code.co_filename != self._file
        return frame.f_lineno, f"{code.co_name} of {'/'.join(Path(code.co_filename).parts[-2:])}" if elsewhere else ""


def _waited() -> float:
    """Seconds that this thread was ready to run and others did; Linux only, elsewhere it is not told."""
    try:
        return int(Path("/proc/self/schedstat").read_text(encoding="ascii").split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0
