"""The files: example DAGs of Airflow and its providers, system tests from sdists, and mutants with a known bad line."""

from __future__ import annotations

import re
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from local import venvs

SDISTS = {
    "2.11.2": ("apache-airflow-providers-amazon==9.22.0",),
    "3.3.1": ("apache-airflow-providers-amazon==9.34.0", "apache-airflow-providers-standard==1.17.0"),
}


@dataclass(frozen=True)
class Mutant:
    """A way to break a good DAG file.

    Attributes:
        name: of its class.
        rules: one of which the gate is to find.
        change: from the good text to the bad one; the bad line has the mark `MARK`, where one is to be named.
    """

    name: str
    rules: frozenset[str]
    change: Callable[[str], str]


MARK = "  # <- here"

_GOOD = '''"""Orders, every morning."""
from datetime import datetime

from airflow import DAG
from airflow.operators.python import PythonOperator

with DAG("{dag_id}", start_date=datetime(2024, 1, 1), schedule="0 5 * * *", catchup=False) as dag:
    first = PythonOperator(task_id="first", python_callable=print)
    second = PythonOperator(task_id="second", python_callable=print)
    third = PythonOperator(task_id="third", python_callable=print)
    first >> second
    second >> third
'''


def _append(line: str) -> Callable[[str], str]:
    return lambda text: text + line + MARK + "\n"


def _replace(old: str, new: str) -> Callable[[str], str]:
    return lambda text: text.replace(old, new + MARK, 1)


def _before_dag(*lines: str) -> Callable[[str], str]:
    """Lines before the DAG; the last one is the bad one."""
    return lambda text: text.replace("\nwith DAG(", "\n" + "\n".join(lines) + MARK + "\nwith DAG(", 1)


def _timetable(text: str) -> str:
    """A timetable that no plugin registers: the fault shows in serialization only."""
    timetable = (
        "from airflow.timetables.interval import CronDataIntervalTimetable\n\n"
        "class Mine(CronDataIntervalTimetable):\n    pass\n\n"
    )
    opened = text.replace('schedule="0 5 * * *"', 'schedule=Mine("0 5 * * *", "UTC")')
    return re.sub(r"^(with DAG.*:)$", rf"{timetable}\1{MARK}", opened, count=1, flags=re.MULTILINE)


MUTANTS = (
    Mutant("syntax", frozenset({"syntax"}), _append("def broken(:")),
    Mutant("indentation", frozenset({"syntax"}), _append("      first >> third")),
    Mutant("missing module", frozenset({"missing-module"}), _before_dag("import nobody_has_this_module")),
    Mutant("missing name", frozenset({"missing-name"}), _before_dag("from airflow.models import NoSuchThing")),
    Mutant(
        "removed module",
        frozenset({"missing-module", "missing-name"}),
        _before_dag("from airflow.contrib.operators.ssh_operator import SSHOperator"),
    ),
    Mutant("undefined name", frozenset({"undefined-name"}), _append("    third >> fourth")),
    Mutant("cycle", frozenset({"cycle"}), _append("    third >> first")),
    Mutant("self cycle", frozenset({"cycle"}), _append("    first >> first")),
    Mutant(
        "duplicate task id",
        frozenset({"duplicate-task-id"}),
        _append('    again = PythonOperator(task_id="first", python_callable=print)'),
    ),
    Mutant(
        "invalid task id",
        frozenset({"import-error"}),
        _append('    bad = PythonOperator(task_id="a b", python_callable=print)'),
    ),
    Mutant(
        "invalid cron",
        frozenset({"schedule"}),
        lambda text: re.sub(r"^(with DAG.*:)$", rf"\1{MARK}", text.replace("0 5 *", "0 99 *"), flags=re.MULTILINE),
    ),
    Mutant(
        "invalid schedule",
        frozenset({"schedule"}),
        lambda text: re.sub(
            r"^(with DAG.*:)$", rf"\1{MARK}", text.replace('"0 5 * * *"', "object()"), flags=re.MULTILINE
        ),
    ),
    Mutant(
        "unknown argument",
        frozenset({"arguments"}),
        _append('    bad = PythonOperator(task_id="bad", python_callable=print, retires=3)'),
    ),
    Mutant("missing argument", frozenset({"arguments"}), _append('    bad = PythonOperator(task_id="bad")')),
    Mutant(
        "not callable",
        frozenset({"import-error"}),
        _append('    bad = PythonOperator(task_id="bad", python_callable=3)'),
    ),
    Mutant("unregistered timetable", frozenset({"serialization"}), _timetable),
    Mutant("sys.exit", frozenset({"exits"}), _before_dag("import sys", "sys.exit(1)")),
    Mutant("os._exit", frozenset({"exits"}), _before_dag("import os", "os._exit(0)")),
    Mutant("exception", frozenset({"import-error"}), _before_dag("ratio = 1 / 0")),
    Mutant("hangs", frozenset({"timeout"}), _before_dag("import time", "time.sleep(600)")),
    Mutant(
        "hangs in C",
        frozenset({"timeout"}),
        lambda text: text.replace(
            "\nwith DAG(",
            "\nimport signal\nimport threading\n"
            "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])\nthreading.Lock().acquire() and None\n"
            "lock = threading.Lock(); lock.acquire(); lock.acquire()\nwith DAG(",
            1,
        ),
    ),
    Mutant("latin-1", frozenset({"encoding"}), lambda text: text.replace("Orders", "Bestellungen für", 1)),
    Mutant("NUL byte", frozenset({"nul-byte"}), lambda text: text + "\0\n"),
)


