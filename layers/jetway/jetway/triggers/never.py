"""Valid triggers that do not do what was meant: those that never fire, and those that start themselves. Pure.

All of it is warnings: a key may begin with a slash, and a star may stand in one. It is seldom so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from jetway.artifacts.findings import Finding
from jetway.shape import shown
from jetway.triggers.schedule_text import ever_comes

if TYPE_CHECKING:
    from jetway.shape import Path
    from jetway.yaml_text import Document

# What other tools read as a pattern. A bracket or brace alone may well be in a name.
_GLOB = re.compile(r"[*?]|\[[^\[\]]*[-^!][^\[\]]*\]|\{[^{}]*,[^{}]*\}")
_IN_WILDCARD = re.compile(r"\?|\[[^\[\]]*[-^!][^\[\]]*\]|\{[^{}]*,[^{}]*\}")
_NO_BEGINNING = re.compile(r"s3://[^/]*/*|(?:\.{0,2}/)+")
_ENDS_OF_RUNS = ("DagRunSucceeded", "DagRunFailed", "DagRunStarted")
_OF_KEYS = ("prefix", "suffix", "wildcard")
_TOP_LEVEL = ("source", "detail-type", "account", "region", "resources")

Doubt = tuple[str, "Path", str, str]


def doubts(document: Document) -> list[Finding]:
    """Return what is doubtful in a document that has the shape of a trigger file, whatever the time is."""
    source = document.value["on"]
    found: list[Doubt] = []
    if "s3" in source and "key" in source["s3"]:
        found += _keys(source["s3"]["key"], ("on", "s3", "key"))
    elif "event" in source:
        found += _values(source["event"], ("on", "event"))
        found += _starts_itself(document.value["dag"], source["event"])
    return [
        Finding(rule, "warning", f"{shown(path)}: {message}", document.line(path), remedy)
        for rule, path, message, remedy in found
    ]


def moment_findings(source: Any, now: datetime, line: int | None = None) -> Iterator[Finding]:
    """Tell of a schedule that does not fire any more, or never did.

    Args:
        source: what a valid trigger file says in `on`; only of a `Schedule` there is something to say.
        now: timezone-aware.
        line: of its file where the schedule is.
    """
    at, expression = getattr(source, "at", None), str(getattr(source, "expression", ""))
    if at is not None and at <= now:
        message = f"Its moment {at.isoformat()} is over: it does not fire any more."
        yield Finding("moment-is-over", "warning", message, line, "Delete the file, or give it another moment.")
    cron = expression.removeprefix("cron(").removesuffix(")")
    # A day earlier, whatever the time zone: today is a day that comes.
    if expression.startswith("cron(") and not ever_comes(cron, (now - timedelta(days=1)).date()):
        message = f"No day to come fits the cron expression {cron!r}: it never fires."
        remedy = "Look at day-of-month, month and year together: L is a month's last day, * as year every year."
        yield Finding("never-fires", "warning", message, line, remedy)


def _keys(value: Any, path: Path) -> Iterator[Doubt]:
    """What is written of keys: texts, matchers, lists of those."""
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from _keys(item, (*path, number))
    elif isinstance(value, str):
        yield from _key(value, path, "")
    else:
        for name in value.keys() - {"anything-but"}:
            yield from _key(value[name], (*path, name), name)
        if "anything-but" in value:
            yield from _excluded(value["anything-but"], (*path, "anything-but"))


def _key(text: str, path: Path, matcher: str) -> Iterator[Doubt]:
    """What is written of keys by one text: a whole key, or a prefix, suffix or wildcard."""
    beginning = _NO_BEGINNING.match(text) if matcher != "suffix" else None
    if beginning:
        rest = text[beginning.end() :]
        message = f"{text!r} begins with {beginning[0]!r}, and a key begins with its first folder or its name."
        yield ("never-fires", path, message, f"Write {rest!r}." if rest else _EVERY)
        return
    if matcher == "" and text.endswith("/"):
        message = f"{text!r} is the whole key: that is a folder's marker, and no file in it."
        yield ("never-fires", path, message, f"For all that is below it write key: {{prefix: {text}}}.")
    if matcher == "wildcard":
        yield from _wildcard(text, path)
    elif found := _GLOB.search(text):
        where = "" if matcher == "" else f" in a {matcher}"
        message = f"{found[0]!r} is taken as it is{where}: only keys that have it would match."
        yield ("never-fires", path, message, _remedy(text, matcher))


def _wildcard(text: str, path: Path) -> Iterator[Doubt]:
    if found := _IN_WILDCARD.search(text):
        message = f"{found[0]!r} is taken as it is: in a wildcard only * stands for anything."
        yield ("never-fires", path, message, "Write *, or a list of matchers.")


def _excluded(value: Any, path: Path) -> Iterator[Doubt]:
    """What anything-but leaves out: a glob there leaves out nothing."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            if name != "wildcard":
                yield from _excluded(item, (*path, name))
        return
    for text in value if isinstance(value, list) else [value]:
        if isinstance(text, str) and "*" in text:
            message = f"'*' is taken as it is, so that {text!r} leaves out nothing."
            yield ("never-fires", path, message, "For a pattern write anything-but: {wildcard: …}.")


