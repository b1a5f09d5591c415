"""The processes in which MiniStack runs functions: found by function, stopped, continued, and killed as on a bad day.

A process is addressed by a file descriptor, not by its number: a number that the system has given to somebody else
meanwhile is never signalled. Linux only (`/proc`, pidfd).

    for worker in workers_of(stack, "ImportDagAirflow3"):
        worker.kill()
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tools.background import Background
from tools.emulator import processes
from tools.emulator.ministack import service as ministack
from tools.stack.deploy import STACK_NAME

if TYPE_CHECKING:
    from tools.stack.stack import Stack

_PROC = Path("/proc")
_LOOK_SECONDS = 0.05
_BUSY_WITHIN = 4.0  # seconds that the killer waits for a function to work; then another one has its turn
_NAME = b"AWS_LAMBDA_FUNCTION_NAME="
_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Worker:
    """One process of one function.

    Attributes:
        function: its logical id in template.yaml.
        started: when the process started, as the system writes it; with the pid, its identity.
    """

    function: str
    pid: int
    started: str

    def send(self, number: signal.Signals) -> bool:
        """Send a signal to this very process; return whether it was there to get it."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return False
        try:
            fields = _stat(self.pid)
            if fields is None or fields[19] != self.started:
                return False
            signal.pidfd_send_signal(descriptor, number)
        except ProcessLookupError:
            return False
        finally:
            os.close(descriptor)
        return True

    def kill(self) -> bool:
        """End the process and all that it has started, as the end of a sandbox does; return whether it was there."""
        # Stopped first, so that nothing new is started while its children are looked for.
        if not self.stop():
            return False
        children = _descendants(self)
        there = self.send(signal.SIGKILL)
        for child in children:
            child.send(signal.SIGKILL)
        return there

    def stop(self) -> bool:
        """Hold the process; its children go on. Return whether it was there."""
        return self.send(signal.SIGSTOP)

    def go_on(self) -> bool:
        """Let a process that was held go on; return whether it was there."""
        return self.send(signal.SIGCONT)

    def seconds(self) -> float:
        """Processor time used so far, that of its children included; 0 when it is gone."""
        found = [self, *_descendants(self)]
        return sum(sum(map(int, fields[11:15])) for each in found if (fields := _stat(each.pid)) is not None) / _TICK


def function_names(stack: Stack, *logical_ids: str) -> dict[str, str]:
    """Return the names of functions by their logical ids.

    Raises:
        KeyError: the stack has no such function.
    """
    resources = stack.client("cloudformation").describe_stack_resources(StackName=STACK_NAME)["StackResources"]
    found = {each["LogicalResourceId"]: each["PhysicalResourceId"] for each in resources}
    return {logical_id: found[logical_id] for logical_id in logical_ids}


def workers_of(stack: Stack, *logical_ids: str) -> list[Worker]:
    """Return the processes of these functions, of this stack only."""
    return workers_named(stack, function_names(stack, *logical_ids))


def workers_named(stack: Stack, names: Mapping[str, str]) -> list[Worker]:
    """Return the processes of these functions, of this stack only; quick, since nobody is asked.

    Args:
        names: of the functions by their logical ids (`function_names`).
    """
    logical_ids = {name: logical_id for logical_id, name in names.items()}
    server = processes.find(stack.run_folder, ministack.NAME)
    if server is None:
        return []
    found = []
    for pid, fields in _all_processes():
        if fields[1] != str(server.pid):
            continue
        with suppress(OSError):  # it has just ended
            environment = (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
            named = [each.removeprefix(_NAME).decode() for each in environment if each.startswith(_NAME)]
            found += [Worker(logical_ids[name], pid, fields[19]) for name in named if name in logical_ids]
    return found


class Killer(Background):
    """Kills workers of functions at random moments while they work, until it is told to stop.

    Args:
        pauses: seconds between two kills, at least and at most, by function.
    """

    def __init__(self, stack: Stack, pauses: Mapping[str, tuple[float, float]], *, seed: int) -> None:
        super().__init__("killer")
        self._stack = stack
        self._pauses = pauses
        self._names = function_names(stack, *pauses)
        self._random = random.Random(seed)  # noqa: S311 - no secret hangs on it
        self._kills: Counter[str] = Counter()

    @property
    def kills(self) -> dict[str, int]:
        """How many workers of which function were killed."""
        return dict(self._kills)

    def _run(self) -> None:
        now = time.monotonic()
        due = {function: now + self._random.uniform(0, pause[1]) for function, pause in self._pauses.items()}
        while due and not self._over.wait(_LOOK_SECONDS):
            function = min(due, key=due.__getitem__)
            if due[function] > time.monotonic():
                continue
            victim = self._at_work(function)
            # Anywhere in its work: a moment that no test has chosen.
            if victim is not None and not self._over.wait(self._random.uniform(0, 1.5)) and victim.kill():
                self._kills[function] += 1
            due[function] = time.monotonic() + self._random.uniform(*self._pauses[function])

    def _at_work(self, function: str) -> Worker | None:
        """A worker of the function that uses a processor now, or None when there is none for a while."""
        names = {function: self._names[function]}
        deadline = time.monotonic() + _BUSY_WITHIN
        while time.monotonic() < deadline and not self._over.is_set():
            used = {worker: worker.seconds() for worker in workers_named(self._stack, names)}
            self._over.wait(_LOOK_SECONDS * 2)
            working = [worker for worker, seconds in used.items() if worker.seconds() > seconds]
            if working:
                return self._random.choice(working)
        return None


def _descendants(worker: Worker) -> Sequence[Worker]:
    parents = dict(_all_processes())
    found: list[Worker] = []
    wanted = {worker.pid}
    while wanted:
        born = {pid for pid, fields in parents.items() if int(fields[1]) in wanted}
        found += [Worker(worker.function, pid, parents[pid][19]) for pid in born]
        wanted = born
    return found


def _all_processes() -> Iterator[tuple[int, list[str]]]:
    """Pid and the fields of `/proc/<pid>/stat` after the name: state ppid pgrp session … of all that are alive."""
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            fields = _stat(int(entry.name))
            if fields is not None and fields[0] not in {"Z", "X"}:
                yield int(entry.name), fields


def _stat(pid: int) -> list[str] | None:
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()
