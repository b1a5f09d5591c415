"""YAML as JSON values, with the line of every value.

YAML 1.2 (ruamel.yaml): `on` is a text there, while in YAML 1.1 it is a boolean. Only what JSON can hold is taken: no
tags, anchors or aliases, which a ten-line file does not need and which let a small file grow without bounds.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ruamel.yaml.nodes import Node

    from jetway.documents.json_schema import DocumentPath

_DEEPEST = 40
_TAG = "tag:yaml.org,2002:"
_LONGEST_LINE = 1000
# In any base: 1,000 hexadecimal digits are 1,205 decimal ones, and Python writes no number of more than 4,300.
_LONGEST_INTEGER = 1000
_PLACEHOLDER = re.compile(
    r"""(?P<before>[\w.-]{1,100}:|-)[ \t]+(?P<text>\{\{[^"'{}]*\}\}(?:[^"',\]#{}]|\{\{[^"'{}]*\}\})*)"""
)


class YamlError(ValueError):
    """A text is no YAML that JSON can hold.

    Attributes:
        line: 1-based, where it shows.
        remedy: what to do about it.
    """

    def __init__(self, message: str, line: int, remedy: str) -> None:
        super().__init__(message)
        self.line = line
        self.remedy = remedy


class _KeyError(YamlError):
    """A key is a mapping or a list; most often two braces of a placeholder were read as mappings."""


@dataclass(frozen=True, slots=True)
class Document:
    """A YAML document.

    Attributes:
        value: JSON values only.
        lines: 1-based line of every value by its path; of a member of a mapping the line of its key.
    """

    value: Any
    lines: Mapping[DocumentPath, int]

    def line(self, path: DocumentPath) -> int:
        """Return the line of a value; of one that is not there, the line of what should hold it."""
        while path not in self.lines:
            path = path[:-1]
        return self.lines[path]


def load(text: str) -> Document:
    """Read one YAML document.

    Raises:
        YamlError: it is none, or holds what JSON has no place for.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError
    from ruamel.yaml.error import YAMLError as AnyYamlError

    remedy = "Correct the line; a string with a special character needs quotes."
    written = text.splitlines()
    try:
        reader = YAML(typ="safe", pure=True)
        reader.Scanner = _scanner()
        node = reader.compose(text)
    except MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        said = ", ".join(part for part in (exc.context, exc.problem) if part)
        for place in (exc.context_mark, mark):
            if place and (found := _unquoted(written, place.line + 1)):
                raise found from exc
        raise YamlError(f"This is not YAML: {said}.", mark.line + 1 if mark else 1, remedy) from exc
    except (AnyYamlError, ValueError) as exc:
        raise YamlError(f"This is not YAML: {str(exc).splitlines()[0]}.", 1, remedy) from exc
    except RecursionError as exc:
        raise YamlError("The file is nested too deeply.", 1, f"Use at most {_DEEPEST} levels.") from exc
    if node is None:
        raise YamlError("The file is empty.", 1, "Add its content, or delete it.")
    lines: dict[DocumentPath, int] = {(): 1}
    try:
        return Document(_value(node, (), lines, set()), lines)
    except _KeyError as exc:
        raise (_unquoted(written, exc.line) or exc) from None


@functools.cache
def _scanner() -> Any:
    """One that stops where brackets are too deep: for each word the reader's own looks at all that are open."""
    from ruamel.yaml.scanner import Scanner

    class Bounded(Scanner):
        def fetch_flow_collection_start(self, *args: Any, **kwargs: Any) -> None:
            if self.flow_level > _DEEPEST:
                raise RecursionError
            super().fetch_flow_collection_start(*args, **kwargs)

    return Bounded


def _unquoted(written: Sequence[str], number: int) -> YamlError | None:
    """The error of a line with a placeholder that is not in quotes, which YAML reads as a mapping."""
    found = _PLACEHOLDER.search(written[number - 1][:_LONGEST_LINE]) if number <= len(written) else None
    if found is None:
        return None
    remedy = f'Quote it: `{found["before"]} "{found["text"].rstrip()}"`.'
    return YamlError("A string that begins with {{ is not in quotes.", number, remedy)


def _value(node: Node, path: DocumentPath, lines: dict[DocumentPath, int], seen: set[int]) -> Any:
    line = node.start_mark.line + 1
    lines.setdefault(path, line)
    if id(node) in seen or node.anchor:
        raise YamlError(
            "The file has an anchor (&) or an alias (*).", line, "Write the value out, or quote the string."
        )
    seen.add(id(node))
    if len(path) > _DEEPEST:
        raise YamlError("The file is nested too deeply.", line, f"Use at most {_DEEPEST} levels.")
    kind = str(node.tag).removeprefix(_TAG)
    if kind == "map" and isinstance(node.value, list):
        return _mapping(node, path, lines, seen)
    if kind == "seq" and isinstance(node.value, list):
        return [_value(item, (*path, number), lines, seen) for number, item in enumerate(node.value)]
    return _scalar(kind, str(node.value), line)


def _mapping(node: Node, path: DocumentPath, lines: dict[DocumentPath, int], seen: set[int]) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for key, item in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key.value, str):
            raise _KeyError("A key is not a string.", line, "Use a plain string as the key.")
        if key.value in value:
            raise YamlError(f"The key {key.value!r} appears twice.", line, "Keep one of them.")
        lines[(*path, key.value)] = line
        value[key.value] = _value(item, (*path, key.value), lines, seen)
    return value


def _scalar(kind: str, text: str, line: int) -> Any:
    if kind in {"str", "timestamp"}:
        return _checked(text, line)
    if kind == "null":
        return None
    if kind == "bool":
        # A file that declares itself YAML 1.1 has `yes` and `on` here.
        return text.lower() == "true" if text.lower() in {"true", "false"} else text
    try:
        if kind == "int":
            return _integer(text)
        if kind == "float":
            number = float(text.replace("_", ""))
            if math.isfinite(number):
                return number
    except ValueError:
        return _checked(text, line)  # as 0o9: looks like a number, and is none
    remedy = "Write a number, or quote the string." if kind == "float" else "Write a plain value, or quote the string."
    raise YamlError(f"JSON cannot represent {text[:60]!r} here.", line, remedy)


def _integer(text: str) -> int:
    digits = text.replace("_", "").lower()
    if len(digits) > _LONGEST_INTEGER:
        raise ValueError("a number of this length is not accepted")
    return int(digits, 0 if digits.lstrip("+-")[:2] in {"0x", "0o", "0b"} else 10)


def _checked(text: str, line: int) -> str:
    try:
        # JSON escapes write one character as two halves; halves that belong together become one.
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError as exc:
        raise YamlError("A string has a lone surrogate.", line, "Write the character itself.") from exc
