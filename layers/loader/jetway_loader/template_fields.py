"""What Airflow renders of a task before it runs: the strings in its template fields, where Airflow looks for them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

_MOST_DEEP = 20

# What KubernetesPodOperator renders of the API's objects, which have no `template_fields`.
_OF_KUBERNETES: Mapping[str, tuple[str, ...]] = {"V1EnvVar": ("value", "name")}


def templates(task: Any) -> Iterator[tuple[str, str]]:
    """Yield the name of a field and a string that Airflow renders of it, for each string.

    Args:
        task: an operator, or one that is mapped.
    """
    seen: set[int] = set()
    for field, value in _fields(task):
        for text in _strings(value, seen, _MOST_DEEP):
            yield field, text


def _fields(task: Any) -> Iterator[tuple[str, Any]]:
    names = list(getattr(task, "template_fields", None) or ())
    partial = getattr(task, "partial_kwargs", None)
    if isinstance(partial, Mapping):  # a mapped one has its values in two places
        mapped = getattr(getattr(task, "expand_input", None), "value", None)
        mapped = mapped if isinstance(mapped, Mapping) else {}
        of_callable = getattr(getattr(task, "op_kwargs_expand_input", None), "value", None)
        yield from ((name, values[name]) for values in (partial, mapped) for name in names if name in values)
        yield "op_kwargs", of_callable
    else:
        yield from ((name, getattr(task, name, None)) for name in names)
    yield "map_index_template", getattr(task, "map_index_template", None)


def _strings(value: Any, seen: set[int], deep: int) -> Iterator[str]:
    """As Airflow's own `render_template` goes: what resolves itself, such as another task's result, is no template."""
    if isinstance(value, str):
        yield value
        return
    if value is None or deep == 0 or id(value) in seen or isinstance(value, bytes | int | float | os.PathLike):
        return
    seen.add(id(value))
    inside: Iterable[Any]
    if isinstance(value, Mapping):
        inside = value.values()
    elif isinstance(value, list | tuple | set):
        inside = value
    elif getattr(value, "resolve", None) is not None:
        return
    else:
        names = getattr(value, "template_fields", None) or _OF_KUBERNETES.get(type(value).__name__, ())
        inside = [getattr(value, name, None) for name in names]
    for one in inside:
        yield from _strings(one, seen, deep - 1)
