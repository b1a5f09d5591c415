"""No regular expression of the product takes time that grows faster than what it reads.

Each compiled expression is driven with what it is made of itself: its characters, its words, pairs of both, repeated.
One that is slow on such a text gets four times as much of it, and may take six times as long. What stays is bounded by
the length of what it gets, or asked only of what another one has matched, and says so here.
"""

from __future__ import annotations

import ast
import importlib
import re
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

import pytest

from tests.unit.sample_events import ROOT

PLACES = {
    "layers/jetway": "jetway",
    "layers/loader": "jetway_loader",
    "cli": "jetway_cli",
    "plugins": "jetway_events",
}
METHODS = {"search", "match", "fullmatch", "sub", "subn", "split", "findall", "finditer"}
SIZES = (300, 1_200, 5_000)  # characters with which each text is tried, until one is slow
_SLOW = 0.002  # seconds: a linear expression needs a tenth of that
_MOST_UNITS = 90

# Module and name of the expression → why it may be faster than its text is long.
BOUNDED = {
    "jetway.airflow.cli_errors._RULES": "matched at the beginning only, of a first line of 300 characters",
    "jetway.dispatch.conf_template._NAMES": "asked of what _REST has matched",
}


def modules() -> Iterator[tuple[str, Path]]:
    """All modules of the product that have an expression."""
    for place, package in PLACES.items():
        for file in sorted((ROOT / place / package).rglob("*.py")):
            if "re." in file.read_text():
                parts = file.relative_to(ROOT / place).with_suffix("").parts
                yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), file


def used(file: Path) -> tuple[dict[str, set[str]], list[tuple[str, re.Pattern[Any], str]]]:
    """How expressions with a name are asked, and those that are written where they are asked."""
    asked: dict[str, set[str]] = {}
    inline = []
    for node in ast.walk(ast.parse(file.read_text())):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        owner, method = node.func.value, node.func.attr
        if not isinstance(owner, ast.Name) or method not in METHODS:
            continue
        if owner.id == "re" and node.args and isinstance(node.args[0], ast.Constant):
            inline.append((f"line {node.lineno}", re.compile(str(node.args[0].value)), method))
        elif owner.id != "re":
            asked.setdefault(owner.id, set()).add(method)
    return asked, inline


def patterns_in(value: Any, depth: int = 0) -> Iterator[re.Pattern[Any]]:
    if isinstance(value, re.Pattern):
        yield value
    elif depth < 3 and isinstance(value, tuple | list | set | frozenset):
        for each in value:
            yield from patterns_in(each, depth + 1)
    elif depth < 3 and isinstance(value, dict):
        for each in value.values():
            yield from patterns_in(each, depth + 1)


def expressions() -> Iterator[tuple[str, re.Pattern[Any], str]]:
    """Name, expression and how it is asked."""
    for name, file in modules():
        asked, inline = used(file)
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue  # what needs Airflow's own packages
        for attribute, value in list(vars(module).items()):
            for pattern in patterns_in(value):
                for method in sorted(asked.get(attribute, {"search"})):
                    yield f"{name}.{attribute}", pattern, method
        for at, pattern, method in inline:
            yield f"{name} {at}", pattern, method


_OF_CATEGORY = {"CATEGORY_SPACE": " ", "CATEGORY_DIGIT": "0", "CATEGORY_NOT_WORD": " "}


def _walk(tree: Any, letters: set[str], words: list[str]) -> None:
    """What an expression is made of: its letters, and its words."""
    word = ""
    for operation, given in tree:
        name = str(operation)
        if name == "LITERAL":
            letters.add(chr(given))
            word += chr(given)
            continue
        words += [word] if word else []
        word = ""
        if name == "NOT_LITERAL":
            letters.update("a ")
        elif name == "IN":
            _class(given, letters)
        elif name in {"MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"}:
            _walk(given[2], letters, words)
        elif name == "SUBPATTERN":
            _walk(given[3], letters, words)
        elif name == "BRANCH":
            for each in given[1]:
                _walk(each, letters, words)
        elif name in {"ASSERT", "ASSERT_NOT"}:
            _walk(given[1], letters, words)
        elif name == "ATOMIC_GROUP":
            _walk(given, letters, words)
    words += [word] if word else []


def _class(given: Any, letters: set[str]) -> None:
    if str(given[0][0]) == "NEGATE":
        letters.update("a ")
        return
    for operation, value in given[:4]:
        name = str(operation)
        if name == "LITERAL":
            letters.add(chr(value))
        elif name == "RANGE":
            letters.add(chr(value[0]))
        else:
            letters.add(_OF_CATEGORY.get(str(value), "a"))


def worst_texts(pattern: re.Pattern[Any]) -> list[tuple[str, str]]:
    """Beginnings, and what is repeated after them."""
    source = pattern.pattern.decode("latin-1") if isinstance(pattern.pattern, bytes) else pattern.pattern
    letters: set[str] = set(" \na0")
    words: list[str] = []
    _walk(parser.parse(source, pattern.flags & ~re.UNICODE), letters, words)
    few = sorted(letters)[:9]
    units = [*few, *dict.fromkeys(words), *(one + other for one in few for other in few)]
    units += [word + end for word in dict.fromkeys(words) for end in " a\n"]
    return [("", unit) for unit in units[:_MOST_UNITS]] + [
        (word, unit) for word in list(dict.fromkeys(words))[:6] for unit in few
    ]


def seconds(pattern: re.Pattern[Any], method: str, text: str) -> float:
    given: Any = text.encode() if isinstance(pattern.pattern, bytes) else text
    ask = partial(getattr(pattern, method), *([given[:0]] if method in {"sub", "subn"} else []), given)
    started = time.process_time()
    found = ask()
    if method == "finditer":
        for _ in found:
            pass
    return time.process_time() - started


def faster_than_linear(pattern: re.Pattern[Any], method: str) -> str | None:
    """A text on which it is; None for none."""
    for beginning, unit in worst_texts(pattern):

        def took(size: int, times: int, beginning: str = beginning, unit: str = unit) -> float:
            text = beginning + unit * (size // len(unit))
            return min(seconds(pattern, method, text) for _ in range(times))

        slow = next((size for size in SIZES if took(size, 1) > _SLOW), None)
        if slow is None or took(slow, 3) <= 6 * took(slow // 4, 3):
            continue
        long, short = took(4 * slow, 3), took(slow, 3)  # a bound in the expression itself may be beyond the short ones
        if long > 6 * short:
            return f"{beginning!r} and then {unit!r}: {short:.5f} s, {long:.5f} s for four times as much"
    return None


ALL = list(dict.fromkeys(expressions()))


def test_the_expressions_of_the_product_are_found() -> None:
    assert len(ALL) > 150
    assert {name for name, _, _ in ALL} >= BOUNDED.keys(), "one of those with a bound is not there any more"


@pytest.mark.parametrize("package", ["jetway.", "jetway_loader.", "jetway_cli."])
def test_each_takes_time_that_grows_with_its_text(package: str) -> None:
    slow = {
        f"{name}.{method} {pattern.pattern!r}": found
        for name, pattern, method in ALL
        if name.startswith(package) and name not in BOUNDED and (found := faster_than_linear(pattern, method))
    }
    assert slow == {}


def test_what_is_quadratic_is_seen() -> None:
    assert faster_than_linear(re.compile(r"\s*#"), "search")
    assert faster_than_linear(re.compile(r"\[[^\]]*\]"), "sub")
    assert faster_than_linear(re.compile(r"x[a-z]*[axLu][a-z]*:"), "search")
    assert faster_than_linear(re.compile(r"[a-z]+:"), "match") is None
