"""The cases of cases/: each project as the gate and as Airflow see it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.bench.gate import sides

if TYPE_CHECKING:
    from jetway.promotion.reports import Report
    from tools.bench.gate.projects import Expected, Project

_OF_OTHERS = frozenset({"duplicate-dag-id", "breaks-dags"})  # Airflow says nothing of the file itself
SECONDS = {"good": 30.0, "bad": 6.0}  # for a file


@dataclass(frozen=True)
class Outcome:
    """A project, seen from both sides.

    Attributes:
        said: of the gate, by the path below the project.
        errors: of Airflow, by the path of the DAG file, without those that load.
        ids: of the DAGs that Airflow finds.
    """

    project: Project
    said: Mapping[str, Report]
    errors: Mapping[str, str]
    ids: frozenset[str]

    @property
    def verdict(self) -> str:
        """The worst of all files."""
        given = {report.verdict for report in self.said.values()}
        return next((name for name in ("rejected", "unknown") if name in given), "accepted")

    @property
    def refused(self) -> list[str]:
        """Files of a good project that are refused."""
        if self.project.sort == "bad":
            return []
        return [path for path, report in self.said.items() if report.verdict == "rejected"]

    @property
    def noise(self) -> list[str]:
        """Findings that the project is to be without."""
        return [
            f"{path}: {finding.rule}, line {finding.line}"
            for path, report in self.said.items()
            for finding in report.findings
            if finding.rule in self.project.without
        ]

    @property
    def wrong_dags(self) -> list[str]:
        """DAGs that the gate is certain of and Airflow does not find."""
        if self.project.sort == "bad":
            return []
        loaded = {dag.dag_id for report in self.said.values() for dag in report.dags if dag.certainty == "loaded"}
        return sorted(dag_id for dag_id in loaded - self.ids if dag_id is not None)

    @property
    def unfit(self) -> list[str]:
        """Why the project is no fair case: what Airflow says otherwise."""
        if self.project.sort == "good":
            return [f"{path}: {error}" for path, error in self.errors.items()] or ([] if self.ids else ["no DAG"])
        told = [
            one for one in self.project.expected if one.verdict == "rejected" and one.path.endswith((".py", ".zip"))
        ]
        return [
            f"{one.path} loads"
            for one in told
            if one.path.startswith("dags/") and one.rule not in _OF_OTHERS and one.path not in self.errors
        ]

    @property
    def missed(self) -> list[Expected]:
        """What the gate was to say of a broken project and did not."""
        return [one for one in self.project.expected if not self._is_said(one)]

    def _is_said(self, one: Expected) -> bool:
        report = self.said.get(one.path)
        return (
            report is not None
            and report.verdict == one.verdict
            and any(finding.rule == one.rule and one.line in {None, finding.line} for finding in report.findings)
        )


def compare(projects: Sequence[Project], version: str, gate: Path, truth: Path, folder: Path) -> Iterator[Outcome]:
    """Show all projects to both.

    Args:
        gate: the Python that the gate loads with.
        truth: the Python of Airflow, with what requirements.txt brings.
        folder: to write them to.
    """
    jobs, places = [], []
    for number, project in enumerate(projects):
        place, home = folder / f"gate{number}", folder / f"truth{number}"
        project.write(place)
        project.write_whole(home)
        places.append(place)
        jobs.append(sides.Job(str(number), home, project.dag_files, project.variables, SECONDS[project.sort]))
    answers = sides.truth(truth, jobs)
    for job, place, project in zip(jobs, places, projects, strict=True):
        answer: Mapping[str, Any] = answers[job.name]
        errors = {
            f"dags/{file}": " ".join(said["errors"])[-300:] for file, said in answer["files"].items() if said["errors"]
        }
        ids = frozenset(dag for said in answer["files"].values() for dag in said["dags"])
        yield Outcome(project, sides.gate(place, version, gate), errors, ids)
