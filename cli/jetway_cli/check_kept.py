"""The kept process of `jetway check --load`: found, started and asked.

Importing Airflow takes two seconds and more; a process that has done so answers within a fraction of one. Its socket
lies in a folder that only this user can enter. The socket's name is made of all that the answer depends on and that the
process cannot change afterwards: the Python, Jetway's own code, and what a process inherits. Whether what it has
imported is still what is installed it looks up itself, at each question.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jetway_loader

_NAMESPACES = ("mnt", "pid", "user")
_WAITING = 64  # connections that wait while it starts
_PIECE = 1 << 20
_SECONDS_TO_FORGET = 86400.0


@dataclass(frozen=True, slots=True)
class Said:
    """What a kept process answers.

    Attributes:
        status: exit status that a process of its own would have.
        stdout: what it would print.
        stderr: the same, for people.
    """

    status: int
    stdout: str
    stderr: str


class KeptLoader:
    """A kept process for one Python.

    Args:
        python: of a virtual environment that has Airflow.
        environment: the environment variables that it is started with.
        idle: seconds without a question after which it ends; None for its own default.
    """

    def __init__(self, python: Path, environment: Mapping[str, str], *, idle: float | None = None) -> None:
        self._python, self._environment, self._idle = python.absolute(), dict(environment), idle

    def ask(self, arguments: Sequence[str], *, seconds: float) -> Said | None:
        """Ask it, and start it first where there is none.

        Args:
            arguments: of jetway_loader.
            seconds: to wait for the answer, with what starting takes.

        Returns:
            None when there is none to be had: the question has to be put to a process of its own.
        """
        place = _private_folder()
        if place is None:
            return None
        path = place / self._name()
        for _ in range(2):  # the second time for one that was stale, or was just ending
            try:
                connection = self._connection(path)
                answer = self._answer(connection, arguments, seconds)
            except (ConnectionResetError, BrokenPipeError):  # it was ending
                answer = None
            except (OSError, ValueError):
                return None
            if answer is not None and "stale" not in answer:
                return Said(int(answer["status"]), str(answer["stdout"]), str(answer["stderr"]))
            with suppress(OSError):
                path.unlink()
        return None

    def _name(self) -> str:
        """Short: a socket's path may have about a hundred characters."""
        known: list[Any] = [str(self._python), *_code(), os.getuid(), socket.gethostname()]
        known += [self._environment.get(name) for name in ("LANG", "LC_ALL", "PYTHONPATH")]
        known += [_namespace(name) for name in _NAMESPACES]
        import resource

        limits = (
            "RLIMIT_AS",
            "RLIMIT_CPU",
            "RLIMIT_DATA",
            "RLIMIT_FSIZE",
            "RLIMIT_NOFILE",
            "RLIMIT_NPROC",
            "RLIMIT_STACK",
        )
        known += [resource.getrlimit(getattr(resource, name)) for name in limits if hasattr(resource, name)]
        return hashlib.sha256(repr(known).encode()).hexdigest()[:16]

    def _connection(self, path: Path) -> socket.socket:
        """Connect; one that nobody listens at any more is replaced, by one process at a time."""
        with suppress(FileNotFoundError, ConnectionRefusedError):
            return _connected(path)
        with path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with suppress(FileNotFoundError, ConnectionRefusedError):
                return _connected(path)
            self._start(path)
            return _connected(path)

    def _start(self, path: Path) -> None:
        """Start a process. The socket exists before it, so a client that connects meanwhile waits for its answer."""
        for old in path.parent.glob(f"{path.name}-*.code"):  # of one that was killed
            if time.time() - old.stat().st_mtime > _SECONDS_TO_FORGET:
                shutil.rmtree(old, ignore_errors=True)
        # It takes its copy of the code away when it ends.
        code = Path(tempfile.mkdtemp(dir=path.parent, prefix=f"{path.name}-", suffix=".code"))
        shutil.copytree(Path(jetway_loader.__file__).parent, code / "jetway_loader", ignore=_without_bytecode)
        path.unlink(missing_ok=True)
        try:
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(str(path))
                listener.listen(_WAITING)
                self._run(path, listener, code)
        except OSError:
            path.unlink(missing_ok=True)
            shutil.rmtree(code, ignore_errors=True)
            raise

    def _run(self, path: Path, listener: socket.socket, code: Path) -> None:
        command = [str(self._python), "-m", "jetway_loader.kept", "--socket", str(path)]
        command += ["--idle", str(self._idle)] if self._idle is not None else []
        settings = {"PYTHONPATH": str(code), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONSAFEPATH": "1"}
        process = subprocess.Popen(
            command,
            stdin=listener.fileno(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={**self._environment, **settings},
            start_new_session=True,
        )
        process.returncode = 0  # it lives on: nobody waits for it, and nobody is to be warned of that

    def _answer(self, connection: socket.socket, arguments: Sequence[str], seconds: float) -> dict[str, Any] | None:
        question = {
            "arguments": list(arguments),
            "environment": self._environment,
            "folder": str(Path.cwd()),
            "umask": _umask(),
        }
        with connection:
            connection.settimeout(seconds)
            connection.sendall(json.dumps(question).encode() + b"\n")
            heard = bytearray()
            while piece := connection.recv(_PIECE):
                heard += piece
        if not heard:
            return None
        answer: dict[str, Any] = json.loads(heard)
        return answer


def _without_bytecode(_folder: str, names: list[str]) -> set[str]:
    return {name for name in names if name == "__pycache__"}


def _private_folder() -> Path | None:
    """A folder that is this user's alone; None where there can be none: then nothing is kept."""
    given = os.environ.get("XDG_RUNTIME_DIR")
    folder = Path(given, "jetway") if given else Path(tempfile.gettempdir(), f"jetway-{os.getuid()}")
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
    except OSError:
        return None
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or stat.S_IMODE(status.st_mode) & 0o077:
        return None  # another user made it
    return folder


def _connected(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(str(path))
    except OSError:
        connection.close()
        raise
    return connection


def _code() -> list[str]:
    """What jetway_loader is."""
    folder = Path(jetway_loader.__file__).parent
    return [f"{file.name} {hashlib.sha256(file.read_bytes()).hexdigest()}" for file in sorted(folder.glob("*.py"))]


def _namespace(name: str) -> str:
    """Where Linux runs this process: in another container the same path is another file."""
    try:
        return str(Path("/proc/self/ns", name).readlink())
    except OSError:
        return ""


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
