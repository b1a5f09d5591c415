"""Which names a module has, read from its source: what `from module import name` finds, and nothing of it is run.

Too many rather than too few: a name that is bound under any condition is taken to be there. A module that makes names
as it runs (a star import, __getattr__, globals()) has names that nobody can read.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

LARGEST_SOURCE = 1024 * 1024

# Calls that are given __name__ and bind nothing by it; any other may be one that puts names into the module.
_HARMLESS = frozenset({"getLogger", "get_logger", "import_module", "version", "files", "Blueprint", "warn", "getattr"})
_UNREADABLE = frozenset({"globals", "locals", "vars", "exec", "eval", "setattr", "__dict__"})


def names_in(source: bytes) -> frozenset[str] | None:
    """Return the names of a module, or None when they cannot be told.

    Args:
        source: of the module, as it is on disk.
    """
    if len(source) > LARGEST_SOURCE:
        return None
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):  # a function that is called while the module is imported
            names.update(node.names)
        elif isinstance(node, ast.NamedExpr) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
        elif _makes_names(node):
            return None
    for statement in _statements(tree.body):
        bound = _bound(statement)
        if bound is None:
            return None
        names.update(bound)
    return None if "__getattr__" in names else frozenset(names)


def _makes_names(node: ast.AST) -> bool:
    """Whether it may bind names that its text does not show."""
    if isinstance(node, ast.Name):
        return node.id in _UNREADABLE
    if isinstance(node, ast.Attribute):
        return node.attr == "__dict__" or (
            node.attr == "modules" and isinstance(node.value, ast.Name) and node.value.id == "sys"
        )
    if isinstance(node, ast.Call):
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        given = [*node.args, *(keyword.value for keyword in node.keywords)]
        named = any(isinstance(one, ast.Name) and one.id == "__name__" for one in given)
        return named and called not in _HARMLESS
    return False


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements that run when the module is imported, whatever they are nested in."""
    for statement in body:
        yield statement
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            continue
        for field in ("body", "orelse", "finalbody"):
            yield from _statements(getattr(statement, field, []))
        for part in (*getattr(statement, "handlers", ()), *getattr(statement, "cases", ())):
            yield from _statements(part.body)


def _bound(statement: ast.stmt) -> set[str] | None:
    """The names that one statement binds; None when its text does not tell."""
    found: set[str] = set()
    targets: list[ast.expr] = []
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        found = {statement.name}
    elif isinstance(statement, ast.Import):
        found = {alias.asname or alias.name.partition(".")[0] for alias in statement.names}
    elif isinstance(statement, ast.ImportFrom):
        found = {alias.asname or alias.name for alias in statement.names}
    elif isinstance(statement, ast.Try):
        found = {handler.name for handler in statement.handlers if handler.name}
    elif isinstance(statement, ast.Match):
        captures = [node for case in statement.cases for node in ast.walk(case.pattern)]
        found = {name for node in captures if (name := getattr(node, "name", None) or getattr(node, "rest", None))}
    elif type(statement).__name__ == "TypeAlias":  # of Python 3.12
        targets = [getattr(statement, "name")]  # noqa: B009 - 3.11 knows no such statement
    elif isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, (ast.AnnAssign, ast.AugAssign, ast.For, ast.AsyncFor)):
        targets = [statement.target]
    elif isinstance(statement, (ast.With, ast.AsyncWith)):
        targets = [item.optional_vars for item in statement.items if item.optional_vars]
    found |= {node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)}
    return None if "*" in found else found
