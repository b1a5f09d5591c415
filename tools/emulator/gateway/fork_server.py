"""Runs `airflow` commands in processes forked from one that has Airflow imported already.

Started by `runner` with Airflow's own interpreter, as a script: only the standard library and Airflow are at hand.
A command takes 0.2-0.7 s instead of the 2-3 s of a fresh interpreter. It is the real command: the child calls
`airflow.__main__.main()` with its own arguments, output files and database connections, and its exit code,
standard output and standard error are handed back.

Protocol: JSON lines over a socket whose file descriptor is the only argument.
    → {"id": 1, "argv": ["dags", "list"], "seconds": 60}
    ← {"ready": true}
    ← {"id": 1, "exit_code": 0, "stdout": "<base64>", "stderr": "<base64>", "timed_out": false}
At end of file it lets the running commands end, then ends itself; at SIGTERM it kills them.
"""

from __future__ import annotations

import gc
import importlib
import json
import logging
import os
import pkgutil
import select
import signal
import socket
import sys
import tempfile
import time
import traceback
from base64 import b64encode
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any

# Commands that MWAA does not offer, whose modules are costly to import.
_NOT_WARMED = ("api_server", "celery", "kubernetes", "standalone", "webserver", "internal_api", "db_manager", "team")
# What frequent commands import only once they run.
_WARMED = (
    "airflow.api.client.local_client",
    "airflow.api.common.trigger_dag",
    "airflow.dag_processing.dagbag",
    "airflow.migrations.utils",
    "airflow.models.serialized_dag",
    "airflow.www.app",  # Airflow 2
    "alembic.command",
)


@dataclass
class Command:
    """A command that runs."""

    id: int
    stdout: IO[bytes]
    stderr: IO[bytes]
    deadline: float
    timed_out: bool = False


class ForkServer:
    """One socket, any number of commands at once, one thread: forking is safe only without other threads."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._buffer = b""
        self._open = True
        self._commands: dict[int, Command] = {}
        # A child's end writes a byte here, which wakes up select().
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._wake_reader.setblocking(False)
        self._wake_writer.setblocking(False)

    def serve(self) -> None:
        signal.set_wakeup_fd(self._wake_writer.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._terminate)
        self._send({"ready": True})
        while self._open or self._commands:
            readers = [self._wake_reader] + ([self._control] if self._open else [])
            ready, _, _ = select.select(readers, [], [], self._patience())
            if self._wake_reader in ready:
                self._wake_reader.recv(4096)
            self._reap()
            self._kill_late()
            if self._control in ready:
                self._receive()

    def _receive(self) -> None:
        data = self._control.recv(65536)
        if not data:
            self._open = False
            return
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            self._run(json.loads(line))

    def _run(self, request: dict[str, Any]) -> None:
        stdout, stderr = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115 - outlive this call
        pid = os.fork()
        if pid == 0:
            self._child(request["argv"], stdout.fileno(), stderr.fileno())
        self._commands[pid] = Command(request["id"], stdout, stderr, time.monotonic() + float(request["seconds"]))

    def _child(self, argv: list[str], stdout: int, stderr: int) -> None:
        """Become the command; never returns."""
        code = 1
        try:
            os.setpgid(0, 0)  # so that a late command is killed with its children
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            self._control.close()
            os.dup2(stdout, 1)
            os.dup2(stderr, 2)
            sys.argv = ["airflow", *argv]
            code = run_main()
        finally:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            logging.shutdown()
            # Not sys.exit: the parent's own exit handlers are none of the child's business.
            os._exit(code)

    def _reap(self) -> None:
        while self._commands:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            command = self._commands.pop(pid, None)
            if command is not None:
                self._answer(command, os.waitstatus_to_exitcode(status))

    def _answer(self, command: Command, exit_code: int) -> None:
        answer: dict[str, Any] = {"id": command.id, "exit_code": exit_code, "timed_out": command.timed_out}
        for name, file in (("stdout", command.stdout), ("stderr", command.stderr)):
            with file:
                file.seek(0)
                answer[name] = b64encode(file.read()).decode()
        self._send(answer)

    def _send(self, message: dict[str, Any]) -> None:
        try:
            self._control.sendall(json.dumps(message).encode() + b"\n")
        except (BrokenPipeError, ConnectionResetError):
            self._open = False  # nobody listens any more; the commands still run to their end

    def _patience(self) -> float | None:
        """Seconds until the next command is late; None while nothing runs."""
        deadlines = [command.deadline for command in self._commands.values() if not command.timed_out]
        if not deadlines:
            return None
        return max(0.0, min(deadlines) - time.monotonic())

    def _kill_late(self) -> None:
        now = time.monotonic()
        for pid, command in self._commands.items():
            if not command.timed_out and command.deadline <= now:
                command.timed_out = True
                kill_group(pid)

    def _terminate(self, *_: object) -> None:
        for pid in self._commands:
            kill_group(pid)
        os._exit(0)


def kill_group(pid: int) -> None:
    """Kill a command and what it started."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        os.kill(pid, signal.SIGKILL)  # it has not made its group yet; not reaped, so the pid is still its own


def run_main() -> int:
    """Call Airflow's main; return the exit code that the interpreter would have given."""
    try:
        new_connections()
        importlib.import_module("airflow.__main__").main()
    except SystemExit as exc:
        if exc.code is None or isinstance(exc.code, int):
            return (exc.code or 0) & 0xFF
        print(exc.code, file=sys.stderr)
        return 1
    except BaseException:  # noqa: BLE001 - what the interpreter does with an uncaught exception
        traceback.print_exc()
        return 1
    return 0


def new_connections() -> None:
    """Forget the parent's database connections: two processes must not share one."""
    settings = importlib.import_module("airflow.settings")
    for engine in (settings.engine, getattr(getattr(settings, "async_engine", None), "sync_engine", None)):
        if engine is not None:
            engine.dispose(close=False)


def warm_up() -> None:
    """Import and compute what commands will need; what another Airflow version lacks is left out."""
    importlib.import_module("airflow.__main__")
    commands = importlib.import_module("airflow.cli.commands")
    names = [
        module.name
        for module in pkgutil.walk_packages(commands.__path__, "airflow.cli.commands.")
        if not any(word in module.name for word in _NOT_WARMED)
    ]
    for name in [*names, *_WARMED]:
        with suppress(ImportError):
            importlib.import_module(name)
    importlib.import_module("airflow.cli.cli_parser").get_parser()
    importlib.import_module("airflow.models").import_all_models()
    importlib.import_module("sqlalchemy.orm").configure_mappers()
    importlib.import_module("airflow.providers_manager").ProvidersManager().initialize_providers_configuration()
    gc.collect()
    gc.freeze()  # so that the children's garbage collector does not copy our pages


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    warm_up()
    ForkServer(control).serve()


if __name__ == "__main__":
    main()
