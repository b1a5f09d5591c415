"""`make mutants`: plants faults in the rooms where a survivor loses data, and counts how many the unit tests find.

mutmut plants them, one at a time, and runs the tests that reach the function. It names a module by its path, so it
works in a copy of the repository where the package `jetway` lies at the root. Of all mutants a fixed sample is drawn:
each gets a digest of the seed and of what it changes, and the least ones are taken. So code that is added, moved or
changed elsewhere leaves the sample as it is.

A mutant that survives is either killed by a test that is written for it, or listed in tools/checks/survivors.json with
the reason why it may live. Not drawn are mutants of what people read (log lines, words of messages): they lose no data.
mutmut leaves out decorated functions and what a module does when it is imported.

Runs in its own virtual environment: mutmut runs the tests in its own process.
"""

from __future__ import annotations

import argparse
import difflib
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.venvs import HOME, ROOT

# The rooms, as paths in layers/jetway/jetway.
ROOMS = (
    "dispatch/*",
    "batches/*",
    "promotion/*",
    "diagnosis/*",
    "updates/*",
    "verification/*",
    "gate/recorder.py",
    "http/idempotency_keys.py",
    "http/replays.py",
    "aws/dynamodb.py",
)
ALL_TESTS = ["tests/unit"]
# Tests that never come there would only take time.
LEFT_OUT = (
    *(
        f"tests/unit/{folder}"
        for folder in (
            *("airflow", "bench", "cli", "documents", "emulator", "loading", "moto_stack", "sync", "template", "tools"),
            "triggers",
        )
    ),
    *(
        f"tests/unit/test_{name}.py"
        for name in ("documentation", "linear_expressions", "security_page", "worst_characters")
    ),
    *(f"tests/unit/http/test_{name}.py" for name in ("docs", "status_page")),
    "tests/unit/dispatch/test_metrics.py",
)
# What takes a minute for each mutant, so that it is asked only of those that nothing else finds: the tests of the room
# that drive AWS through many steps (`thorough`), and then the walks of thousands of interleavings.
WALKS = "tests/unit/explorer"
DEAR = {
    **dict.fromkeys(
        ("promotion", "diagnosis", "updates", "verification", "gate"),
        (
            *("tests/unit/updates/test_apply.py", "tests/unit/verification/test_verifier.py"),
            *("tests/unit/verification/test_crashes.py", "tests/unit/gate/test_gate.py"),
            *(f"{WALKS}/test_{name}.py" for name in ("promotion", "updates")),
        ),
    ),
    "batches": ("tests/unit/batches/test_batches.py", f"{WALKS}/test_events.py"),
    "dispatch": (
        "tests/unit/dispatch/test_crashes.py",
        "tests/unit/dispatch/test_waiting.py",
        f"{WALKS}/test_events.py",
    ),
    "http": ("tests/unit/http/test_webhooks.py", f"{WALKS}/test_events.py"),
    "": (
        *(
            "tests/unit/updates/test_apply.py",
            "tests/unit/verification/test_verifier.py",
            "tests/unit/dispatch/test_crashes.py",
        ),
        WALKS,
    ),
}
LONGEST_WALK = 1200.0  # seconds; a mutant that makes it longer never ends

SEED = 20261129
SAMPLE = 400
LEAST_KILLED = 0.90

# The same examples each time; a machine that is busy is no fault of theirs.
PYTEST = ("-o", "pythonpath=. plugins layers/loader cli", "--hypothesis-profile=ci")
# First the tests of `make unit`: those that drive AWS through many steps cost more than all others together.
FIRST, OF_WALKS = ("-m", "not slow and not thorough"), ("-m", "not slow")

WORK = HOME / "mutants"
SURVIVORS = Path(__file__).with_name("survivors.json")
PACKAGE = "layers/jetway/jetway"

# As mutmut writes them down: pytest's exit status, or the signal that ended a test that never ends.
_KILLED = {1, 3}
_TIMED_OUT = {36, -24, 24, 152, 255}
_NOT_FOUND = {0, 33}  # 33: none of the tests that were run first reaches it

_QUOTED_WORDS = re.compile(r"\"[^\"]* [^\"]*\"|'[^']* [^']*'")


