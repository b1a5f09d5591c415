"""Which name of a DAG file means what: its scopes, and what a name is bound to. Pure; nothing is run."""

from __future__ import annotations

import ast
import builtins
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

Function = ast.FunctionDef | ast.AsyncFunctionDef
BUILTINS = frozenset(dir(builtins)) | {"__file__", "__name__", "__doc__", "__spec__", "__loader__", "__package__"}
Position = tuple[int, int, int, int]  # line, end line, column, end column; columns in bytes


@dataclass(eq=False)
class Scope:
    """A module, a function or the body of a class.

    Attributes:
        bound: name → what binds it: the definition, the import's full name, or the value that is assigned.
        stars: modules of which everything is imported.
    """

    node: ast.AST
    module: Module
    parent: Scope | None
    bound: dict[str, list[ast.AST | str]] = field(default_factory=lambda: defaultdict(list))
    elsewhere: dict[str, bool] = field(default_factory=dict)  # declared; True for global, False for nonlocal
    stars: list[str] = field(default_factory=list)

    def of(self, name: str) -> Scope | None:
        """The scope that a name belongs to; None when nothing in the file binds it."""
        if self.elsewhere.get(name):
            return self.module.scope
        if name in self.bound and name not in self.elsewhere:
            return self
        above = self.parent
        while above is not None:
            if name in above.bound and not isinstance(above.node, ast.ClassDef):
                return above
            above = above.parent
        return None


class Module:
    """One file of the dags folder, read.

    Args:
        name: by which it is imported.
        file: its path.
        text: its source.

    Raises:
        SyntaxError, ValueError: it is no Python.
    """

    def __init__(self, name: str, file: str, text: str | bytes) -> None:
        self.name, self.file = name, file
        self.tree = ast.parse(text)
        self.scopes: dict[ast.AST, Scope] = {}
        self.parents: dict[ast.AST, ast.AST] = {}
        self.scope = Scope(self.tree, self, None)
        self._package = name if file.endswith("__init__.py") else name.rpartition(".")[0]
        self._at: dict[Position, list[ast.AST]] = defaultdict(list)
        self._read(self.tree, self.scope)

    def scope_of(self, node: ast.AST) -> Scope:
        """The scope in which an expression or statement is evaluated."""
        child, above = node, self.parents.get(node)
        while above is not None:
            if above in self.scopes and above is not self.tree and not _outside(above, child):
                return self.scopes[above]
            child, above = above, self.parents.get(above)
        return self.scope

    def at(self, position: Position) -> list[ast.AST]:
        """The nodes that stand exactly there; a call in a chain of lines begins where its method stands."""
        found = self._at.get(position)
        if found is None and position[2] >= 0:
            end = (position[1], position[3])
            begun = [where for where in self._at if (where[1], where[3]) == end and where[:1] <= position[:1]]
            calls = [node for where in begun for node in self._at[where] if isinstance(node, ast.Call)]
            found = [*sorted(calls, key=lambda node: (node.lineno, node.col_offset))[-1:]]
        return found or []

    def statement(self, line: int) -> ast.stmt | None:
        """The innermost statement that covers a line."""
        found: ast.stmt | None = None
        for node in self.parents:
            if isinstance(node, ast.stmt) and _first_line(node) <= line <= (node.end_lineno or 0):
                found = node if found is None or _first_line(node) >= _first_line(found) else found
        return found

    def ancestors(self, node: ast.AST) -> Iterator[ast.AST]:
        """What a node is in, from the inside, itself first."""
        here: ast.AST | None = node
        while here is not None:
            yield here
            here = self.parents.get(here)

    def _read(self, node: ast.AST, scope: Scope) -> None:
        for child in ast.iter_child_nodes(node):
            self.parents[child] = node
            where = scope
            if node in self.scopes and node is not self.tree and _outside(node, child):
                where = self.scopes[node].parent or scope
            if isinstance(child, ast.expr | ast.stmt) and not isinstance(child, ast.Expr):
                self._at[child.lineno, child.end_lineno or 0, child.col_offset, child.end_col_offset or 0].append(child)
            if isinstance(child, Function | ast.ClassDef | ast.Lambda):
                if not isinstance(child, ast.Lambda):
                    where.bound[child.name].append(child)
                self.scopes[child] = inner = Scope(child, self, where)
                for name in parameters(child):
                    inner.bound[name].append(child)
                self._read(child, inner)
                continue
            self._bind(child, where)
            self._read(child, where)

    def _bind(self, node: ast.AST, scope: Scope) -> None:
        match node:
            case ast.Global(names=names) | ast.Nonlocal(names=names):
                scope.elsewhere |= dict.fromkeys(names, isinstance(node, ast.Global))
                if isinstance(node, ast.Global):
                    for name in names:
                        self.scope.bound[name].append(node)
            case ast.Import(names=aliases):
                for alias in aliases:
                    name = alias.asname or alias.name.partition(".")[0]
                    scope.bound[name].append(alias.name if alias.asname else name)
            case ast.ImportFrom(names=aliases):
                origin = self.origin(node)
                for alias in aliases:
                    if alias.name == "*":
                        scope.stars.append(origin)
                    else:
                        scope.bound[alias.asname or alias.name].append(f"{origin}.{alias.name}")
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
                scope.bound[name].append(self._value(node))
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                scope.bound[name].append(node)
            case ast.MatchMapping(rest=str(name)):
                scope.bound[name].append(node)

    def origin(self, node: ast.ImportFrom) -> str:
        """The full name of the module that is imported from."""
        if not node.level:
            return node.module or ""
        package = self._package.split(".") if self._package else []
        package = package[: len(package) - node.level + 1]
        return ".".join([*package, *([node.module] if node.module else [])])

    def _value(self, node: ast.AST) -> ast.AST:
        """What is assigned to a name: the expression, as far as one stands there."""
        above = self.parents[node]
        while isinstance(above, ast.Tuple | ast.List | ast.Starred):
            above = self.parents[above]
        match above:
            case ast.Assign(value=value) | ast.NamedExpr(value=value) | ast.AugAssign(value=value):
                return value
            case ast.AnnAssign(value=ast.expr() as value):
                return value
            case ast.For(iter=value) | ast.AsyncFor(iter=value) | ast.comprehension(iter=value):
                return value
            case ast.withitem(context_expr=value):
                return value
        return above


