"""EventBridge's event patterns, matched offline, with the reason why one does not match.

Written after https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html. Pure functions.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MISSING = "nothing"


class PatternError(ValueError):
    """EventBridge would refuse the pattern; the text says where and why."""


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One field that keeps a pattern from matching.

    Attributes:
        path: of the field, as a.b.c.
        wanted: what the pattern asks for, as JSON.
        found: what the event has there, as JSON, or "nothing".
    """

    path: str
    wanted: str
    found: str

    def __str__(self) -> str:
        """Return it as a sentence."""
        return f"{self.path} is {self.found}, expected {self.wanted}"


def explain(pattern: Mapping[str, Any], event: Mapping[str, Any]) -> list[Mismatch]:
    """Return why the event does not match; an empty list when it does.

    Raises:
        PatternError: EventBridge would refuse the pattern.
    """
    return _object(pattern, event, "")


def _object(pattern: Mapping[str, Any], event: Mapping[str, Any], path: str) -> list[Mismatch]:
    found: list[Mismatch] = []
    for name, wanted in pattern.items():
        here = f"{path}.{name}" if path else name
        if name == "$or" and isinstance(wanted, list):
            found += _any_of(wanted, event, path)
        elif isinstance(wanted, dict):
            # Of a list of objects one must match as a whole; the nearest is the one to tell of.
            objects = [item for item in _flat(event.get(name)) if isinstance(item, dict)]
            found += _nearest([_object(wanted, item, here) for item in objects or [{}]])
        elif isinstance(wanted, list) and wanted:
            found += _field(wanted, event.get(name), here, present=name in event)
        else:
            raise PatternError(f"{here} must be a list of at least one value, or an object.")
    return found


def _any_of(alternatives: Sequence[Any], event: Mapping[str, Any], path: str) -> list[Mismatch]:
    if len(alternatives) < 2 or not all(isinstance(alternative, dict) for alternative in alternatives):
        raise PatternError(f"{path + '.' if path else ''}$or must be a list of at least two objects.")
    results = [_object(alternative, event, path) for alternative in alternatives]
    if not all(results):
        return []
    if len({tuple(mismatch.path for mismatch in result) for result in results}) == 1 and len(results[0]) == 1:
        wanted = " or ".join(result[0].wanted for result in results)
        return [Mismatch(results[0][0].path, wanted, results[0][0].found)]
    return _nearest(results)


def _nearest(results: Sequence[list[Mismatch]]) -> list[Mismatch]:
    return min(results, key=list.__len__)


def _field(matchers: Sequence[Any], value: Any, path: str, *, present: bool) -> list[Mismatch]:
    # Operators look at leaves: an object is none, a list has those of its items.
    leaves = [item for item in _flat(value) if not isinstance(item, dict)] if present else []
    # Every matcher is tried, so that a bad one is found whatever the event holds.
    if any([_matches(matcher, leaves, path) for matcher in matchers]):  # noqa: C419
        return []
    return [Mismatch(path, _json(list(matchers)), _json(value) if present else MISSING)]


def _matches(matcher: Any, leaves: Sequence[Any], path: str) -> bool:
    if not isinstance(matcher, dict):
        if isinstance(matcher, list):
            raise PatternError(f"{path}: a list within a list is not a matcher.")
        return any(_equal(matcher, leaf) for leaf in leaves)
    if len(matcher) != 1:
        raise PatternError(f"{path}: a matcher has one operator; {_json(matcher)} has {len(matcher)}.")
    ((operator, operand),) = matcher.items()
    if operator == "exists":
        if not isinstance(operand, bool):
            raise PatternError(f"{path}: exists takes true or false.")
        return bool(leaves) is operand
    make = _OPERATORS.get(operator)
    if make is None:
        raise PatternError(
            f"{path}: {operator!r} is not an operator. Valid operators: {', '.join(sorted([*_OPERATORS, 'exists']))}."
        )
    test = make(operand, f"{path}: {operator}")
    return any(test(leaf) for leaf in leaves)


def _equal(wanted: Any, leaf: Any) -> bool:
    # In JSON 1 is no true and 1.0 is 1.
    if isinstance(wanted, bool) or isinstance(leaf, bool):
        return wanted is leaf
    return bool(wanted == leaf)


