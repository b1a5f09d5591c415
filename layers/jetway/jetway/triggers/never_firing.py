"""Valid triggers that do not do what was meant: those that never fire; those that never end are `loops`. Pure.

All of it is warnings: a key may begin with a slash, and a star may stand in one. It is seldom so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from jetway.artifacts.findings import Finding
from jetway.documents.json_schema import shown
from jetway.triggers.loops import ITSELF, starts_itself
from jetway.triggers.schedule_text import ever_comes

if TYPE_CHECKING:
    from jetway.documents.json_schema import DocumentPath
    from jetway.documents.yaml_document import Document

# What other tools read as a pattern. A bracket or brace alone may well be in a name.
_GLOB = re.compile(r"[*?]|\[[^\[\]\-^!]*[-^!][^\[\]]*+\]|\{[^{},]*,[^{}]*+\}")
_BRACES = re.compile(r"\{([^{},]*,[^{}]*+)\}")
_IN_WILDCARD = re.compile(r"\?|\[[^\[\]\-^!]*[-^!][^\[\]]*+\]|\{[^{},]*,[^{}]*+\}")
# What is a regular expression only; `_$folder$` is a marker of EMR.
_REGEX = {"prefix": re.compile(r"^\^|\\\."), "suffix": re.compile(r"\\\.|(?<=[\w)])(?<!\$folder)\$$")}
_NO_BEGINNING = re.compile(r"s3://[^/]*/*|(?:\.{0,2}/)+")
_OF_KEYS = ("prefix", "suffix", "wildcard")

Doubt = tuple[str, "DocumentPath", str, str]


def doubts(document: Document, name: str) -> list[Finding]:
    """Return what is doubtful in a document that has the shape of a trigger file, whatever the time is.

    Args:
        name: of the trigger.
    """
    source = document.value["on"]
    found: list[Doubt] = []
    if "s3" in source and "key" in source["s3"]:
        found += _keys(source["s3"]["key"], ("on", "s3", "key"))
    elif "event" in source:
        found += _values(source["event"], ("on", "event"))
        if starts_itself(document.value, name):
            found.append(("starts-itself", ("on", "event"), *ITSELF))
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
        message = f"Its time {at.isoformat()} has passed: it no longer fires."
        yield Finding("moment-is-over", "warning", message, line, "Delete the file, or set another time.")
    cron = expression.removeprefix("cron(").removesuffix(")")
    # A day earlier, whatever the time zone: today is a day that comes.
    if expression.startswith("cron(") and not ever_comes(cron, (now - timedelta(days=1)).date()):
        message = f"The cron expression {cron!r} matches no future day: it never fires."
        remedy = "Check day-of-month, month and year together: L is a month's last day, and * as year is every year."
        yield Finding("never-fires", "warning", message, line, remedy)


def _keys(value: Any, path: DocumentPath) -> Iterator[Doubt]:
    """What is written of keys: texts, matchers, lists of those."""
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from _keys(item, (*path, number))
    elif isinstance(value, str):
        yield from _key(value, path, "")
    else:
        for name in sorted(value.keys() - {"anything-but"}):
            yield from _key(value[name], (*path, name), name)
        if "anything-but" in value:
            yield from _excluded(value["anything-but"], (*path, "anything-but"))


def _key(text: str, path: DocumentPath, matcher: str) -> Iterator[Doubt]:
    """What is written of keys by one text: a whole key, or a prefix, suffix or wildcard."""
    beginning = _NO_BEGINNING.match(text) if matcher != "suffix" else None
    if beginning:
        rest = text[beginning.end() :]
        message = f"{text!r} begins with {beginning[0]!r}, but a key begins with its first folder or its name."
        yield ("never-fires", path, message, f"Write {rest!r}." if rest else _EVERY)
        return
    if matcher == "" and text.endswith("/"):
        message = f"{text!r} is the whole key: it matches only a folder marker, and no file in the folder."
        yield ("never-fires", path, message, f"For all files in the folder, write key: {{prefix: {text}}}.")
    if matcher == "wildcard":
        yield from _wildcard(text, path)
    elif matcher in _REGEX and (found := _REGEX[matcher].search(text)):
        message = f"{found[0]!r} is taken literally in a {matcher}, which is not a regular expression."
        plain = text.removeprefix("^").removesuffix("$").replace("\\.", ".")
        yield ("never-fires", path, message, f"Write {matcher}: {plain!r}.")
    elif found := _GLOB.search(text):
        where = "" if matcher == "" else f" in a {matcher}"
        message = f"{found[0]!r} is taken literally{where}: only keys that contain it would match."
        yield ("never-fires", path, message, _remedy(text, matcher))


def _wildcard(text: str, path: DocumentPath) -> Iterator[Doubt]:
    if found := _IN_WILDCARD.search(text):
        message = f"{found[0]!r} is taken literally: in a wildcard, only * is special."
        yield ("never-fires", path, message, "Write *, or a list of matchers.")


def _excluded(value: Any, path: DocumentPath) -> Iterator[Doubt]:
    """What anything-but leaves out: a glob there leaves out nothing."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _excluded(item, (*path, name))
        return
    for text in value if isinstance(value, list) else [value]:
        if not isinstance(text, str):
            continue
        if path[-1] != "suffix" and text.startswith("/"):
            message = f"No key begins with a slash, so {text!r} excludes nothing."
            yield ("never-fires", path, message, f"Write {text.lstrip('/')!r}.")
        elif path[-1] != "wildcard" and "*" in text:
            message = f"'*' is taken literally, so {text!r} excludes nothing."
            yield ("never-fires", path, message, "For a pattern write anything-but: {wildcard: …}.")


