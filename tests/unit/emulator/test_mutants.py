"""`make mutants` and `make coverage`: what is drawn, what counts as killed, and when they fail."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tools.checks import coverage, mutants
from tools.checks.mutants import SAMPLE, Mutant, draw, exit_codes, judge, list_mutants, walk
from tools.venvs import ROOT

MUTATED = """
class Lanes:
    def xǁLanesǁhandle__mutmut_orig(self) -> int:
        logger.info("a message is held")
        return 1 + 1

    def xǁLanesǁhandle__mutmut_1(self) -> int:
        logger.info(None)
        return 1 + 1

    def xǁLanesǁhandle__mutmut_2(self) -> int:
        logger.info("a message is held")
        return 1 - 1
"""
NAME = "jetway.dispatch.lanes.xǁLanesǁhandle__mutmut_{}"


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """What mutmut leaves behind of one file."""
    folder = tmp_path / "mutants/jetway/dispatch"
    folder.mkdir(parents=True)
    (folder / "lanes.py").write_text(MUTATED)
    functions = {"orig": [3, 5], "1": [7, 9], "2": [11, 13]}
    spans = {f"xǁLanesǁhandle__mutmut_{end}": lines for end, lines in functions.items()}
    (folder / "lanes.py.spans").write_text(json.dumps({"version": 1, "spans": spans}))
    (folder / "lanes.py.meta").write_text(json.dumps({"exit_code_by_key": {NAME.format(1): None, NAME.format(2): 0}}))
    return tmp_path


def test_a_mutant_is_known_by_its_function_and_the_lines_that_change(work: Path) -> None:
    logged, counted = list_mutants(work)
    assert (logged.place, logged.was, logged.becomes) == (
        "Lanes.handle",
        'logger.info("a message is held")',
        "logger.info(None)",
    )
    assert counted.identity == ("Lanes.handle", "return 1 + 1", "return 1 - 1", 1)
    assert counted.module == "jetway.dispatch.lanes"
    assert exit_codes(work) == {logged.name: None, counted.name: 0}


def test_what_only_people_read_is_not_drawn(work: Path) -> None:
    assert [mutant.was for mutant in draw(list_mutants(work))] == ["return 1 + 1"]
    assert Mutant("x", 'raise E("no such thing")', 'raise E("XXno such thingXX")').is_prose
    assert Mutant("x", 'raise E("no such thing")', 'raise E("NO SUCH THING")').is_prose
    assert not Mutant("x", 'raise E("no such thing")', "raise E(None)").is_prose
    assert not Mutant("x", 'answer["Item"]', 'answer["XXItemXX"]').is_prose


def test_the_sample_stays_when_modules_move_and_others_change() -> None:
    many = [Mutant(f"jetway.a.x_f{number}__mutmut_1", "x + 1", "x - 1") for number in range(1000)]
    drawn = draw(many)
    assert len(drawn) == SAMPLE
    moved = [Mutant(mutant.name.replace("jetway.a", "jetway.b"), mutant.was, mutant.becomes) for mutant in many]
    assert [mutant.identity for mutant in draw(reversed(moved))] == [mutant.identity for mutant in drawn]
    assert set(draw(many[:-10])) >= set(drawn) - set(many[-10:])
    assert draw(many, seed=1) != drawn


def test_it_fails_below_the_bound_and_with_a_survivor_that_nobody_explained() -> None:
    sample = [Mutant(f"jetway.a.x_f{number}__mutmut_1", "x + 1", "x - 1") for number in range(20)]
    codes: dict[str, int | None] = dict.fromkeys((mutant.name for mutant in sample), 1)
    assert judge(sample, codes, {})[1]
    codes |= {sample[0].name: 0, sample[1].name: 36}
    lines, good = judge(sample, codes, {})
    assert not good
    assert lines == [
        "jetway.a: f0: NO REASON",
        "  - x + 1",
        "  + x - 1",
        (
            "20 mutants: 18 killed, 1 never ended, 1 survived, 1 of them without a reason in "
            "tools/checks/survivors.json. Killed: 95.0%; at least 90% must be."
        ),
    ]
    assert judge(sample, codes, {sample[0].identity: "it is the same"})[1]
    codes |= dict.fromkeys((mutant.name for mutant in sample[2:5]), 33)  # no test comes there
    assert not judge(sample, codes, {mutant.identity: "it is the same" for mutant in sample})[1]
    assert not judge([], {}, {})[1]


def test_every_accepted_survivor_has_its_reason() -> None:
    assert all(len(because) > 20 for because in mutants.accepted().values())


@pytest.mark.parametrize(
    ("of_all", "of_files", "good"),
    [
        (95.0, {"a.py": 85.0, "b.py": 100.0}, True),
        (94.99, {"a.py": 100.0}, False),
        (99.0, {"a.py": 84.99, "b.py": 100.0}, False),
    ],
)
def test_coverage_has_a_bound_for_all_and_one_for_each_file(
    of_all: float, of_files: dict[str, float], good: bool
) -> None:
    lines, holds = coverage.judge(of_all, of_files)
    assert holds is good
    assert [line for line in lines if "a.py" in line] == ([" 84.99 %  a.py"] if of_files["a.py"] < 85 else [])


def test_the_walks_are_run_with_each_mutant_that_nothing_else_has_found(tmp_path: Path) -> None:
    asked: list[tuple[list[str], dict[str, str]]] = []

    def run(command: list[str], *, env: dict[str, str], cwd: Path, **_: object) -> subprocess.CompletedProcess[str]:
        assert cwd == tmp_path / "mutants"
        asked.append((command, env))
        if env["MUTANT_UNDER_TEST"] == "never ends":
            raise subprocess.TimeoutExpired(command, 1)
        return subprocess.CompletedProcess(command, 1 if env["MUTANT_UNDER_TEST"] == "found" else 0)

    living = [Mutant(name, "a", "b") for name in ("found", "lives", "never ends")]
    codes = walk(tmp_path, living, 2, run)
    sample = [Mutant(name, "a", "b") for name in codes]
    lines, _ = judge(sample, codes, {})
    assert lines[-1].startswith("3 mutants: 1 killed, 1 never ended, 1 survived")
    assert all(command[-1] == "tests/unit/explorer" for command, _ in asked)
    assert (walk(tmp_path, living, 2, run), len(asked)) == (codes, 3)  # what is known is not asked again


def test_the_dear_tests_are_those_of_the_room(tmp_path: Path) -> None:
    asked: list[str] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        asked.extend(command)
        return subprocess.CompletedProcess(command, 0)

    walk(tmp_path, [Mutant("jetway.batches.collector.x_a__mutmut_1", "a", "b")], 1, run)
    assert "tests/unit/batches/test_batches.py" in asked
    assert not any("live" in argument for argument in asked)
    for tests in mutants.DEAR.values():
        assert all((ROOT / test).exists() for test in tests)
