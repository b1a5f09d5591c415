"""Programs are found again, stopped with all they started, and never mistaken for others."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from tests.unit.emulator.conftest import Clock
from tests.unit.emulator.waiting import wait_for
from tools.emulator import processes
from tools.emulator.processes import Process, ProcessError
from tools.stack import stack

SLEEP = "import time; time.sleep(600)"
# A program with a child that is in a process group of its own and does not mind SIGTERM.
FAMILY = f"""
import os, signal, sys, time
child = os.fork()
if child == 0:
    os.setpgid(0, 0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("child", os.getpid(), flush=True)
    {SLEEP}
{SLEEP}
"""

# A gateway that never gets to write the pid file.
GATEWAY = """
import pathlib, time
from tools.emulator import processes

processes._write_atomically = lambda *_: time.sleep(600)
program = "import os, time; print('pid', os.getpid(), flush=True); time.sleep(600)"
processes.start("airflow-scheduler", [sys.executable, "-c", program], folder=pathlib.Path({run!r}), env={{}})
"""

# `setsid sh -c 'make down > log &'`: a shell that outlives the leader of its session asks, and waits for the answer.
ASKER = f"""
import os, pathlib, subprocess, sys, time
from tools.emulator import processes

leader = os.getpid()
if os.fork():
    os._exit(0)
while pathlib.Path(f"/proc/{{{{leader}}}}").exists():
    time.sleep(0.01)
if asker := os.fork():
    os.waitpid(asker, 0)
    os._exit(0)
bystander = subprocess.Popen([sys.executable, "-c", {SLEEP!r}], stdout=subprocess.DEVNULL)
by_hand = subprocess.Popen([sys.executable, "-c", {SLEEP!r}])
killed = processes.stop_strays(pathlib.Path({{folder!r}}))
text = str((killed == [by_hand.pid], bystander.poll(), os.getppid() > 1))
bystander.kill()
by_hand.wait()
pathlib.Path({{answer!r}}).write_text(text)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "run"
    for file in (tmp_path / "run").glob("*.pid"):
        processes.stop_named(tmp_path / "run", file.stem, grace=0)


def start(folder: Path, code: str = SLEEP, name: str = "program") -> Process:
    return processes.start(name, [sys.executable, "-c", code], folder=folder, env={"ONLY": "this"})


def exists(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_program_is_found_again_and_started_once(folder: Path) -> None:
    process = start(folder)
    assert processes.find(folder, "program") == process
    assert start(folder) == process
    assert processes.find(folder, "another") is None


def test_a_program_gets_its_environment_and_nothing_else(folder: Path) -> None:
    start(folder, "import os; print(sorted(os.environ), flush=True)")
    wait_for(lambda: processes.tail(folder / "program.log"))
    assert set(json.loads(processes.tail(folder / "program.log").replace("'", '"'))) - {"LC_CTYPE"} == {"ONLY"}


def test_what_has_ended_is_not_alive_and_can_be_started_anew(folder: Path) -> None:
    first = start(folder, "")
    wait_for(lambda: not processes.alive(first))
    assert processes.find(folder, "program") is None
    assert start(folder).pid != first.pid


def test_stop_ends_a_program_and_forgets_it(folder: Path) -> None:
    process = start(folder)
    processes.stop(process)
    assert not exists(process.pid)
    assert not (folder / "program.pid").exists()
    processes.stop(process)
    assert not processes.stop_named(folder, "program")


def test_a_program_may_end_in_its_own_way(folder: Path) -> None:
    process = start(
        folder, f"import signal, sys; signal.signal(15, lambda *_: sys.exit('bye')); print(1, flush=True); {SLEEP}"
    )
    wait_for(lambda: processes.tail(process.log))
    processes.stop(process)
    assert processes.tail(process.log) == "1\nbye"


def family(folder: Path) -> tuple[Process, int]:
    process = start(folder, FAMILY)
    wait_for(lambda: processes.tail(process.log))
    return process, int(processes.tail(process.log).split()[1])


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="the session can be seen in /proc only")
def test_stop_ends_also_stubborn_children_in_another_group(folder: Path) -> None:
    process, child = family(folder)
    processes.stop(process)
    assert not exists(child)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="the session can be seen in /proc only")
def test_stop_ends_what_a_killed_program_left_behind(folder: Path) -> None:
    process, child = family(folder)
    os.kill(process.pid, signal.SIGKILL)
    wait_for(lambda: not processes.alive(process))
    assert exists(child)
    assert not processes.stop_named(folder, "program")
    assert not exists(child)


def test_a_stubborn_program_is_killed(folder: Path) -> None:
    process = start(folder, f"import signal; signal.signal(15, signal.SIG_IGN); print(1, flush=True); {SLEEP}")
    wait_for(lambda: processes.tail(process.log))
    processes.stop(process, grace=0.1)
    assert not exists(process.pid)


