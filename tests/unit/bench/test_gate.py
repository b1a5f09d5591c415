"""The bench of the gate: its cases can be read, and one refusal of what Airflow loads fails the run."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from jetway.artifacts.mwaa import packages_of
from tools.bench.gate import figures, needs
from tools.bench.gate.corpus import MORE, MUTANTS, good, marked
from tools.bench.gate.files import Files, Row
from tools.bench.gate.kinds import Outcome
from tools.bench.gate.mutants import BASES, PLAIN, Seen
from tools.bench.gate.needs import Need
from tools.bench.gate.projects import Expected, Project, parse, read

VERSIONS = ("2.11.2", "3.3.1")


@pytest.mark.parametrize("version", VERSIONS)
def test_each_kind_has_ten_good_projects_and_a_broken_one(version: str) -> None:
    count = Counter((project.kind, project.sort) for project in read(version))
    kinds = {kind for kind, _ in count}
    assert len(kinds) == 16
    assert {kind: count[kind, "good"] for kind in kinds} == dict.fromkeys(kinds, 10)
    without = {kind for kind in kinds if not count[kind, "bad"]}
    assert without <= ({"11_dates"} if version.startswith("2.") else set())  # on Airflow 2 every run has a date


@pytest.mark.parametrize("project", read("3.3.1"), ids=lambda project: f"{project.kind}-{project.name}")
def test_what_is_good_is_python_and_what_is_broken_is_so_at_a_line_that_is_there(project: Project) -> None:
    for path, text in project.files.items():
        if path.endswith(".py") and project.sort == "good" and text != "def broken(:\n":  # which nobody loads
            assert ast.parse(text)
    for expected in project.expected:
        if expected.line and expected.path in project.files:
            assert project.files[expected.path].splitlines()[expected.line - 1].strip()


def test_a_project_is_written_for_the_gate_without_what_is_only_there(tmp_path: Path) -> None:
    text = (
        "==== good: a\n---- environment\nSTAGE=a=b\n---- site/acme.py\nx = 1\n---- dags/a.zip/m.py\nx = 1\n"
        "---- dags/b.py\nopen('/usr/local/airflow/dags/c')\n"
    )
    (project,) = parse("kind", text)
    gate, home = tmp_path / "gate", tmp_path / "home"
    project.write(gate)
    project.write_whole(home)
    assert sorted(path.relative_to(gate).as_posix() for path in gate.rglob("*.*")) == ["dags/a.zip", "dags/b.py"]
    assert (home / "site" / "acme.py").exists()
    assert (home / "dags" / "b.py").read_text() == f"open('{home}/dags/c')\n"
    assert (project.variables, project.dag_files) == ({"STAGE": "a=b"}, ["a.zip", "b.py"])
    (told,) = parse("kind", "words\n---- dags/a.py\nx\n==== good: a\nwithout: secrets yaml\n---- dags/b.py\ny\n")
    assert (told.dag_files, sorted(told.without)) == (["a.py", "b.py"], ["secrets", "yaml"])
    with pytest.raises(ValueError, match="what is expected"):
        list(parse("kind", "==== bad: a\n---- dags/b.py\n"))


@pytest.mark.parametrize("mutant", [*MUTANTS, *MORE], ids=lambda mutant: mutant.name)
def test_each_mutant_of_each_project_is_another_file(mutant: Any) -> None:
    for base in (PLAIN, *parse("bases", BASES.read_text())):
        text = base.files["dags/orders.py"]
        changed = mutant.change(text)
        assert changed != text, base.name
        line = marked(changed)
        assert line is None or changed.splitlines()[line - 1].strip()
    assert good("orders") == PLAIN.files["dags/orders.py"]


def row(verdict: str, *errors: str) -> Row:
    return Row("a.py", verdict, ("missing-module (line 1): no",), errors, frozenset(), frozenset({"a"}), 0.1)


def test_one_refusal_of_a_file_that_airflow_loads_fails_the_run() -> None:
    fine = [row("accepted")] * 300 + [row("unknown"), row("rejected", "ImportError")]
    assert figures.of_files(Files(fine, 1.0)).wrong == []
    (wrong,) = figures.of_files(Files([*fine, row("rejected")], 1.0)).wrong
    assert wrong == "a.py: refused: missing-module (line 1): no"
    assert figures.of_files(Files([*fine, row("unknown", "x")], 1.0)).wrong == []
    assert (
        figures.of_files(Files([*fine[:98], *[row("accepted", "x")] * 2], 1.0)).wrong
        == ["a.py: accepted; Airflow: x"] * 2
    )


def outcome(
    sort: Any, verdict: str, *, expected: tuple[Expected, ...] = (), errors: Any = None, without: str = ""
) -> Outcome:
    project = Project("01_kind", "a case", sort, {"dags/a.py": ""}, expected, without=frozenset({without}))
    finding = SimpleNamespace(rule="syntax", line=3)
    report: Any = SimpleNamespace(verdict=verdict, findings=[finding], dags=[])
    return Outcome(project, {"dags/a.py": report}, errors or {}, frozenset({"a"}))


def test_so_does_one_of_a_good_project_and_a_broken_one_that_passes() -> None:
    assert figures.of_kinds([outcome("good", "accepted"), outcome("good", "unknown")]).wrong == []
    assert figures.of_kinds([outcome("good", "rejected")]).wrong == ["kind, a case: refused dags/a.py"]
    (noise,) = figures.of_kinds([outcome("good", "accepted", without="syntax")]).wrong
    assert noise == "kind, a case: dags/a.py: syntax, line 3"
    wanted = (Expected("dags/a.py", "rejected", "syntax", 3),)
    errors = {"dags/a.py": "SyntaxError"}
    assert figures.of_kinds([outcome("bad", "rejected", expected=wanted, errors=errors)]).wrong == []
    (missed,) = figures.of_kinds([outcome("bad", "unknown", expected=wanted, errors=errors)]).wrong
    assert missed == "kind, a case: not dags/a.py: rejected, syntax, line 3"
    (unfit,) = figures.of_kinds([outcome("bad", "rejected", expected=wanted)]).wrong
    assert unfit == "kind, a case: no fair case: dags/a.py loads"
    (unfit,) = figures.of_kinds([outcome("good", "accepted", errors=errors)]).wrong
    assert unfit == "kind, a case: no fair case: dags/a.py: SyntaxError"


def test_mutants_that_pass_are_counted_and_one_that_airflow_loads_must_not_be_refused() -> None:
    def seen(verdict: str, *, fails: bool = True, line: int = 3) -> Seen:
        return Seen(MUTANTS[0], "plain", 3, fails, verdict, "syntax", line, ("syntax",))

    part = figures.of_mutants([seen("rejected")] * 399 + [seen("unknown"), seen("rejected", line=4)])
    assert part.wrong == []
    assert "refuses 400 of those (99.8%), 399 with the right rule at the right line" in part.lines[0]
    assert figures.of_mutants([seen("rejected"), seen("unknown")]).wrong == ["mutants: 50.0%"]
    assert (
        "refused, and Airflow loads it"
        in figures.of_mutants([seen("rejected"), seen("rejected", fails=False)]).wrong[0]
    )


def test_lists_of_requirements_that_stay_open_are_counted() -> None:
    def need(verdict: str, *, resolvable: bool = True) -> Need:
        return Need("a list", verdict, ("not-resolved",), resolvable, 0.5)

    assert figures.of_needs([need("accepted")] * 9 + [need("unknown"), need("unknown", resolvable=False)]).wrong == []
    assert figures.of_needs([need("accepted"), need("unknown")]).wrong == ["requirements: 50.0% stay open"]
    assert figures.of_needs([need("rejected")]).wrong == ["requirements, a list: refused"]


@pytest.mark.parametrize("version", VERSIONS)
def test_there_are_seventy_lists_with_the_versions_own_pins(version: str) -> None:
    packages = packages_of(version)
    assert packages is not None
    lists = needs.lists(packages)
    assert len(lists) >= 60
    assert f"constraints-{version}/" in lists["pods"]
    assert f"kubernetes=={packages.constraints['apache-airflow-providers-cncf-kubernetes']}\n" in lists["pods"]
    assert not any("{" in text for text in lists.values())


def test_a_part_takes_the_place_of_its_older_self() -> None:
    page = figures.put("# Page\n", "3.3.1", "files", ["one"])
    page = figures.put(page, "3.3.1", "speed", ["two"])
    page = figures.put(page, "3.3.1", "files", ["three"])
    files = "<!-- 3.3.1 files -->\n## Airflow 3.3.1: files\n\nthree\n<!-- /3.3.1 files -->"
    speed = "<!-- 3.3.1 speed -->\n## Airflow 3.3.1: speed\n\ntwo\n<!-- /3.3.1 speed -->"
    assert page == f"# Page\n\n{files}\n\n{speed}\n"
