"""What Airflow itself says of each file: a plain DagBag, and the DAGs written for the scheduler.

Run by the interpreter that has the Airflow: `python truth.py FOLDER SECONDS < files > answers`. It shares no code with
the gate. Each file has a process of its own, forked before anything was loaded.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import time
from multiprocessing.connection import Connection
from typing import Any

# In the order of Airflow's versions.
_BAGS = ("airflow.models.dagbag", "airflow.dag_processing.dagbag")


def _say(folder: str, file: str, pipe: Connection) -> None:
    import importlib

    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    sys.path.append(folder)
    serialization = importlib.import_module("airflow.serialization.serialized_objects")
    serializer = getattr(serialization, "DagSerialization", None) or serialization.SerializedDAG
    bag = _bag_class()(dag_folder=os.path.join(folder, file))  # noqa: PTH118
    errors = list(bag.import_errors.values())
    for dag in bag.dags.values():
        try:
            serializer.to_dict(dag)
        except Exception as exc:  # noqa: BLE001 - whatever it is, the scheduler would not get the DAG
            errors.append(f"serialization: {exc}")
    pipe.send({"errors": errors, "dags": sorted(bag.dags), "parsed": len(bag.dagbag_stats)})


def _bag_class() -> Any:
    import importlib

    for module in _BAGS:
        try:
            found = importlib.import_module(module)
        except ImportError:
            continue
        if hasattr(found, "DagBag"):
            return found.DagBag
    raise SystemExit("no DagBag in this Airflow")


def main() -> None:
    """Answer for each file on standard input, one JSON object a line."""
    folder, seconds = sys.argv[1], float(sys.argv[2])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # Airflow logs to standard output
    _bag_class()
    context = multiprocessing.get_context("fork")
    for line in sys.stdin:
        file = line.rstrip("\n")
        mine, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_say, args=(folder, file, theirs))
        started = time.monotonic()
        process.start()
        theirs.close()
        said: dict[str, Any] = {"errors": ["died or hung without a word"], "dags": [], "parsed": 0}
        try:
            if mine.poll(seconds):
                said = mine.recv()
        except EOFError:
            pass  # it died
        process.kill()
        process.join()
        said |= {"file": file, "seconds": time.monotonic() - started}
        answers.write(json.dumps(said) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
