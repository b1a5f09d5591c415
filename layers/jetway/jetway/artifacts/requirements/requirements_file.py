"""requirements.txt: what pip in the environment would make of it, as far as reading tells.

MWAA runs `pip install --constraint <its essential pins> -r requirements.txt`, and adds Airflow's own constraints when
it sees none in the file. When pip fails, MWAA only logs it and starts without the packages: hence the errors here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jetway.artifacts.findings import Candidate, Finding, Judgement, judgement
from jetway.artifacts.mwaa import Packages, full_python, marker_environment, packages_of
from jetway.artifacts.requirements.referenced_files import Beside, with_files
from jetway.artifacts.requirements.requirement_constraints import constraint_findings, in_force
from jetway.artifacts.requirements.requirement_freeze import as_one
from jetway.artifacts.requirements.requirement_lines import UnreadableError, decode
from jetway.artifacts.requirements.requirement_pins import pin_findings
from jetway.artifacts.requirements.requirement_sources import place_findings
from jetway.artifacts.requirements.requirements_model import Requested, RequestedDistribution, read_requirements

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jetway.airflow.environment import EnvironmentFacts
    from jetway.artifacts.requirements.local_wheels import LocalWheels

KIND = "requirements"
MAX_BYTES = 1024 * 1024


def check_requirements(
    candidate: Candidate, environment: EnvironmentFacts, shelf: LocalWheels | None = None, beside: Beside | None = None
) -> Judgement:
    """Judge a requirements.txt without an index.

    Args:
        candidate: the file; one larger than MAX_BYTES need not bring its content.
        environment: tells the Airflow version, whose packages and pins are known.
        shelf: the files of plugins.zip, if they are known.
        beside: reads the files that it names with -r and -c.
    """
    if candidate.size > MAX_BYTES:
        return judgement(KIND, [_too_large(candidate.size)])
    try:
        text = decode(candidate.content)
    except UnreadableError as exc:
        return judgement(KIND, [_undecodable(exc)])
    asked = with_files(read_requirements(text), beside)
    packages = packages_of(environment.airflow_version)
    python = full_python(environment)
    findings = list(asked.findings)
    active = active_ones(asked, python)
    findings += constraint_findings(asked, environment.airflow_version, python)
    pins = in_force(asked, packages) if packages else {}
    findings += as_one(list(pin_findings(asked, active, packages, pins)), active, environment.airflow_version)
    if packages is None:
        findings.append(_unknown_version(environment.airflow_version))
    places, uncertain = place_findings(asked, active, environment.python_version, packages, shelf, beside=beside)
    findings += places
    if environment.webserver_access_mode == "PRIVATE_ONLY":
        findings += _needs_internet(asked, active, packages)
    findings.sort(key=lambda finding: finding.line or 0)
    return judgement(KIND, findings, uncertain=uncertain or packages is None)


def active_ones(asked: Requested, python: str) -> list[RequestedDistribution]:
    """Return what pip would install in the environment: markers leave out the rest.

    Args:
        asked: the file.
        python: full version of the environment's Python.
    """
    values = marker_environment(python)
    return [
        wanted
        for wanted in asked.wanted
        if not wanted.requirement or not wanted.requirement.marker or wanted.requirement.marker.evaluate(values)
    ]


def parse_for(
    content: bytes, environment: EnvironmentFacts, beside: Beside | None = None
) -> tuple[Requested, list[RequestedDistribution], Packages | None]:
    """Read a file that has passed the check once more: for resolving it, and for the modules that it brings.

    Raises:
        UnreadableError: it has not passed.
    """
    asked = with_files(read_requirements(decode(content)), beside)
    return asked, active_ones(asked, full_python(environment)), packages_of(environment.airflow_version)


def _too_large(size: int) -> Finding:
    return Finding(
        rule="too-large",
        severity="error",
        message=f"The file has {size:,} bytes; a requirements.txt can have {MAX_BYTES:,}.",
        line=None,
        remedy="List what your DAGs import, one requirement per line.",
    )


def _undecodable(exc: UnreadableError) -> Finding:
    return Finding(
        rule="encoding",
        severity="error",
        message=f"pip cannot read the file: {exc}.",
        line=None,
        remedy="Save it as UTF-8.",
    )


def _needs_internet(
    asked: Requested, active: list[RequestedDistribution], packages: Packages | None
) -> Iterator[Finding]:
    """What a private web server cannot fetch, however the VPC gets out.

    https://docs.aws.amazon.com/mwaa/latest/userguide/configuring-networking.html
    """
    installed = packages.installed if packages else {}
    missing = [wanted for wanted in active if wanted.source == "index" and wanted.name not in installed]
    if missing and asked.no_index is None and not asked.own_index:
        yield Finding(
            rule="needs-internet",
            severity="warning",
            message=f"{missing[0].name} comes from PyPI, which a private web server cannot reach.",
            line=missing[0].line,
            remedy="Put wheels into plugins.zip and write --find-links /usr/local/airflow/plugins and --no-index, "
            "or name an index that the VPC reaches: --index-url",
        )


def _unknown_version(version: str) -> Finding:
    return Finding(
        rule="unknown-airflow-version",
        severity="warning",
        message=f"This version of Jetway does not know what Airflow {version} on MWAA installs and pins.",
        line=None,
        remedy="Update Jetway, or write the data with `make mwaa-packages` and deploy it.",
    )
