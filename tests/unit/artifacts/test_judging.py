"""Each artifact is read in a child: one that takes too much is not judged, gets a finding, and goes nowhere."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from dataclasses import replace
from typing import NoReturn

import pytest

from jetway.artifacts import judging
from jetway.artifacts.airflow_ignore import oddities
from jetway.artifacts.child_process import BeyondBoundsError, Bounds
from jetway.artifacts.findings import Candidate, Judgement
from jetway.artifacts.judging import ignored_apart, read, read_apart
from jetway.artifacts.kinds import KINDS, Check, kind_of
from jetway.artifacts.requirements.requirements_model import read_requirements
from jetway.aws.s3_stream import VersionGoneError
from jetway_loader.import_errors import read_error

from .judging import AIRFLOW_3
from .zips import PLUGIN, zip_of

DAG = b"from airflow import DAG\nwith DAG('a'):\n    pass\n"
SOUND = {
    "dags/a.py": DAG,
    "dags/airflow_local_settings.py": b"",
    "dags/a.zip": zip_of({"a.py": DAG}),
    "dags/.airflowignore": b"old/\n",
    "dags/a.json": b"{}",
    "requirements.txt": b"pandas\n",
    "plugins.zip": zip_of({"a.py": PLUGIN}),
    "startup.sh": b"echo\n",
}
SMALL = Bounds(memory=64 * 1024**2, cpu_seconds=1, seconds=120.0)


def candidate(key: str, content: bytes) -> Candidate:
    whole = kind_of(key).reads == "whole"
    return Candidate(key, len(content), content if whole else b"", lambda: io.BytesIO(content))


def test_every_kind_is_tried() -> None:
    assert {kind_of(key).name for key in SOUND} == {kind.name for kind in KINDS}


@pytest.mark.parametrize("key", SOUND)
def test_it_says_what_reading_here_says(key: str) -> None:
    """Also of a broken one, and of one that was cut off."""
    for content in (SOUND[key], SOUND[key][:-3], b"def f(:\xff"):
        given = candidate(key, content), AIRFLOW_3, 1024**2
        assert read_apart(kind_of(key), *given) == read(kind_of(key), *given)


def slow(_candidate: Candidate, _environment: object, _max_bytes: int) -> NoReturn:
    while True:
        pass


def greedy(_candidate: Candidate, _environment: object, _max_bytes: int) -> Judgement:
    return Judgement(str(len(bytearray(300 * 1024**2))), "accepted")


def failing(_candidate: Candidate, _environment: object, _max_bytes: int) -> NoReturn:
    raise LookupError("a fault of ours")


@pytest.mark.parametrize(
    ("key", "check", "why"),
    [("dags/a.py", slow, "processor"), *((key, greedy, "memory") for key in SOUND)],  # the slow one takes a second
)
def test_what_takes_too_much_is_not_judged_and_goes_nowhere(key: str, check: Check, why: str) -> None:
    kind = replace(kind_of(key), check=check)
    judged = read_apart(kind, candidate(key, SOUND[key]), AIRFLOW_3, 1024**2, bounds=SMALL)
    (finding,) = judged.findings
    assert (judged.kind, judged.verdict, finding.rule) == (kind.name, "rejected", "not-judged")
    assert why in finding.message


def test_a_fault_of_ours_is_a_finding_of_that_file() -> None:
    kind = replace(kind_of("dags/a.py"), check=failing)
    judged = read_apart(kind, candidate("dags/a.py", DAG), AIRFLOW_3, 1024**2)
    assert judged.verdict == "rejected"
    assert judged.findings[0].rule == "internal-error"
    assert "a fault of ours" in judged.findings[0].message


def test_a_version_that_goes_while_it_is_read_is_gone() -> None:
    class Going(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise VersionGoneError

    with pytest.raises(VersionGoneError):
        read_apart(kind_of("plugins.zip"), Candidate("plugins.zip", 1000, b"", Going), AIRFLOW_3, 1024**2)


def test_patterns_that_take_forever_are_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Alternatives that overlap: Python's expressions try each way through them."""
    monkeypatch.setattr(judging, "_FOR_PATTERNS", SMALL)
    patterns, path = {"": "^(a|aa)+$"}, "a" * 60 + "b.py"
    with pytest.raises(BeyondBoundsError, match="more than 1 s of a processor"):
        ignored_apart([path], patterns, "regexp")
    assert ignored_apart(["aaa", "b"], patterns, "regexp") == {"aaa"}
    assert ignored_apart([path], {"": ""}, "regexp") == frozenset()


@pytest.mark.parametrize(
    ("reads", "unit"),
    [
        (lambda text: oddities(text, "glob"), "\n\n "),
        (lambda text: read_requirements("a" + text), " \x0b"),
        (lambda text: read_error({"error": "DagError: a" + text + "b"}, "a.py", "/dags"), " "),
    ],
    ids=["airflowignore", "requirements", "import error"],
)
def test_lines_of_blanks_are_read_in_linear_time(reads: Callable[[str], object], unit: str) -> None:
    """A blank where an expression may begin anew is the worst character of many expressions."""

    def seconds(times: int) -> float:
        text, best = unit * times, 60.0
        for _ in range(3):
            started = time.process_time()
            reads(text)
            best = min(best, time.process_time() - started)
        return best

    assert seconds(40_000) < max(6 * seconds(10_000), 0.05)
