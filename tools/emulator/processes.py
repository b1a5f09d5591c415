"""Programs of the local stack: started, found again by a later command, and stopped with all they started.

Each program leads a session of its own, writes `<folder>/<name>.log`, and is remembered in
`<folder>/<name>.pid`, so that `make down` finds what `make up` started. A pid file also holds the moment at
which the process started: a pid that the system has given to somebody else is never taken for ours.

    process = start("scheduler", ["airflow", "scheduler"], folder=Path("run"), env={...})
    wait_until(is_ready, seconds=60, what="the scheduler", processes=[process])
    stop(process)
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil

_POLL_SECONDS = 0.05
_PRECISION = 2.0  # seconds; the system tells in whole seconds when it started
_ENDED = {psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD}
# Our own children, so that they are reaped: without it a dead child stays a zombie and looks alive.
_children: dict[int, subprocess.Popen[bytes]] = {}


class ProcessError(RuntimeError):
    """A program did not start, ended early, or did not become ready. The text ends with its log's last lines."""


@dataclass(frozen=True, slots=True)
class Process:
    """A program that was started.

    Attributes:
        started: the moment the process started, in seconds since the system did; with the pid, its identity.
        log: the file that has its standard output and standard error.
        pid_file: the file that remembers it.
    """

    name: str
    pid: int
    started: str
    log: Path
    pid_file: Path


@dataclass(frozen=True, slots=True)
class Usage:
    """Processor seconds used since the start, and memory in bytes, shared pages shared out among their users."""

    seconds: float = 0.0
    memory: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(self.seconds + other.seconds, self.memory + other.memory)


