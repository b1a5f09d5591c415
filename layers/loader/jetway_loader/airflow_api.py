"""The few names of Airflow that differ from version to version, imported once before any child is forked."""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

# What nearly every DAG file imports: better once here than in each child.
_WARM = (
    "airflow.models",
    "airflow.decorators",
    "airflow.sdk",
    "airflow.serialization.serialized_objects",
    "airflow.timetables.interval",
    "airflow.timetables.trigger",
    "airflow.operators.python",
    "airflow.operators.bash",
    "airflow.operators.empty",
    "airflow.providers.standard.operators.python",
    "airflow.providers.standard.operators.bash",
    "airflow.providers.standard.operators.empty",
    "airflow.providers.standard.decorators.python",
    "airflow.providers_manager",
    "airflow.utils.task_group",
    "airflow.utils.edgemodifier",
    "airflow.dag_processing.processor",
    "airflow.models.dagwarning",
    "airflow.utils.dag_version_inflation_checker",
    "jetway_loader.jinja_names",
    "boto3",
)


@dataclass(frozen=True)
class Airflow:
    """The Airflow of this process.

    Attributes:
        version: for example "3.3.1".
        dag_bag: the class DagBag.
        dag: the class of DAGs that files make.
        node: the class that has `_set_relatives`.
        serialize: from a DAG to what the scheduler gets.
        deserialize: the other way.
    """

    version: str
    dag_bag: Any
    dag: Any
    node: Any
    serialize: Callable[[Any], Any]
    deserialize: Callable[[Any], Any]

    @property
    def major(self) -> int:
        return int(self.version.partition(".")[0])


def load_airflow() -> Airflow:
    """Import Airflow and what DAG files commonly import.

    Raises:
        ImportError: no Airflow here, or one that does not work.
    """
    import airflow

    version = str(airflow.__version__)
    for name in _WARM:
        _try_import(name)
    objects = importlib.import_module("airflow.serialization.serialized_objects")
    if version.startswith("2."):
        return Airflow(
            version=version,
            dag_bag=importlib.import_module("airflow.models.dagbag").DagBag,
            dag=importlib.import_module("airflow.models.dag").DAG,
            node=importlib.import_module("airflow.models.taskmixin").DAGNode,
            serialize=objects.SerializedDAG.to_dict,
            deserialize=objects.SerializedDAG.from_dict,
        )
    bags = _try_import("airflow.dag_processing.dagbag") or importlib.import_module("airflow.models.dagbag")
    serialization = getattr(objects, "DagSerialization", None) or objects.SerializedDAG
    return Airflow(
        version=version,
        dag_bag=getattr(bags, "DagBag", None) or importlib.import_module("airflow.models.dagbag").DagBag,
        dag=importlib.import_module("airflow.sdk").DAG,
        node=importlib.import_module("airflow.sdk.definitions._internal.node").DAGNode,
        serialize=serialization.to_dict,
        deserialize=serialization.from_dict,
    )


def warm_up(airflow: Airflow) -> None:
    """Serialize a DAG of our own, so that what Airflow does once in a process is not done by each child."""
    operator = _try_import("airflow.providers.standard.operators.empty") or _try_import("airflow.operators.empty")
    if operator is None:
        return
    with airflow.dag("jetway_loader", start_date=datetime(2024, 1, 1, tzinfo=UTC), schedule="@daily") as dag:
        operator.EmptyOperator(task_id="nothing")
    airflow.deserialize(airflow.serialize(dag))
    dag.get_template_env().parse("{{ ds }}")  # Jinja keeps its lexer


def warm_for(files: Iterable[Path]) -> None:
    """Import the modules of Airflow that these files name, as Airflow's own processor does before it forks."""
    for name in sorted({name for file in files if file.suffix == ".py" for name in _airflow_modules(file)}):
        _try_import(name)


def found_files(folder: Path) -> set[str]:
    """The files of a dags folder that Airflow loads, as absolute paths: .airflowignore and safe mode are honoured."""
    files = importlib.import_module("airflow.utils.file")
    conf = importlib.import_module("airflow.configuration").conf
    safe_mode = conf.getboolean("core", "DAG_DISCOVERY_SAFE_MODE")
    arguments = {"include_examples": False} if "include_examples" in files.list_py_file_paths.__annotations__ else {}
    return {os.path.realpath(path) for path in files.list_py_file_paths(str(folder), safe_mode=safe_mode, **arguments)}


def might_contain_dag(file: Path) -> bool:
    """Whether Airflow looks into that file at all, in its safe mode."""
    files = importlib.import_module("airflow.utils.file")
    conf = importlib.import_module("airflow.configuration").conf
    return bool(files.might_contain_dag(str(file), conf.getboolean("core", "DAG_DISCOVERY_SAFE_MODE")))


_IMPORT = re.compile(r"^(?:from|import)\s+(airflow\.[\w.]+)", re.MULTILINE)


def _airflow_modules(file: Path) -> Iterator[str]:
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    for match in _IMPORT.finditer(text):
        yield match[1]


def _try_import(name: str) -> Any:
    """Import a module that this version may not have, or that the package of an optional feature is missing for."""
    try:
        return importlib.import_module(name)
    except Exception:
        return None
