"""What a child tells, looked at before it is believed: a file may find the pipe, and write to it what it likes.

It can only speak for itself. But what it says becomes reports, mails and items of a table: so it has the types of what
the loader tells, or it is dropped, and is no longer than anybody reads.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

MOST_ENTRIES = 50_000
MOST_DAGS = 2_000
MOST_NAMES = 1_000  # in one list
LONGEST_NAME = 1_024
LONGEST_LINE = 4_000  # characters of one line of a traceback
LONGEST_TEXT = 200_000  # of a traceback
_LONGEST_DAG_ID = 250  # Airflow allows no more

Read = Callable[[Any], Any]


def sound(told: Sequence[Any]) -> list[dict[str, Any]]:
    """What the loader may have told. {"forged": True} comes last where some was not, {"too_many": …} where DAGs were.

    Args:
        told: what was read, each from JSON.
    """
    found, dags, forged = [], 0, len(told) > MOST_ENTRIES
    for entry in told[:MOST_ENTRIES]:
        try:
            read = _entry(entry)
        except (ValueError, TypeError, AttributeError, KeyError):
            forged = True
            continue
        dags += "dag" in read
        if "dag" not in read or dags <= MOST_DAGS:
            found.append(read)
    found += [{"too_many": dags}] if dags > MOST_DAGS else []
    return [*found, {"forged": True}] if forged else found


def _entry(entry: Any) -> dict[str, Any]:
    read = {name: _KEYS[name](value) for name, value in entry.items()}
    if ("done" in read and not {"seconds", "cpu_seconds"} <= read.keys()) or not read:
        raise ValueError
    return read


def _text(longest: int) -> Read:
    def read(value: Any) -> str:
        if not isinstance(value, str):
            raise TypeError
        return value if len(value) <= longest else value[:longest] + "…"

    return read


def _trace(value: Any) -> str:
    """A traceback with neither too long lines nor too many: it begins with the file, and ends with the exception."""
    if not isinstance(value, str):
        raise TypeError
    if len(value) <= LONGEST_LINE:
        return value
    text = "\n".join(line if len(line) <= LONGEST_LINE else line[:LONGEST_LINE] + "…" for line in value.split("\n"))
    half = LONGEST_TEXT // 2
    return text if len(text) <= LONGEST_TEXT else f"{text[:half]}\n…\n{text[-half:]}"


def _or_none(read: Read) -> Read:
    return lambda value: None if value is None else read(value)


def _bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or abs(value) > 1e9:
        raise TypeError
    return value


def _seconds(value: Any) -> float:
    if _number(value) < 0:
        raise ValueError
    return float(value)


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**31:
        raise TypeError
    return value


def _list(read: Read) -> Read:
    def items(value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise TypeError
        return [read(each) for each in value[:MOST_NAMES]]

    return items


def _mapping(read: Read) -> Read:
    return lambda value: {_name(name): read(each) for name, each in [*value.items()][:MOST_NAMES]}


def _object(**parts: Read) -> Read:
    def whole(value: Any) -> dict[str, Any]:
        if value.keys() != parts.keys():
            raise ValueError
        return {name: read(value[name]) for name, read in parts.items()}

    return whole


def _unseen(value: Any) -> list[Any]:
    what, name, line = value
    return [_name(what), _name(name), _line(line)]


def _dag_id(value: Any) -> str:
    if len(_name(value)) > _LONGEST_DAG_ID:
        raise ValueError
    return str(value)


def _severity(value: Any) -> str:
    if value not in {"error", "warning"}:
        raise ValueError
    return str(value)


_name, _message, _line = _text(LONGEST_NAME), _text(LONGEST_LINE), _or_none(_count)
_DAG = _object(dag_id=_dag_id, line=_line, schedule=_or_none(_name), tags=_list(_name), tasks=_count, certain=_bool)
_KEYS: dict[str, Read] = {
    **dict.fromkeys(("begun", "done", "not_led"), _bool),
    **dict.fromkeys(("error", "trace", "serialization"), _trace),
    **dict.fromkeys(("where", "plugin", "named", "loading", "imported", "doing"), _name),
    **dict.fromkeys(("seconds", "cpu_seconds"), _seconds),
    **dict.fromkeys(("siblings", "read", "changed"), _list(_name)),
    **dict.fromkeys(("dag_line", "exit_line", "at"), _line),
    "unseen_led": _or_none(_bool),
    "after": _or_none(_name),
    "lines": _mapping(_line),
    "busy": _number,
    "parsed": _count,
    "import_errors": _mapping(_trace),
    "unseen": _unseen,
    "dag": _DAG,
    "advice": _object(rule=_name, severity=_severity, message=_message, line=_line, remedy=_message),
    # What programs that were started have told, for airflow_local_settings.py.
    "status": _number,
    "imported_airflow": _bool,
    "said": _trace,
}
