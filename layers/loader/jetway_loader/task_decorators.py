"""`@task.docker` and its like: what providers register by their metadata, of providers that are not here."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from jetway_loader.stub_modules import UNKNOWN

if TYPE_CHECKING:
    from jetway_loader.inventory import Inventory

Note = Callable[[str, str, int | None], None]


def install(inventory: Inventory, *, open_ended: bool, note: Note, line: Callable[[], int | None]) -> None:
    """Stand in for the task decorators that this machine's providers do not register.

    Args:
        inventory: names those of the environment's other providers.
        open_ended: the environment has distributions of which nothing is known: any of them may register more.
        note: gets ("package", what makes the decorator, line), or (UNKNOWN, "@task.name", line).
        line: tells the line of the judged file that is being run.
    """
    collection = type(importlib.import_module("airflow.decorators").task)
    find = collection.__getattr__

    def get(self: Any, name: str) -> Any:
        try:
            return find(self, name)
        except AttributeError:
            made_by = inventory.decorators.get(name)
            if name.startswith("__") or (made_by is None and not open_ended):
                raise
            note(*(("package", made_by) if made_by else (UNKNOWN, f"@task.{name}")), line())
            return _decorator(name)

    collection.__getattr__ = get


def _with_injected(given: dict[str, Any]) -> dict[str, Any]:
    """Keyword arguments of a task's function: a provider may add some when it runs, as `spark` of `@task.pyspark`."""
    arguments = dict(given.get("op_kwargs") or {})
    signature = inspect.signature(given["python_callable"])
    try:
        bound = signature.bind_partial(*(given.get("op_args") or ()), **arguments).arguments
    except TypeError:
        return arguments  # Airflow says what is wrong
    kinds = {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}
    left = (one for name, one in signature.parameters.items() if name not in bound and one.kind in kinds)
    return arguments | {one.name: None for one in left if one.default is one.empty}


def _decorator(name: str) -> Callable[..., Any]:
    """A task decorator that takes every argument, and makes tasks as Airflow's own do."""
    try:
        base = importlib.import_module("airflow.sdk.bases.decorator")
    except ImportError:
        base = importlib.import_module("airflow.decorators.base")
    decorated = base.DecoratedOperator
    known = {parameter for one in decorated.__mro__ for parameter in inspect.signature(one.__init__).parameters}

    def init(self: Any, **kwargs: Any) -> None:
        given = {key: value for key, value in kwargs.items() if key in known}
        decorated.__init__(self, **given | {"op_kwargs": _with_injected(given)})

    members = {"__module__": __name__, "__init__": init, "custom_operator_name": f"@task.{name}", "template_fields": ()}
    operator = type(decorated)(f"_{name.title().replace('_', '')}DecoratedOperator", (decorated,), members)

    def decorator(python_callable: Any = None, multiple_outputs: bool | None = None, **kwargs: Any) -> Any:
        return base.task_decorator_factory(
            python_callable=python_callable,
            multiple_outputs=multiple_outputs,
            decorated_operator_class=operator,
            **kwargs,
        )

    return decorator
