"""What stands in for a name of a package that the environment has and this machine has not, so that the verdict is of
the file: it can be called, subclassed, used as a decorator or a context manager.
A name that ends in Operator or Sensor is an operator that takes any argument, so that it can stand in a DAG.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

_OPERATORS = ("Operator", "Sensor")
_watching: list[Callable[[], None]] = []  # told whenever a stand-in is used


def watch(told: Callable[[], None]) -> None:
    """Have it told whenever a stand-in is used."""
    _watching.append(told)


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


def stand_in(name: str, module: str) -> Any:
    """What a stand-in module gives for one of its names."""
    return _operator(name, module) if name.endswith(_OPERATORS) else anything(name, module)


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