def _remedy(text: str, matcher: str) -> str:
    if "*" not in text:
        return "For a pattern write wildcard, in which * stands for anything."
    wanted = re.sub(r"\*+", "*", text)
    if matcher == "prefix":
        wanted = wanted if wanted.endswith("*") else f"{wanted}*"
        if wanted.count("*") == 1:
            return f"Write prefix: {wanted[:-1]!r}: a prefix is followed by anything." if wanted != "*" else _EVERY
    elif matcher == "suffix":
        wanted = wanted if wanted.startswith("*") else f"*{wanted}"
        if wanted.count("*") == 1:
            return f"Write suffix: {wanted[1:]!r}: a suffix follows on anything." if wanted != "*" else _EVERY
    return f"For a pattern write wildcard: {wanted!r}."


_EVERY = "Leave it out to take every key."


def _values(pattern: Mapping[str, Any], path: Path) -> Iterator[Doubt]:
    """The values and matchers of an event pattern."""
    for name, value in pattern.items():
        below = (*path, name)
        if isinstance(value, Mapping):
            yield from _values(value, below)
        elif name == "$or" and isinstance(value, list):
            for number, item in enumerate(value):
                yield from _values(item, (*below, number))
        elif isinstance(value, list) and name != "bus":
            for number, item in enumerate(value):
                yield from _value(item, (*below, number))


def _value(value: Any, path: Path) -> Iterator[Doubt]:
    matcher = ""
    if isinstance(value, Mapping):
        matcher, value = next(iter(value.items()))
    if path[2:5] == ("detail", "object", "key") and matcher in {"", *_OF_KEYS} and isinstance(value, str):
        yield from _key(value, path, matcher)
        return
    if matcher in {"", "prefix", "suffix"} and isinstance(value, str) and "*" in value:
        where = "" if matcher == "" else f" in a {matcher}"
        remedy = f"For a pattern write {{wildcard: {re.sub('[*]+', '*', value)!r}}}"
        if value == "*":
            remedy = "Leave the field out, or write {exists: true}"
        yield (
            "never-fires",
            path,
            f"'*' is taken as it is{where}: only values that have it would match.",
            f"{remedy}.",
        )
    elif matcher == "wildcard" and isinstance(value, str):
        yield from _wildcard(value, path)


def _starts_itself(dag_id: str, pattern: Mapping[str, Any]) -> Iterator[Doubt]:
    """A trigger that takes the events of the runs that it starts: they never end."""
    if pattern.keys() - {"bus", "detail", *_TOP_LEVEL} or "resources" in pattern:
        return
    if "source" not in pattern and pattern.get("bus", "default") != "default":
        return
    detail = pattern.get("detail", {})
    ends = [name for name in _ENDS_OF_RUNS if _admits(pattern.get("detail-type"), name)]
    of_itself = detail.keys() <= {"dag_id"} and _admits(detail.get("dag_id"), dag_id)
    if ends and of_itself and _admits(pattern.get("source"), "jetway"):
        message = f"{ends[0]} of {dag_id}'s own runs matches, so that each run starts another one, without an end."
        remedy = f"Name the DAGs that are meant, or leave it out: detail: {{dag_id: [{{anything-but: {dag_id}}}]}}."
        yield ("starts-itself", ("on", "event"), message, remedy)


def _admits(values: Any, text: str) -> bool:
    """Whether a pattern's list certainly matches a text; a field that is not there matches all."""
    return values is None or (isinstance(values, Iterable) and any(_matches(value, text) for value in values))


def _matches(value: Any, text: str) -> bool:
    if isinstance(value, Mapping):
        prefix = value.get("prefix")
        return (isinstance(prefix, str) and text.startswith(prefix)) or value.get("exists") is True
    return bool(value == text)
