"""`jetway check`: the gate's own checks, on files of this machine."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jetway_cli.check_files import Found, find

if TYPE_CHECKING:
    from jetway.airflow.environment import EnvironmentFacts
    from jetway.reports import Report

NEWEST = "3.3.1"
_VERSION = re.compile(r"[23]\.\d{1,3}\.\d{1,3}")


def _version(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    if not _VERSION.fullmatch(value):
        raise click.BadParameter(f"{value!r} is no Airflow version of MWAA, such as 2.10.3 or {NEWEST}.")
    return value


@click.command(epilog="Exit code 0: nothing is rejected; 1: something is; 2: wrong use.")
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--airflow-version",
    envvar="JETWAY_AIRFLOW_VERSION",
    default=NEWEST,
    show_default=True,
    callback=_version,
    help="The environment's Airflow version, as MWAA writes it.",
)
@click.option(
    "--requirements",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The environment's requirements.txt, when it is none of PATH: it is judged too.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "github", "sarif"]),
    default="text",
    show_default=True,
    help="text for people, json for programs, github for annotations, sarif for code scanning.",
)
@click.pass_context
def check(
    context: click.Context, *, paths: Sequence[Path], airflow_version: str, requirements: Path | None, form: str
) -> None:
    """Judge DAG files, requirements.txt, plugins.zip, startup.sh and trigger files as the drop bucket's gate does.

    A folder is judged as a dags folder. Nothing is asked of AWS, and no code of the files is run.
    """
    from jetway_cli.check_formats import FORMATS

    found = find([*paths, *([requirements] if requirements else [])])
    reports = judge(found, environment_of(airflow_version))
    shown = FORMATS[form](reports)
    if shown:
        click.echo(shown)
    if any(report.verdict == "rejected" for report in reports):
        context.exit(1)


def environment_of(airflow_version: str) -> EnvironmentFacts:
    """Return the facts of an environment of which only the version is known."""
    from jetway.airflow.environment import EnvironmentFacts

    return EnvironmentFacts("local", "AVAILABLE", airflow_version, "", "dags")


def judge(found: Sequence[Found], environment: EnvironmentFacts) -> list[Report]:
    """Judge every file."""
    from jetway.artifacts.dag_file import DEFAULT_MAX_BYTES
    from jetway.artifacts.keys import placing_findings
    from jetway.artifacts.kinds import kind_of
    from jetway.artifacts.requirements_file import Shelf, check_requirements
    from jetway.reports import report_on

    shelf = _shelf(found)
    reports = []
    for one in found:
        started = time.perf_counter()
        kind = kind_of(one.key)
        candidate = one.candidate(kind, DEFAULT_MAX_BYTES)
        if kind.name == "requirements":
            judged = check_requirements(candidate, environment, Shelf(shelf) if shelf is not None else None)
        else:
            judged = kind.check(candidate, environment, DEFAULT_MAX_BYTES)
        refused = placing_findings(one.key, candidate.size, kind.destination(one.key, environment))
        if refused:
            judged = replace(judged, verdict="rejected", findings=(*refused, *judged.findings))
        reports.append(report_on(one.path, judged, time.perf_counter() - started))
    return reports


def _shelf(found: Sequence[Found]) -> list[str] | None:
    """The names in the plugins.zip that is judged too, which requirements.txt may speak of."""
    from jetway.artifacts.zip_reader import BrokenZipError, LargeDirectoryError, ZipReader

    file = next((one.file for one in found if one.key == "plugins.zip"), None)
    if file is None:
        return None
    try:
        with file.open("rb") as stream:
            return [member.name for member in ZipReader(stream, file.stat().st_size).members]
    except (BrokenZipError, LargeDirectoryError):
        return None
