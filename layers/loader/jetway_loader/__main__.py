"""python -m jetway_loader FOLDER [FILES...] --json: load DAG files with the Airflow of this interpreter."""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from jetway_loader import calls, settings
from jetway_loader.inventory import Inventory
from jetway_loader.model import Loaded, Options

if TYPE_CHECKING:
    from jetway_loader.airflow_api import Airflow

Load = Callable[[Path, Path, list[str], Options, Path | None], list[Loaded] | None]


def main(arguments: list[str] | None = None, load: Load | None = None) -> int:
    """Load, and print what came of it; `load` stands in for importing Airflow first.

    Exit status: 0 nothing rejected, 1 something rejected, 2 wrong use, 3 no Airflow that works."""
    parser = argparse.ArgumentParser(prog="python -m jetway_loader", description=__doc__)
    parser.add_argument("folder", type=Path, help="the dags folder")
    parser.add_argument("files", nargs="*", help="files to check, relative to FOLDER; all Python files by default")
    parser.add_argument("--files", type=Path, metavar="FILE", dest="listed", help="JSON: a list of more files to check")
    parser.add_argument("--json", action="store_true", help="print a list of JSON objects, one for each file")
    parser.add_argument("--timeout", type=float, default=30.0, metavar="SECONDS", help="for one file")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="number of files to load in parallel")
    parser.add_argument("--memory", type=int, metavar="MEBIBYTES", help="maximum memory to load one file")
    parser.add_argument(
        "--provided",
        type=Path,
        metavar="FILE",
        help='JSON: {"modules": [...], "unlisted": [...], "inventory": {...}} of the environment',
    )
    parser.add_argument("--plugins", type=Path, metavar="FILE", help="plugins.zip, for the files that import from it")
    parser.add_argument(
        "--judge-plugins", action="store_true", help="check it too; without FILES, check only plugins.zip"
    )
    parser.add_argument("--judge-settings", action="store_true", help="check airflow_local_settings.py of both too")
    parser.add_argument(
        "--without-settings",
        action="append",
        default=[],
        choices=["dags", "plugins"],
        help="do not run airflow_local_settings.py from there",
    )
    parser.add_argument(
        "--option", action="append", default=[], metavar="SECTION.KEY=VALUE", help="configuration of the environment"
    )
    parser.add_argument("--nearest", action="store_true", help="this is not the environment's version of Airflow")
    parser.add_argument("--other-python", action="store_true", help="this is not the environment's version of Python")
    given = parser.parse_args(arguments)
    if not given.folder.is_dir():
        parser.error(f"{given.folder} is not a folder")
    folder = given.folder.resolve()
    listed = json.loads(given.listed.read_text()) if given.listed else []
    files = [*given.files, *listed]
    if not files and not (given.judge_plugins or given.judge_settings):
        files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.py"))
    for name in files:
        if not (folder / name).is_file():
            parser.error(f"{name} is not a file in {folder}")
    provided = json.loads(given.provided.read_text()) if given.provided else {}
    options = Options(
        import_timeout=given.timeout,
        memory=given.memory * 1024**2 if given.memory else None,
        jobs=given.jobs,
        provided=frozenset(provided.get("modules", ())),
        inventory=Inventory.parse(provided.get("inventory")),
        binaries=frozenset(provided.get("binaries", ())),
        unlisted=frozenset(provided.get("unlisted", ())),
        airflow_options=dict(option.split("=", 1) for option in given.option if "=" in option),
        nearest=given.nearest,
        other_python=given.other_python,
        without_settings=frozenset(given.without_settings),
    )
    with tempfile.TemporaryDirectory(prefix="jetway-loader-") as home:
        found = (load or _load)(Path(home), folder, files, options, given.plugins)
        if found is not None:
            found += _together(folder, options, plugins=given.judge_plugins, local_settings=given.judge_settings)
    if found is None:
        return 3
    if given.json:
        json.dump([loaded.as_dict() for loaded in found], sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        for loaded in found:
            _show(loaded)
    return 1 if any(loaded.verdict == "rejected" for loaded in found) else 0


def _load(home: Path, folder: Path, files: list[str], options: Options, packed: Path | None) -> list[Loaded] | None:
    """Import Airflow and load; None without an Airflow."""
    settings.set_up(home, folder)
    calls.install()
    logging.disable(logging.CRITICAL)  # answers go to standard output, where Airflow logs as well
    from jetway_loader import airflow_api

    try:
        airflow = airflow_api.load_airflow()
    except ImportError as exc:
        sys.stderr.write(f"this Python has no Airflow that can be imported: {exc}\n")
        return None
    settings.migrate(airflow.version)
    airflow_api.warm_up(airflow)
    return load_with(airflow, folder, files, options, packed)


def load_with(airflow: Airflow, folder: Path, files: list[str], options: Options, packed: Path | None) -> list[Loaded]:
    """Load with an Airflow that is imported and set up; the answers are in the order of the files."""
    from jetway_loader import plugins
    from jetway_loader.loading import load

    if packed is not None:
        with packed.open("rb") as stream:
            plugins.unpack(stream)
    order = {name: number for number, name in enumerate(files)}
    return sorted(load(airflow, folder, files, options), key=lambda loaded: order[loaded.path])


def _together(folder: Path, options: Options, *, plugins: bool, local_settings: bool) -> list[Loaded]:
    """Load what is no DAG file."""
    from jetway_loader import local_settings as own
    from jetway_loader import plugin_loading

    found = [plugin_loading.load(folder, options)] if plugins else []
    return [*found, *own.load_each(folder, options)] if local_settings else found


def _show(loaded: Loaded) -> None:
    sys.stdout.write(f"{loaded.verdict:9} {loaded.path} ({len(loaded.dags)} DAGs, {loaded.seconds:.2f} s)\n")
    for finding in loaded.findings:
        line = f":{finding.line}" if finding.line else ""
        sys.stdout.write(f"    {loaded.path}{line} {finding.rule}: {finding.message} {finding.remedy}\n")


if __name__ == "__main__":
    sys.exit(main())
