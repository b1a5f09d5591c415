"""All of it together: from a dags folder and the files to judge to one answer for each."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from jetway_loader import airflow_api, fork_pool, parsing, paths, sandbox, settings, stub_modules, verdicts
from jetway_loader.model import Loaded, Options

if TYPE_CHECKING:
    from jetway_loader.airflow_api import Airflow
    from jetway_loader.fork_pool import Tell


def load(
    airflow: Airflow,
    folder: Path,
    files: Sequence[str],
    options: Options,
    *,
    between: Callable[[], None] = lambda: None,
) -> Iterator[Loaded]:
    """Load files of a dags folder, each in a child of its own, and yield what came of them as they end.

    Args:
        airflow: as `airflow_api.load_airflow` has imported it in this process.
        folder: the dags folder, with all that the files import and read.
        files: paths relative to it, with slashes.
        options: how to load.
        between: is called when a child has ended and all that it has started, before the next one begins.

    Raises:
        FileNotFoundError: one of them is not in the folder.
    """
    folder = folder.resolve()
    _import_nothing_from(folder)
    wanted = {}
    for name in dict.fromkeys(files):
        path = folder / name
        if not path.is_file():
            raise FileNotFoundError(f"{name} is not a file in {folder}.")
        wanted[str(path)] = name
    with settings.applied(options.airflow_options):
        found = airflow_api.found_files(folder)
        to_load, skipped = [], []
        for path_text, name in wanted.items():
            if str(Path(path_text).resolve()) in found:
                to_load.append(path_text)
            else:
                might = airflow_api.might_contain_dag(Path(path_text))
                skipped.append(Loaded(name, "accepted", skipped="ignored" if might else "no-dag"))
    yield from skipped  # only now: while the options are set, nobody else's code is to run
    airflow_api.warm_for(Path(path) for path in to_load)

    options = replace(options, provided=stub_modules.lacking(options.provided))

    def work(path: str, tell: Tell) -> None:
        parsing.parse(airflow, folder, Path(paths.DAGS, wanted[path]), options, tell)

    home, places = Path(os.environ["AIRFLOW_HOME"]), (folder, settings.plugins_folder())
    beside = home / "dags"  # for paths that are relative to the home, as on MWAA
    if beside.is_symlink():
        beside.unlink()
    if not beside.exists():
        beside.symlink_to(folder, target_is_directory=True)

    try:
        for ended in fork_pool.each(to_load, work, seconds=options.limit, memory=options.memory, jobs=options.jobs):
            name = wanted[ended.item]
            judged = verdicts.judge(ended, name, f"{paths.DAGS}/{name}", paths.DAGS, options, places=places)
            between()
            yield judged
    finally:
        if (home / paths.WRITTEN).is_dir() and sandbox.empty(home / paths.WRITTEN):
            (home / paths.WRITTEN).rmdir()


def _import_nothing_from(folder: Path) -> None:
    """Keep this process, which imports parts of Airflow, from users' modules: a package that is missing may be theirs.

    Python looks into no place that it remembers as missing. Children forget that (`paths.be_mwaa`).
    """
    for place in sys.path:
        if place.startswith((str(folder), os.environ["AIRFLOW_HOME"])):
            sys.path_importer_cache[place] = None
