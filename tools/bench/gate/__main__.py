"""`make bench-gate`: the gate against Airflow itself, on files of others, good ones of each kind, and broken ones."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools import venvs
from tools.bench.gate import figures, files, kinds, mutants, needs, shipped, speed
from tools.bench.gate.projects import read
from tools.emulator import airflow

PARTS = ("files", "kinds", "mutants", "requirements", "speed")


@dataclass(frozen=True)
class Bench:
    """One version of Airflow, and how much is looked at.

    Attributes:
        gate, truth: the Pythons of the gate's Airflow and of Airflow with the providers.
        sample: of each sort; None for all.
    """

    version: str
    gate: Path
    truth: Path
    sample: int | None

    def files(self, folder: Path) -> figures.Part:
        """Files of others."""
        return figures.of_files(files.see(self.version, self.gate, folder, self.sample))

    def kinds(self, folder: Path) -> figures.Part:
        """Good and broken projects of each kind."""
        projects = read(self.version)[: self.sample]
        return figures.of_kinds(list(kinds.compare(projects, self.version, self.gate, self.truth, folder)))

    def mutants(self, folder: Path) -> figures.Part:
        """Good projects, broken."""
        return figures.of_mutants(list(mutants.see(self.version, self.gate, self.truth, folder, self.sample)))

    def requirements(self, _folder: Path) -> figures.Part:
        """Lists of requirements."""
        return figures.of_needs(list(needs.see(self.version, self.sample)))

    def speed(self, folder: Path) -> figures.Part:
        """How long `jetway check --load` takes."""
        return figures.of_speed(speed.see(self.version, self.gate, folder))


def main() -> int:
    """Compare, print, and fail when they disagree."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench.gate", description=__doc__)
    parser.add_argument("--versions", nargs="+", default=list(airflow.VERSIONS))
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--sample", type=int, metavar="N", help="look at N of each sort, to see whether all works")
    parser.add_argument("--output", type=Path, help="write the figures of these versions and parts to this file too")
    given = parser.parse_args()
    wrong = list[str]()
    for version in given.versions:
        python = venvs.ensure(f"airflow-{version}")
        bench = Bench(version, python, shipped.truth_python(version), given.sample)
        for name in given.parts:
            part = _measured(getattr(bench, name))
            print("\n".join([f"## Airflow {version}: {name}", "", *part.lines, ""]), flush=True)
            wrong += [f"Airflow {version}, {one}" for one in part.wrong]
            if given.output:
                page = given.output.read_text() if given.output.exists() else ""
                given.output.write_text(figures.put(page, version, name, part.lines))
    print("\n".join(["Wrong:", *wrong] if wrong else ["Nothing is wrong."]))
    return 1 if wrong else 0


def _measured(look: Callable[[Path], figures.Part]) -> figures.Part:
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        part = look(Path(folder).resolve())
    minutes: Sequence[str] = ["", f"This took {(time.perf_counter() - started) / 60:.0f} minutes."]
    return figures.Part([*part.lines, *minutes], part.wrong)


if __name__ == "__main__":
    sys.exit(main())