@dataclass(frozen=True, slots=True)
class Mutant:
    """One planted fault.

    Attributes:
        name: mutmut's.
        was: the lines that it changes, without indentation.
        becomes: what they are in it.
        nth: of the places in the function where the same lines change in the same way.
    """

    name: str
    was: str
    becomes: str
    nth: int = 1

    @property
    def place(self) -> str:
        """Class and function, whatever module they are in."""
        function = self.name.rpartition(".")[2].partition("__mutmut_")[0]
        return function.removeprefix("x_").removeprefix("xǁ").replace("ǁ", ".")

    @property
    def module(self) -> str:
        """Where the function is."""
        return self.name.rpartition(".")[0]

    @property
    def room(self) -> str:
        """The package below jetway that it is in, or nothing."""
        _, package, *rest = [*self.module.split("."), ""]
        return package if any(rest) else ""

    @property
    def identity(self) -> tuple[str, str, str, int]:
        """What it is known by, as long as the function is not changed."""
        return self.place, self.was, self.becomes, self.nth

    @property
    def is_prose(self) -> bool:
        """Whether it changes only what people read."""
        if "logger." in self.was:
            return True
        same = self.becomes.replace("XX", "") == self.was or self.becomes.lower() == self.was.lower()
        return same and _QUOTED_WORDS.search(self.was) is not None


def draw(mutants: Iterable[Mutant], number: int = SAMPLE, seed: int = SEED) -> list[Mutant]:
    """Return the sample."""

    def rank(mutant: Mutant) -> str:
        return hashlib.sha256(repr((seed, *mutant.identity)).encode()).hexdigest()

    return sorted((mutant for mutant in mutants if not mutant.is_prose), key=rank)[:number]


