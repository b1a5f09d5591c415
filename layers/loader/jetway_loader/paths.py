"""MWAA's paths: /usr/local/airflow/dags and its neighbours lead to the copies that are loaded here.

On MWAA the dags folder is /usr/local/airflow/dags, and files say so: in open(), glob, sys.path, configparser. Lambda
allows no mount and no link outside /tmp, and nobody is root on a laptop: so Python's own functions that take a path
are led (calls.py). To a file that is loaded its own place, AIRFLOW_HOME and the working folder are MWAA's, too.

What a file writes there goes beside the copy, which stays as it is; on MWAA the folder may be copied over at any time,
so who writes relies on what is only there. What C opens by itself (a shared library's own fopen) is not led.
"""

from __future__ import annotations

import os
import posixpath
import re
import shutil
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

AIRFLOW = "/usr/local/airflow"
DAGS = f"{AIRFLOW}/dags"
PLUGINS = f"{AIRFLOW}/plugins"

# What is known of MWAA's environment variables: they name its folders.
VARIABLES = {
    "AIRFLOW_HOME": AIRFLOW,
    "HOME": AIRFLOW,
    "AIRFLOW__CORE__DAGS_FOLDER": DAGS,
    "AIRFLOW__CORE__PLUGINS_FOLDER": PLUGINS,
}

WRITTEN = "written"  # in the real home: what files write, one folder for each process
_MOST_READ = 1000  # paths that are told of one file

_NAMED = re.compile(rf"{AIRFLOW}[^\s'\"`,;:)\]>]*")
_ABSENT = re.compile(
    r"no such file|not found|(?:can ?not|unable to|failed to|could not) (?:open|load|read|find)|does not exist"
    r"|error reading|no files? (?:found|match)",
    re.IGNORECASE,
)

Note = Callable[[str, str, int | None], None]
Line = Callable[[], int | None]


@dataclass(frozen=True)
class Mount:
    """A folder of MWAA's and where its copy is.

    Attributes:
        seen: absolute path on MWAA, normal.
        there: absolute path here.
        whole: the copy has all that MWAA has: what is not in it is not there.
    """

    seen: str
    there: str
    whole: bool = False


@dataclass(frozen=True)
class Place:
    """Where a path leads: `seen` on MWAA, `there` here, below a mount or the mount itself."""

    seen: str
    there: str
    mount: Mount


def mounts_of(folder: Path, home: Path, *, whole: bool = True) -> tuple[Mount, ...]:
    """Return the mounts for a dags folder and a home of Airflow's, deepest first.

    A machine that has /usr/local/airflow itself (MWAA's own image, for example) keeps all of it but the dags folder:
    Python's packages may be there.

    Args:
        folder: the copy of the dags folder.
        home: AIRFLOW_HOME on this machine.
        whole: the copy has all that is in the dags folder.
    """
    mounts = [Mount(DAGS, str(folder), whole), Mount(PLUGINS, str(home / "plugins"))]
    if not _exists(AIRFLOW):
        mounts.append(Mount(AIRFLOW, str(home)))
    return tuple(mounts)


def placed(path: str, here: str, mounts: tuple[Mount, ...]) -> Place | None:
    """Return where a path leads; None when it is none of MWAA's.

    Args:
        path: as somebody wrote it.
        here: the working folder, for relative ones.
        mounts: deepest first.
    """
    seen = path if path.startswith("/") else f"{here}/{path}"
    if "airflow" not in seen:
        return None
    seen = posixpath.normpath(seen)
    for mount in mounts:
        if seen == mount.seen or seen.startswith(mount.seen + "/"):
            end = "/" if path.endswith("/") else ""
            return Place(seen, mount.there + seen[len(mount.seen) :] + end, mount)
    return None


def as_on_mwaa(path: str, mounts: tuple[Mount, ...]) -> str:
    """Return a path of this machine as MWAA has it; unchanged when it is in none of the copies."""
    for mount in mounts:
        if path == mount.there or path.startswith(mount.there + "/"):
            return mount.seen + path[len(mount.there) :]
    return path


def told_to_programs(text: str, mounts: tuple[Mount, ...]) -> str:
    """Return an argument of a program with MWAA's paths as they are here: programs are not led."""
    for mount in mounts:
        parts = text.split(mount.seen)
        text = parts[0] + "".join(
            (mount.there if not part or not (part[0].isalnum() or part[0] in "_-.") else mount.seen) + part
            for part in parts[1:]
        )
    return text


def not_led(text: str) -> list[str]:
    """Return files that an error calls missing and that are in the copy: C looked for them where they are on MWAA."""
    message = text.rstrip().rpartition("\n")[2]
    named = _NAMED.findall(message) if _ABSENT.search(message) else []
    return [path for path in named if PATHS.leads and os.path.lexists(path)]


