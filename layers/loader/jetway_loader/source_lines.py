"""Where DAGs, tasks and dependencies are made, and where something unseen was asked for, noted while a file runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jetway_loader.airflow_api import Airflow
    from jetway_loader.scopes import Position

_HERE = os.path.dirname(__file__) + os.sep  # noqa: PTH120 - compared with names of code, for each frame


@dataclass(frozen=True, slots=True)
class Place:
    """Where some code is: what of it runs is worked out when it is asked for."""

    code: CodeType
    instruction: int
    line: int

    @property
    def file(self) -> str:
        return self.code.co_filename

    def position(self) -> Position:
        """Where what runs stands in the text; on a Python that does not know columns, its line."""
        positions = getattr(self.code, "co_positions", None)
        found = next(islice(positions(), self.instruction // 2, None), None) if positions is not None else None
        if found is None or None in found:
            return self.line, self.line, -1, -1
        line, end_line, column, end_column = found
        return line, end_line, column, end_column


Places = tuple[Place, ...]  # from the inside


@dataclass(frozen=True, slots=True)
class Made:
    """A DAG or a task that was made, or a dependency that was set.

    Attributes:
        what: "dag", "task" or "edge".
        name: its id; of a dependency, nothing.
        places: of the folder's code.
        upstream, downstream: of a dependency: the ids of the tasks on either side.
        thing: the DAG itself.
    """

    what: str
    name: str
    places: Places
    upstream: tuple[str, ...] = ()
    downstream: tuple[str, ...] = ()
    thing: Any = None


class Sightings:
    """Places in the judged file and in what it imports of its users', noted while it runs.

    Args:
        file: its absolute path; of a zip all that is in it counts.
        folders: of users' code: the dags folder, and that of plugins; all else is a library's.

    Attributes:
        sources: where something unseen was asked for: the innermost place, True, and those it was called from, False.
        made: in their order.
    """

    def __init__(self, file: str, folders: Iterable[str] = ()) -> None:
        self._file, self._inside = file, f"{file}/"
        self._airflow = tuple(str(folder) + os.sep for folder in getattr(sys.modules.get("airflow"), "__path__", ()))
        self._folders = tuple(folder.rstrip(os.sep) + os.sep for folder in folders)
        self._dags: dict[str, int] = {}
        self._tasks: dict[tuple[str, str], int] = {}
        self._sure: set[str] = set()
        self._asked = False
        self.sources: set[tuple[Place, bool]] = set()
        self.made: list[Made] = []

    def is_users(self, file: str) -> bool:
        """Whether a file is of the folder, and no library's."""
        return file == self._file or file.startswith(self._folders)

    def is_airflows(self, file: str) -> bool:
        """Whether a file is Airflow's own, or a provider's."""
        return not self.is_users(file) and file.startswith(self._airflow)

    def places(self) -> Places:
        """Where users' code is now, from the inside."""
        frames = (frame for frame in _frames(sys._getframe(1)) if self.is_users(frame.f_code.co_filename))
        return tuple(Place(frame.f_code, frame.f_lasti, frame.f_lineno) for frame in frames)

    def asks(self, *, for_airflow: bool = False, through: tuple[str, ...] | None = None) -> bool:
        """Whether users' code asks for something now: itself, or through a library that it calls.

        What a library asks for when it is imported is its own; so is what Airflow asks for, unless `for_airflow`.
        With `through` users' code asks through modules of these names only.
        """
        for frame in _frames(sys._getframe(1)):
            name = frame.f_code.co_filename
            if self.is_users(name):
                return True
            if through is not None and not name.endswith(through):
                return False
            if through is not None:
                continue
            if "importlib._bootstrap" in name or (self.is_airflows(name) and not for_airflow):
                return False
        return False

    def importer(self) -> str | None:
        """The file whose import is going on, and no other that it leads to."""
        for frame in _frames(sys._getframe(1)):
            if "importlib" not in frame.f_code.co_filename:
                return frame.f_code.co_filename
        return None

    def source(self) -> None:
        """Note that something unseen is asked for: whatever comes of what runs now may be due to it."""
        self.sources.update((place, number == 0) for number, place in enumerate(self.places()))

    def line(self) -> int | None:
        """The line of the judged file that is being run: the innermost one; None outside of it."""
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            if self._is_own(frame.f_code.co_filename):
                return frame.f_lineno
            frame = frame.f_back
        return None

    def of(self, file: str) -> None:
        """From now on another file is judged."""
        self._file, self._inside = file, f"{file}/"

    def _is_own(self, name: str) -> bool:
        return name == self._file or name.startswith(self._inside)

    def install(self, airflow: Airflow) -> None:
        """Look over Airflow's shoulder, in the child that loads a file."""
        dag, node = airflow.dag, airflow.node
        self._wrap(dag, "__init__", self._saw_dag, before=False)
        self._wrap(dag, "add_task", self._saw_task, before=True)
        self._wrap(node, "_set_relatives", self._saw_edge, before=True)

    def schedule_line(self) -> int | None:
        """The line of the DAG whose schedule is none."""
        return next(
            (self._line_of(made.places) for made in self.made if made.what == "dag" and _is_invalid(made.thing)), None
        )

    def environment_asked(self) -> None:
        """From now on a dag_id may be made of what stands for a value of the environment."""
        self._asked = True

    def is_sure(self, dag_id: str) -> bool:
        """Whether a DAG of that id was made before anything was asked of the environment."""
        return not self._asked or dag_id in self._sure

    def dag_line(self, dag_id: str) -> int | None:
        """Where that DAG is made."""
        return self._dags.get(dag_id)

    def task_line(self, dag_id: str, task_id: str) -> int | None:
        """Where that task is made."""
        return self._tasks.get((dag_id, task_id))

    def cycle_line(self) -> int | None:
        """The line whose dependency closes a cycle."""
        closing = closes_cycle(made for made in self.made if made.what == "edge")
        return self._line_of(closing.places) if closing is not None else None

    def _line_of(self, places: Places) -> int | None:
        return next((place.line for place in places if self._is_own(place.file)), None)

    def _wrap(self, owner: Any, name: str, look: Callable[..., None], *, before: bool) -> None:
        original = owner.__dict__.get(name)
        if original is None:
            return

        def wrapped(this: Any, *args: Any, **kwargs: Any) -> Any:
            if before:
                look(this, *args, **kwargs)
                return original(this, *args, **kwargs)
            result = original(this, *args, **kwargs)
            if getattr(this, "fileloc", None) == __file__:  # Airflow takes the file that calls it
                this.fileloc = sys._getframe(1).f_code.co_filename
            look(this)
            return result

        for attribute in ("__doc__", "__name__", "__qualname__", "__module__", "__signature__", "__wrapped__"):
            if hasattr(original, attribute):
                setattr(wrapped, attribute, getattr(original, attribute))
        setattr(owner, name, wrapped)

    def _saw_dag(self, dag: Any) -> None:
        if not self._asked:
            self._sure.add(str(dag.dag_id))
        places = self.places()
        self.made.append(Made("dag", str(dag.dag_id), places, thing=dag))
        line = self._line_of(places)
        if line is not None:
            self._dags.setdefault(str(dag.dag_id), line)

    def _saw_task(self, dag: Any, task: Any, *_args: Any, **_kwargs: Any) -> None:
        self.made.append(Made("task", str(getattr(task, "node_id", "")), self.places()))
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            # Not within the operator's own `__init__`, which all of its tasks share.
            if self._is_own(frame.f_code.co_filename) and frame.f_locals.get("self") is not task:
                self._tasks.setdefault((str(dag.dag_id), str(getattr(task, "task_id", ""))), frame.f_lineno)
                return
            frame = frame.f_back

    def _saw_edge(self, node: Any, others: Any, *_args: Any, upstream: bool = False, **_kwargs: Any) -> None:
        places = self.places()
        if not places:
            return
        mine, theirs = _ids(node), [name for other in _several(others) for name in _ids(other)]
        above, below = (theirs, mine) if upstream else (mine, theirs)
        self.made.append(Made("edge", "", places, tuple(above), tuple(below)))


def closes_cycle(edges: Iterable[Made]) -> Made | None:
    """The first dependency that closes a cycle; None when there is no cycle."""
    below: dict[str, set[str]] = {}
    for edge in edges:
        for above in edge.upstream:
            below.setdefault(above, set()).update(edge.downstream)
        if any(_reaches(below, task, set(edge.upstream)) for task in edge.downstream):
            return edge
    return None


def _is_invalid(dag: Any) -> bool:
    try:
        dag.timetable.validate()
    except Exception:
        return True
    return False


def _frames(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        if not frame.f_code.co_filename.startswith(_HERE):
            yield frame
        frame = frame.f_back


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
