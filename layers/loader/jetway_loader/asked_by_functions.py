"""What a task's Python function asks of the context of its run: by its arguments' names, and by looking it up."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

_CONTEXT = frozenset({"context", "ctx"})
_GIVES_CONTEXT = "get_current_context"
_LARGEST = 2_000_000  # bytes of a file that is read

Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


def asked(task: Any, names: frozenset[str], inside: str) -> tuple[str, list[tuple[str, int]]]:
    """Return what a task's `python_callable` or `execute` needs of these names.

    Args:
        task: an operator, or one that is mapped.
        names: of the context.
        inside: how the path of a file begins that is read.

    Returns:
        the file of the function, and each name with the line that asks for it; nothing when the task has no function
        that can be read.
    """
    function = _function(task)
    if function is None or not function.__code__.co_filename.startswith(inside):
        return "", []
    code = function.__code__
    names -= _given_by_name(task)
    found = {name: code.co_firstlineno for name in _arguments(function, task) if name in names}
    for node in _definitions(code.co_filename, code.co_firstlineno):
        arguments = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
        found.update({argument.arg: argument.lineno for argument in arguments if argument.arg in found})
        for name, line in _looked_up(node):
            if name in names:
                found.setdefault(name, line)
    return code.co_filename, sorted(found.items(), key=lambda item: (item[1], item[0]))


def _function(task: Any) -> Any:
    partial = getattr(task, "partial_kwargs", None)
    given = partial.get("python_callable") if isinstance(partial, Mapping) else getattr(task, "python_callable", None)
    function = given if callable(given) else getattr(type(task), "execute", None)
    function = inspect.unwrap(function) if inspect.isfunction(function) else None
    return function if inspect.isfunction(function) else None


def _arguments(function: Any, task: Any) -> Iterator[str]:
    """Arguments that have no default and are not given by their place."""
    partial = getattr(task, "partial_kwargs", None)
    values = partial if isinstance(partial, Mapping) else {}
    if getattr(task, "python_callable", None) is None and "python_callable" not in values:
        return
    by_place = values.get("op_args", getattr(task, "op_args", None)) or ()
    places = len(by_place) if isinstance(by_place, list | tuple) else 0
    for number, parameter in enumerate(inspect.signature(function).parameters.values()):
        by_position = parameter.kind in {parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD}
        if parameter.kind in {parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL} or (by_position and number < places):
            continue
        if parameter.default is parameter.empty:
            yield parameter.name


def _given_by_name(task: Any) -> frozenset[str]:
    """What the task itself adds to the context, which is what its function gets."""
    partial = getattr(task, "partial_kwargs", None)
    given = partial.get("op_kwargs") if isinstance(partial, Mapping) else getattr(task, "op_kwargs", None)
    expanded = (
        getattr(getattr(task, name, None), "value", None) for name in ("expand_input", "op_kwargs_expand_input")
    )
    return frozenset(name for values in (given, *expanded) for name in _keys(values))


def _keys(values: Any) -> Iterator[str]:
    if isinstance(values, Mapping):
        for name, value in values.items():
            yield str(name)
            if isinstance(value, Mapping):  # of a classic operator, op_kwargs among what it is expanded over
                yield from map(str, value)


def _looked_up(function: Function) -> Iterator[tuple[str, int]]:
    """`context["ds"]` and the like, unless the function asks somewhere whether the context has something."""
    contexts = set(_contexts(function))
    for node in ast.walk(function):
        tested = (
            node.comparators if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.In | ast.NotIn) else []
        )
        if any(_is_context(other, contexts) for other in tested):
            return
    for node in ast.walk(function):
        if not isinstance(node, ast.Subscript) or not isinstance(node.ctx, ast.Load):
            continue
        key = node.slice.value if isinstance(node.slice, ast.Constant) else None
        if isinstance(key, str) and _is_context(node.value, contexts):
            yield key, node.lineno


def _contexts(function: Function) -> Iterator[str]:
    """Names that the context has in a function."""
    if function.args.kwarg is not None:
        yield function.args.kwarg.arg
    every = (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)
    yield from (argument.arg for argument in every if argument.arg in _CONTEXT)
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and _is_context(node.value, set()):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))


def _is_context(node: ast.expr, contexts: set[str]) -> bool:
    if isinstance(node, ast.Call):
        called = node.func
        return _GIVES_CONTEXT in {getattr(called, "id", None), getattr(called, "attr", None)}
    return isinstance(node, ast.Name) and node.id in contexts


def _definitions(file: str, line: int) -> list[Function]:
    """The functions that begin at a line, decorators included."""
    return [
        node
        for node in ast.walk(_tree(file))
        if isinstance(node, Function)
        and line in {node.lineno, *(decorator.lineno for decorator in getattr(node, "decorator_list", ()))}
    ]


@lru_cache(maxsize=64)
def _tree(file: str) -> ast.Module:
    try:
        content = Path(file).read_bytes()
        return ast.parse(content if len(content) <= _LARGEST else b"")
    except (OSError, SyntaxError, ValueError, RecursionError):
        return ast.Module([], [])
