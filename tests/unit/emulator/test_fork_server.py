"""The fork server runs commands as a fresh interpreter would; here with a small stand-in for Airflow."""

from __future__ import annotations

import os
import signal
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.emulator.waiting import wait_for
from tools.emulator.gateway.runner import CommandResult, ForkServerRunner, RunnerError

MAIN = """
import os, sys, time
def main():
    assert sys.argv[0] == "airflow"
    command, *rest = sys.argv[1:]
    if command == "echo":
        print("to stdout", rest)
        print("to stderr", file=sys.stderr)
    elif command == "exit":
        sys.exit(int(rest[0]) if rest else None)
    elif command == "exit-text":
        sys.exit("a last word")
    elif command == "raise":
        raise ValueError("what went wrong")
    elif command == "sleep":
        if os.fork() == 0:
            time.sleep(600)
            os._exit(0)
        open(rest[0], "w").write(str(os.getpid()))
        time.sleep(600)
    elif command == "die":
        os.kill(os.getpid(), 9)
    elif command == "kill-server":
        os.kill(os.getppid(), 9)
    elif command == "stdin":
        print(repr(sys.stdin.read()))
    elif command == "much":
        sys.stdout.write("x" * 3_000_000)
    elif command == "state":
        import airflow.settings as settings
        print(os.getpid(), settings.engine.disposed, os.environ["WHO"])
"""
PACKAGE = {
    "airflow/__init__.py": "",
    "airflow/__main__.py": MAIN,
    "airflow/settings.py": (
        "class Engine:\n    disposed = 0\n    def dispose(self, close):\n"
        "        assert close is False\n        self.disposed += 1\nengine = Engine()\n"
    ),
    "airflow/models/__init__.py": "def import_all_models(): pass\n",
    "airflow/providers_manager.py": (
        "class ProvidersManager:\n    def initialize_providers_configuration(self): pass\n"
    ),
    "airflow/cli/__init__.py": "",
    "airflow/cli/cli_parser.py": "def get_parser(): pass\n",
    "airflow/cli/commands/__init__.py": "",
    "airflow/cli/commands/dag_command.py": "",
    "airflow/cli/commands/webserver_command.py": "raise RuntimeError('costly, and must not be imported')\n",
    "sqlalchemy/__init__.py": "",
    "sqlalchemy/orm.py": "def configure_mappers(): pass\n",
}


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[ForkServerRunner]:
    for name, text in PACKAGE.items():
        file = tmp_path / "packages" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text))
    env = {"PYTHONPATH": str(tmp_path / "packages"), "WHO": "environment"}
    runner = ForkServerRunner(Path(sys.executable), env)
    wait_for(runner.is_ready)
    yield runner
    runner.close()
    assert not runner.is_ready()


def test_arguments_arrive_and_both_streams_come_back(runner: ForkServerRunner) -> None:
    result = runner.run(["echo", "a b", "it's", 'c"d', "ünï", "", "$HOME"], 30)
    assert result.exit_code == 0
    assert result.stdout.decode() == """to stdout ['a b', "it's", 'c"d', 'ünï', '', '$HOME']\n"""
    assert result.stderr == b"to stderr\n"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["exit"], 0, b""),
        (["exit", "2"], 2, b""),
        (["exit", "256"], 0, b""),
        (["exit", "-1"], 255, b""),
        (["exit-text"], 1, b"a last word\n"),
        (["raise"], 1, b"ValueError: what went wrong\n"),
        (["die"], -9, b""),
    ],
)
def test_exit_codes_are_those_of_an_interpreter(
    runner: ForkServerRunner, arguments: list[str], code: int, words: bytes
) -> None:
    result = runner.run(arguments, 30)
    assert result.exit_code == code
    assert result.stderr.endswith(words)
    assert (b"Traceback" in result.stderr) == (arguments == ["raise"])


def test_each_command_has_a_process_and_connections_of_its_own(runner: ForkServerRunner) -> None:
    first, second = (runner.run(["state"], 30).stdout.split() for _ in range(2))
    assert first[0] != second[0]
    assert first[1:] == second[1:] == [b"1", b"environment"]


def test_a_command_has_no_input(runner: ForkServerRunner) -> None:
    assert runner.run(["stdin"], 30).stdout == b"''\n"


def test_much_output_arrives(runner: ForkServerRunner) -> None:
    assert runner.run(["much"], 30).stdout == b"x" * 3_000_000


def test_a_late_command_is_killed_with_its_children_and_others_go_on(runner: ForkServerRunner, tmp_path: Path) -> None:
    results: list[CommandResult] = []
    late = threading.Thread(target=lambda: results.append(runner.run(["sleep", str(tmp_path / "pid")], 2.0)))
    late.start()
    assert runner.run(["echo"], 30).exit_code == 0
    late.join(30)
    assert (results[0].exit_code, results[0].timed_out) == (-9, True)
    pid = int((tmp_path / "pid").read_text())
    wait_for(lambda: not group_exists(pid))


def group_exists(pid: int) -> bool:
    """Whether anything but zombies is left of a process group."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[2]) == pid and fields[0] != "Z":
            return True
    return False


def test_a_fork_server_that_dies_is_started_anew(runner: ForkServerRunner) -> None:
    before = runner.pid
    with pytest.raises(RunnerError):
        runner.run(["kill-server"], 30)
    wait_for(lambda: runner.is_ready() and runner.pid != before)
    assert runner.run(["echo"], 30).exit_code == 0


def test_a_restart_gives_another_fork_server(runner: ForkServerRunner) -> None:
    before = runner.pid
    runner.restart()
    wait_for(lambda: runner.is_ready() and runner.pid != before)
    assert runner.run(["echo"], 30).exit_code == 0


def test_closing_ends_the_fork_server_and_what_it_runs(runner: ForkServerRunner, tmp_path: Path) -> None:
    failures: list[RunnerError] = []

    def run() -> None:
        try:
            runner.run(["sleep", str(tmp_path / "pid")], 600)
        except RunnerError as exc:
            failures.append(exc)

    running = threading.Thread(target=run)
    running.start()
    wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    server, command = runner.pid, int((tmp_path / "pid").read_text())
    runner.close()
    running.join(30)
    assert len(failures) == 1
    assert server is not None
    with pytest.raises(ProcessLookupError):
        os.kill(server, signal.SIGCONT)
    wait_for(lambda: not group_exists(command))