def _remedy(text: str, matcher: str) -> str:
    braces = _BRACES.search(text)
    if braces is not None and matcher in {"prefix", "suffix"}:
        texts = [text[: braces.start()] + one.strip() + text[braces.end() :] for one in braces[1].split(",")]
        bare = [one.rstrip("*") if matcher == "prefix" else one.lstrip("*") for one in texts]
        if not any(_GLOB.search(one) for one in bare):
            return f"Write a list of matchers under key: [{', '.join(f'{{{matcher}: {one!r}}}' for one in bare)}]."
    if "*" not in text:
        return "For a pattern write wildcard, in which * matches anything."
    wanted = re.sub(r"\*+", "*", text)
    if matcher == "prefix":
        wanted = wanted if wanted.endswith("*") else f"{wanted}*"
        if wanted.count("*") == 1:
            return f"Write prefix: {wanted[:-1]!r}. Anything can follow a prefix." if wanted != "*" else _EVERY
    elif matcher == "suffix":
        wanted = wanted if wanted.startswith("*") else f"*{wanted}"
        if wanted.count("*") == 1:
            return f"Write suffix: {wanted[1:]!r}. Anything can precede a suffix." if wanted != "*" else _EVERY
    return f"For a pattern write wildcard: {wanted!r}."


_EVERY = "Leave it out to match every key."


def _values(pattern: Mapping[str, Any], path: DocumentPath) -> Iterator[Doubt]:
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


def _name_of_aws(value: str, path: DocumentPath) -> Iterator[Doubt]:
    """Sources and kinds of events as others write them; those of partners have their own names."""
    if path[2] == "source" and value.lower().startswith("aws.") and not value.lower().startswith("aws.partner/"):
        if value != value.lower():
            message = f"No event is from {value!r}: the sources of AWS have small letters."
            yield ("never-fires", path, message, f"Write {value.lower()!r}.")
    elif path[2] == "detail-type" and value.startswith(("s3:Object", "ObjectCreated", "ObjectRemoved")):
        message = f"No event is of type {value!r}: so S3 calls it where EventBridge is not in between."
        yield ("never-fires", path, message, "Write 'Object Created' or 'Object Deleted'.")


def _value(value: Any, path: DocumentPath) -> Iterator[Doubt]:
    matcher = ""
    if isinstance(value, Mapping):
        matcher, value = next(iter(value.items()))
    if path[2:5] == ("detail", "object", "key") and matcher in {"", *_OF_KEYS} and isinstance(value, str):
        yield from _key(value, path, matcher)
        return
    if matcher == "" and isinstance(value, str):
        yield from _name_of_aws(value, path)
    if matcher in {"", "prefix", "suffix"} and isinstance(value, str) and "*" in value:
        where = "" if matcher == "" else f" in a {matcher}"
        remedy = f"For a pattern write {{wildcard: {re.sub('[*]+', '*', value)!r}}}"
        if value == "*":
            remedy = "Leave the field out, or write {exists: true}"
        yield (
            "never-fires",
            path,
            f"'*' is taken literally{where}: only values that contain it would match.",
            f"{remedy}.",
        )
    elif matcher == "wildcard" and isinstance(value, str):
        yield from _wildcard(value, path)
