"""The kept process with a real Airflow: it answers as one of its own does, and nothing of a load reaches the next."""

from __future__ import annotations

import json
import os
import signal
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from jetway_cli.check_airflow import _load_alone
from jetway_cli.check_kept import KeptLoader
from tools import venvs
from tools.bench.gate.corpus import good, write_mutants
from tools.emulator import airflow

from .test_loader import FILES
from .test_loader_plugins import TIMETABLE

pytestmark = pytest.mark.loading

VERSION = os.environ.get("AIRFLOW_VERSION") or airflow.DEFAULT_VERSION
ENVIRONMENT = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
SECONDS = 240.0
LIMIT = "8"  # seconds for one file, on a busy machine

# What one load leaves behind, if it can, and the next would see.
LEAVES = """
import builtins, os, pathlib, sys, tempfile, types

import airflow.configuration
import airflow.settings
import pendulum

MARK = "left behind"
os.environ["LEFT"] = MARK
os.environ["AIRFLOW__CORE__DEFAULT_TIMEZONE"] = "Asia/Tokyo"
os.umask(0o077)
os.chdir("/")
sys.path.insert(0, "/left")
sys.modules["left"] = types.ModuleType("left")
builtins.left = MARK
pendulum.DateTime.left = MARK
pathlib.Path(os.environ["AIRFLOW_HOME"], "left").write_text(MARK)
pathlib.Path(airflow.configuration.AIRFLOW_HOME, "left").write_text(MARK)
pathlib.Path(airflow.settings.AIRFLOW_HOME, "left").write_text(MARK)
os.close(0)
"""
LOOKS = """
import builtins, os, pathlib, sys

import airflow.configuration
import airflow.settings
import pendulum

found = [
    os.environ.get("LEFT", "") == "left behind",
    os.environ.get("AIRFLOW__CORE__DEFAULT_TIMEZONE") == "Asia/Tokyo",
    os.getcwd() == "/",
    "/left" in sys.path,
    "left" in sys.modules,
    hasattr(builtins, "left"),
    hasattr(pendulum.DateTime, "left"),
    pathlib.Path(os.environ["AIRFLOW_HOME"], "left").exists(),
    pathlib.Path(airflow.configuration.AIRFLOW_HOME, "left").exists(),
    pathlib.Path(airflow.settings.AIRFLOW_HOME, "left").exists(),
]
assert not any(found), found
"""
WRITES_TO_THE_DATABASE = """
from airflow.models.pool import Pool
from airflow.utils.session import create_session

with create_session() as session:
    session.add(Pool(pool="left", slots=1, description="", include_deferred=False))
    session.commit()
"""
READS_THE_DATABASE = """
from airflow.models.pool import Pool
from airflow.utils.session import create_session

with create_session() as session:
    assert session.query(Pool).filter(Pool.pool == "left").count() == 0
"""
SLEEPS = """
import os, pathlib, time

from airflow import DAG

pathlib.Path("{mark}").write_text(str(os.getpid()))
time.sleep(20)
"""
KILLS_ITS_PARENT = (
    "from airflow import DAG\nimport os, signal, time\nos.kill(os.getppid(), signal.SIGKILL)\ntime.sleep(1)\n"
)


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where sockets lie; what is kept there ends with the test."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    yield tmp_path / "jetway"
    for path in _sockets(tmp_path / "jetway"):
        path.unlink()
    wait_for(lambda: not _kept(tmp_path))


@pytest.fixture
def kept(runtime: Path) -> KeptLoader:
    return KeptLoader(venvs.ensure(f"airflow-{VERSION}"), ENVIRONMENT)


def _sockets(runtime: Path) -> list[Path]:
    return [path for path in runtime.glob("*") if not path.suffix]


