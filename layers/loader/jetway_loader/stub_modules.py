"""Modules that the environment has and this machine has not: which there are, and which names they have.

Of what an index or a table told, a module has its own names and no others, and only the modules that are there can be
imported. Of what nobody told, a module has every name and every module below it; who uses it is told of.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from jetway_loader.inventory import above
from jetway_loader.package_stubs import stand_in, watch

if TYPE_CHECKING:
    from pathlib import Path

    from jetway_loader.inventory import Inventory
    from jetway_loader.source_lines import Sightings

Note = Callable[[str, str, int | None], None]

# What a file used of a distribution whose content is not known: whether it is there shows in the environment.
UNKNOWN = "package of unknown content"
STAR = "names of a package of unknown content"

_VERSION = "__version__"


def lacking(provided: frozenset[str]) -> frozenset[str]:
    """Those modules that are not here: what is here is asked itself, and has what it has."""
    before = set(sys.modules)
    found = frozenset(name for name in provided if not _is_here(name))
    _forget_namespaces(before)
    return found


def _forget_namespaces(before: set[str]) -> None:
    """Take back the namespaces that looking has imported: a users' module may have the same name, and then wins."""
    for name in sorted(set(sys.modules) - before, reverse=True):
        module = sys.modules[name]
        is_namespace = getattr(module, "__file__", None) is None and hasattr(module, "__path__")
        if is_namespace and not any(other.startswith(f"{name}.") for other in sys.modules):
            del sys.modules[name]
            upper, _, last = name.rpartition(".")
            vars(sys.modules.get(upper, ModuleType(""))).pop(last, None)


def _is_here(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, AttributeError, ValueError):
        return False  # a parent is not here, or is no package


def may_be_anothers(module: str, inventory: Inventory, places: Iterable[Path]) -> bool:
    """Whether a module that is not here may come with a distribution of unknown content.

    Not below a package that is here or known, which has all its modules itself, nor Airflow's own; below a namespace
    anybody may add one.

    Args:
        module: dotted.
        inventory: what is known.
        places: the dags folder and that of plugins, on this machine.
    """
    top = module.partition(".")[0]
    if top == "airflow" and not module.startswith("airflow.providers."):
        return False
    if any((place / top).exists() or (place / f"{top}.py").exists() for place in places):
        return False
    return not any(parent in inventory.contents or _is_package(parent) for parent in above(module))


def _is_package(name: str) -> bool:
    """Whether it is here and no namespace; Airflow itself is one for its providers."""
    if name in {"airflow", "airflow.providers"}:
        return False
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, AttributeError, ValueError):
        return False
    return spec is not None and spec.origin is not None


class _Module(ModuleType):
    """A module that stands in for one.

    Args:
        name: dotted.
        names: that it has, beside those of modules below it; None for every name.
        is_below: whether there is a module of that dotted name.
        star: told when somebody imports all names of a module that nobody knows.
    """

    __path__: list[str]

    def __init__(
        self, name: str, names: frozenset[str] | None, is_below: Callable[[str], bool], star: Callable[[], None]
    ) -> None:
        super().__init__(name)
        self.__dict__["_jetway"] = (names, is_below, star)

    def __getattr__(self, name: str) -> Any:
        names, is_below, star = self.__dict__["_jetway"]
        if name == "__all__":
            if names is not None:
                return sorted(one for one in names if not one.startswith("_"))
            star()
        if name == _VERSION and (names is None or name in names):
            return "0"
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        below = f"{self.__name__}.{name}"
        if is_below(below):  # as after an import of it by the package itself
            return importlib.import_module(below)
        if names is not None and name not in names:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        found = stand_in(name, self.__name__)
        setattr(self, name, found)
        return found


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds what nobody else has found, if the environment has it.

    Args:
        provided: modules of the environment that are not here, and what is below them, of which no more is known.
        inventory: of which more is known.
        note: gets ("package", module, line) of what users' code imports itself, or UNKNOWN or STAR in the first place.
        sightings: tells who imports.
        leaning: gets the files of libraries that import one.
    """

    def __init__(
        self, provided: frozenset[str], inventory: Inventory, note: Note, sightings: Sightings, leaning: set[str]
    ) -> None:
        self._provided, self._contents, self._note = provided, inventory.contents, note
        self._sightings, self._leaning = sightings, leaning
        known = {*provided, *self._contents}
        # A namespace has no file of its own; it is there because something below it is.
        self._namespaces = frozenset(parent for name in known for parent in above(name)) - known
        self._there = frozenset({*self._contents, *self._namespaces})

    def install(self) -> None:
        """Be asked last."""
        sys.meta_path.append(self)
        watch(self._used)

    def _used(self) -> None:
        """A stand-in is used by users' code, or by a library for it: what comes of it is unseen."""
        if self._sightings.asks(for_airflow=True):
            self._sightings.source()
            self._sightings.environment_asked()

    def find_spec(self, fullname: str, _path: Any = None, _target: Any = None) -> importlib.machinery.ModuleSpec | None:
        """Stand in for a module of the environment."""
        if fullname in self._there:
            what = "package"
        elif not self._provided.isdisjoint({fullname, *above(fullname)}):
            what = UNKNOWN
        else:
            return None
        if fullname not in self._namespaces:
            self._tell(what, fullname)
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def _tell(self, what: str, module: str) -> None:
        importer = self._sightings.importer()
        if importer is not None and self._sightings.is_users(importer):
            self._note(what, module, self._sightings.line())
        elif importer is not None:
            self._leaning.add(importer)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        """Make the module."""
        name = spec.name
        names: frozenset[str] | None = frozenset()
        if name in self._contents:
            listed = self._contents[name]
            names = None if listed is None else frozenset(listed.split())
        elif name not in self._namespaces:
            names = None
        return _Module(name, names, self._there.__contains__, lambda: self._tell(STAR, name))

    def exec_module(self, module: ModuleType) -> None:
        """There is nothing to run."""
        module.__path__ = []
