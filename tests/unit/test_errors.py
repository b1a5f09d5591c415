"""The tree that jetway/errors.py draws is the tree of classes, and no error's name means two things."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections import Counter
from collections.abc import Iterator
from types import ModuleType

import pytest

import jetway
from jetway import errors
from jetway.errors import JetwayError

LINE = re.compile(r"^    ([│ ]*)(?:[├└]── )?([\w.]+)(?: |$)")


@pytest.fixture(scope="module")
def modules() -> list[ModuleType]:
    names = [module.name for module in pkgutil.walk_packages(jetway.__path__, "jetway.")]
    return [importlib.import_module(name) for name in names]


def drawn() -> Iterator[tuple[str, str | None]]:
    """Every error of the docstring's tree, and the one above it."""
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        if found := LINE.match(line):
            depth = 0 if not above else len(found[1]) // 4 + 1
            del above[depth:]
            yield found[2], above[-1] if above else None
            above.append(found[2])


def named(error: type[JetwayError]) -> str:
    """As the tree names it: by its module unless that is errors.py itself."""
    return f"{error.__module__}.{error.__name__}".removeprefix("jetway.errors.").removeprefix("jetway.")


def below(error: type[JetwayError]) -> Iterator[tuple[str, str]]:
    for child in error.__subclasses__():
        if child.__module__.partition(".")[0] == "jetway":  # tests make some of their own
            yield named(child), named(error)
            yield from below(child)


def test_the_tree_of_errors_is_complete(modules: list[ModuleType]) -> None:
    tree = list(drawn())
    assert tree[0] == ("JetwayError", None)
    assert sorted(tree[1:]) == sorted(below(JetwayError))


def test_no_two_errors_share_a_name(modules: list[ModuleType]) -> None:
    names = Counter(
        name
        for module in modules
        for name, found in inspect.getmembers(module, inspect.isclass)
        if issubclass(found, BaseException) and found.__module__ == module.__name__
    )
    assert {name for name, count in names.items() if count > 1} == set()
