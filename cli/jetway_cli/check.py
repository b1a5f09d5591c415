"""`jetway check`: the gate's own checks, on files of this machine."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jetway_cli.check_files import find

if TYPE_CHECKING:
    from jetway.airflow.environment import EnvironmentFacts

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
    "--load",
    "loads",
    is_flag=True,
    help="Load DAG files with the real Airflow, which is set up once. It runs their code.",
)
@click.option(
    "--airflow-python",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="With --load: the Python of a virtual environment that has Airflow, instead of one that is set up.",
)
@click.option(
    "--resolve/--no-resolve",
    "resolves",
    default=True,
    show_default=True,
    help="Resolve requirements.txt with uv; it asks a package index.",
)
@click.option(
    "--index-url",
    envvar="JETWAY_INDEX_URL",
    metavar="URL",
    help="Package index for a requirements.txt that names none; PyPI by default.",
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
    context: click.Context,
    *,
    paths: Sequence[Path],
    airflow_version: str,
    requirements: Path | None,
    loads: bool,
    airflow_python: Path | None,
    resolves: bool,
    index_url: str | None,
    form: str,
) -> None:
    """Judge DAG files, requirements.txt, plugins.zip, startup.sh, trigger files, access.yaml as the gate does.

    A folder is judged as a dags folder. Nothing is asked of AWS; without --load, no code of the files is run.
    """
    from jetway_cli.check_formats import FORMATS
    from jetway_cli.check_judging import Judge

    if airflow_python and not loads:
        raise click.UsageError("--airflow-python is for --load.")
    found = find([*paths, *([requirements] if requirements else [])])
    environment = environment_of(airflow_version)
    judge = Judge(environment, loads=loads, resolves=resolves, index_url=index_url, airflow_python=airflow_python)
    reports = judge.all(found)
    shown = FORMATS[form](reports)
    if shown:
        click.echo(shown)
    if any(report.verdict == "rejected" for report in reports):
        context.exit(1)


def environment_of(airflow_version: str) -> EnvironmentFacts:
    """Return the facts of an environment of which only the version is known."""
    from jetway.airflow.environment import EnvironmentFacts

    return EnvironmentFacts("local", "AVAILABLE", airflow_version, "", "dags")
