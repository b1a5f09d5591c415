"""Which constraints pip will have when it installs a requirements.txt on MWAA."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from jetway.artifacts.findings import Finding
from jetway.artifacts.mwaa import packages_of
from jetway.artifacts.requirements.referenced_files import is_beside, on_mwaa
from jetway.artifacts.requirements.requirement_lines import redacted
from jetway.artifacts.requirements.requirements_model import exact_version

if TYPE_CHECKING:
    from jetway.artifacts.mwaa import Packages
    from jetway.artifacts.requirements.requirements_model import Requested

_OFFICIAL = re.compile(
    r"https://raw\.githubusercontent\.com/apache/airflow/(?:refs/(?:tags|heads)/)?constraints-(?P<airflow>[\w.]+)/"
    r"constraints-(?P<python>\d+\.\d+)\.txt"
)


def official_url(airflow: str, python: str) -> str:
    """Return where Airflow publishes its constraints.

    https://airflow.apache.org/docs/apache-airflow/stable/installation/installing-from-pypi.html#constraints-files
    """
    minor = ".".join(python.split(".")[:2])
    return f"https://raw.githubusercontent.com/apache/airflow/constraints-{airflow}/constraints-{minor}.txt"


def forced(asked: Requested) -> bool:
    """Whether MWAA adds Airflow's own constraints: it sees none in the file."""
    return asked.seen is None


def in_force(asked: Requested, packages: Packages) -> Mapping[str, str]:
    """Return the pins, beside the essential ones, that are known to hold."""
    if forced(asked):
        return packages.constraints
    pins: dict[str, str] = {}
    for _, place in asked.constraints:
        pins |= _official_pins(place) or {}
        own = (one for one in asked.own_constraints.get(place, ()) if one.marker is None)
        pins |= {canonicalize_name(one.name): version for one in own if (version := exact_version(one))}
    return pins


def unknown_constraints(asked: Requested) -> list[tuple[int, str]]:
    """Return (line, place) of the constraint files whose content is not known here."""
    return [
        (line, place)
        for line, place in asked.constraints
        if place not in asked.own_constraints and _official_pins(place) is None
    ]


def constraint_findings(asked: Requested, airflow: str, python: str) -> Iterator[Finding]:
    """Say whether a constraint is there and really in force, and whether it is the environment's."""
    url = official_url(airflow, python)
    line_to_write = f'--constraint "{url}"'
    if not asked.constraints and asked.seen is None:
        if asked.wanted:
            yield Finding(
                rule="no-constraint",
                severity="warning",
                message=f"The file names no constraints, so MWAA enforces the constraints of Airflow {airflow}.",
                line=None,
                remedy=f"Name them in the first line, as MWAA recommends: {line_to_write}",
            )
        return
    if not asked.constraints:
        yield Finding(
            rule="constraint-not-in-force",
            severity="warning",
            message=(
                "MWAA takes this for a constraint and leaves out Airflow's own, but pip does not read it as "
                "one. Only MWAA's essential pins apply, and an update can replace packages that Airflow needs."
            ),
            line=asked.seen,
            remedy=(
                f"Write it as an option on its own line: {line_to_write}. If you left out Airflow's constraints "
                "on purpose, there is nothing to do."
            ),
        )
        return
    if asked.seen is None:
        yield Finding(
            rule="constraint-not-seen",
            severity="warning",
            message=(
                "MWAA looks for `-c ` or `--constraint ` with a space and does not find it, so it also "
                f"enforces the constraints of Airflow {airflow}. Where the two differ, pip installs nothing."
            ),
            line=asked.constraints[0][0],
            remedy=f"Write a space between option and value: {line_to_write}",
        )
    for line, place in asked.constraints:
        match = _OFFICIAL.fullmatch(place)
        minor = ".".join(python.split(".")[:2])
        if match and (match["airflow"], match["python"]) != (airflow, minor):
            yield Finding(
                rule="constraint-of-another-version",
                severity="warning",
                message=f"These are the constraints of Airflow {match['airflow']} on Python {match['python']}; "
                f"the environment runs Airflow {airflow} on Python {minor}.",
                line=line,
                remedy=f"Write {line_to_write}",
            )
        elif "://" not in place and not place.startswith("/") and not is_beside(on_mwaa(place)):
            yield Finding(
                rule="local-file",
                severity="warning",
                message=f"pip looks for the constraints `{redacted(place)}` beside requirements.txt, "
                "where MWAA puts no other file.",
                line=line,
                remedy="Put the file into dags/ or plugins.zip and name its full path, "
                "for example /usr/local/airflow/plugins/constraints.txt",
            )
        if place.startswith(("https://", "http://")) and asked.no_index is not None:
            yield Finding(
                rule="constraint-needs-internet",
                severity="warning",
                message="With --no-index, packages come without the internet, but this file does not.",
                line=line,
                remedy="In an environment without internet, put the constraints into plugins.zip and name "
                "/usr/local/airflow/plugins/constraints.txt",
            )


def _official_pins(place: str) -> Mapping[str, str] | None:
    """What Airflow's constraints of any version say that is known here."""
    match = _OFFICIAL.fullmatch(place)
    packages = packages_of(match["airflow"]) if match else None
    known = match and packages and packages.python.startswith(f"{match['python']}.")
    return packages.constraints if packages and known else None
