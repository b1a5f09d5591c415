"""A requirements.txt that is the `pip freeze` of an Airflow: one cause, and one sentence about it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from jetway.artifacts.findings import Finding
from jetway.artifacts.mwaa import known_versions, packages_of

if TYPE_CHECKING:
    from jetway.artifacts.requirements.requirements_model import RequestedDistribution

MANY = 20  # contradictions; whoever writes a file by hand has fewer
MANY_WITH_AIRFLOW = 5  # where another Airflow itself is among them
_ALIKE = 0.5  # of the pins that a version has too
_CONTRADICTS = frozenset({"essential-pin", "constraint-conflict"})
_LONGEST_LIST = 3


def as_one(findings: Sequence[Finding], active: Sequence[RequestedDistribution], airflow_version: str) -> list[Finding]:
    """Put one finding in the place of many contradictions, when their cause is that all of another Airflow is listed.

    Args:
        findings: of the file's pins.
        active: what of the file pip would install.
        airflow_version: of the environment.
    """
    wrong = [finding for finding in findings if finding.rule in _CONTRADICTS]
    pins = _pins(active)
    names_another = pins.get("apache-airflow", airflow_version) != airflow_version
    if len(wrong) < (MANY_WITH_AIRFLOW if names_another else MANY):
        return list(findings)
    other = pins.get("apache-airflow") or _nearest(pins)
    whose = (
        f"the pins of Airflow {other}"
        if other and other != airflow_version
        else "the output of pip freeze in another place"
    )
    lines = [finding.line for finding in wrong if finding.line]
    some = ", ".join(f"{name}=={version}" for name, version in sorted(pins.items())[:_LONGEST_LIST])
    one = Finding(
        rule="pins-of-another-version",
        severity="error",
        message=(
            f"{len(wrong)} of {len(active)} lines contradict what MWAA pins for Airflow {airflow_version}. They "
            f"are {whose} ({some}, …), and pip would install nothing of the file."
        ),
        line=min(lines, default=None),
        remedy=(
            "Keep only packages that your DAGs import and that MWAA does not have. MWAA has Airflow, its "
            "providers for AWS, and their dependencies. Then check the file again."
        ),
    )
    return [one, *(finding for finding in findings if finding.rule not in _CONTRADICTS)]


def _pins(active: Sequence[RequestedDistribution]) -> dict[str, str]:
    """name → version of the lines that allow one version only."""
    pins: dict[str, str] = {}
    for wanted in active:
        if wanted.name and wanted.requirement and wanted.source == "index" and wanted.pinned:
            pins[wanted.name] = next(spec.version for spec in wanted.requirement.specifier if "==" in spec.operator)
    return pins


def _nearest(pins: Mapping[str, str]) -> str | None:
    """The known Airflow version of which most pins are; None when there is none that is like it."""
    best, most = None, 0.0
    for version in known_versions():
        packages = packages_of(version)
        known = {**packages.constraints, **packages.installed} if packages else {}
        both = pins.keys() & known.keys()
        alike = sum(pins[name] == known[name] for name in both) / max(len(both), 1)
        if alike > most:
            best, most = version, alike
    return best if most >= _ALIKE else None