def start(name: str, argv: Sequence[str], *, folder: Path, env: Mapping[str, str], cwd: Path | None = None) -> Process:
    """Start a program in a session of its own, or return the one of that name that runs already.

    Args:
        folder: where its log (appended to) and its pid file are kept; made when missing.
        env: the whole environment of the program.

    Raises:
        ProcessError: the program could not be started at all.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # `make up` and the gateway may both be about to start Airflow.
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return find(folder, name) or _start(name, argv, folder=folder, env=env, cwd=cwd)


def _start(name: str, argv: Sequence[str], *, folder: Path, env: Mapping[str, str], cwd: Path | None) -> Process:
    log = folder / f"{name}.log"
    with log.open("ab") as output:
        try:
            child = subprocess.Popen(
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(env),
                cwd=cwd,
                start_new_session=True,
            )
        except OSError as exc:
            raise ProcessError(f"{name} could not be started: {exc}") from exc
    _children[child.pid] = child
    process = Process(name, child.pid, _started(child.pid) or "", log, folder / f"{name}.pid")
    _write_atomically(process.pid_file, json.dumps({"pid": process.pid, "started": process.started}))
    return process


def remembered(folder: Path, name: str) -> Process | None:
    """Return the program that the pid file of that name remembers, dead or alive, or None."""
    pid_file = folder / f"{name}.pid"
    try:
        remembered = json.loads(pid_file.read_text())
        return Process(name, int(remembered["pid"]), str(remembered["started"]), folder / f"{name}.log", pid_file)
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def find(folder: Path, name: str) -> Process | None:
    """Return the live program that the pid file of that name remembers, or None."""
    process = remembered(folder, name)
    return process if process is not None and alive(process) else None


def alive(process: Process) -> bool:
    """Whether this very process (not another one with its pid) still runs."""
    started = _started(process.pid)
    if started is not None and _is_same(started, process.started):
        return True
    child = _children.get(process.pid)
    if child is not None and started is None:
        with suppress(subprocess.TimeoutExpired):
            child.wait(5)  # it has ended, and only waits for us
            del _children[process.pid]
    return False


def stop(*processes: Process, grace: float = 10.0) -> None:
    """End programs and everything in their sessions: SIGTERM to all, then SIGKILL after `grace` seconds.

    Only the program itself gets the SIGTERM, so that it can end its own children in its own way; whatever
    is left of its session afterwards is killed. (Airflow 2 puts each task in a process group of its own, so a
    signal to the group would miss them; the session keeps them together.)

    Raises:
        ProcessError: something is left even after SIGKILL.
    """
    for process in processes:
        if alive(process):
            _signal(process.pid, signal.SIGTERM)
    _wait(lambda: not any(map(alive, processes)), grace)
    for process in processes:
        for pid in _members(process):
            _signal(pid, signal.SIGKILL)
    for process in processes:
        if not _wait(partial(_empty, process), 5.0):
            raise ProcessError(f"{process.name} (pid {process.pid}) could not be killed: {_members(process)}")
        alive(process)
        process.pid_file.unlink(missing_ok=True)
    for pid, child in list(_children.items()):
        if child.poll() is not None:  # stopped by another program: the gateway restarts Airflow
            del _children[pid]


def stop_named(folder: Path, name: str, *, grace: float = 10.0) -> bool:
    """Stop the program that the pid file remembers; return whether there was one."""
    process = remembered(folder, name)
    if process is None:
        return False
    was_alive = alive(process)
    stop(process, grace=grace)  # also when it is dead: what it started may not be
    return was_alive


def stop_strays(*folders: Path) -> list[int]:
    """Kill programs of these folders that no pid file remembers; return their pids. Finds none without /proc (macOS).

    Whoever started one may have been killed before it could write the pid file. What is known of a program all the
    same is where its output goes: to a log of the folder.

    Raises:
        ProcessError: one is left even after SIGKILL.
    """
    killed: set[int] = set()

    def nothing_left() -> bool:
        strays = _strays(folders)
        killed.update(strays)
        for pid in strays:
            _signal(pid, signal.SIGKILL)
        return not strays

    if not _wait(nothing_left, 5.0):
        raise ProcessError(f"these processes could not be killed: {_strays(folders)}")
    return sorted(killed)


def _strays(folders: Sequence[Path]) -> list[int]:
    """Processes that write to a log of these folders, and all of the sessions that such a process leads or led.

    Never the caller: neither this process and its ancestors, nor the rest of its session. The leader of a session that
    is not to be seen (it has ended, or is outside this PID namespace) need not have been ours.
    """
    wanted = {folder.resolve() for folder in folders}
    sessions = dict(_sessions())
    writers = {pid for pid in sessions if _writes_to(pid, wanted)}
    # A session that somebody else leads, such as a terminal's, is not ours even if one of its programs writes there.
    ours = {sessions[pid] for pid in writers if sessions[pid] in writers or sessions[pid] not in sessions}
    ours -= {0, os.getsid(0)}  # 0: its leader is outside this PID namespace, as the leader of all of a container may be
    here = psutil.Process()
    lineage = {here.pid, *(ancestor.pid for ancestor in here.parents())}
    return sorted((writers | {pid for pid, session in sessions.items() if session in ours}) - lineage)


def _sessions() -> Iterator[tuple[int, int]]:
    """The session of every process that is alive."""
    for process in psutil.process_iter(["status"]):
        with suppress(ProcessLookupError, PermissionError):  # it has just ended
            if process.info["status"] not in _ENDED:
                yield process.pid, os.getsid(process.pid)


def _writes_to(pid: int, folders: Collection[Path]) -> bool:
    """Whether the standard output of a process is a log of these folders, also a deleted one, which psutil omits."""
    with suppress(OSError):  # it has just ended, or is not ours to look at
        output = Path(str(Path(f"/proc/{pid}/fd/1").readlink()).removesuffix(" (deleted)"))
        return output.suffix == ".log" and output.parent in folders
    return False


def usage(process: Process) -> tuple[Usage, Usage]:
    """What the program itself, and what everything else in its session has used; zeros where no system tells."""
    leader, others = Usage(), Usage()
    for pid in _members(process):
        with suppress(psutil.Error, AttributeError):  # it has just ended, or is not ours; macOS has no `children_*`
            member = psutil.Process(pid)
            times, memory = member.cpu_times(), _memory(member)
            own, reaped = times.user + times.system, times.children_user + times.children_system
            if pid == process.pid:
                # What its dead children have used is the others': they were tasks.
                leader, others = leader + Usage(own, memory), others + Usage(reaped)
            else:
                others += Usage(own + reaped, memory)
    return leader, others


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody uses at this moment."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def port_is_free(port: int) -> bool:
    """Whether 127.0.0.1:port can be bound now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def wait_until(
    predicate: Callable[[], bool],
    *,
    seconds: float,
    what: str,
    processes: Iterable[Process] = (),
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Wait until the predicate holds.

    Args:
        what: the thing awaited, for the error: "the scheduler".
        processes: programs that must stay alive meanwhile; their logs are quoted in the error.

    Raises:
        ProcessError: a program ended, or the time is over.
    """
    processes = tuple(processes)
    deadline = clock() + seconds
    while not predicate():
        for process in processes:
            if not alive(process):
                raise ProcessError(f"{process.name} ended before {what} was ready.{_quote([process])}")
        if clock() >= deadline:
            raise ProcessError(f"{what} was not ready within {seconds:g} s.{_quote(processes)}")
        sleep(_POLL_SECONDS)


def tail(log: Path, lines: int = 20) -> str:
    """Return the last lines of a log; empty when there is none."""
    try:
        with log.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 65536))
            text = file.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def _quote(processes: Iterable[Process]) -> str:
    return "".join(f"\n--- {process.log}\n{tail(process.log)}" for process in processes)


def _wait(predicate: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not predicate():
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _empty(process: Process) -> bool:
    return not _members(process)


def _members(process: Process) -> list[int]:
    """Live processes of the session."""
    started = _started(process.pid)
    if started is not None and not _is_same(started, process.started):
        return []  # the pid has been given away, which happens only once its session is empty
    return [pid for pid, session in _sessions() if session == process.pid]


def _memory(process: psutil.Process) -> int:
    """Proportional set size in bytes: forked workers share most of their pages, and resident size counts all."""
    with suppress(psutil.Error):
        return int(getattr(process.memory_full_info(), "pss", 0))
    return 0  # it is not ours to look at


def _started(pid: int) -> str | None:
    """When the process started, in seconds since the system did; None when it does not run (or is a zombie)."""
    try:
        process = psutil.Process(pid)
        if process.status() in _ENDED:
            return None
        # psutil adds the moment at which the system started, and that moves when the clock is set.
        return f"{process.create_time() - psutil.boot_time():.2f}"
    except psutil.NoSuchProcess:
        return None


def _is_same(started: str, remembered: str) -> bool:
    """Whether both are one moment, as exactly as two readings of the clock allow: a pid comes round far more slowly."""
    try:
        return abs(float(started) - float(remembered)) < _PRECISION
    except ValueError:
        return False


def _write_atomically(path: Path, text: str) -> None:
    draft = path.with_name(path.name + ".new")
    draft.write_text(text)
    draft.replace(path)