def good(dag_id: str) -> str:
    """A DAG file that loads on both major versions."""
    return _GOOD.format(dag_id=dag_id)


def write_examples(version: str, python: Path, folder: Path) -> Iterator[str]:
    """Copy the example DAGs that are installed with Airflow, and yield their paths in the folder."""
    packages = next(python.parent.parent.glob("lib/python3*/site-packages"))
    for found in sorted(packages.glob("airflow/**/example_dags")):
        name = "_".join(found.relative_to(packages).parts[:-1])
        shutil.copytree(found, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for sdist in SDISTS[version]:
        for root in _system_tests(sdist):
            shutil.copytree(root, folder / root.name, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    (folder / "system" / "__init__.py").touch()
    _write_helpers(folder)
    yield from sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.py"))


def write_mutants(folder: Path) -> Iterator[tuple[str, Mutant, int | None]]:
    """Write each mutant, and yield its path, itself and the line that is to be named."""
    folder.mkdir(parents=True, exist_ok=True)
    for mutant in MUTANTS:
        name = re.sub(r"\W+", "_", mutant.name)
        text = mutant.change(good(f"mutant_{name}"))
        encoding = "latin-1" if mutant.name == "latin-1" else "utf-8"
        (folder / f"{name}.py").write_bytes(text.encode(encoding))
        lines = [number for number, line in enumerate(text.split("\n"), start=1) if MARK.strip() in line]
        yield f"{name}.py", mutant, lines[0] if lines else None


def _system_tests(sdist: str) -> list[Path]:
    """The folders of an sdist that hold system tests and example DAGs; none when no index answers."""
    home = venvs.HOME / "bench" / "sdists"
    name = sdist.partition("==")[0].replace("-", "_") + "-" + sdist.partition("==")[2]
    if not (home / name).exists():
        home.mkdir(parents=True, exist_ok=True)
        package = sdist.partition("==")[0]
        command = [str(venvs.python_with_pip()), "-m", "pip", "download", "--quiet", "--no-deps"]
        done = subprocess.run(
            [*command, "--no-binary", package, "--dest", str(home), sdist], capture_output=True, text=True, check=False
        )
        archive = home / f"{name}.tar.gz"
        if done.returncode or not archive.exists():
            print(f"no sdist of {sdist}: {done.stderr.strip()[-200:]}")
            return []
        with tarfile.open(archive) as packed:
            packed.extractall(home, filter="data")
    return [folder for folder in [home / name / "tests" / "system"] if folder.exists()]


def _write_helpers(folder: Path) -> None:
    """Stand-ins for what system tests import from Airflow's own repository, without which none of them would load."""
    helpers = folder / "tests_common" / "test_utils"
    helpers.mkdir(parents=True, exist_ok=True)
    (helpers.parent / "__init__.py").touch()
    (helpers / "__init__.py").touch()
    (helpers / "system_tests.py").write_text(_SYSTEM_TESTS)
    (helpers / "watcher.py").write_text(_WATCHER)
    (helpers / "version_compat.py").write_text(_VERSIONS)


_SYSTEM_TESTS = """
def get_test_run(dag, **_):
    def test_run():
        dag.test()

    return test_run
"""
_WATCHER = """
try:
    from airflow.sdk import task
except ImportError:
    from airflow.decorators import task

@task(trigger_rule="one_failed", retries=0)
def watcher():
    raise RuntimeError("a task has failed")
"""
_VERSIONS = """
from airflow import __version__

AIRFLOW_V_3_0_PLUS = __version__.startswith("3.")
AIRFLOW_V_3_1_PLUS = AIRFLOW_V_3_0_PLUS and not __version__.startswith("3.0.")
"""