def test_a_pid_that_now_belongs_to_somebody_else_is_left_alone(folder: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", SLEEP], start_new_session=True) as stranger:
        try:
            folder.mkdir()
            (folder / "program.pid").write_text(json.dumps({"pid": stranger.pid, "started": "12345"}))
            assert processes.find(folder, "program") is None
            assert not processes.stop_named(folder, "program")
            assert stranger.poll() is None
            assert not (folder / "program.pid").exists()
        finally:
            stranger.kill()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": "x", "started": ""}', '{"pid": 1}'])
def test_a_broken_pid_file_is_nobody(folder: Path, text: str) -> None:
    folder.mkdir()
    (folder / "program.pid").write_text(text)
    assert processes.find(folder, "program") is None


def test_a_program_that_does_not_exist_is_a_clear_error(folder: Path) -> None:
    with pytest.raises(ProcessError, match=r"program could not be started: .*no-such-program"):
        processes.start("program", ["/no-such-program"], folder=folder, env={})


def test_waiting_tells_what_a_program_said_last(folder: Path) -> None:
    process = start(folder, "print('first'); raise SystemExit('port 8080 is taken')")
    with pytest.raises(ProcessError, match=r"program ended before the thing was ready.(.|\n)*port 8080 is taken"):
        processes.wait_until(lambda: False, seconds=30, what="the thing", processes=[process])


def test_waiting_ends_when_the_time_is_over(folder: Path, clock: Clock) -> None:
    process = start(folder, f"print('still busy', flush=True); {SLEEP}")
    wait_for(lambda: processes.tail(process.log))

    def sleep(_seconds: float) -> None:
        clock.now += 10

    with pytest.raises(ProcessError, match=r"the thing was not ready within 60 s.(.|\n)*still busy"):
        processes.wait_until(lambda: False, seconds=60, what="the thing", processes=[process], clock=clock, sleep=sleep)
    assert processes.alive(process)


def test_a_port_that_is_taken_is_not_free() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert not processes.port_is_free(taken.getsockname()[1])
    assert processes.port_is_free(processes.free_port())


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="usage is read from /proc")
def test_usage_tells_a_program_from_its_children(folder: Path) -> None:
    process, child = family(folder)
    leader, others = processes.usage(process)
    assert leader.memory > 1_000_000
    assert others.memory > 1_000_000
    with suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    wait_for(lambda: processes.usage(process)[1].memory == 0)


def test_the_tail_of_a_long_log(tmp_path: Path) -> None:
    log = tmp_path / "long.log"
    log.write_text("".join(f"line {number}\n" for number in range(100_000)))
    assert processes.tail(log, 2) == "line 99998\nline 99999"
    assert processes.tail(tmp_path / "none.log") == ""


def test_two_who_start_a_program_at_once_start_it_once(folder: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        started = list(pool.map(lambda _: start(folder), range(4)))
    assert len({process.pid for process in started}) == 1
    assert (folder / "program.log").exists()


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="a stray is found by /proc")
def test_what_no_pid_file_remembers_is_found_by_its_log(folder: Path, tmp_path: Path) -> None:
    process = start(folder, FAMILY)
    wait_for(lambda: processes.tail(process.log))
    child = int(processes.tail(process.log).split()[1])
    process.pid_file.unlink()  # whoever started it was killed before writing it
    other = start(tmp_path / "other")
    # Somebody's shell, which has a program of its own write there.
    with (folder / "by-hand.log").open("w") as log:
        by_hand = subprocess.Popen([sys.executable, "-c", SLEEP], stdout=log)
    try:
        assert processes.stop_strays(folder) == sorted([process.pid, child, by_hand.pid])
        assert not exists(child)
        assert exists(other.pid)
        assert processes.stop_strays(folder) == []
    finally:
        by_hand.wait()
        processes.stop(other)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="a stray is found by /proc")
def test_whoever_asks_and_its_session_are_left_alone(folder: Path, tmp_path: Path) -> None:
    folder.mkdir()
    answer = tmp_path / "answer"
    with (folder / "shell.log").open("w") as log:
        code = ASKER.format(folder=str(folder), answer=str(answer))
        subprocess.run([sys.executable, "-c", code], start_new_session=True, stdout=log, check=True)
    wait_for(lambda: answer.exists() and answer.read_text() != "")
    assert answer.read_text() == "(True, None, True)"


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="a stray is found by /proc")
def test_down_finds_an_airflow_that_the_gateway_has_restarted_before_it_was_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JETWAY_STATE", str(tmp_path))
    run = tmp_path / "airflow-3.3.1" / "run"
    code = f"import sys; sys.path.insert(0, {str(Path.cwd())!r})\n" + GATEWAY.format(run=str(run))
    gateway = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    wait_for(lambda: processes.tail(run / "airflow-scheduler.log"))
    gateway.kill()
    gateway.wait()
    airflow = int(processes.tail(run / "airflow-scheduler.log").split()[-1])
    assert exists(airflow)
    assert not (run / "airflow-scheduler.pid").exists()
    stack.down()
    assert not exists(airflow)
