"""Where in the judged file DAGs and dependencies are made: what an error without a traceback is about."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jetway_loader.airflow_api import Airflow


class Sightings:
    """Lines of the judged file, noted while it runs.

    Args:
        file: its absolute path; of a zip all that is in it counts.
    """

    def __init__(self, file: str) -> None:
        self._file, self._inside = file, f"{file}/"
        self._dags: dict[str, int] = {}
        self._sure: set[str] = set()
        self._asked = False
        self._edges: list[tuple[list[str], list[str], int]] = []

    def line(self) -> int | None:
        """The line of the judged file that is being run: the innermost one; None outside of it."""
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            if self._is_own(frame):
                return frame.f_lineno
            frame = frame.f_back
        return None

    def importing_line(self) -> int | None:
        """The line of the judged file whose own import is going on; None when another module imports."""
        frame: FrameType | None = sys._getframe(2)
        while frame is not None and "importlib" in frame.f_code.co_filename:
            frame = frame.f_back
        return frame.f_lineno if frame is not None and self._is_own(frame) else None

    def _is_own(self, frame: FrameType) -> bool:
        name = frame.f_code.co_filename
        return name == self._file or name.startswith(self._inside)

    def install(self, airflow: Airflow) -> None:
        """Look over Airflow's shoulder, in the child that loads a file."""
        dag, node = airflow.dag, airflow.node
        self._wrap(dag, "__init__", self._saw_dag, before=False)
        self._wrap(node, "_set_relatives", self._saw_edge, before=True)

    def environment_asked(self) -> None:
        """From now on a dag_id may be made of what stands for a value of the environment."""
        self._asked = True

    def is_sure(self, dag_id: str) -> bool:
        """Whether a DAG of that id was made before anything was asked of the environment."""
        return not self._asked or dag_id in self._sure

    def dag_line(self, dag_id: str) -> int | None:
        """Where that DAG is made."""
        return self._dags.get(dag_id)

    def cycle_line(self) -> int | None:
        """The line whose dependency closes a cycle."""
        below: dict[str, set[str]] = {}
        for upstream, downstream, line in self._edges:
            for above in upstream:
                below.setdefault(above, set()).update(downstream)
            if any(_reaches(below, task, set(upstream)) for task in downstream):
                return line
        return None

    def _wrap(self, owner: Any, name: str, look: Callable[..., None], *, before: bool) -> None:
        original = owner.__dict__.get(name)
        if original is None:
            return

        def wrapped(this: Any, *args: Any, **kwargs: Any) -> Any:
            if before:
                look(this, *args, **kwargs)
                return original(this, *args, **kwargs)
            result = original(this, *args, **kwargs)
            look(this)
            return result

        for attribute in ("__doc__", "__name__", "__qualname__", "__module__", "__signature__", "__wrapped__"):
            if hasattr(original, attribute):
                setattr(wrapped, attribute, getattr(original, attribute))
        setattr(owner, name, wrapped)

    def _saw_dag(self, dag: Any) -> None:
        if not self._asked:
            self._sure.add(str(dag.dag_id))
        line = self.line()
        if line is not None:
            self._dags.setdefault(str(dag.dag_id), line)

    def _saw_edge(self, node: Any, others: Any, *_args: Any, upstream: bool = False, **_kwargs: Any) -> None:
        line = self.line()
        if line is None:
            return
        mine, theirs = _ids(node), [name for other in _several(others) for name in _ids(other)]
        self._edges.append((theirs, mine, line) if upstream else (mine, theirs, line))


def _several(others: Any) -> Iterable[Any]:
    return others if isinstance(others, list | tuple | set) else (others,)


def _ids(node: Any) -> list[str]:
    node = getattr(node, "operator", node)
    name = getattr(node, "node_id", None) or getattr(node, "task_id", None)
    return [str(name)] if name else []


def _reaches(below: dict[str, set[str]], start: str, wanted: set[str]) -> bool:
    seen, todo = set[str](), [start]
    while todo:
        name = todo.pop()
        if name in wanted:
            return True
        if name not in seen:
            seen.add(name)
            todo.extend(below.get(name, ()))
    return False
