"""The local stack's commands as a person types them: what they print where, and what they leave running."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

import pytest

from tools.emulator import processes
from tools.emulator.ministack import service as ministack
from tools.emulator.processes import Process
from tools.stack import stack
from tools.stack.stack import Stack
from tools.venvs import DEV, ROOT

# As in a shell of one's own, and not in one that `make unit` has started.
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "AIRFLOW"))}


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for the local stack's state, with a name that a shell would take apart."""
    folder = tmp_path / "it's ü state"
    folder.mkdir()
    monkeypatch.setenv("JETWAY_STATE", str(folder))
    return folder


@pytest.fixture
def running(state: Path) -> Iterator[Process]:
    """A program that stands for the MiniStack of a stack that runs Airflow 3.3.1."""
    process = processes.start(ministack.NAME, ["sleep", "300"], folder=state / "run", env=CLEAN)
    (state / "ports.json").write_text(json.dumps({"version": "3.3.1", **dict.fromkeys(stack.PORTS, 1)}))
    (state / "stack.json").write_text(json.dumps(asdict(described(state))))
    yield process
    processes.stop(process)


def described(state: Path) -> Stack:
    return Stack(
        state=str(state),
        endpoint="http://127.0.0.1:4566",
        gateway_url="https://localhost:4567",
        airflow_url="http://127.0.0.1:4568",
        airflow_version="3.3.1",
        ca_bundle=str(state / "certificates" / "bundle.pem"),
        outputs={
            "DropBucketName": "jetway-dropbucket-1",
            "HttpApiUrl": "http://127.0.0.1:4566/_aws/execute-api/926dec85/$default",
        },
        deployed="fingerprint",
    )


def bash(script: str, state: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a script in the checkout."""
    env = {**CLEAN, "JETWAY_STATE": str(state), **more}
    return subprocess.run(
        ["bash", "-c", script], cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=60
    )


def local(command: str, state: Path, **more: str) -> subprocess.CompletedProcess[str]:
    env: Mapping[str, str] = {**CLEAN, "JETWAY_STATE": str(state), **more}
    argv = [sys.executable, "-m", "tools.stack", command]
    return subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=60)


def test_without_a_stack_eval_of_make_env_fails_starts_nothing_and_says_what_to_do(state: Path) -> None:
    done = bash('eval "$(make -s env)"; code=$?; echo "code $code, bucket ${DROP_BUCKET-none}"', state)
    assert done.stdout == "code 1, bucket none\n"
    assert done.stderr.startswith("The local stack is not running. Start it with `make up`.\n")
    assert not (state / "run").exists()
    assert bash('set -e; eval "$(make -s env)"; echo goes on', state).stdout == ""


def test_what_make_env_prints_is_the_stack_whatever_its_folder_is_called(state: Path, running: Process) -> None:
    names = ["AWS_PROFILE", *stack.VARIABLES]
    show = f"{sys.executable} -c 'import json, os, sys; print(json.dumps([os.environ.get(n) for n in sys.argv[1:]]))'"
    script = f'eval "$(make -s env)" && {show} {" ".join(names)} && command -v jetway'
    done = bash(script, state, AWS_PROFILE="of-work")
    assert done.returncode == 0, done.stderr
    values, jetway = done.stdout.splitlines()
    assert json.loads(values) == [None, *described(state).env.values()]
    assert jetway == str(DEV / "bin" / "jetway")

    script += f' && eval "$(make -s unenv)" && {show} {" ".join(names)} && echo "$PATH"'
    *_, values, path = bash(script, state).stdout.splitlines()
    assert json.loads(values) == [None] * len(names)
    assert path == CLEAN["PATH"]


def test_the_variables_that_can_be_taken_back_are_those_that_are_set(state: Path) -> None:
    assert tuple(described(state).env) == tuple(dict.fromkeys(stack.VARIABLES))


def test_a_version_that_is_not_to_be_had_names_those_that_are(state: Path) -> None:
    done = local("up", state, AIRFLOW_VERSION="2.10.3")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == ("The local stack has no Airflow 2.10.3. Set AIRFLOW_VERSION to one of 3.3.1 and 2.11.2.\n")
    assert list(state.iterdir()) == []


@pytest.mark.parametrize(
    ("command", "version", "says"),
    [("up", "2.11.2", "The local stack runs Airflow 3.3.1."), ("demo", "2.10.3", "Set AIRFLOW_VERSION to one of")],
)
def test_what_is_refused_leaves_the_running_stack_alone(
    state: Path, running: Process, command: str, version: str, says: str
) -> None:
    if version == "2.11.2" and sys.version_info >= (3, 13):
        says = "needs Python 3.11 or newer and below 3.13"
    done = local(command, state, AIRFLOW_VERSION=version)
    assert done.returncode == 1
    assert says in done.stderr
    assert done.stderr.endswith("The local stack is still running. `make down` stops it.\n")
    assert processes.alive(running)
    assert local("env", state).returncode == 0


@pytest.mark.parametrize("failure", [KeyboardInterrupt, SystemExit, stack.StackError])
@pytest.mark.parametrize("before", [False, True])
def test_what_ends_early_stops_only_what_it_has_started(
    state: Path, failure: type[BaseException], *, before: bool
) -> None:
    def start() -> Process:
        return processes.start(ministack.NAME, ["sleep", "300"], folder=state / "run", env=CLEAN)

    def begin() -> None:
        with stack.stopped_on_failure() as ran_before:
            assert ran_before is before
            start()
            raise failure

    if before:
        start()
    try:
        with pytest.raises(failure):
            begin()
        assert stack.runs() is before
    finally:
        processes.stop_named(state / "run", ministack.NAME)


def test_down_forgets_all_state_and_keeps_logs_and_ports(state: Path, running: Process) -> None:
    kept = {"run/ministack.log", "run/ministack.lock", "airflow-3.3.1/run/airflow-scheduler.log", "ports.json"}
    gone = {
        "airflow-3.3.1/airflow.db",
        "airflow-3.3.1/dags/orders.py",
        "airflow-2.11.2/airflow.db",
        "gateway/environment.json",
        "tmp/function/app.py",
    }
    for name in (kept | gone) - {"ports.json"}:
        (state / name).parent.mkdir(parents=True, exist_ok=True)
        (state / name).touch()
    done = local("down", state)
    assert done.returncode == 0
    assert "are gone" in done.stdout
    assert {path.relative_to(state).as_posix() for path in state.rglob("*") if path.is_file()} == kept
    assert not processes.alive(running)
    assert "Nothing was running" in local("down", state).stdout


def test_ports_stay_the_same_where_they_are_free(state: Path) -> None:
    first = stack.choose_ports(state, "3.3.1", {})
    assert len({first[name] for name in stack.PORTS}) == len(stack.PORTS)
    again = stack.choose_ports(state, "2.11.2", first)
    assert again == {**first, "version": "2.11.2"}
    with socket.create_server(("127.0.0.1", first["gateway"])):
        taken = stack.choose_ports(state, "3.3.1", first)
    assert taken["gateway"] != first["gateway"]
    assert taken == {**first, "gateway": taken["gateway"]}
