"""Advice on what tasks ask of a run that it may not have: what Airflow 3 no longer gives, and dates.

Templates are read, not rendered. It is never more than advice, and what came of the load has been told before.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jetway_loader.asked_by_functions import asked
from jetway_loader.context_names import DATED, NULLABLE, REMOVED, REMOVED_ATTRIBUTES
from jetway_loader.model import Finding
from jetway_loader.template_fields import templates

if TYPE_CHECKING:
    from jetway_loader.source_lines import Sightings

RULE = "airflow-advice"
_MOST_FINDINGS = 20
_MOST_SHOWN = 5
_MOST_TEMPLATE_FILES = 500
_CONTEXT_URL = "https://airflow.apache.org/docs/apache-airflow/stable/templates-ref.html"


@dataclass(frozen=True)
class Ask:
    """A task that asks for names.

    Attributes:
        names: in order.
        place: where, for people: a field, a file, a function.
        line: of the judged file; None when nothing tells.
        rendered: in a template.
        fails: the task fails without; else the name is rendered as nothing.
    """

    dag_id: str
    task_id: str
    names: tuple[str, ...]
    place: str
    line: int | None
    rendered: bool
    fails: bool = True


def advice(dags: Sequence[Any], sightings: Sightings, *, file: str, folder: str, major: int) -> list[Finding]:
    """Advise on the DAGs of one file.

    Args:
        dags: that Airflow has made of it, in this process.
        sightings: the lines of its tasks.
        file: the judged file's absolute path.
        folder: the dags folder's.
        major: of this Airflow.
    """
    text = Path(file).read_text(encoding="utf-8", errors="replace")
    found: list[Finding] = []
    for dag in dags:
        reader = _Dag(dag, sightings, _Literals(text), file=file, folder=folder)
        found += [_removed(asks, major) for asks in _together(reader.removed(linted=major >= 3))]
        if major >= 3:
            found += [_dateless(asks, dag) for asks in _together(reader.dates(), whole=_has_schedule(dag))]
    return sorted(found, key=lambda finding: (finding.line or 0, finding.message))[:_MOST_FINDINGS]


class _Dag:
    def __init__(self, dag: Any, sightings: Sightings, literals: _Literals, *, file: str, folder: str) -> None:
        self._dag, self._sightings, self._literals = dag, sightings, literals
        self._file, self._folder = file, folder
        self._dag_id = str(dag.dag_id)

    def removed(self, *, linted: bool) -> Iterator[Ask]:
        """What its tasks ask for that Airflow 3 no longer has.

        Args:
            linted: ruff is asked too, which knows the functions of @task.
        """
        for task in self._dag.tasks:
            yield from self._rendered(task, frozenset(REMOVED), frozenset(REMOVED_ATTRIBUTES), frozenset())
            if not (linted and _is_decorated(task)):
                yield from self._of_function(task, frozenset(REMOVED))

    def dates(self) -> Iterator[Ask]:
        """What they ask for that only a run with a logical date has."""
        for task in self._dag.tasks:
            yield from self._rendered(task, DATED, frozenset(), NULLABLE)
            yield from self._of_function(task, DATED)

    def _rendered(
        self, task: Any, names: frozenset[str], attributes: frozenset[str], nullable: frozenset[str]
    ) -> Iterator[Ask]:
        from jetway_loader.jinja_names import Wanted, needed

        wanted = Wanted(names - _added_by(task), attributes, nullable, DATED | nullable, strict=self._strict)
        for field, text in templates(task):
            source, of_file = text, ""
            if text.endswith(tuple(getattr(task, "template_ext", None) or ())) and text:
                source, of_file = self._content(text), text
            found = needed(source, self._environment, wanted)
            if found:
                of_file = of_file or self._files.get(text, "")
                yield self._ask(task, field, text, of_file, found)

    def _ask(self, task: Any, field: str, text: str, of_file: str, found: Sequence[tuple[str, int]]) -> Ask:
        at = self._sightings.task_line(self._dag_id, str(task.task_id)) or self._sightings.dag_line(self._dag_id)
        first = found[0][1]
        line = at if of_file else self._literals.line(text, first, at)
        place = f"{field} ({of_file}:{first})" if of_file else field
        names = tuple(name for name, _ in found)
        return Ask(self._dag_id, str(task.task_id), names, place, line, rendered=True, fails=self._strict)

    def _of_function(self, task: Any, names: frozenset[str]) -> Iterator[Ask]:
        file, found = asked(task, names, self._folder + os.sep)
        if not found:
            return
        first = found[0][1]
        place, line = "its function", first
        if file != self._file:
            place = f"its function ({file.removeprefix(self._folder + os.sep)}:{first})"
            line = self._sightings.task_line(self._dag_id, str(task.task_id)) or 0
        yield Ask(
            self._dag_id, str(task.task_id), tuple(name for name, _ in found), place, line or None, rendered=False
        )

    @cached_property
    def _environment(self) -> Any:
        return self._dag.get_template_env()

    @cached_property
    def _strict(self) -> bool:
        from jinja2 import StrictUndefined

        return issubclass(self._environment.undefined, StrictUndefined)

    def _content(self, name: str) -> str:
        try:
            return str(self._environment.loader.get_source(self._environment, name)[0])
        except Exception:  # it is not there, or a loader of the file's own fails: Airflow says so itself
            return ""

    @cached_property
    def _files(self) -> Mapping[str, str]:
        """Content of a template file → its name: Airflow has put the one in the place of the other."""
        endings = {ending for task in self._dag.tasks for ending in getattr(task, "template_ext", None) or ()}
        try:
            names = [name for name in self._environment.list_templates() if name.endswith(tuple(endings))]
        except Exception:  # a loader may have no list
            return {}
        return {self._content(name): name for name in names[:_MOST_TEMPLATE_FILES]}


class _Literals:
    """Where texts stand in a file."""

    def __init__(self, text: str) -> None:
        self._lines: dict[str, list[tuple[int, bool]]] = {}
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError, RecursionError):
            return
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                many = (node.end_lineno or node.lineno) > node.lineno
                self._lines.setdefault(node.value, []).append((node.lineno, many))

    def line(self, text: str, within: int, task: int | None) -> int | None:
        """The line of a template's line: of the text that stands nearest below the task's, else the task's own line."""
        places = sorted(self._lines.get(text, ()))
        below = [place for place in places if task is not None and place[0] >= task]
        chosen = below[0] if below else places[0] if len(places) == 1 else None
        if chosen is None:
            return task
        return chosen[0] + (within - 1 if chosen[1] else 0)