def copy_repository(work: Path, tests: Sequence[str], rooms: Sequence[str] = ROOMS) -> None:
    """Make the copy that mutmut works in, with its configuration."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (work / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, work / name)
    others = sorted(path.name for path in work.iterdir())
    shutil.copytree(work / PACKAGE, work / "jetway")
    settings = {
        "source_paths": ["jetway"],
        "only_mutate": [f"jetway/{room}" for room in rooms],
        "also_copy": others,
        "pytest_add_cli_args": [*PYTEST, *FIRST],
        "pytest_add_cli_args_test_selection": [*tests, *(f"--ignore={path}" for path in (*LEFT_OUT, WALKS))],
    }
    with (work / "pyproject.toml").open("a") as file:
        file.write("\n[tool.mutmut]\nuse_git_change_detection = false\n")
        file.writelines(f"{name} = {json.dumps(value)}\n" for name, value in settings.items())


def list_mutants(work: Path) -> list[Mutant]:
    """Read what mutmut has written: all mutants of the rooms."""
    found: list[Mutant] = []
    for meta in sorted((work / "mutants" / "jetway").rglob("*.meta")):
        source = meta.with_suffix("")
        spans = json.loads(source.with_suffix(".py.spans").read_text())["spans"]
        lines = source.read_text().split("\n")
        found += _mutants_of(json.loads(meta.read_text())["exit_code_by_key"], spans, lines)
    return found


def _mutants_of(names: Iterable[str], spans: Mapping[str, Sequence[int]], lines: Sequence[str]) -> Iterable[Mutant]:
    same: Counter[tuple[str, str, str, int]] = Counter()
    for name in names:
        function = name.rpartition(".")[2]
        original = function.partition("__mutmut_")[0] + "__mutmut_orig"
        texts = []
        for version in (original, function):
            first, last = spans[version]
            texts.append([line.strip().replace(version, "") for line in lines[first - 1 : last]])
        was, becomes = _changed(*texts)
        mutant = Mutant(name, was, becomes)
        same[mutant.identity] += 1
        yield Mutant(name, was, becomes, same[mutant.identity])


def _changed(before: Sequence[str], after: Sequence[str]) -> tuple[str, str]:
    """Return the lines that differ."""
    was: list[str] = []
    becomes: list[str] = []
    for kind, a, b, c, d in difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if kind != "equal":
            was += before[a:b]
            becomes += after[c:d]
    return "\n".join(was), "\n".join(becomes)


def exit_codes(work: Path) -> dict[str, int | None]:
    """Return what became of each mutant, by its name."""
    codes: dict[str, int | None] = {}
    for meta in (work / "mutants" / "jetway").rglob("*.meta"):
        codes |= json.loads(meta.read_text())["exit_code_by_key"]
    return codes


def run_mutmut(work: Path, children: int, number: int = SAMPLE) -> list[Mutant]:
    """Let mutmut plant all mutants, draw the sample and test what has no result yet; return the sample."""
    os.chdir(work)  # where mutmut looks for its configuration as soon as it is imported
    # Of requirements/mutants.txt: the tests of this module go without.
    from mutmut import __main__ as mutmut  # noqa: PLC0415
    from mutmut.mutation.trampoline import set_mutant_under_test  # noqa: PLC0415

    set_mutant_under_test("mutant_generation")
    Path("mutants").mkdir(exist_ok=True)
    mutmut.copy_src_dir()
    mutmut.copy_also_copy_files()
    mutmut.create_mutants(children)
    sample = draw(list_mutants(work), number)
    codes = exit_codes(work)
    left = [mutant.name for mutant in sample if codes.get(mutant.name) is None]
    if left:
        mutmut._run(left, children)  # the command, without 400 arguments
    return sample


def walk(
    work: Path, living: Sequence[Mutant], children: int, run: Callable[..., Any] = subprocess.run
) -> dict[str, int]:
    """Let the dear tests look for mutants that nothing else has found; return pytest's exit code for each, by its name.

    What is known of a mutant is written down at once (walked.json), and not asked again.
    """
    file = work / "walked.json"
    known: dict[str, int] = json.loads(file.read_text()) if file.exists() else {}
    lock = threading.Lock()

    def ask(mutant: Mutant) -> None:
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *PYTEST, *OF_WALKS]
        env = {**os.environ, "MUTANT_UNDER_TEST": mutant.name}
        try:
            done = run(
                [*command, *DEAR.get(mutant.room, DEAR[""])],
                cwd=work / "mutants",
                env=env,
                stdout=subprocess.DEVNULL,
                timeout=LONGEST_WALK,
            )
            code = int(done.returncode)
        except subprocess.TimeoutExpired:
            code = min(_TIMED_OUT)
        with lock:
            known[mutant.name] = code
            file.write_text(json.dumps(known, indent=1))

    with ThreadPoolExecutor(children) as pool:
        list(pool.map(ask, [mutant for mutant in living if mutant.name not in known]))
    return {mutant.name: known[mutant.name] for mutant in living}


def accepted() -> dict[tuple[str, str, str, int], str]:
    """Return the survivors that may live, each with the reason."""
    listed = json.loads(SURVIVORS.read_text())
    return {(each["place"], each["was"], each["becomes"], each.get("nth", 1)): each["because"] for each in listed}


def judge(
    sample: Sequence[Mutant], codes: Mapping[str, int | None], reasons: Mapping[tuple[str, str, str, int], str]
) -> tuple[list[str], bool]:
    """Return the lines of the report, and whether the bound holds and every survivor has its reason."""
    killed = [mutant for mutant in sample if codes.get(mutant.name) in _KILLED]
    timed_out = [mutant for mutant in sample if codes.get(mutant.name) in _TIMED_OUT]
    living = sorted(set(sample) - set(killed) - set(timed_out), key=lambda mutant: mutant.name)
    rate = (len(killed) + len(timed_out)) / len(sample) if sample else 0.0
    lines = []
    for mutant in living:
        because = reasons.get(mutant.identity, "NO REASON")
        lines += [f"{mutant.module}: {mutant.place}: {because}", f"  - {mutant.was}", f"  + {mutant.becomes}"]
    unexplained = [mutant for mutant in living if mutant.identity not in reasons]
    lines.append(
        f"{len(sample)} mutants: {len(killed)} killed, {len(timed_out)} never ended, {len(living)} survived, "
        f"{len(unexplained)} of them without a reason in {SURVIVORS.relative_to(ROOT)}. "
        f"Killed: {rate:.1%}; at least {LEAST_KILLED:.0%} must be."
    )
    return lines, bool(sample) and rate >= LEAST_KILLED and not unexplained


def main() -> int:
    """Plant, test, report; the exit status says whether enough was killed and the rest has its reasons."""
    parser = argparse.ArgumentParser(prog="python -m tools.checks.mutants", description=__doc__)
    parser.add_argument(
        "--children", type=int, default=os.cpu_count() or 2, help="number of mutants to test in parallel"
    )
    parser.add_argument(
        "--tests", nargs="+", default=ALL_TESTS, help="tests that can find them; all unit tests by default"
    )
    parser.add_argument("--rooms", nargs="+", default=ROOMS, help="to plant them in, as paths in layers/jetway/jetway")
    parser.add_argument("--sample", type=int, default=SAMPLE, metavar="NUMBER", help="how many are drawn")
    parser.add_argument("--resume", action="store_true", help="continue with the copy and results of an earlier run")
    parser.add_argument("--output", type=Path, help="JSON file for the survivors, as tools/checks/survivors.json")
    given = parser.parse_args()
    began = time.monotonic()
    if not given.resume:
        copy_repository(WORK, given.tests, given.rooms)
    sample = run_mutmut(WORK, given.children, given.sample)
    codes, reasons = exit_codes(WORK), accepted()
    if given.tests == ALL_TESTS:
        codes |= walk(
            WORK, [m for m in sample if codes.get(m.name) in _NOT_FOUND and m.identity not in reasons], given.children
        )
    lines, good = judge(sample, codes, reasons)
    print("\n".join(lines))
    print(f"It took {(time.monotonic() - began) / 60:.0f} minutes.")
    if given.output:
        living = [mutant for mutant in sample if codes.get(mutant.name) not in _KILLED | _TIMED_OUT]
        entries = [
            {"place": m.place, "was": m.was, "becomes": m.becomes, "nth": m.nth, "because": reasons.get(m.identity, "")}
            for m in living
        ]
        given.output.write_text(json.dumps(entries, indent=2, ensure_ascii=False) + "\n")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
