"""The folder for temporary files, which is all that a file can write to: clean before each load, whatever was there.

Nothing is deleted on a machine that is somebody's. Only where Lambda runs this, or where the folder is marked as
nothing but ours, all of it is.
"""

from __future__ import annotations

import os
import stat
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from itertools import count
from pathlib import Path

MARK = ".jetway-sandbox"
SPENT = 75  # exit status of a process that cannot be made clean: a fresh one must go on. jetway.loading knows it, too
_BOOTSTRAP = Path("/var/runtime/bootstrap")  # of Lambda's managed runtimes
_SHARED = Path("/dev/shm")  # noqa: S108 - emptied, not used
_SECONDS = 20.0
_SPARE_BYTES, _SPARE_FILES = 80 * 1024**2, 2_000  # that a load needs beside what is unpacked


def is_ours() -> bool:
    """Whether all temporary files of this machine are the loader's."""
    return _BOOTSTRAP.exists() or _marked()


def wipe() -> bool:
    """Remove all temporary files, of a machine where they are the loader's; return whether that is done."""
    folder, marked = Path(tempfile.gettempdir()), _marked()
    done = empty(folder, frozenset({MARK}) if marked else frozenset())
    return (not _BOOTSTRAP.exists() or not _SHARED.is_dir() or empty(_SHARED)) and done


def empty(folder: Path, keep: frozenset[str] = frozenset()) -> bool:
    """Remove all that is in a folder, however deep it is and whatever may be done with it; return whether that is done.

    A folder in it is moved up before it is looked into, so that no path gets long.

    Args:
        folder: that stays itself. Where there is a link in its place, nothing is removed.
        keep: names in it that stay.
    """
    deadline, prefix, moved = time.monotonic() + _SECONDS, f"gone-{time.monotonic_ns()}-", count()
    if folder.is_symlink():
        return False
    try:
        _open_up(folder)
        while time.monotonic() < deadline:
            entries = [entry for entry in folder.iterdir() if entry.name not in keep]
            if not entries:
                return True
            for entry in entries:
                if not _is_folder(entry):
                    entry.unlink()
                    continue
                _open_up(entry)
                for inner in list(entry.iterdir()):
                    if _is_folder(inner):
                        _open_up(inner)  # only what may be written to can be moved
                        inner.rename(folder / f"{prefix}{next(moved)}")
                    else:
                        inner.unlink()
                entry.rmdir()
    except OSError:
        return False
    return False


def _is_folder(path: Path) -> bool:
    return stat.S_ISDIR(path.lstat().st_mode)


def _open_up(folder: Path) -> None:
    with suppress(OSError):
        folder.chmod(stat.S_IRWXU)


def has_room(size: int, files: int) -> bool:
    """Whether there is room for what is unpacked, and for a load.

    Args:
        size: bytes.
        files: their number, folders included.
    """
    there = os.statvfs(tempfile.gettempdir())
    enough = there.f_bavail * there.f_frsize >= size + _SPARE_BYTES
    return enough and (there.f_files == 0 or there.f_favail >= files + _SPARE_FILES)


State = Mapping[str, tuple[int, int, int, int]]


def state(folder: Path) -> State:
    """What is in a folder: of each file its number, size, mode and last change; of a folder that it is there."""
    found: dict[str, tuple[int, int, int, int]] = {}
    waiting = [str(folder)]
    while waiting:
        place = waiting.pop()
        with os.scandir(place) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                    found[entry.path] = (0, 0, 0, 0)
                else:
                    told = entry.stat(follow_symlinks=False)
                    found[entry.path] = (told.st_ino, told.st_size, told.st_mode, told.st_ctime_ns)
    return found


def _marked() -> bool:
    return (Path(tempfile.gettempdir()) / MARK).is_file()
