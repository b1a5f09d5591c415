"""Texts and lists that can be told by reading a module: constants, and what is put together from them."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet

from jetway.artifacts.python.airflow_names import dotted_name

Value = str | int

# Bounds on what is worked out, far above any dag_id (250 characters): a hostile file may nest, multiply, or
# write an integer that takes minutes to print.
_DEEPEST = 12
_LONGEST = 1000
_MOST_PARTS = 100
_LARGEST = 10**18
MOST_ITEMS = 1000

_NAMED = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.ExceptHandler | ast.MatchAs | ast.MatchStar


class Constants:
    """Names that a module binds exactly once, by an assignment at its top level."""

    def __init__(self, tree: ast.Module, nodes: Iterable[ast.AST], file_stem: str) -> None:
        """Collect them.

        Args:
            tree: the module.
            nodes: all nodes of the tree.
            file_stem: the file's name without its suffix, which `Path(__file__).stem` gives.
        """
        self._file_stem = file_stem
        self._known: dict[str, Value | None] = {}
        bound = Counter(_bound_names(nodes))
        self._expressions: dict[str, ast.expr] = {}
        for statement in tree.body:
            if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
                target = statement.targets[0]
            elif isinstance(statement, ast.AnnAssign):
                target = statement.target
            else:
                continue
            if isinstance(target, ast.Name) and statement.value is not None and bound[target.id] == 1:
                self._expressions[target.id] = statement.value

    def text(self, node: ast.expr, loops: Mapping[str, Value], hidden: AbstractSet[str]) -> str | None:
        """The text of an expression, or None when reading does not tell it.

        Args:
            node: the expression.
            loops: values of loop names.
            hidden: names whose values are unknown here, such as parameters.
        """
        value = self._value(node, loops, hidden, _DEEPEST)
        return value if isinstance(value, str) else None

    def items(self, node: ast.expr, hidden: AbstractSet[str]) -> Sequence[Value]:
        """The items of a literal list of texts or numbers, or of range(); none when they are unknown or many."""
        if isinstance(node, ast.Name) and node.id not in hidden:
            node = self._expressions.get(node.id, node)
        if isinstance(node, ast.List | ast.Tuple | ast.Set) and len(node.elts) <= MOST_ITEMS:
            return self._all(node.elts, hidden)
        if isinstance(node, ast.Call) and dotted_name(node.func) == "range" and not node.keywords:
            bounds = [bound for bound in self._all(node.args[:3], hidden) if isinstance(bound, int)]
            if len(bounds) == len(node.args) and bounds and 0 not in bounds[2:]:
                numbers = range(*bounds)
                return numbers if len(numbers) <= MOST_ITEMS else ()
        return ()

    def _all(self, nodes: Sequence[ast.expr], hidden: AbstractSet[str]) -> Sequence[Value]:
        values = [self._value(node, {}, hidden, _DEEPEST) for node in nodes]
        known = [value for value in values if value is not None]
        return known if len(known) == len(values) else ()

    def _value(self, node: ast.expr, loops: Mapping[str, Value], hidden: AbstractSet[str], depth: int) -> Value | None:
        value: object = None
        if depth == 0:
            return None
        if isinstance(node, ast.Constant):
            value = node.value
        elif isinstance(node, ast.Name):
            if node.id not in hidden:
                value = loops[node.id] if node.id in loops else self._named(node.id, depth)
        elif isinstance(node, ast.JoinedStr):
            value = self._joined(node.values, loops, hidden, depth)
        elif isinstance(node, ast.FormattedValue) and node.conversion == -1 and node.format_spec is None:
            value = self._value(node.value, loops, hidden, depth - 1)
            value = None if value is None else str(value)
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            value = self._joined([node.left, node.right], loops, hidden, depth)
        elif _is_file_stem(node):
            value = self._file_stem
        if isinstance(value, bool) or not isinstance(value, str | int):
            return None
        if isinstance(value, int):
            return value if abs(value) < _LARGEST else None
        return value if len(value) <= _LONGEST else None

    def _named(self, name: str, depth: int) -> Value | None:
        # Remembered, so that names made of names made of names are worked out once each.
        if name not in self._known:
            self._known[name] = None  # what it is while it is worked out: a name made of itself has no value
            if name in self._expressions:
                self._known[name] = self._value(self._expressions[name], {}, frozenset(), depth - 1)
        return self._known[name]

    def _joined(
        self, parts: Sequence[ast.expr], loops: Mapping[str, Value], hidden: AbstractSet[str], depth: int
    ) -> str | None:
        if len(parts) > _MOST_PARTS:
            return None
        values = [self._value(part, loops, hidden, depth - 1) for part in parts]
        texts = [value for value in values if isinstance(value, str)]
        return "".join(texts) if len(texts) == len(values) else None


def _bound_names(nodes: Iterable[ast.AST]) -> Iterable[str]:
    """Every binding of a name, in any scope: a name bound twice is taken for no constant."""
    for node in nodes:
        if isinstance(node, ast.Name):
            if not isinstance(node.ctx, ast.Load):
                yield node.id
        elif isinstance(node, ast.alias):
            yield node.asname or node.name
        elif isinstance(node, _NAMED) and node.name:
            yield node.name


def _is_file_stem(node: ast.expr) -> bool:
    """Whether it is `Path(__file__).stem`, or `os.path.basename(__file__)` without its suffix."""
    if isinstance(node, ast.Attribute):
        return node.attr == "stem" and _called_on_file(node.value) == "Path"
    if isinstance(node, ast.Subscript):  # os.path.splitext(os.path.basename(__file__))[0]
        call, index = node.value, node.slice
        if not (isinstance(index, ast.Constant) and index.value == 0 and isinstance(call, ast.Call) and call.args):
            return False
        return (dotted_name(call.func) or "").endswith("splitext") and _called_on_file(call.args[0]) == "basename"
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "replace":
        arguments = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
        return arguments == [".py", ""] and _called_on_file(node.func.value) == "basename"
    return False


def _called_on_file(node: ast.expr) -> str | None:
    """The last name of a function that is called on `__file__`, or None when the node is no such call."""
    if not isinstance(node, ast.Call) or [dotted_name(arg) for arg in node.args[:2]] != ["__file__"]:
        return None
    return (dotted_name(node.func) or "").rpartition(".")[2]
