"""Texts and lists that can be told by reading a module: constants, and what is put together from them."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

# Bounds on what is worked out: a dag_id has at most 250 characters, and a hostile file may nest or double.
_DEEPEST = 12
_LONGEST = 1000
MOST_VALUES = 1000


@dataclass(frozen=True, slots=True)
class Constants:
    """Names that a module assigns exactly once, at its top level."""

    values: Mapping[str, ast.expr]

    @classmethod
    def of(cls, tree: ast.Module) -> Constants:
        """Collect them; a name stored twice, anywhere in the module, is no constant."""
        stored = Counter(
            node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)
        )
        values: dict[str, ast.expr] = {}
        for statement in tree.body:
            if isinstance(statement, ast.Assign):
                targets = statement.targets
            elif isinstance(statement, ast.AnnAssign):
                targets = [statement.target]
            else:
                continue
            target, value = targets[0], statement.value
            if len(targets) == 1 and isinstance(target, ast.Name) and value is not None and stored[target.id] == 1:
                values[target.id] = value
        return cls(values)

    def text(self, node: ast.expr, bound: Mapping[str, object], hidden: AbstractSet[str]) -> str | None:
        """The text of an expression, or None when reading does not tell it.

        Args:
            node: the expression.
            bound: values of names that stand for something else here, such as loop names.
            hidden: names whose values are unknown here, such as parameters.
        """
        value = self._value(node, bound, hidden, _DEEPEST)
        return value if isinstance(value, str) else None

    def items(self, node: ast.expr, hidden: AbstractSet[str]) -> Sequence[object] | None:
        """The items of a literal list of texts or numbers, or of range(), or None when they are unknown."""
        if isinstance(node, ast.Name) and node.id not in hidden:
            node = self.values.get(node.id, node)
        if isinstance(node, ast.List | ast.Tuple | ast.Set):
            items = [self._value(item, {}, hidden, _DEEPEST) for item in node.elts[: MOST_VALUES + 1]]
            return None if None in items or len(items) > MOST_VALUES else items
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range":
            bounds = [self._value(arg, {}, hidden, _DEEPEST) for arg in node.args]
            numbers = [bound for bound in bounds if isinstance(bound, int)]
            if len(numbers) == len(bounds) and 1 <= len(bounds) <= 3 and 0 not in numbers[2:]:
                counted = range(*numbers)
                return counted if len(counted) <= MOST_VALUES else None
        return None

    def _value(
        self, node: ast.expr, bound: Mapping[str, object], hidden: AbstractSet[str], depth: int
    ) -> str | int | None:
        value: object = None
        if depth == 0:
            return None
        if isinstance(node, ast.Constant):
            value = node.value
        elif isinstance(node, ast.Name):
            if node.id in bound:
                value = bound[node.id]
            elif node.id in self.values and node.id not in hidden:
                value = self._value(self.values[node.id], {}, frozenset(), depth - 1)
        elif isinstance(node, ast.JoinedStr):
            value = self._joined(node.values, bound, hidden, depth)
        elif isinstance(node, ast.FormattedValue) and node.conversion == -1 and node.format_spec is None:
            value = self._value(node.value, bound, hidden, depth - 1)
            value = None if value is None else str(value)
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            value = self._joined([node.left, node.right], bound, hidden, depth)
        if isinstance(value, bool) or not isinstance(value, str | int):
            return None
        return None if isinstance(value, str) and len(value) > _LONGEST else value

    def _joined(
        self, parts: Sequence[ast.expr], bound: Mapping[str, object], hidden: AbstractSet[str], depth: int
    ) -> str | None:
        texts: list[str] = []
        for part in parts[:_LONGEST]:
            text = self._value(part, bound, hidden, depth - 1)
            if not isinstance(text, str):
                return None
            texts.append(text)
        return "".join(texts) if len(parts) <= _LONGEST else None
