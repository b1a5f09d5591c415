"""The files of others, as the gate and as Airflow see each, and how long the gate takes to load them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.bench.gate import shipped, sides

if TYPE_CHECKING:
    from jetway.promotion.reports import Report


@dataclass(frozen=True)
class Row:
    """One file.

    Attributes:
        errors: of Airflow.
        sure, dags: the DAGs that the gate is certain of, and those that Airflow finds.
        seconds: that loading took.
    """

    file: str
    verdict: str
    findings: tuple[str, ...]
    errors: tuple[str, ...]
    sure: frozenset[str]
    dags: frozenset[str]
    seconds: float

    @property
    def good(self) -> bool:
        """Airflow loads it."""
        return not self.errors

    @property
    def refused(self) -> bool:
        """Airflow loads it, and the gate refuses it."""
        return self.good and self.verdict == "rejected"

    @property
    def missed(self) -> bool:
        """Airflow does not load it, and the gate does not refuse it."""
        return not self.good and self.verdict != "rejected"

    @property
    def other_dags(self) -> bool:
        """It loads in both, with other DAGs."""
        return self.good and self.verdict == "accepted" and not self.sure <= self.dags


@dataclass(frozen=True)
class Files:
    """All of them.

    Attributes:
        wall: seconds of all together, in the gate.
    """

    rows: Sequence[Row]
    wall: float

    def count(self) -> Mapping[tuple[str, bool], int]:
        """How many have a verdict and load in Airflow."""
        return Counter((row.verdict, row.good) for row in self.rows)


def see(version: str, gate: Path, folder: Path, most: int | None = None) -> Files:
    """Show them to both.

    Args:
        gate: the Python that the gate loads with: it has no provider that MWAA's image has not.
        folder: to write them to.
        most: of each project, to see whether all works.

    Raises:
        SetupError: no index answers.
    """
    rows, wall = list[Row](), 0.0
    for project, files in shipped.write(version, folder).items():
        place, wanted = folder / project, files[:most]
        for left in files[len(wanted) :]:
            (place / "dags" / left).unlink()
        started = time.perf_counter()
        said = sides.gate(place, version, gate)
        wall += time.perf_counter() - started
        answers = sides.truth(shipped.truth_python(version), [sides.Job(project, place, wanted, {})])[project]["files"]
        rows += [_row(file, said[f"dags/{file}"], answers[file]) for file in wanted if file in answers]
    return Files(rows, wall)


def _row(file: str, report: Report, answer: Mapping[str, Any]) -> Row:
    return Row(
        file,
        report.verdict,
        tuple(f"{finding.rule} (line {finding.line}): {finding.message}" for finding in report.findings),
        tuple(text.strip()[-200:] for text in answer["errors"]),
        frozenset(str(dag.dag_id) for dag in report.dags if dag.certainty == "loaded"),
        frozenset(answer["dags"]),
        report.seconds,
    )
