"""Versions asked for against versions given: MWAA's essential pins, Airflow's constraints, the file itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from packaging.version import InvalidVersion, Version

from jetway.artifacts.findings import Finding

if TYPE_CHECKING:
    from packaging.specifiers import SpecifierSet

    from jetway.artifacts.mwaa import Packages
    from jetway.artifacts.requirements.requirements_model import Requested, RequestedDistribution


def pin_findings(
    asked: Requested, active: Sequence[RequestedDistribution], packages: Packages | None, constraints: Mapping[str, str]
) -> Iterator[Finding]:
    """Compare every requirement with what is given.

    Args:
        asked: the file.
        active: what of it pip would install.
        packages: of the environment's Airflow version; None when not known.
        constraints: the pins in force beside the essential ones.
    """
    essential = packages.essential if packages else {}
    for wanted in active:
        name, requirement = wanted.name, wanted.requirement
        if name is None or requirement is None:
            continue
        pin = essential.get(name)
        if pin is not None:
            if wanted.source != "index" or not _allows(requirement.specifier, pin):
                yield _essential(wanted, name, pin, packages.airflow if packages else "")
            continue
        pin = constraints.get(name)
        if pin is not None and wanted.source == "index" and not _allows(requirement.specifier, pin):
            yield _constrained(wanted, name, pin, forced=asked.seen is None)
        elif not wanted.pinned:
            yield _unpinned(wanted, name, pin, packages)
    yield from _duplicates(active)
    yield from _hashes(asked, active)


def _allows(specifier: SpecifierSet, version: str) -> bool:
    try:
        return specifier.contains(version, prereleases=True)
    except InvalidVersion:
        return True  # of a pin that is no version by PEP 440: pip will say


def _essential(wanted: RequestedDistribution, name: str, pin: str, airflow: str) -> Finding:
    asked = "from a place of its own" if wanted.source != "index" else str(_text(wanted))
    return Finding(
        rule="essential-pin",
        severity="error",
        message=(
            f"The file requires {name} {asked}, but MWAA pins {name}=={pin} for Airflow {airflow}, and no "
            "requirements.txt can override it: pip would install nothing of the file."
        ),
        line=wanted.line,
        remedy=f"Remove the line, or write {name}=={pin}. Another version requires another Airflow version.",
    )


def _constrained(wanted: RequestedDistribution, name: str, pin: str, *, forced: bool) -> Finding:
    airflows = "Airflow's constraints, which MWAA enforces because the file names none,"
    whose = airflows if forced else "the constraints that the file names"
    return Finding(
        rule="constraint-conflict",
        severity="error",
        message=(
            f"The file requires {name} {_text(wanted)}, but {whose} say {name}=={pin}: pip would install nothing "
            "of the file."
        ),
        line=wanted.line,
        remedy=(
            f"Write {name}=={pin}, or name your own constraints file, in which you change the line {name}: "
            "--constraint /usr/local/airflow/dags/constraints.txt"
        ),
    )


def _unpinned(wanted: RequestedDistribution, name: str, pin: str | None, packages: Packages | None) -> Finding:
    installed = packages.installed.get(name) if packages else None
    if pin is not None:
        message = f"{name} is not pinned; it is {pin} only while these constraints apply."
        remedy = f"Write {name}=={pin}"
    elif installed is not None and wanted.requirement is not None and _allows(wanted.requirement.specifier, installed):
        message = f"{name} is not pinned; the environment has {installed}, which pip keeps."
        remedy = f"Remove the line, or write {name}=={installed}"
    else:
        message = f"{name} is not pinned: every worker that starts installs the newest version at that time."
        remedy = f"Pin the version that you have tested: {name}==…"
    return Finding(rule="unpinned", severity="warning", message=message, line=wanted.line, remedy=remedy)


def _duplicates(active: Sequence[RequestedDistribution]) -> Iterator[Finding]:
    first: dict[str, RequestedDistribution] = {}
    for wanted in active:
        name = wanted.name
        if name is None:
            continue
        other = first.setdefault(name, wanted)
        if other is wanted:
            continue
        against = _contradiction(other, wanted)
        yield Finding(
            rule="duplicate",
            severity="error" if against else "warning",
            message=f"{name} is required twice, also in line {other.line}"
            + (": no version satisfies both, so pip would install nothing of the file." if against else "."),
            line=wanted.line,
            remedy="Keep one of the lines.",
        )


def _contradiction(one: RequestedDistribution, other: RequestedDistribution) -> bool:
    """Whether a version that one pins is not what the other asks for."""
    if one.requirement is None or other.requirement is None or "index" not in {one.source, other.source}:
        return one.place != other.place
    if one.source != other.source:
        return False  # the archive's version is not known
    for a, b in ((one.requirement, other.requirement), (other.requirement, one.requirement)):
        for spec in a.specifier:
            if (
                spec.operator == "=="
                and not spec.version.endswith(".*")
                and not b.specifier.contains(Version(spec.version), prereleases=True)
            ):
                return True
    return False


def _hashes(asked: Requested, active: Sequence[RequestedDistribution]) -> Iterator[Finding]:
    if asked.hashed is None:
        return
    for wanted in active:
        if not wanted.hashed or not wanted.pinned or wanted.source == "vcs":
            yield Finding(
                rule="hashes-incomplete",
                severity="error",
                message=(
                    "Some lines have a --hash, so pip requires a hash and an exact version on every line: it would "
                    "install nothing of the file."
                ),
                line=wanted.line,
                remedy="Write the whole file with `uv pip compile --generate-hashes`, or remove all hashes.",
            )
            return


def _text(wanted: RequestedDistribution) -> str:
    requirement = wanted.requirement
    if requirement is None:
        return "as an archive"
    return str(requirement.specifier) if requirement.specifier else "in any version"
