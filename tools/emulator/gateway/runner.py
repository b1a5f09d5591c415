"""Runs `airflow` commands through the fork server, and keeps that alive."""

from __future__ import annotations

import itertools
import json
import logging
import signal
import socket
import subprocess
import threading
import time
from base64 import b64decode
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

log = logging.getLogger(__name__)

FORK_SERVER = Path(__file__).with_name("fork_server.py")
_START_SECONDS = 120.0
_PAUSE_BETWEEN_STARTS = 1.0
# The fork server itself ends a late command; this much later it is the fork server that hangs.
_PATIENCE_SECONDS = 10.0


class RunnerError(Exception):
    """The fork server is not there, or ended while the command ran: nobody knows what became of the command."""


@dataclass(frozen=True, slots=True)
class CommandResult:
    """What a command left behind.

    Attributes:
        exit_code: negative when a signal ended it.
        timed_out: it was killed because it took too long.
    """

    exit_code: int
    stdout: bytes
    stderr: bytes
    timed_out: bool = False


class Runner(Protocol):
    """Runs `airflow <arguments>`."""

    def run(self, arguments: Sequence[str], seconds: float) -> CommandResult:
        """Run a command to its end.

        Raises:
            RunnerError: the command's fate is unknown.
        """
        ...


class ForkServerRunner:
    """A fork server of its own, started anew whenever it ends.

    Args:
        python: Airflow's interpreter.
        env: the whole environment of the commands.
    """

    def __init__(
        self, python: Path, env: Mapping[str, str], *, cwd: Path | None = None, script: Path = FORK_SERVER
    ) -> None:
        self._argv = [str(python), str(script)]
        self._env = dict(env)
        self._cwd = cwd
        self._ids = itertools.count(1)
        self._lock = threading.Lock()
        self._pending: dict[int, Future[CommandResult]] = {}
        self._ready = threading.Event()
        self._closed = threading.Event()
        self._control: socket.socket | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._keep_alive, name="fork-server", daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int | None:
        """The fork server's process id, once it has started."""
        return self._child.pid if self._child is not None else None

    def is_ready(self) -> bool:
        """Whether commands can be run now."""
        return self._ready.is_set()

    def run(self, arguments: Sequence[str], seconds: float) -> CommandResult:
        if not self._ready.wait(_START_SECONDS):
            raise RunnerError("The fork server does not start; see the gateway's log.")
        future: Future[CommandResult] = Future()
        with self._lock:
            if self._control is None:
                raise RunnerError("The fork server has ended and is being restarted.")
            identity = next(self._ids)
            self._pending[identity] = future
            self._send(self._control, {"id": identity, "argv": list(arguments), "seconds": seconds})
        try:
            return future.result(seconds + _PATIENCE_SECONDS)
        except FutureTimeoutError as exc:
            self._end(signal.SIGKILL)
            raise RunnerError("The fork server hangs and is being restarted.") from exc

    def restart(self, env: Mapping[str, str] | None = None) -> None:
        """Start the fork server anew, so that it sees other packages, plugins or settings.

        Args:
            env: the whole environment of the commands from now on.
        """
        self._ready.clear()
        if env is not None:
            self._env = dict(env)
        self._end(signal.SIGTERM)

    def close(self) -> None:
        """End the fork server and what it runs."""
        self._closed.set()
        self._end(signal.SIGTERM)
        self._thread.join(5)
        self._end(signal.SIGKILL)
        self._thread.join(5)

    def _send(self, control: socket.socket, message: Mapping[str, Any]) -> None:
        try:
            control.sendall(json.dumps(message).encode() + b"\n")
        except OSError as exc:
            # It has just ended: the reader fails what is pending.
            log.info("fork server is gone: %s", exc)

    def _end(self, number: signal.Signals) -> None:
        child = self._child
        if child is not None:
            child.send_signal(number)  # does nothing to a child that has ended already

    def _keep_alive(self) -> None:
        while not self._closed.is_set():
            began = time.monotonic()
            try:
                self._live()
            except OSError:
                log.exception("fork server could not be started")
            self._ready.clear()
            self._fail_pending()
            if not self._closed.is_set():
                log.warning("fork server ended; it is restarted")
                self._closed.wait(max(0.0, began + _PAUSE_BETWEEN_STARTS - time.monotonic()))

    def _live(self) -> None:
        """One life of the fork server: start it, read its answers until it ends."""
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                child = subprocess.Popen(
                    [*self._argv, str(theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    env=self._env,
                    cwd=self._cwd,
                    pass_fds=[theirs.fileno()],
                )
            self._child, self._control = child, ours
            try:
                with ours.makefile("rb") as answers:
                    for line in answers:
                        self._take(json.loads(line))
            finally:
                with self._lock:
                    self._control = None
                child.kill()
                child.wait()

    def _take(self, message: dict[str, Any]) -> None:
        if message.get("ready"):
            self._ready.set()
            return
        with self._lock:
            future = self._pending.pop(message["id"], None)
        if future is not None:
            future.set_result(
                CommandResult(
                    message["exit_code"],
                    b64decode(message["stdout"]),
                    b64decode(message["stderr"]),
                    message["timed_out"],
                )
            )

    def _fail_pending(self) -> None:
        with self._lock:
            pending, self._pending = self._pending, {}
        for future in pending.values():
            future.set_exception(RunnerError("The fork server ended while the command ran."))