def parameters(node: ast.AST) -> list[str]:
    """The names of a function's parameters, in order."""
    if not isinstance(node, Function | ast.Lambda):
        return []
    given = node.args
    rest = [arg for arg in (given.vararg, given.kwarg) if arg is not None]
    return [arg.arg for arg in (*given.posonlyargs, *given.args, *given.kwonlyargs, *rest)]


def root(node: ast.AST) -> ast.Name | None:
    """The name that an expression starts from: `a` of a.b["c"].d()."""
    while True:
        match node:
            case ast.Name():
                return node
            case ast.Attribute(value=value) | ast.Subscript(value=value) | ast.Starred(value=value):
                node = value
            case ast.Call(func=func):
                node = func
            case _:
                return None


def full_name(node: ast.AST, scope: Scope) -> str | None:
    """What an expression names by its import, such as "os.environ"; None for what is not imported."""
    match node:
        case ast.Name(id=name):
            owner = scope.of(name)
            found = [item for item in owner.bound[name] if isinstance(item, str)] if owner is not None else []
            return found[0] if found else None
        case ast.Attribute(value=value, attr=attr):
            base = full_name(value, scope)
            return f"{base}.{attr}" if base is not None else None
    return None


def by_module(name: str, modules: Mapping[str, Module]) -> tuple[Module, str] | None:
    """The file of the dags folder that a full name is of, and the rest of the name."""
    head, rest = name, ""
    while head:
        if head in modules:
            return modules[head], rest
        head, _, last = head.rpartition(".")
        rest = f"{last}.{rest}" if rest else last
    return None


def expressions(statement: ast.stmt) -> Iterator[ast.expr]:
    """The expressions that a statement itself evaluates, without those of the statements in it."""
    for _, value in ast.iter_fields(statement):
        yield from _expressions(value)


def _expressions(value: object) -> Iterator[ast.expr]:
    if isinstance(value, ast.expr):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _expressions(item)
    elif isinstance(value, ast.withitem | ast.keyword | ast.arguments | ast.arg):
        for child in ast.iter_child_nodes(value):
            yield from _expressions(child)


def blocks(statement: ast.stmt) -> Iterable[list[ast.stmt]]:
    """The blocks of statements in a statement."""
    for name in ("body", "orelse", "finalbody"):
        block = getattr(statement, name, None)
        if isinstance(block, list) and block and isinstance(block[0], ast.stmt):
            yield block
    for handler in getattr(statement, "handlers", ()):
        yield handler.body
    for case in getattr(statement, "cases", ()):
        yield case.body


def _outside(node: ast.AST, child: ast.AST) -> bool:
    """Whether a part of a definition belongs to the scope around it: decorators, defaults, bases."""
    if isinstance(node, ast.Lambda):
        return child is node.args
    if isinstance(node, Function):
        return child not in node.body
    return isinstance(node, ast.ClassDef) and child not in node.body


def _first_line(node: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(item.lineno for item in decorators)])
