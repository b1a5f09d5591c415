"""A kept process: Airflow is imported once, and each question is answered by a child that is forked from it.

python -m jetway_loader.kept --socket PATH [--idle SECONDS], with the listening socket as standard input.

A question is one line of JSON, {"arguments": [...], "environment": {...}, "folder": text, "umask": number}; the
answer is one object, {"status": number, "stdout": text, "stderr": text}, or {"stale": true} when what the process has
imported has changed since. What a child does is gone with it: it has a home and a database of its own, and the process
itself runs nobody's code. It ends when nobody has asked for a while, when it is stale, when its socket is gone, or when
a child has changed its home.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import logging
import os
import selectors
import shutil
import signal
import socket
import struct
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jetway_loader import calls, settings

if TYPE_CHECKING:
    from jetway_loader.__main__ import Load
    from jetway_loader.airflow_api import Airflow
    from jetway_loader.model import Loaded, Options

IDLE_SECONDS = 600.0
_LOOK_SECONDS = 1.0
_LARGEST_QUESTION = 64 * 1024 * 1024  # bytes
_SECONDS_TO_ASK = 10.0
_SECONDS_TO_END = 5.0
_STALE, _CHANGED = 75, 76  # exit statuses of a child


@dataclass
class _Answering:
    """A child that answers, and the connection that it answers on: when that is closed, nobody waits any more."""

    pid: int
    connection: socket.socket
    told_to_end: float | None = None


@dataclass
class Keeper:
    """Answers questions until it is not needed any more.

    Attributes:
        airflow: as it was imported in this process.
        home: AIRFLOW_HOME of this process; children get copies.
        path: of the listening socket.
        idle: seconds without a question after which it ends.
    """

    airflow: Airflow
    home: Path
    listener: socket.socket
    path: Path
    idle: float = IDLE_SECONDS
    _selector: selectors.DefaultSelector = field(default_factory=selectors.DefaultSelector)
    _answering: list[_Answering] = field(default_factory=list)
    _ending: bool = False

    def run(self) -> None:
        """Answer; returns when it ends."""
        before, identity = _state(self.home), _identity(self.path)
        imported, asked = dict(_imported()), time.monotonic()
        selector = self._selector
        selector.register(self.listener, selectors.EVENT_READ)
        while not self._ending or self._answering:
            for key, _ in selector.select(_LOOK_SECONDS):
                if key.fileobj is self.listener:
                    connection = self._accept()
                    if connection is not None:
                        self._fork(connection, imported)
                        selector.register(connection, selectors.EVENT_READ)
                else:
                    self._hear(key.fileobj)
            for one in self._ended():
                selector.unregister(one.connection)
                one.connection.close()
                asked = time.monotonic()
            idle = not self._answering and time.monotonic() - asked > self.idle
            if not self._ending and (idle or _identity(self.path) != identity or _state(self.home) != before):
                self._ending = True
            if self._ending and self.listener in {key.fileobj for key in selector.get_map().values()}:
                selector.unregister(self.listener)
                self.listener.close()  # who connects from now on is refused, and starts another one
                if _identity(self.path) == identity:
                    self.path.unlink(missing_ok=True)

    def _accept(self) -> socket.socket | None:
        connection, _ = self.listener.accept()
        if _is_mine(connection):
            return connection
        connection.close()
        return None

    def _fork(self, connection: socket.socket, imported: dict[str, int]) -> None:
        pid = os.fork()
        if pid == 0:
            leave = os._exit  # which a file may replace in a child of this one, not here
            status = 70
            try:
                self.listener.close()
                self._selector.close()
                for other in self._answering:
                    other.connection.close()
                status = _answer(connection, self.airflow, imported)
            except BaseException:  # the connection is closed without an answer, which says it
                status = 70
            finally:
                leave(status)
        self._answering.append(_Answering(pid, connection))

    def _hear(self, connection: Any) -> None:
        """Who asks says nothing more: what comes is the end of the connection."""
        for one in self._answering:
            if one.connection is connection and one.told_to_end is None and _is_closed(connection):
                one.told_to_end = time.monotonic()
                _signal(one.pid, signal.SIGTERM)

    def _ended(self) -> Iterator[_Answering]:
        for one in list(self._answering):
            if one.told_to_end is not None and time.monotonic() - one.told_to_end > _SECONDS_TO_END:
                _signal(one.pid, signal.SIGKILL)
            pid, status = os.waitpid(one.pid, os.WNOHANG)
            if pid:
                self._answering.remove(one)
                self._ending = self._ending or os.waitstatus_to_exitcode(status) in {_STALE, _CHANGED}
                yield one


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0 it ended as it should, 3 no Airflow that works."""
    parser = argparse.ArgumentParser(prog="python -m jetway_loader.kept", description=__doc__)
    parser.add_argument("--socket", type=Path, required=True, metavar="PATH")
    parser.add_argument("--idle", type=float, default=IDLE_SECONDS, metavar="SECONDS")
    given = parser.parse_args(arguments)
    listener = socket.socket(fileno=os.dup(0))
    listener.setblocking(False)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.close(null)
    with tempfile.TemporaryDirectory(prefix="jetway-kept-") as place, contextlib.ExitStack() as at_end:
        at_end.callback(_take_away_code, given.socket)
        home = Path(place)
        settings.set_up(home, home / "dags")
        calls.install()
        logging.disable(logging.CRITICAL)
        from jetway_loader import airflow_api

        try:
            airflow = airflow_api.load_airflow()
        except ImportError:
            return 3  # who asked hears the same, in words, of a process of its own
        settings.migrate(airflow.version)
        airflow_api.warm_up(airflow)
        _import_what_is_imported_late()
        Keeper(airflow, home, listener, given.socket, given.idle).run()
    return 0


