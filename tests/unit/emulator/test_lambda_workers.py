"""Workers are signalled as the very processes that were found, with all that they have started."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.stack.lambda_workers import Worker, _stat

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc and pidfd")
PROGRAM = "import subprocess, sys; c = subprocess.Popen(['sleep', '60']); print(c.pid, flush=True); c.wait()"


@pytest.fixture
def program() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True) as started:
        yield started
        started.kill()


def worker(pid: int) -> Worker:
    fields = _stat(pid)
    assert fields is not None
    return Worker("Any", pid, fields[19])


def state(pid: int) -> str | None:
    fields = _stat(pid)
    return None if fields is None else fields[0]


def wait_for_state(pid: int, *wanted: str | None) -> None:
    deadline = time.monotonic() + 5
    while state(pid) not in wanted and time.monotonic() < deadline:
        time.sleep(0.01)
    assert state(pid) in wanted


def test_a_worker_that_is_killed_takes_its_children_with_it(program: subprocess.Popen[str]) -> None:
    assert program.stdout is not None
    child = int(program.stdout.readline())
    assert worker(program.pid).kill()
    assert program.wait(5) == -9
    wait_for_state(child, None, "Z")


def test_a_worker_is_held_and_goes_on(program: subprocess.Popen[str]) -> None:
    found = worker(program.pid)
    assert found.stop()
    wait_for_state(program.pid, "T")
    assert found.go_on()
    wait_for_state(program.pid, "S", "R")


def test_another_process_with_its_number_is_left_alone(program: subprocess.Popen[str]) -> None:
    other = Worker("Any", program.pid, "1")
    assert not other.kill()
    assert program.poll() is None


def test_a_worker_that_has_ended_is_told_of(program: subprocess.Popen[str]) -> None:
    found = worker(program.pid)
    assert found.seconds() >= 0
    found.kill()
    program.wait(5)
    assert not found.kill()
    assert not found.stop()
    assert found.seconds() == 0
    assert not Path(f"/proc/{program.pid}").exists()