def _added_by(task: Any) -> frozenset[str]:
    """Names that an operator of the user's puts into the context itself, before it renders."""
    function = getattr(type(task), "render_template_fields", None)
    if getattr(function, "__module__", "airflow").partition(".")[0] == "airflow":
        return frozenset()
    constants = getattr(getattr(function, "__code__", None), "co_consts", ())
    names = getattr(getattr(function, "__code__", None), "co_names", ())
    return frozenset(value for value in (*constants, *names) if isinstance(value, str))


def _is_decorated(task: Any) -> bool:
    name = getattr(task, "custom_operator_name", None) or getattr(task, "operator_name", None)
    return str(name).startswith("@task")


def _together(asks: Iterator[Ask], *, whole: bool = False) -> list[list[Ask]]:
    """Put those together that are one: tasks of a loop, which share a line. `whole`: all of the DAG."""
    groups: dict[Any, list[Ask]] = {}
    for ask in asks:
        key = None if whole else (ask.rendered, ask.line, ask.line is None and ask.task_id)
        groups.setdefault(key, []).append(ask)
    return list(groups.values())


def _removed(asks: Sequence[Ask], major: int) -> Finding:
    names = _names(asks)
    gone = f"Airflow 3 no longer has {'it' if len(names) == 1 else 'them'}"
    when = f"{'' if major >= 3 else 'after an upgrade '}{_then(asks[0])}"
    instead = {**REMOVED, **REMOVED_ATTRIBUTES}
    known = [name for name in names if instead[name] and (asks[0].rendered or instead[name].isidentifier())]
    derived = [name for name in names if instead[name] and name not in known]
    lost = [name for name in names if not instead[name]]
    remedy = f"Write {'; '.join(f'{instead[name]} for {name}' for name in known)}. " if known else ""
    remedy += f"Derive {_listed(derived)} from logical_date or data_interval_end. " if derived else ""
    remedy += f"The context has no replacement for {_listed(lost)}. " if lost else ""
    return _finding(asks, f"{_who(asks)}. {gone}: {when}.", f"{remedy}See {_CONTEXT_URL}")