def _take_away_code(beside: Path) -> None:
    """Remove the copy of this program that was made for this process alone, beside its socket."""
    code = Path(__file__).resolve().parents[1]
    if code.suffix == ".code" and code.parent == beside.resolve().parent:
        shutil.rmtree(code, ignore_errors=True)


def _answer(connection: socket.socket, airflow: Airflow, imported: dict[str, int]) -> int:
    """Be the child that answers one question."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # what it has started is ended on the way out
    connection.settimeout(_SECONDS_TO_ASK)
    with connection.makefile("rb") as lines:
        question = json.loads(lines.readline(_LARGEST_QUESTION))
    connection.settimeout(None)
    if any(_changed(path) != at for path, at in imported.items()):
        _tell(connection, {"stale": True})
        return _STALE
    before = _state(Path(os.environ["AIRFLOW_HOME"]))
    kept_home = Path(os.environ["AIRFLOW_HOME"])
    os.umask(question["umask"])
    os.chdir(question["folder"])
    own = {name: value for name, value in os.environ.items() if name.startswith("PYTHON")}
    os.environ.clear()
    os.environ.update({**question["environment"], **own})
    tempfile.tempdir = None
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        from jetway_loader.__main__ import main as load

        try:
            status = load(question["arguments"], _loading_with(airflow, kept_home))
        except SystemExit as exc:  # wrong use
            status = exc.code if isinstance(exc.code, int) else 1
    end = 0 if _state(kept_home) == before else _CHANGED
    _tell(connection, {"status": status, "stdout": out.getvalue(), "stderr": err.getvalue()})
    return end


def _tell(connection: socket.socket, answer: dict[str, Any]) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # who has heard hangs up
    connection.sendall(json.dumps(answer).encode())
    connection.shutdown(socket.SHUT_RDWR)


def _loading_with(airflow: Airflow, kept_home: Path) -> Load:
    """Load as a process does that has just imported Airflow, with a home and a database of its own."""
    from jetway_loader.__main__ import load_with

    def load(home: Path, folder: Path, files: list[str], options: Options, packed: Path | None) -> list[Loaded]:
        template = kept_home / "airflow.db"
        settings.set_up(home, folder, template=template if template.exists() else None)
        settings.move(airflow.version, kept_home, home, folder)
        return load_with(airflow, folder, files, options, packed)

    return load


def _import_what_is_imported_late() -> None:
    """Import what each child would import: of the loader, and what the loader uses of Airflow."""
    from jetway_loader import __main__, loading, local_settings, plugin_loading, template_advice  # noqa: F401

    with contextlib.suppress(ImportError):
        from jetway_loader import jinja_names  # noqa: F401


def _imported() -> Iterator[tuple[str, int]]:
    """The files that this process has imported, and where it looks for more, each with when it was changed."""
    paths = {getattr(module, "__file__", None) for module in list(sys.modules.values())} | set(sys.path)
    for path in paths:
        if isinstance(path, str) and path:
            yield path, _changed(path)


def _changed(path: str) -> int:
    try:
        return Path(path).stat().st_mtime_ns
    except OSError:
        return 0


def _state(home: Path) -> dict[str, tuple[int, int]]:
    """All that is in a folder, with size and time."""
    found = {}
    for path in home.rglob("*"):
        with contextlib.suppress(OSError):
            status = path.lstat()
            found[str(path)] = (status.st_size, status.st_mtime_ns)
    return found


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.lstat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _is_mine(connection: socket.socket) -> bool:
    """Whether the other side is of this user: the folder lets nobody else in, and Linux tells as well."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    size = struct.calcsize("3i")
    _, user, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return bool(user == os.getuid())


def _is_closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


if __name__ == "__main__":
    sys.exit(main())
