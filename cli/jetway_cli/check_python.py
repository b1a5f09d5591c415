"""A Python of a certain version on this machine, wherever people have it: uv, PATH, pyenv, mise, asdf, Homebrew."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

_SECONDS = 20.0  # a Python that has not been started for long may be slow
_VERSION = "import sys; print('%d.%d' % sys.version_info[:2])"
_USUAL = ("/usr/local/bin", "/usr/bin", "/opt/homebrew/bin", "/home/linuxbrew/.linuxbrew/bin", "/opt/local/bin")


def find_python(wanted: str, uv: str, *, environ: Mapping[str, str], home: Path) -> Path | None:
    """Return a Python of that version which works; nothing is downloaded.

    Args:
        wanted: for example "3.12".
        uv: the program, which knows its own Pythons and those on PATH.
        environ: the environment variables.
        home: the user's home folder.
    """
    for python in dict.fromkeys(_candidates(wanted, uv, environ, home)):
        if _said([str(python), "-c", _VERSION]) == wanted:
            return python
    return None


def _candidates(wanted: str, uv: str, environ: Mapping[str, str], home: Path) -> Iterator[Path]:
    if ".".join(map(str, sys.version_info[:2])) == wanted:
        # Not that of a virtual environment, which may go away.
        yield Path(getattr(sys, "_base_executable", sys.executable))
    found = _said([uv, "python", "find", "--system", "--no-config", "--no-python-downloads", wanted])
    if found:
        yield Path(found)
    program = f"python{wanted}"
    yield from (Path(place, program) for place in environ.get("PATH", "").split(os.pathsep) if place)
    for folder in (
        Path(environ.get("PYENV_ROOT") or home / ".pyenv", "versions"),
        Path(environ.get("MISE_DATA_DIR") or home / ".local/share/mise", "installs/python"),
        Path(environ.get("ASDF_DATA_DIR") or home / ".asdf", "installs/python"),
    ):
        versions = folder.glob(f"{wanted}*") if folder.is_dir() else ()
        yield from (version / "bin" / program for version in sorted(versions, key=_newest_last, reverse=True))
    yield from (Path(place, program) for place in _USUAL)


def _newest_last(folder: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", folder.name)]


def _said(command: list[str]) -> str | None:
    """What a program prints; None when it cannot be run or fails, as pyenv's shims do without a version."""
    own = {name: value for name, value in os.environ.items() if name not in {"VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME"}}
    try:
        done = subprocess.run(
            command, env=own, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
