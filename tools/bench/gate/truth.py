"""What Airflow itself says: a plain DagBag of each file, and the DAGs written for the scheduler.

Run by the interpreter that has the Airflow: `python truth.py < jobs > answers`, both JSON, one object a line. It shares
no code with the gate. Each file has a process of its own, forked before anything was loaded.

A job has "name", "home" (with dags/, plugins/ and site/, what requirements.txt has brought), "files" relative to dags/,
"variables" of the environment, "seconds" for a file, and "plugins": whether those are asked for, too. What
site/_there.py does stands for services of the environment.
"""

from __future__ import annotations

import importlib
import json
import multiprocessing
import os
import runpy
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

# In the order of Airflow's versions.
_BAGS = ("airflow.models.dagbag", "airflow.dag_processing.dagbag")

Say = Callable[[], dict[str, Any]]


def _dags(file: str) -> dict[str, Any]:
    serialization = importlib.import_module("airflow.serialization.serialized_objects")
    serializer = getattr(serialization, "DagSerialization", None) or serialization.SerializedDAG
    bag = _bag_class()(dag_folder=file)
    errors = list(bag.import_errors.values())
    for dag in bag.dags.values():
        try:
            serializer.to_dict(dag)
        except Exception as exc:  # noqa: BLE001 - whatever it is, the scheduler would not get the DAG
            errors.append(f"serialization: {exc}")
    return {"errors": errors, "dags": sorted(bag.dags), "parsed": len(bag.dagbag_stats)}


def _plugins() -> dict[str, Any]:
    manager = importlib.import_module("airflow.plugins_manager")
    manager.ensure_plugins_loaded()
    errors = manager.import_errors if hasattr(manager, "import_errors") else manager._get_plugins()[1]
    return {"errors": [f"{name}: {text}" for name, text in errors.items()]}


def _listed(folder: str) -> dict[str, Any]:
    listing = importlib.import_module("airflow.utils.file").list_py_file_paths(folder)
    return {"files": [os.path.relpath(path, folder) for path in listing]}


def _be_in(job: dict[str, Any]) -> None:
    """Make this process one of the job's environment."""
    home = job["home"]
    settings: Any = importlib.import_module("airflow.settings")
    os.environ |= {
        "AIRFLOW_HOME": home,
        "AIRFLOW__CORE__DAGS_FOLDER": f"{home}/dags",
        "AIRFLOW__CORE__PLUGINS_FOLDER": f"{home}/plugins",
        "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": str(job["seconds"]),
        **job["variables"],
    }
    settings.DAGS_FOLDER, settings.PLUGINS_FOLDER = f"{home}/dags", f"{home}/plugins"
    sys.path[:0] = [f"{home}/site"]
    sys.path += [f"{home}/dags", f"{home}/config", f"{home}/plugins"]
    os.chdir(home)
    there = os.path.join(home, "site", "_there.py")  # noqa: PTH118 - as all of this: before anything is imported
    if os.path.exists(there):  # noqa: PTH110
        runpy.run_path(there)


def _live(job: dict[str, Any], say: Say, pipe: Connection) -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    _be_in(job)
    pipe.send(say())


def _bag_class() -> Any:
    for module in _BAGS:
        try:
            found = importlib.import_module(module)
        except ImportError:
            continue
        if hasattr(found, "DagBag"):
            return found.DagBag
    raise SystemExit("no DagBag in this Airflow")


def _ask(job: dict[str, Any], say: Say) -> dict[str, Any]:
    context = multiprocessing.get_context("fork")
    mine, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_live, args=(job, say, theirs))
    started = time.monotonic()
    process.start()
    theirs.close()
    said: dict[str, Any] = {"errors": ["died or hung without a word"], "dags": [], "parsed": 0}
    try:
        if mine.poll(job["seconds"] + 4):
            said = mine.recv()
    except EOFError:
        pass  # it died
    process.kill()
    process.join()
    return {**said, "seconds": time.monotonic() - started}


def main() -> None:
    """Answer for each job on standard input."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # Airflow logs to standard output
    _bag_class()
    for line in sys.stdin:
        job = json.loads(line)
        dags = f"{job['home']}/dags"
        listed = set(_ask(job, lambda dags=dags: _listed(dags)).get("files", ())) if job["files"] else set()  # type: ignore[misc]
        files = {file: _ask(job, lambda file=f"{dags}/{file}": _dags(file)) for file in job["files"] if file in listed}  # type: ignore[misc]
        said = {"name": job["name"], "files": files}
        if job["plugins"]:
            said["plugins"] = _ask(job, _plugins)["errors"]
        answers.write(json.dumps(said) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
