"""Stand-ins for packages that the environment has and this machine has not, so that the verdict is about the file.

A stand-in module has every name; what it gives can be called, subclassed, used as a decorator or a context manager.
A name that ends in Operator or Sensor is an operator that takes any argument, so that it can stand in a DAG.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jetway_loader.sightings import Sightings

Note = Callable[[str, str, int | None], None]

_OPERATORS = ("Operator", "Sensor")
_watching: list[Callable[[], None]] = []  # told whenever a stand-in is used


def _use() -> None:
    for told in _watching:
        told()


class _Anything(type):
    """A class that has every attribute."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        return anything(name, cls.__module__)

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        _use()
        return super().__call__(*args, **kwargs)

    def __iter__(cls) -> Iterator[Any]:
        _use()
        return iter(())

    def __or__(cls, other: Any) -> Any:
        return Any

    __ror__ = __or__

    def __getitem__(cls, _key: Any) -> Any:
        return cls


class Anything(metaclass=_Anything):
    """Something of a package that is not here. It takes every argument and does nothing."""

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        pass

    def __call__(self, *args: Any, **_kwargs: Any) -> Any:
        _use()
        # As a decorator it leaves the function alone.
        return args[0] if len(args) == 1 and callable(args[0]) and not isinstance(args[0], Anything) else self

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        _use()
        return anything(name, type(self).__module__)()

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_exc: object) -> None:
        return None

    def __iter__(self) -> Iterator[Any]:
        _use()
        return iter(())

    def __getitem__(self, _key: Any) -> Any:
        _use()
        return self

    def __len__(self) -> int:
        _use()
        return 0

    def __bool__(self) -> bool:
        _use()
        return True


def anything(name: str, module: str) -> Any:
    """A class of that name that stands for anything."""
    return _Anything(name, (Anything,), {"__module__": module})


class _Module(ModuleType):
    __path__: list[str]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        found = _operator(name, self.__name__) if name.endswith(_OPERATORS) else anything(name, self.__name__)
        setattr(self, name, found)
        return found


def _operator(name: str, module: str) -> Any:
    """An operator that takes any argument beside those of every operator."""
    try:
        base = importlib.import_module("airflow.sdk").BaseOperator
    except ImportError:
        base = importlib.import_module("airflow.models.baseoperator").BaseOperator

    def init(self: Any, **kwargs: Any) -> None:
        base.__init__(self, **{key: value for key, value in kwargs.items() if key in known})

    known = set(_parameters(base))
    return type(base)(name, (base,), {"__module__": module, "__init__": init, "template_fields": ()})


def _parameters(base: Any) -> Sequence[str]:
    import inspect

    return list(inspect.signature(base.__init__).parameters)


def lacking(provided: frozenset[str]) -> frozenset[str]:
    """Those modules that are not here: what is here is asked itself, and has what it has."""
    return frozenset(name for name in provided if not _is_here(name))


def _is_here(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, AttributeError, ValueError):
        return False  # a parent is not here, or is no package


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds what nobody else has found, if the environment has it.

    Args:
        provided: modules of the environment that are not here, by their dotted names, and what is below them.
        note: gets ("package", module, line) of what users' code imports itself.
        sightings: tells who imports.
        leaning: gets the files of libraries that import one.
    """

    def __init__(self, provided: frozenset[str], note: Note, sightings: Sightings, leaning: set[str]) -> None:
        self._provided, self._note = provided, note
        self._sightings, self._leaning = sightings, leaning

    def install(self) -> None:
        """Be asked last."""
        sys.meta_path.append(self)
        _watching.append(self._used)

    def _used(self) -> None:
        """A stand-in is used by users' code, or by a library for it: what comes of it is unseen."""
        if self._sightings.asks(for_airflow=True):
            self._sightings.source()
            self._sightings.environment_asked()

    def find_spec(self, fullname: str, _path: Any = None, _target: Any = None) -> importlib.machinery.ModuleSpec | None:
        """Stand in for a module of the environment."""
        parts = fullname.split(".")
        prefixes = {".".join(parts[: count + 1]) for count in range(len(parts))}
        if not prefixes & self._provided:
            return None
        importer = self._sightings.importer()
        if importer is not None and self._sightings.is_users(importer):
            self._note("package", fullname, self._sightings.line())
        elif importer is not None:
            self._leaning.add(importer)
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        """Make a module that has every name."""
        return _Module(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """There is nothing to run."""
        module.__path__ = []