def _dateless(asks: Sequence[Ask], dag: Any) -> Finding:
    if _has_schedule(dag):
        which = "A run that starts without a logical date, not by the DAG's schedule,"
    elif _has_assets(dag):
        which = "A run that assets start"
    else:
        which = "A run that starts without a logical date"
    message = f"{_who(asks)}. {which} has no {_listed(_names(asks), 'or')}: {_then(asks[0])}."
    instead = (
        "{{ dag_run.run_after | ds }}, which every run has"
        if any(ask.rendered for ask in asks)
        else ('context["dag_run"].run_after, which every run has')
    )
    guard = "`{% if ds is defined %}`" if asks[0].rendered else "a default for the argument, or `context.get()`"
    return _finding(
        asks,
        message,
        f"Start such runs with a logical date, use {instead}, or guard it: {guard}. See {_CONTEXT_URL}",
    )


def _finding(asks: Sequence[Ask], message: str, remedy: str) -> Finding:
    line = min((ask.line for ask in asks if ask.line), default=None)
    return Finding(RULE, "warning", message, line, remedy)


def _who(asks: Sequence[Ask]) -> str:
    tasks = list(dict.fromkeys(repr(ask.task_id) for ask in asks))
    places = list(dict.fromkeys(ask.place for ask in asks))
    one = len(tasks) == 1
    asking = f"{'Task' if one else 'Tasks'} {_listed(tasks)} of DAG {asks[0].dag_id!r} {'asks' if one else 'ask'}"
    return f"{asking} for {_listed(_names(asks))} in {_listed(places)}"


def _then(ask: Ask) -> str:
    """What becomes of the task."""
    if not ask.fails:
        return "the template renders it as an empty string"
    base, _, attribute = ask.names[0].partition(".")
    if ask.names[0] in NULLABLE:
        return "the task fails (it is None)"
    error = f" ({base!r} has no attribute {attribute!r})" if attribute else f" ({base!r} is undefined)"
    return "the task fails" + (error if ask.rendered else "")


def _names(asks: Sequence[Ask]) -> list[str]:
    return list(dict.fromkeys(name for ask in asks for name in ask.names))


def _listed(words: Sequence[str], last: str = "and") -> str:
    if len(words) > _MOST_SHOWN:
        return f"{', '.join(words[:_MOST_SHOWN])} and {len(words) - _MOST_SHOWN} more"
    return f"{', '.join(words[:-1])} {last} {words[-1]}" if len(words) > 1 else words[0]


def _has_schedule(dag: Any) -> bool:
    """Whether runs come by themselves at times, and so have a date."""
    kind = type(getattr(dag, "timetable", None)).__name__
    return kind not in {"NoneType", "NullTimetable"} and not _has_assets(dag)


def _has_assets(dag: Any) -> bool:
    kind = type(getattr(dag, "timetable", None)).__name__
    return any(word in kind for word in ("Asset", "Dataset", "Partition"))