class Paths:
    """Where MWAA's paths lead in this process. One for a process, like the functions that ask it."""

    def __init__(self) -> None:
        self.mounts: tuple[Mount, ...] = ()
        self._written = ""
        self._note: Note = lambda *_: None
        self._line: Line = lambda: None
        self._read: dict[str, None] = {}
        self._has_written = False
        self.last: str | None = None  # what was opened or looked for last, below the dags folder

    @property
    def leads(self) -> bool:
        """Whether anything is led: only in a child that loads a file."""
        return bool(self.mounts)

    def read(self) -> list[str]:
        """What the file and its modules have read or asked for below the dags folder: files, and folders with a "/"."""
        return sorted(self._read)

    def lead(
        self,
        mounts: tuple[Mount, ...],
        written: Path,
        note: Note,
        line: Line,
    ) -> None:
        """Lead from now on, in the child that loads a file.

        Args:
            mounts: deepest first.
            written: a folder of this process for what the file writes; it need not be there.
            note: gets "file", the path on MWAA and the line, when the file relies on one that only MWAA has.
            line: tells the line of the judged file that is being run; None when none is.
        """
        self.mounts, self._written, self._note, self._line = mounts, str(written), note, line

    def to(self, path: Any, *, writes: bool = False, lists: bool = False) -> Any:
        """Return where a path leads; what is no path, or none of MWAA's, comes back as it is.

        Args:
            path: a text, bytes or a path's object, as Python's functions take it.
            writes: whether something is to be made or changed there.
            lists: whether it is to be listed.
        """
        if path is None or isinstance(path, int):
            return path
        try:
            text = os.fspath(path)
        except TypeError:
            return path
        place = self._place(os.fsdecode(text))
        if place is None:
            return path
        there = self._writable(place) if writes else self._readable(place, lists=lists)
        return os.fsencode(there) if isinstance(text, bytes) else there

    def written_beside(self, path: Any) -> Any:
        """The folder with what was written to a folder that is in the copy too; None when there is nothing."""
        if not self._has_written or path is None or isinstance(path, int):
            return None
        place = self._place(os.fsdecode(os.fspath(path)))
        above = self._above(place) if place else ""
        return above if place and _is_folder(place.there) and _is_folder(above) else None

    def _place(self, path: str) -> Place | None:
        """Where a path leads. A relative one needs no help, but out of the home into another copy."""
        if path.startswith("/"):
            return placed(path, "", self.mounts)
        if not path:
            return None
        place = placed(path, as_on_mwaa(_cwd(), self.mounts), self.mounts)
        return None if place is None or place.mount.seen == AIRFLOW else place

    def _above(self, place: Place) -> str:
        return self._written + place.seen[len(AIRFLOW) :]

    def _readable(self, place: Place, *, lists: bool) -> str:
        above = self._above(place)
        if self._has_written and _exists(above) and not (_is_folder(above) and _is_folder(place.there)):
            return above
        self._watch(place, lists=lists)
        return place.there

    def _writable(self, place: Place) -> str:
        """A place beside the copy; a file that is in the copy is there first."""
        above = self._above(place)
        line = self._line()
        if line is not None:
            self._note("file", place.seen, line)
        parent = posixpath.dirname(above)
        if not _exists(above) and (_is_folder(posixpath.dirname(place.there)) or _is_folder(parent)):
            self._has_written = True
            with suppress(OSError):
                Path(parent).mkdir(parents=True, exist_ok=True)
                if not _is_folder(place.there) and _exists(place.there):
                    _copy(place.there, above)
        return above

    def _watch(self, place: Place, *, lists: bool) -> None:
        """Remember what is read below the dags folder, and note what only MWAA has."""
        line = None if _is_importing() else self._line()
        if line is None:
            return
        if not place.mount.whole and not _exists(place.there):
            self._note("file", place.seen, line)
        if place.mount.seen != DAGS:
            return
        name = place.seen[len(place.mount.seen) + 1 :]
        if lists:
            name = f"{name}/" if name else "/"
        if name and not name.endswith((".py", ".pyc")):
            self.last = name
            if len(self._read) < _MOST_READ:
                self._read.setdefault(name)


def _is_importing() -> bool:
    """Whether Python looks for a module just now, in every folder of its path; not when it reads for pkgutil."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(_OWN):
        frame = frame.f_back
    if frame is None or not frame.f_code.co_filename.startswith(("<frozen importlib", "<frozen zipimport")):
        return False
    if frame.f_code.co_name != "get_data":
        return True
    return frame.f_back is not None and frame.f_back.f_code.co_name == "get_code"  # a module, or what is kept of it


# They work on this machine's paths, whatever is put in their place afterwards.
_OWN = str(Path(__file__).parent)
_lstat, _stat, _cwd, _copy = os.lstat, os.stat, os.getcwd, shutil.copyfile


def _exists(path: str) -> bool:
    try:
        _lstat(path)
    except (OSError, ValueError):
        return False
    return True


def _is_folder(path: str) -> bool:
    try:
        return stat.S_ISDIR(_stat(path).st_mode)
    except (OSError, ValueError):
        return False


PATHS = Paths()


def be_mwaa(mounts: tuple[Mount, ...], note: Note, line: Line) -> None:
    """Have this process, which loads a file, see MWAA's paths: led, in its variables, on Python's path, in Airflow.

    Args:
        mounts: deepest first.
        note: as of `Paths.lead`.
        line: as of `Paths.lead`.
    """
    home = os.environ["AIRFLOW_HOME"]
    with suppress(OSError):  # of a machine that has MWAA's folder, and gives it to others
        os.chdir(home if mounts[-1].seen == AIRFLOW else AIRFLOW)
    environ: Any = os.environ
    for name, value in VARIABLES.items():  # not by putenv: programs that are started need this machine's
        environ._data[environ.encodekey(name)] = environ.encodevalue(value)
    PATHS.lead(mounts, Path(home, WRITTEN, str(os.getpid())), note, line)
    own = [place for place in sys.path if place]  # the working folder is another one now, and not on MWAA's path
    sys.path[:] = dict.fromkeys(as_on_mwaa(place, mounts) for place in [*own, mounts[0].there])
    # Python remembers for good that a folder on its path was not there. Others stay: each is pages of memory to copy.
    for place, finder in list(sys.path_importer_cache.items()):
        if finder is None or place.startswith(AIRFLOW):
            del sys.path_importer_cache[place]
    for name in ("airflow.configuration", "airflow.settings"):
        module = sys.modules.get(name)
        for attribute, value in list(vars(module).items()) if module else ():
            if isinstance(value, str) and as_on_mwaa(value, mounts) != value:
                setattr(module, attribute, as_on_mwaa(value, mounts))
