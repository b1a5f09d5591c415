"""What a file does while it is loaded: looked at once a second by a thread that no Python code can hold up."""

from __future__ import annotations

import faulthandler
import linecache
import re
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

_EACH_SECONDS = 1.0
_FRAME = re.compile(r'^  File "(?P<file>.+)", line (?P<line>\d+) in (?P<name>.+)$', re.MULTILINE)
_LONGEST = 100


class Samples:
    """Takes samples from its making on.

    Args:
        file: the judged file's absolute path.
    """

    def __init__(self, file: str) -> None:
        self._file, self._started, self._waited = file, time.perf_counter(), _waited()
        self._words = tempfile.TemporaryFile()  # noqa: SIM115 - of a process that ends soon
        with suppress(OSError, RuntimeError, ValueError):
            faulthandler.dump_traceback_later(_EACH_SECONDS, repeat=True, file=self._words)

    def stop(self) -> dict[str, Any]:
        """Take no more.

        Returns:
            "busy", the seconds that it took but for those that it waited for a processor that others had; and, where a
            sample met the file, "at" (the line that it was at most often) and "doing", for people.
        """
        faulthandler.cancel_dump_traceback_later()
        busy = time.perf_counter() - self._started - (_waited() - self._waited)
        self._words.seek(0)
        met = Counter(filter(None, map(self._met, self._words.read().decode(errors="replace").split("Timeout ("))))
        if not met:
            return {"busy": busy}
        line, inside = met.most_common(1)[0][0]
        text = linecache.getline(self._file, line).strip()
        shown = text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
        return {"busy": busy, "at": line, "doing": f"`{shown}`{f', in {inside}' if inside else ''}"}

    def _met(self, sample: str) -> tuple[int, str] | None:
        """The line of the file in a sample, and the function elsewhere that it was in."""
        for thread in sample.split("\n\n"):
            frames = [(frame["file"], int(frame["line"]), frame["name"]) for frame in _FRAME.finditer(thread)]
            line = next((line for file, line, _ in frames if file == self._file), None)
            if line is not None:
                file, _, name = frames[0]
                return line, "" if file == self._file else f"{name} of {'/'.join(Path(file).parts[-2:])}"
        return None


def _waited() -> float:
    """Seconds that this thread was ready to run and others did; Linux only, elsewhere it is not told."""
    try:
        return int(Path("/proc/self/schedstat").read_text(encoding="ascii").split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0
