"""A good DAG file, and every known way to break one, at a line that is known."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Mutant:
    """A way to break a good DAG file.

    Attributes:
        name: of its class.
        rules: one of which the gate is to find.
        change: from the good text to the bad one; the bad line has the mark `MARK`, where one is to be named.
        needs_all: it is certain only where all that requirements.txt brings is known.
        slow: it takes all the time that a file gets.
    """

    name: str
    rules: frozenset[str]
    change: Callable[[str], str]
    needs_all: bool = False
    slow: bool = False


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


_TOP = re.compile(r"^(?=with DAG\(|@dag\()", re.MULTILINE)
# The line that a wrong schedule is said to be at.
_SCHEDULED = re.compile(r"^(with DAG\(.*:|\w+\(\))$", re.MULTILINE)
_CRON = '"0 5 * * *"'


def _append(*lines: str) -> Callable[[str], str]:
    """Lines after the tasks; the last one is the bad one."""
    added = "\n".join(lines) + MARK + "\n"
    return lambda text: text.replace("    # end\n", added) if "    # end\n" in text else text + added


def _task(arguments: str) -> Callable[[str], str]:
    """One more task, at the end."""
    return _append(f"    bad = PythonOperator({arguments})")


def _before_dag(*lines: str) -> Callable[[str], str]:
    """Lines before the DAG; the last one is the bad one, unless one has a mark."""
    added = "\n".join(lines) + ("" if any(MARK in line for line in lines) else MARK) + "\n"
    return lambda text: _TOP.sub(lambda _: added, text, count=1)


def _schedule(value: str) -> Callable[[str], str]:
    """Another schedule."""
    return lambda text: _SCHEDULED.sub(rf"\1{MARK}", text.replace(_CRON, value, 1), count=1)


def _timetable(text: str) -> str:
    """A timetable that no plugin registers: the fault shows in serialization only."""
    timetable = (
        "from airflow.timetables.interval import CronDataIntervalTimetable\n\n"
        "class Mine(CronDataIntervalTimetable):\n    pass\n\n"
    )
    scheduled = _schedule(f'Mine({_CRON}, "UTC")')(text)
    return _TOP.sub(lambda _: timetable, scheduled, count=1)


def _of(*rules: str) -> frozenset[str]:
    return frozenset(rules)


MUTANTS = (
    Mutant("syntax", _of("syntax"), _append("def broken(:")),
    Mutant("indentation", _of("syntax"), _append("      first >> third")),
    Mutant("missing module", _of("missing-module"), _before_dag("import nobody_has_this_module"), needs_all=True),
    Mutant("missing name", _of("missing-name"), _before_dag("from airflow.models import NoSuchThing")),
    Mutant(
        "removed module",
        _of("missing-module", "missing-name"),
        _before_dag("from airflow.contrib.operators.ssh_operator import SSHOperator"),
    ),
    Mutant("undefined name", _of("undefined-name"), _append("    third >> fourth")),
    Mutant("cycle", _of("cycle"), _append("    third >> first")),
    Mutant("self cycle", _of("cycle"), _append("    third >> third")),
    Mutant("duplicate task id", _of("duplicate-task-id"), _task('task_id="third", python_callable=print')),
    Mutant("invalid task id", _of("import-error"), _task('task_id="a b", python_callable=print')),
    Mutant("invalid cron", _of("schedule"), _schedule('"0 99 * * *"')),
    Mutant("invalid schedule", _of("schedule"), _schedule("object()")),
    Mutant("unknown argument", _of("arguments"), _task('task_id="bad", python_callable=print, retires=3')),
    Mutant("missing argument", _of("arguments"), _task('task_id="bad"')),
    Mutant("not callable", _of("import-error"), _task('task_id="bad", python_callable=3')),
    Mutant("unregistered timetable", _of("serialization"), _timetable),
    Mutant("sys.exit", _of("exits"), _before_dag("import sys", "sys.exit(1)")),
    Mutant("os._exit", _of("exits"), _before_dag("import os", "os._exit(0)")),
    Mutant("exception", _of("import-error"), _before_dag("ratio = 1 / 0")),
    Mutant("hangs", _of("timeout"), _before_dag("import time", "time.sleep(600)"), slow=True),
    Mutant(
        "hangs in C",
        _of("timeout"),
        lambda text: _TOP.sub(
            "import signal\nimport threading\n"
            "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])\nthreading.Lock().acquire() and None\n"
            "lock = threading.Lock(); lock.acquire(); lock.acquire()\n",
            text,
            count=1,
        ),
        slow=True,
    ),
    Mutant("latin-1", _of("encoding"), lambda text: '"""Bestellungen für alle."""\n' + text),
    Mutant("NUL byte", _of("nul-byte"), lambda text: text + "\0\n"),
)

# More of them, for the bench.
MORE = (
    Mutant("unclosed bracket", _of("syntax"), lambda text: text + "rows = (1,\n"),
    Mutant("return outside", _of("syntax"), _before_dag("return 1")),
    Mutant("await outside", _of("syntax"), _before_dag("await later()")),
    Mutant("assignment in a call", _of("syntax"), _append("    print(first = = 1)")),
    Mutant(
        "name in a function",
        _of("undefined-name"),
        _before_dag("def size():", f"    return no_such_name{MARK}", "", "LARGE = size()"),
    ),
    Mutant("name of another file", _of("undefined-name"), _before_dag("AT = timedelta_of_old(days=1)")),
    Mutant("module of a library", _of("missing-module"), _before_dag("import yaml.no_such_module")),
    Mutant("name of a library", _of("missing-name"), _before_dag("from requests import no_such_name")),
    Mutant(
        "name of an operator",
        _of("missing-name"),
        _before_dag("from airflow.providers.amazon.aws.operators.s3 import S3NoSuchOperator"),
    ),
    Mutant(
        "module of a provider",
        _of("missing-module"),
        _before_dag("from airflow.providers.amazon.aws.operators.no_such_service import Operator"),
    ),
    Mutant("relative import", _of("import-error"), _before_dag("from . import helpers")),
    Mutant("key", _of("import-error"), _before_dag('LIMIT = {"a": 1}["b"]')),
    Mutant("index", _of("import-error"), _before_dag("LAST = [1, 2][5]")),
    Mutant("attribute", _of("import-error"), _before_dag("NOW = datetime.no_such_attribute")),
    Mutant("attribute of None", _of("import-error"), _before_dag("NAME = None", "SIZE = NAME.size")),
    Mutant("types", _of("import-error"), _before_dag('NAME = "a" + 1')),
    Mutant(
        "call", _of("import-error", "arguments"), _before_dag("def size(of):", "    return of", "", "LARGE = size()")
    ),
    Mutant("raises", _of("import-error"), _before_dag('raise RuntimeError("not ready")')),
    Mutant("asserts", _of("import-error"), _before_dag('assert 1 + 1 == 3, "wrong"')),
    Mutant("recursion", _of("import-error"), _before_dag("def deep():", f"    return deep(){MARK}", "", "deep()")),
    Mutant("unpacking", _of("import-error"), _before_dag("a, b = (1, 2, 3)")),
    Mutant("number", _of("import-error"), _before_dag('PORT = int("many")')),
    Mutant("date", _of("import-error"), _before_dag('DAY = datetime.strptime("today", "%Y-%m-%d")')),
    Mutant("JSON", _of("import-error"), _before_dag("import json", 'CONFIG = json.loads("{")')),
    Mutant("cron of words", _of("schedule"), _schedule('"every morning"')),
    Mutant("cron of seven", _of("schedule"), _schedule('"1 2 3 4 5 6 7 8"')),
    Mutant("preset", _of("schedule"), _schedule('"@sometimes"')),
    Mutant("schedule of a number", _of("schedule"), _schedule("3.5")),
    Mutant(
        "two unknown arguments", _of("arguments"), _task('task_id="bad", python_callable=print, retires=3, ower="a"')
    ),
    Mutant("no task id", _of("arguments"), _task("python_callable=print")),
    Mutant("task id of a number", _of("import-error"), _task("task_id=3, python_callable=print")),
    Mutant("trigger rule", _of("import-error"), _task('task_id="bad", python_callable=print, trigger_rule="all_dnoe"')),
    Mutant(
        "unknown argument of a DAG",
        _of("arguments"),
        lambda text: _SCHEDULED.sub(rf"\1{MARK}", text.replace("schedule=", "maximum_runs=1, schedule=", 1), count=1),
    ),
    Mutant("dependency on a string", _of("import-error"), _append('    third >> "second"')),
    Mutant("longer cycle", _of("cycle"), _append("    third.set_downstream(second)")),
    Mutant(
        "expanded over nothing",
        _of("arguments"),
        _append('    PythonOperator.partial(task_id="bad", python_callable=print).expand(rows=[1])'),
    ),
    Mutant(
        "duplicate in a loop",
        _of("duplicate-task-id"),
        _append('    for name in ("a", "b"):', '        PythonOperator(task_id="bad", python_callable=print)'),
    ),
    Mutant("abort", _of("exits"), _before_dag("import os", "os.abort()")),
    Mutant("killed", _of("exits"), _before_dag("import os", "os.kill(os.getpid(), 9)")),
    Mutant("quit", _of("exits"), _before_dag("raise SystemExit")),
    Mutant(
        "params",
        _of("import-error", "params", "serialization"),
        _task('task_id="bad", python_callable=print, params={"of": object()}'),
    ),
)


def good(dag_id: str) -> str:
    """A DAG file that loads on both major versions."""
    return _GOOD.format(dag_id=dag_id)


def write_mutants(folder: Path) -> Iterator[tuple[str, Mutant, int | None]]:
    """Write each mutant, and yield its path, itself and the line that is to be named."""
    folder.mkdir(parents=True, exist_ok=True)
    for mutant in MUTANTS:
        name = re.sub(r"\W+", "_", mutant.name)
        text = mutant.change(good(f"mutant_{name}"))
        (folder / f"{name}.py").write_bytes(encoded(mutant, text))
        yield f"{name}.py", mutant, marked(text)


def encoded(mutant: Mutant, text: str) -> bytes:
    """The text as the mutant has it."""
    return text.encode("latin-1" if mutant.name == "latin-1" else "utf-8")


def marked(text: str) -> int | None:
    """The line with the mark."""
    lines = [number for number, line in enumerate(text.split("\n"), start=1) if MARK.strip() in line]
    return lines[0] if lines else None
