"""What a distribution brings: its modules, their names, and the task decorators that a provider of Airflow registers.

Read from its wheel, without running anything of it.
"""

from __future__ import annotations

import ast
import configparser
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Self

from jetway.artifacts.python.module_names import LARGEST_SOURCE, names_in

if TYPE_CHECKING:
    from jetway.artifacts.archives.zip_reader import ZipMember, ZipReader

# The largest distributions have some thousands: of these the rest is left out, and nothing of it is known.
MOST_MODULES = 8000

_SUFFIXES = (".py", ".so", ".pyd")
_LARGEST_METADATA = 256 * 1024
# Airflow's own, which some providers ship as well, and what everybody adds to.
_NAMESPACES = frozenset({"airflow", "airflow.providers", "azure", "google", "google.cloud"})
_SHARES = re.compile(rb"\b(?:extend_path|declare_namespace)\s*\(")
_PROVIDER = "apache_airflow_provider"  # the group of entry points that makes a distribution a provider


@dataclass(frozen=True, slots=True)
class Contents:
    """What one version of a distribution brings.

    Attributes:
        modules: dotted name → its names, separated by blanks; None when they are not known.
        decorators: name of a task decorator (`docker` of `@task.docker`) → dotted name of what makes it.
    """

    modules: Mapping[str, str | None]
    decorators: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, value: Mapping[str, Any]) -> Self:
        """Read it as `as_json` has written it.

        Raises:
            KeyError, TypeError, ValueError: not of its shape.
        """
        return cls(dict(value["modules"]), dict(value.get("decorators", {})))

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON takes it."""
        return {"modules": dict(self.modules), **({"decorators": dict(self.decorators)} if self.decorators else {})}

    def roots(self) -> frozenset[str]:
        """The modules that are below none of the others: `acme`, or `google.cloud.storage` in a namespace."""
        return frozenset(name for name in self.modules if not any(one in self.modules for one in parents(name)))


def parents(module: str) -> Iterator[str]:
    """The packages above a module: of a.b.c, a and a.b."""
    parts = module.split(".")
    return (".".join(parts[:count]) for count in range(1, len(parts)))


def module_of(path: str) -> str | None:
    """Return the module that a file of a wheel is, or None: of a/b.py, a.b."""
    parts = path.split("/")
    if parts[0].endswith(".data") and len(parts) > 2 and parts[1] in {"purelib", "platlib"}:
        parts = parts[2:]
    if not path.endswith(_SUFFIXES) or parts[0].endswith((".dist-info", ".data")):
        return None
    name = parts[-1].partition(".")[0]  # fast.cpython-312-x86_64-linux-gnu.so
    dotted = parts[:-1] if name == "__init__" else [*parts[:-1], name]
    return ".".join(dotted) if dotted and all(part.isidentifier() for part in dotted) else None


def contents_in(paths: Iterable[str]) -> Contents:
    """Return what the names of a wheel's files tell: the modules, and no names."""
    found = sorted({module for path in paths if (module := module_of(path))} - _NAMESPACES)
    return Contents(dict.fromkeys(found[:MOST_MODULES]))


def contents_of(reader: ZipReader, goes_on: Callable[[], bool] = lambda: True) -> Contents:
    """Return what a whole wheel tells.

    Args:
        reader: of the wheel.
        goes_on: asked before each module; when it does not, the names of the rest are not read.

    Raises:
        BrokenZipError: a member of it cannot be read.
    """
    modules: dict[str, str | None] = {}
    for member in reader.members:
        module = module_of(member.name)
        if module is None or module in _NAMESPACES or len(modules) >= MOST_MODULES:
            continue
        source = _source(reader, member) if goes_on() else None
        if source is not None and _SHARES.search(source):
            continue  # a namespace of the old kind: others have modules there, too
        names = None if source is None else _names(source)
        modules[module] = names if module not in modules else None  # fast.py beside fast.so
    return Contents(dict(sorted(modules.items())), _decorators(reader))


def _source(reader: ZipReader, member: ZipMember) -> bytes | None:
    if not member.name.endswith(".py") or member.is_closed or member.size > LARGEST_SOURCE:
        return None
    return reader.content(member, LARGEST_SOURCE)


def _names(source: bytes) -> str | None:
    names = names_in(source)
    return None if names is None else " ".join(sorted(names))


def _decorators(reader: ZipReader) -> dict[str, str]:
    """The task decorators of a provider: its entry point names a function that returns them as a literal."""
    members = {member.name: member for member in reader.members if not member.is_closed}
    listed = next((one for name, one in members.items() if name.endswith(".dist-info/entry_points.txt")), None)
    if listed is None:
        return {}
    points = configparser.ConfigParser(delimiters=("=",), interpolation=None)
    try:
        points.read_string(reader.content(listed, _LARGEST_METADATA).decode("utf-8", "replace"))
    except configparser.Error:
        return {}
    found: dict[str, str] = {}
    for where in points[_PROVIDER].values() if points.has_section(_PROVIDER) else ():
        module, _, function = where.partition(":")
        member = members.get(f"{module.strip().replace('.', '/')}.py")
        if member is not None and member.size <= LARGEST_SOURCE:
            found |= decorators_in(reader.content(member, LARGEST_SOURCE), function.strip())
    return found


def decorators_in(source: bytes, function: str) -> dict[str, str]:
    """Return the task decorators of a provider: name → dotted name of what makes it.

    Args:
        source: of the module that has the function.
        function: that returns what the provider registers.
    """
    try:
        tree = ast.parse(source)
        defined = (node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == function)
        returns = (node for one in defined for node in ast.walk(one) if isinstance(node, ast.Return) and node.value)
        told: Any = [ast.literal_eval(node.value) for node in returns if node.value]
        pairs = [(one["name"], one["class-name"]) for info in told for one in info.get("task-decorators", ())]
    except (SyntaxError, ValueError, RecursionError, MemoryError, TypeError, KeyError, AttributeError):
        return {}
    return {str(name): str(made) for name, made in pairs}


def as_json_within(contents: Mapping[str, Contents], most: int) -> dict[str, dict[str, Any]]:
    """Return contents as JSON takes them, in so many bytes: the largest give up their names, then are left out.

    Args:
        contents: name of a distribution → what it brings.
        most: bytes of all of it.
    """
    told = {name: found.as_json() for name, found in contents.items()}
    sizes = {name: len(json.dumps(found)) for name, found in told.items()}
    for without in ("names", "all"):
        for name in sorted(sizes, key=lambda name: -sizes[name]):
            if sum(sizes.values()) <= most:
                return told
            if without == "all":
                del told[name], sizes[name]
            else:
                one = Contents(dict.fromkeys(contents[name].modules), contents[name].decorators)
                told[name] = one.as_json()
                sizes[name] = len(json.dumps(told[name]))
    return told


def known_contents(name: str, version: str | None) -> Contents | None:
    """Return what is known here of a distribution's version without asking an index, or None.

    Args:
        name: normalized, as in PEP 503.
        version: as it was released.
    """
    found = _table().get(f"{name}=={version}")
    return Contents.parse(found) if found is not None else None


@cache
def _table() -> dict[str, dict[str, Any]]:
    table: dict[str, Any] = json.loads(resources.files(__package__).joinpath("contents.json").read_text("utf-8"))
    return table
