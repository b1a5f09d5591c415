"""The `conf` of a trigger: a JSON object in which `{{ path }}` stands for a part of the event.

    path: "s3://{{ bucket }}/{{ key }}"     # inside a text: texts as they are, everything else as JSON
    size: "{{ size }}"                      # a text that is one placeholder keeps the value's type
    first: "{{ resources.0 }}"              # a number is an item of a list
    odd: '{{ detail."a.b" }}'               # a name with dots, blanks, quotes or braces is a JSON text
    jinja: '\\{{ ds }}'                      # a backslash makes it the text {{ ds }}

Names of keys are never replaced. Rendering calls nothing and reads nothing but the event.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jetway.errors import InvalidConfError

# A name of a path: plain, or a JSON text.
_NAME = r'(?:[^\s.{}"\\]+|"(?:[^"\\]|\\.)*")'
_OPENING = "{{"
_REST = re.compile(rf"\s*({_NAME}(?:\.{_NAME})*)\s*\}}\}}")
_NAMES = re.compile(_NAME)
_MOST_SHOWN = 20


class TemplateError(ValueError):
    """A text of the template has a `{{` that opens no placeholder."""


EventPath = tuple[str, ...]


def render(template: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, Any]:
    """Fill in a template.

    Args:
        template: a JSON object.
        facts: what the paths lead into, for example the facts of `jetway.events`.

    Raises:
        InvalidConfError: a path leads nowhere, or a placeholder cannot be read; the text names path and template key.
    """
    return {name: _render(value, facts, f"conf.{name}") for name, value in template.items()}


def render_text(text: str, facts: Mapping[str, Any], where: str) -> Any:
    """Fill in one text; one that is a placeholder keeps the value's type.

    Args:
        text: the template.
        facts: what the paths lead into.
        where: it stands, for the error's text.

    Raises:
        InvalidConfError: as `render`.
    """
    return _render_text(text, facts, where)


def paths(text: str) -> list[EventPath]:
    """Return the paths of a text's placeholders.

    Raises:
        TemplateError: a placeholder cannot be read.
    """
    return [part for part in _parts(text) if isinstance(part, tuple)]


def _render(value: Any, facts: Mapping[str, Any], where: str) -> Any:
    if isinstance(value, str):
        return _render_text(value, facts, where)
    if isinstance(value, Mapping):
        return {name: _render(item, facts, f"{where}.{name}") for name, item in value.items()}
    if isinstance(value, Sequence):
        return [_render(item, facts, f"{where}.{number}") for number, item in enumerate(value)]
    return value


def _render_text(text: str, facts: Mapping[str, Any], where: str) -> Any:
    if "{{" not in text:
        return text
    try:
        parts = list(_parts(text))
    except TemplateError as exc:
        raise InvalidConfError(f"{where}: {exc}") from exc
    values = [_look_up(facts, part, where) if isinstance(part, tuple) else part for part in parts]
    if len(parts) == 1 and isinstance(parts[0], tuple):
        return values[0]
    return "".join(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) for value in values)


def _parts(text: str) -> Iterator[str | EventPath]:
    """Take a text apart: literal texts (none of them empty) and paths."""
    position = 0
    while (opening := text.find(_OPENING, position)) >= 0:
        before, end = text[position:opening], opening + len(_OPENING)
        plain = before.rstrip("\\")
        backslashes = len(before) - len(plain)
        literal = plain + "\\" * (backslashes // 2)
        if backslashes % 2:
            yield literal + _OPENING
            position = end
            continue
        if literal:
            yield literal
        rest = _REST.match(text, end)
        if rest is None:
            shown = text[opening : opening + 42]
            raise TemplateError(
                f"{shown!r} is not a placeholder such as {{{{ bucket }}}} or {{{{ detail.order.0 }}}}; for a literal "
                "{{ write \\{{."
            )
        yield tuple(_name(name) for name in _NAMES.findall(rest[1]))
        position = rest.end()
    if text[position:]:
        yield text[position:]


def _name(written: str) -> str:
    if not written.startswith('"'):
        return written
    try:
        return str(json.loads(written, strict=False))
    except ValueError as exc:
        raise TemplateError(f"{written} is not JSON: {exc}.") from exc


def _look_up(facts: Mapping[str, Any], path: EventPath, where: str) -> Any:
    value: Any = facts
    for depth, name in enumerate(path):
        if isinstance(value, Mapping) and name in value:
            value = value[name]
        elif _is_list(value) and name.isascii() and name.isdecimal() and int(name) < len(value):
            value = value[int(name)]
        else:
            raise InvalidConfError(f"{where}: {_unknown(path, depth, value)}")
    return value


def _unknown(path: EventPath, depth: int, value: Any) -> str:
    """Say what is wrong with a path: how far it leads, and where it could have led."""
    asked = f"the event has no {'.'.join(path)!r}"
    at = f"{'.'.join(path[:depth])!r}" if depth else "the event"
    if isinstance(value, Mapping):
        known = sorted(str(name) for name in value)
        near = difflib.get_close_matches(path[depth], known, n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        shown = ", ".join(known[:_MOST_SHOWN]) + (", …" if len(known) > _MOST_SHOWN else "")
        return f"{asked}{hint}; {at} has {shown or 'nothing in it'}."
    if _is_list(value):
        return f"{asked}; {at} is a list of {len(value)}; its items are {at.strip(chr(39))}.0 and so on."
    return f"{asked}; {at} is {json.dumps(value, ensure_ascii=False)[:80]}, with nothing in it."


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)
