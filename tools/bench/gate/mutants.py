"""Each good project of bases.txt, broken in each known way, as the gate and as Airflow see it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.bench.gate import sides
from tools.bench.gate.corpus import MORE, MUTANTS, Mutant, encoded, good, marked
from tools.bench.gate.projects import Project, parse

BASES = Path(__file__).with_name("bases.txt")
PLAIN = Project("bases", "plain", "good", {"dags/orders.py": good("orders")})
SECONDS = 6.0  # two mutants hang

_FILE = "dags/orders.py"


@dataclass(frozen=True)
class Seen:
    """One mutant of one project.

    Attributes:
        expected: the line that is to be named; None where there is none.
        fails: in Airflow.
        verdict, rule, line: of the gate; rule and line of the finding that was looked for, if there is one.
        rules: of all its errors.
    """

    mutant: Mutant
    base: str
    expected: int | None
    fails: bool
    verdict: str
    rule: str | None
    line: int | None
    rules: tuple[str, ...]

    @property
    def right(self) -> bool:
        """It is refused with its rule, at its line."""
        return self.verdict == "rejected" and self.rule is not None and self.expected in {None, self.line}


def see(version: str, gate: Path, truth: Path, folder: Path, most: int | None = None) -> Iterator[Seen]:
    """Show all to both.

    Args:
        gate: the Python that the gate loads with.
        truth: the Python of Airflow.
        folder: to write them to.
        most: projects that are broken.
    """
    bases = [PLAIN, *parse("bases", BASES.read_text())][:most]
    written = [
        (base, _write(base, folder / f"gate{number}", folder / f"truth{number}")) for number, base in enumerate(bases)
    ]
    jobs = [
        sides.Job(base.name, folder / f"truth{number}", [name for name, _, _ in files], base.variables, SECONDS)
        for number, (base, files) in enumerate(written)
    ]
    answers = sides.truth(truth, jobs)
    for number, (base, files) in enumerate(written):
        said = sides.gate(folder / f"gate{number}", version, gate)
        for name, mutant, line in files:
            report = said[f"dags/{name}"]
            errors = [finding for finding in report.findings if finding.severity == "error"]
            found = [finding for finding in errors if finding.rule in mutant.rules]
            at = next((finding for finding in found if finding.line == line), found[0] if found else None)
            yield Seen(
                mutant,
                base.name,
                line,
                bool(answers[base.name]["files"][name]["errors"]),
                report.verdict,
                at.rule if at else None,
                at.line if at else None,
                tuple(sorted({finding.rule for finding in errors})),
            )


def _write(base: Project, gate: Path, truth: Path) -> Sequence[tuple[str, Mutant, int | None]]:
    """Write both folders; return the mutants' files, below dags/, and the lines that are to be named."""
    others = {path: text for path, text in base.files.items() if path != _FILE}
    rest = Project(base.kind, base.name, "good", others, variables=base.variables)
    rest.write(gate)
    rest.write_whole(truth)
    found = []
    for mutant in (*MUTANTS, *MORE):
        if (mutant.needs_all and "requirements.txt" in base.files) or (mutant.slow and base is not PLAIN):
            continue
        name = "m_" + re.sub(r"\W+", "_", mutant.name)
        text = mutant.change(
            re.sub(r'(DAG\(f?"|def )orders', rf"\g<1>{name}", base.files[_FILE]).replace("\norders()", f"\n{name}()")
        )
        for place, home in ((gate, "/usr/local/airflow"), (truth, str(truth))):
            (place / "dags").mkdir(parents=True, exist_ok=True)
            (place / "dags" / f"{name}.py").write_bytes(encoded(mutant, text.replace("/usr/local/airflow", home)))
        found.append((f"{name}.py", mutant, marked(text)))
    return found