Test = Callable[[Any], bool]


def _affix(test: Callable[[str, str], bool]) -> Callable[[Any, str], Test]:
    def make(operand: Any, where: str) -> Test:
        if isinstance(operand, dict) and list(operand) == ["equals-ignore-case"]:
            folded = _text(operand["equals-ignore-case"], where).lower()
            return lambda leaf: isinstance(leaf, str) and test(leaf.lower(), folded)
        text = _text(operand, where)
        return lambda leaf: isinstance(leaf, str) and test(leaf, text)

    return make


def _ignore_case(operand: Any, where: str) -> Test:
    folded = _text(operand, where).lower()
    return lambda leaf: isinstance(leaf, str) and leaf.lower() == folded


def _wildcard(operand: Any, where: str) -> Test:
    expression = "".join(_wildcard_parts(_text(operand, where), where))
    compiled = re.compile(expression, re.DOTALL)
    return lambda leaf: isinstance(leaf, str) and compiled.fullmatch(leaf) is not None


def _wildcard_parts(text: str, where: str) -> Iterator[str]:
    if "**" in text.replace("\\\\", "").replace("\\*", ""):
        raise PatternError(f"{where}: two consecutive wildcards are not allowed.")
    for match in re.finditer(r"\\(.?)|(\*)|([^\\*]+)", text, re.DOTALL):
        escaped, star, plain = match.groups()
        if star:
            yield ".*"
        elif plain:
            yield re.escape(plain)
        elif escaped in {"*", "\\"}:
            yield re.escape(escaped)
        else:
            raise PatternError(f"{where}: a backslash can only precede * or another backslash.")


def _cidr(operand: Any, where: str) -> Test:
    try:
        network = ipaddress.ip_network(_text(operand, where), strict=False)
    except ValueError as exc:
        raise PatternError(f"{where}: {operand!r} is not an IP address range such as 10.0.0.0/24.") from exc

    def test(leaf: Any) -> bool:
        try:
            return isinstance(leaf, str) and ipaddress.ip_address(leaf) in network
        except ValueError:
            return False

    return test


_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "=": lambda value, bound: value == bound,
    "<": lambda value, bound: value < bound,
    "<=": lambda value, bound: value <= bound,
    ">": lambda value, bound: value > bound,
    ">=": lambda value, bound: value >= bound,
}


def _numeric(operand: Any, where: str) -> Test:
    if not isinstance(operand, list) or len(operand) not in {2, 4}:
        raise PatternError(f'{where} takes one or two comparisons, such as [">", 0, "<=", 5].')
    bounds = list(zip(operand[::2], operand[1::2], strict=True))
    for comparison, bound in bounds:
        if comparison not in _COMPARISONS or not _is_number(bound):
            raise PatternError(f"{where}: {_json([comparison, bound])} is not a comparison.")
    return lambda leaf: _is_number(leaf) and all(_COMPARISONS[name](leaf, bound) for name, bound in bounds)


def _anything_but(operand: Any, where: str) -> Test:
    if isinstance(operand, dict):
        if len(operand) != 1 or not operand.keys() <= {"prefix", "suffix", "equals-ignore-case", "wildcard"}:
            raise PatternError(f"{where}: {_json(operand)} is not a valid value.")
        ((operator, inner),) = operand.items()
        tests = [_OPERATORS[operator](item, where) for item in (inner if isinstance(inner, list) else [inner])]
        return lambda leaf: not any(test(leaf) for test in tests)
    refused = operand if isinstance(operand, list) else [operand]
    if not refused or any(isinstance(item, dict | list) for item in refused):
        raise PatternError(f"{where} takes a value or a list of values.")
    return lambda leaf: not any(_equal(item, leaf) for item in refused)


_OPERATORS: Mapping[str, Callable[[Any, str], Test]] = {
    "prefix": _affix(str.startswith),
    "suffix": _affix(str.endswith),
    "equals-ignore-case": _ignore_case,
    "wildcard": _wildcard,
    "cidr": _cidr,
    "numeric": _numeric,
    "anything-but": _anything_but,
}


def _flat(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        for item in value:
            yield from _flat(item)
    else:
        yield value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise PatternError(f"{where} takes a string, not {_json(value)}.")
    return value


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
