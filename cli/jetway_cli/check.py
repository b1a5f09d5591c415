"""`jetway check`: the gate's own checks, on files of this machine."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from jetway_cli.check_files import find
from jetway_cli.output import say

if TYPE_CHECKING:
    from jetway.airflow.environment import EnvironmentFacts

NEWEST = "3.3.1"
OLDEST = "2.9"
READ_ONLY = "DAG files were only read. With --load, they are loaded with Airflow, as the drop bucket does."
MOST_SHOWN = 20
READ = frozenset({"dag-file", "packed-dags", "local-settings"})  # kinds that --load loads
_VERSION = re.compile(r"[23]\.\d{1,3}\.\d{1,3}")


def _version(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    if not _VERSION.fullmatch(value):
        raise click.BadParameter(f"{value!r} is not an Airflow version on MWAA, such as 2.10.3 or {NEWEST}.")
    if tuple(map(int, value.split(".")[:2])) < tuple(map(int, OLDEST.split("."))):
        raise click.BadParameter(f"{value} is too old: Jetway requires Airflow {OLDEST} or newer.")
    return value


class _Given(click.Path):
    """A path; an empty one, which a variable without a value leaves behind, names nothing."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path."""
        if not str(value).strip():
            self.fail("a path is empty; in a script, check whether the variable that holds it is set.", param, ctx)
        return super().convert(value, param, ctx)


@click.command(epilog="Exit code 0: nothing is rejected; 1: something is rejected; 2: wrong usage.")
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=_Given(path_type=Path))
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
    type=_Given(exists=True, dir_okay=False, path_type=Path),
    help="The environment's requirements.txt, if it is not one of PATH. It is checked too.",
)
@click.option(
    "--load",
    "loads",
    is_flag=True,
    help="Load DAG files with the real Airflow, which is installed once. This runs their code.",
)
@click.option(
    "--airflow-python",
    metavar="FILE",
    type=_Given(exists=True, dir_okay=False, path_type=Path),
    help="With --load: the Python of a virtual environment that has Airflow, instead of installing one.",
)
@click.option(
    "--keep/--no-keep",
    "keeps",
    envvar="JETWAY_KEEP",
    default=True,
    show_default=True,
    help=("With --load: keep the process that imported Airflow for ten minutes, so that the next check is quick."),
)
@click.option(
    "--resolve/--no-resolve",
    "resolves",
    default=True,
    show_default=True,
    help="Resolve requirements.txt with uv, which reads a package index.",
)
@click.option(
    "--index-url",
    envvar="JETWAY_INDEX_URL",
    metavar="URL",
    help="Package index for a requirements.txt that does not name one. The default is PyPI.",
)
@click.option(
    "--allow-index",
    "allowed",
    envvar="JETWAY_ALLOW_INDEX",
    metavar="HOST",
    multiple=True,
    help=(
        "A host of packages or constraints that can have a private address or use plain http: HOST, "
        "HOST:PORT, or a URL. You can repeat this option. The host of --index-url is always included."
    ),
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
    keeps: bool,
    resolves: bool,
    index_url: str | None,
    allowed: Sequence[str],
    form: str,
) -> None:
    """Check what the drop bucket accepts, as the gate does: DAG files, requirements.txt, plugins.zip, startup.sh,
    trigger files, access.yaml, alarms.yaml, floors.yaml.

    A folder is a dags folder, a folder of trigger files (named triggers), the content of plugins.zip (named plugins),
    or a project that holds these. The check does not call AWS. Without --load, it does not run the files' code.
    """
    from jetway_cli.check_formats import FORMATS
    from jetway_cli.check_judging import Judge

    if airflow_python and not loads:
        raise click.UsageError("--airflow-python requires --load.")
    scratch = Path(context.with_resource(TemporaryDirectory(prefix="jetway-")))
    search = find([*paths, *([requirements] if requirements else [])], scratch)
    environment = environment_of(airflow_version)
    judge = Judge(
        environment,
        loads=loads,
        resolves=resolves,
        index_url=index_url,
        allowed=allowed,
        airflow_python=airflow_python,
        keeps=keeps,
    )
    reports = judge.all(search.found)
    shown = FORMATS[form](reports)
    if shown:
        click.echo(shown)
    if search.passed_over:
        say(f"Not checked, because the drop bucket does not accept it: {', '.join(search.passed_over)}")
    if search.left_out:
        say(f"Skipped: {_some(search.left_out)}")
    if not loads and any(report.kind in READ for report in reports):
        say(READ_ONLY)
    if judge.trouble is not None:
        raise judge.trouble
    if any(report.verdict == "rejected" for report in reports):
        context.exit(1)


def _some(items: Sequence[str]) -> str:
    more = f", and {len(items) - MOST_SHOWN} more" if len(items) > MOST_SHOWN else ""
    return ", ".join(items[:MOST_SHOWN]) + more


def environment_of(airflow_version: str) -> EnvironmentFacts:
    """Return the facts of an environment of which only the version is known."""
    from jetway.airflow.environment import EnvironmentFacts

    return EnvironmentFacts("local", "AVAILABLE", airflow_version, "", "dags")