def _kept(place: Path) -> list[int]:
    """The kept processes whose socket is below a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"jetway_loader.kept" in words and any(word.startswith(os.fsencode(place)) for word in words):
            found.append(int(process.name))
    return found


def _process(place: Path) -> int:
    """The kept process itself; children that answer have the same command line."""
    return min(_kept(place))


def wait_for(condition: Callable[[], Any], seconds: float = 180.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.05)


def ask(kept: KeptLoader, folder: Path, *files: str, given: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
    said = kept.ask([*given, "--json", "--jobs", "2", "--timeout", LIMIT, str(folder), *files], seconds=SECONDS)
    assert said is not None
    assert said.status in {0, 1}, said.stderr
    return {answer["path"]: _timeless(answer) for answer in json.loads(said.stdout)}


def _timeless(answer: dict[str, Any]) -> dict[str, Any]:
    """Without what hangs on how busy the machine is: seconds, and in which of two ways a time limit was met."""
    findings = [
        finding | ({"message": "", "line": None} if finding["rule"] == "timeout" else {})
        for finding in answer["findings"]
        if finding["rule"] != "slow-parse"
    ]
    return answer | {"seconds": 0, "cpu_seconds": 0, "findings": findings}


def test_it_answers_as_a_process_of_its_own_does(runtime: Path, kept: KeptLoader, tmp_path: Path) -> None:
    dags = tmp_path / "dags"
    dags.mkdir()
    assert list(write_mutants(dags))
    for name, text in FILES.items():
        (dags / name).parent.mkdir(parents=True, exist_ok=True)
        (dags / name).write_text(text)
    names = sorted(path.relative_to(dags).as_posix() for path in dags.rglob("*.py"))
    arguments = ["--json", "--jobs", "2", "--timeout", LIMIT, str(dags), *names]
    alone = _load_alone(venvs.ensure(f"airflow-{VERSION}"), arguments, ENVIRONMENT, SECONDS, tmp_path)
    wanted = {answer["path"]: _timeless(answer) for answer in json.loads(alone.stdout)}
    assert len(names) > 35
    assert {answer["verdict"] for answer in wanted.values()} == {"accepted", "rejected", "unknown"}
    for _ in range(2):
        found = ask(kept, dags, *names)
        assert [name for name in names if found[name] != wanted[name]] == []


def test_nothing_of_a_load_reaches_the_next(runtime: Path, kept: KeptLoader, tmp_path: Path) -> None:
    dags = tmp_path / "dags"
    dags.mkdir()
    (dags / "leaves.py").write_text(LEAVES + good("leaves"))
    (dags / "looks.py").write_text(LOOKS + good("looks"))
    names = ["leaves.py", "looks.py"]
    (dags / "good.py").write_text(good("good"))
    ask(kept, dags, "good.py")
    if VERSION.startswith("2."):
        (dags / "writes.py").write_text(WRITES_TO_THE_DATABASE + good("writes"))
        (dags / "reads.py").write_text(READS_THE_DATABASE + good("reads"))
        assert ask(kept, dags, "writes.py")["writes.py"]["verdict"] == "accepted"
        assert ask(kept, dags, "reads.py")["reads.py"]["findings"] == []
    process = _process(tmp_path)
    for name in names:
        answer = ask(kept, dags, name)[name]
        assert (answer["verdict"], answer["findings"]) == ("accepted", [])
    assert _process(tmp_path) == process


def test_plugins_of_a_load_are_not_there_for_the_next(runtime: Path, kept: KeptLoader, tmp_path: Path) -> None:
    dags = tmp_path / "dags"
    dags.mkdir()
    (dags / "uses.py").write_text(
        "from airflow import DAG\nfrom never_at_all import NAME, Never\nimport datetime\nassert NAME == 'a'\n"
        "with DAG('uses', start_date=datetime.datetime(2024, 1, 1), schedule=Never()):\n    pass\n"
    )
    found, processes = [], set()
    for name in ("a", "b", None, "a"):
        packed = tmp_path / "plugins.zip"
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("never_at_all.py", f"{TIMETABLE}\nNAME = {name!r}\n")
            # A set on Airflow 3, a list on 2.
            tags = f"def dag_policy(dag):\n    dag.tags = type(dag.tags)([*dag.tags, {name!r}])\n"
            archive.writestr("airflow_local_settings.py", tags)
        given = ["--plugins", str(packed), "--judge-plugins", "--judge-settings"] if name else []
        answers = ask(kept, dags, "uses.py", given=given)
        processes.add(_process(tmp_path))
        of_file = answers.pop("uses.py")
        found.append((of_file["verdict"], [finding["rule"] for finding in of_file["findings"]]))
        assert {answer["verdict"] for answer in answers.values()} == ({"accepted"} if name else set()), answers
        settings = ["../plugins.zip/airflow_local_settings.py", "airflow_local_settings.py"]
        assert sorted(answers) == (["../plugins.zip", *settings] if name else [])
    good_one: tuple[str, list[str]] = ("accepted", [])
    assert found == [good_one, ("rejected", ["import-error"]), ("rejected", ["missing-module"]), good_one]
    assert len(processes) == 1


def test_it_is_started_once_and_answers_many(runtime: Path, kept: KeptLoader, tmp_path: Path) -> None:
    (tmp_path / "good.py").write_text(good("good"))
    assert not runtime.exists()
    ask(kept, tmp_path, "good.py")
    process = _process(tmp_path)
    assert runtime.stat().st_mode & 0o777 == 0o700
    started = time.monotonic()
    for _ in range(3):
        assert ask(kept, tmp_path, "good.py")["good.py"]["verdict"] == "accepted"
    assert _process(tmp_path) == process
    assert time.monotonic() - started < SECONDS


def test_when_what_it_has_imported_changes_another_one_answers(runtime: Path, kept: KeptLoader, tmp_path: Path) -> None:
    (tmp_path / "good.py").write_text(good("good"))
    ask(kept, tmp_path, "good.py")
    process = _process(tmp_path)
    (code,) = runtime.glob("*.code")
    os.utime(code / "jetway_loader" / "model.py", (1, 1))
    assert ask(kept, tmp_path, "good.py")["good.py"]["verdict"] == "accepted"
    wait_for(lambda: process not in _kept(tmp_path))
    assert not code.exists()
    assert len(list(runtime.glob("*.code"))) == 1


def test_it_ends_when_nobody_asks(runtime: Path, tmp_path: Path) -> None:
    (tmp_path / "good.py").write_text(good("good"))
    kept = KeptLoader(venvs.ensure(f"airflow-{VERSION}"), ENVIRONMENT, idle=1.0)
    ask(kept, tmp_path, "good.py")
    wait_for(lambda: not _kept(tmp_path))
    assert (_sockets(runtime), list(runtime.glob("*.code"))) == ([], [])
    assert ask(kept, tmp_path, "good.py")["good.py"]["verdict"] == "accepted"


def test_one_that_was_killed_is_replaced(runtime: Path, kept: KeptLoader, tmp_path: Path) -> None:
    (tmp_path / "good.py").write_text(good("good"))
    ask(kept, tmp_path, "good.py")
    os.kill(_process(tmp_path), signal.SIGKILL)
    wait_for(lambda: not _kept(tmp_path))
    assert ask(kept, tmp_path, "good.py")["good.py"]["verdict"] == "accepted"


def test_who_hangs_up_leaves_nothing_running(runtime: Path, kept: KeptLoader, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    (tmp_path / "good.py").write_text(good("good"))
    (tmp_path / "sleeps.py").write_text(SLEEPS.format(mark=mark))
    ask(kept, tmp_path, "good.py")
    (path,) = _sockets(runtime)
    connection = kept._connection(path)
    question = {"arguments": ["--json", str(tmp_path), "sleeps.py"], "environment": ENVIRONMENT, "folder": "/"}
    connection.sendall(json.dumps(question | {"umask": 0o22}).encode() + b"\n")
    wait_for(mark.exists)
    connection.close()
    wait_for(lambda: not Path("/proc", mark.read_text()).exists())
    assert len(_kept(tmp_path)) == 1


def test_a_file_cannot_kill_what_answers(runtime: Path, kept: KeptLoader, tmp_path: Path) -> None:
    (tmp_path / "good.py").write_text(good("good"))
    (tmp_path / "kills.py").write_text(KILLS_ITS_PARENT)
    said = kept.ask(["--json", str(tmp_path), "kills.py"], seconds=SECONDS)
    assert said is not None
    assert "Operation not permitted" in said.stdout
    assert ask(kept, tmp_path, "good.py")["good.py"]["verdict"] == "accepted"


def test_wrong_use_is_said_as_a_process_of_its_own_says_it(runtime: Path, kept: KeptLoader, tmp_path: Path) -> None:
    said = kept.ask(["--json", str(tmp_path), "none.py"], seconds=SECONDS)
    assert said is not None
    assert (said.status, "none.py is not a file in" in said.stderr) == (2, True)
