"""What import_dag answers, looked at before it is believed: it runs the code of files that nobody has looked at yet.

A file may speak for itself only, and what it says becomes reports, mails and items of a table. So an answer has the
types that the loader gives it, or there is none. Standard library only, and pure.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jetway.errors import LoadUnavailableError

MOST_DAGS = 2_000
_MOST = 20_000  # of anything else in one list
_LONGEST_NAME = 2_000
_LONGEST_WORDS = 20_000
_LONGEST_DAG_ID = 250  # Airflow allows no more

_Is = Callable[[Any], bool]


def checked(
    function: str, answer: Mapping[str, Any], asked: Sequence[str | None]
) -> tuple[str, list[Mapping[str, Any]]]:
    """Return the version of Airflow that loaded, and what it says of each file.

    Args:
        function: that answered, for messages.
        answer: as it came.
        asked: the paths that it was asked about; None for what is no DAG file.

    Raises:
        LoadUnavailableError: that is no answer of the loader's.
    """
    if "unavailable" in answer:
        raise LoadUnavailableError(f"{function}: {str(answer['unavailable'])[:_LONGEST_NAME]}")
    version, loaded = answer.get("airflow"), answer.get("loaded")
    if not _name(version) or not isinstance(loaded, list) or len(loaded) != len(asked):
        raise LoadUnavailableError(f"{function}: the response does not come from the loader.")
    for each in loaded:
        wrong = _wrong(each)
        if wrong is not None:
            raise LoadUnavailableError(f"{function}: the response does not come from the loader: {wrong} is not valid.")
    if None not in asked and {each["path"] for each in loaded} != set(asked):
        raise LoadUnavailableError(f"{function}: the response is about other files.")
    return str(version), loaded


def _wrong(loaded: Any) -> str | None:
    """The first part of an answer that has not the type or the size that it has to have."""
    if not isinstance(loaded, dict):
        return "one of its items"
    for name, is_right in _LOADED.items():
        if not is_right(loaded[name]) if name in loaded else name not in _MAY_LACK:
            return f"its {name!r}"
    return None


def _text(longest: int) -> _Is:
    return lambda value: isinstance(value, str) and len(value) <= longest


def _or_none(is_right: _Is) -> _Is:
    return lambda value: value is None or is_right(value)


def _one_of(*values: str | None) -> _Is:
    return lambda value: (value is None or isinstance(value, str)) and value in values


def _list(is_right: _Is, most: int = _MOST) -> _Is:
    return lambda value: isinstance(value, list) and len(value) <= most and all(map(is_right, value))


def _object(**parts: _Is) -> _Is:
    return lambda value: (
        isinstance(value, dict)
        and value.keys() | _MAY_LACK >= parts.keys() >= value.keys()
        and all(parts[name](part) for name, part in value.items())
    )


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31


def _seconds(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and 0 <= value < 1e6


_MAY_LACK = frozenset({"read", "data", "cpu_seconds", "certain"})  # of a loader that is older than this side
_name, _words, _line = _text(_LONGEST_NAME), _text(_LONGEST_WORDS), _or_none(_count)
_LOADED: dict[str, _Is] = {
    "path": _name,
    "verdict": _one_of("accepted", "rejected", "unknown"),
    "skipped": _one_of(None, "ignored", "no-dag"),
    "findings": _list(
        _object(rule=_text(100), severity=_one_of("error", "warning"), message=_words, line=_line, remedy=_words)
    ),
    "dags": _list(
        _object(
            dag_id=_text(_LONGEST_DAG_ID),
            line=_line,
            schedule=_or_none(_name),
            tags=_list(_name),
            tasks=_count,
            certain=lambda value: isinstance(value, bool),
        ),
        MOST_DAGS,
    ),
    "siblings": _list(_name),
    "read": _list(_name),
    "missing": _list(_name),
    "data": _or_none(_name),
    "seconds": _seconds,
    "cpu_seconds": _or_none(_seconds),
}
