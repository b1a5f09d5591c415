"""Which DAGs a file makes, told by reading it.

A small and careful reader: it follows names imported from Airflow, strings put together from constants,
and loops over literal lists. What only running the file would tell is reported as dynamic, never guessed.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice

from jetway.artifacts.airflow_names import AirflowNames, Role, dotted_name
from jetway.artifacts.constants import MOST_VALUES, Constants
from jetway.artifacts.findings import Certainty, FoundDag

_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class FoundDags:
    """The DAGs of a file, by line, and the @dag functions that nothing calls: (name, line)."""

    dags: tuple[FoundDag, ...] = ()
    uncalled: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a statement stands.

    Attributes:
        certain: loading the file runs it, whatever happens.
        hidden: names whose values are not those of the module: parameters of functions around it.
        rounds: values of the loop names around it, one mapping for each round.
    """

    certain: bool = True
    hidden: frozenset[str] = frozenset()
    rounds: tuple[Mapping[str, object], ...] = ({},)


def find_dags(tree: ast.Module) -> FoundDags:
    """Find the DAGs that loading this module makes."""
    names = AirflowNames.of(tree)
    reader = _Reader(names, Constants.of(tree), tree)
    found = sorted(_distinct(reader.read(tree)), key=lambda dag: (dag.line, dag.dag_id or ""))
    return FoundDags(tuple(found), tuple(sorted(reader.uncalled, key=lambda item: item[1])))


class _Reader:
    def __init__(self, names: AirflowNames, constants: Constants, tree: ast.Module) -> None:
        self.uncalled: list[tuple[str, int]] = []
        self._names = names
        self._constants = constants
        self._called: Counter[str] = Counter()
        self._called_certainly: set[str] = set()
        self._mentioned: Counter[str] = Counter()
        self._count_calls(tree)

    def read(self, tree: ast.Module) -> Iterator[FoundDag]:
        # A stack of our own: a hostile file nests deeper than Python calls.
        todo: list[tuple[ast.AST, _Place]] = [(tree, _Place())]
        generated: int | None = None
        while todo:
            node, place = todo.pop()
            if isinstance(node, ast.Call):
                yield from self._from_call(node, place)
                if isinstance(node.func, ast.Name) and node.func.id == "globals":
                    generated = min(generated or node.lineno, node.lineno)
            elif isinstance(node, _Function):
                yield from self._from_function(node, place)
            todo.extend(self._inner(node, place))
        if generated is not None and self._names.any:
            # DAGs put into the module by name: `globals()[dag_id] = …`, or a library given globals().
            yield FoundDag(None, generated, "dynamic")

    def _inner(self, node: ast.AST, place: _Place) -> Iterator[tuple[ast.AST, _Place]]:
        if isinstance(node, ast.If) and _never_on_import(node.test):
            children: Iterable[ast.AST] = node.orelse
        elif isinstance(node, _Function):
            # Its decorators have been looked at; what they call makes no further DAG.
            arguments = node.args
            hidden = {arg.arg for arg in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}
            hidden |= {arg.arg for arg in (arguments.vararg, arguments.kwarg) if arg}
            children = node.body
            place = _Place(certain=False, hidden=place.hidden | hidden)
        elif isinstance(node, ast.For) and (rounds := self._rounds(node, place)):
            children = (*node.body, *node.orelse)
            place = replace(place, rounds=rounds)
        elif isinstance(node, ast.If | ast.For | ast.While | ast.Try | ast.TryStar | ast.ClassDef | ast.Match):
            children = ast.iter_child_nodes(node)
            place = replace(place, certain=False)
        elif isinstance(node, ast.Lambda | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
            children = ast.iter_child_nodes(node)
            stored = {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
            stored |= {n.arg for n in ast.walk(node) if isinstance(n, ast.arg)}
            place = replace(place, certain=False, hidden=place.hidden | stored)
        else:
            children = ast.iter_child_nodes(node)
        for child in children:
            yield child, place

    def _rounds(self, node: ast.For, place: _Place) -> tuple[Mapping[str, object], ...]:
        """The values that a loop over a literal list gives its one name, or nothing when they are unknown."""
        if not isinstance(node.target, ast.Name):
            return ()
        values = self._constants.items(node.iter, place.hidden)
        if values is None:
            return ()
        rounds = ({**outer, node.target.id: value} for outer in place.rounds for value in values)
        few = tuple(islice(rounds, MOST_VALUES + 1))
        return few if len(few) <= MOST_VALUES else ()

    def _from_call(self, call: ast.Call, place: _Place) -> Iterator[FoundDag]:
        role = self._names.role(call.func)
        if role is Role.DAG:
            yield from self._dags(_argument(call, "dag_id"), call, place)
        elif role is Role.DAG_SUBCLASS:
            yield FoundDag(None, call.lineno, "dynamic")
        elif role is Role.DAG_DECORATOR:  # dag(dag_id=…)(function)(), not written as a decorator
            yield from self._dags(_argument(call, "dag_id"), call, replace(place, certain=False))

    def _from_function(self, function: _Function, place: _Place) -> Iterator[FoundDag]:
        for decorator in function.decorator_list:
            call = decorator if isinstance(decorator, ast.Call) else None
            role = self._names.role(call.func if call else decorator)
            if role is Role.DAG_DECORATOR:
                if not self._mentioned[function.name]:
                    self.uncalled.append((function.name, function.lineno))
                    return
                certain = place.certain and function.name in self._called_certainly
                named = _argument(call, "dag_id") if call else ast.Constant(function.name)
                if call and named is None and not _has_stars(call):
                    named = ast.Constant(function.name)
                yield from self._dags(named, function, replace(place, certain=certain))
            elif role in {Role.ASSET, Role.ASSET_MULTI} and call:
                named = _keyword(call, "dag_id")
                if named is None and role is Role.ASSET:
                    named = _keyword(call, "name")
                if named is None and not _has_stars(call):
                    named = ast.Constant(function.name)
                yield from self._dags(named, function, place)

    def _dags(self, named: ast.expr | None, at: ast.Call | _Function, place: _Place) -> Iterator[FoundDag]:
        for values in place.rounds:
            dag_id = None if named is None else self._constants.text(named, values, place.hidden)
            certainty: Certainty = "exact" if place.certain else "conditional"
            yield FoundDag(dag_id, at.lineno, certainty if dag_id is not None else "dynamic")

    def _count_calls(self, tree: ast.Module) -> None:
        for node in ast.walk(tree):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                self._mentioned[node.id] += 1
        for statement in tree.body:
            value = getattr(statement, "value", None)
            if isinstance(value, ast.Call) and isinstance(value.func, ast.Name):
                self._called_certainly.add(value.func.id)


def _distinct(dags: Iterable[FoundDag]) -> list[FoundDag]:
    """One entry for each dag_id, the most certain one; one dynamic entry for each line."""
    rank = {"exact": 0, "conditional": 1, "dynamic": 2}
    best: dict[object, FoundDag] = {}
    for dag in dags:
        key = dag.dag_id if dag.dag_id is not None else dag.line
        if key not in best or rank[dag.certainty] < rank[best[key].certainty]:
            best[key] = dag
    return list(best.values())


def _never_on_import(test: ast.expr) -> bool:
    """Whether it is `if __name__ == "__main__"` or `if TYPE_CHECKING`."""
    if isinstance(test, ast.Compare):
        return dotted_name(test.left) == "__name__" and isinstance(test.ops[0], ast.Eq)
    return (dotted_name(test) or "").rpartition(".")[2] == "TYPE_CHECKING"


def _argument(call: ast.Call, name: str) -> ast.expr | None:
    """The argument of that name, or the first positional one; None when it is absent or hidden in a star."""
    named = _keyword(call, name)
    if named is None and call.args and not isinstance(call.args[0], ast.Starred):
        return call.args[0]
    return named


def _keyword(call: ast.Call, name: str) -> ast.expr | None:
    return next((keyword.value for keyword in call.keywords if keyword.arg == name), None)


def _has_stars(call: ast.Call) -> bool:
    return any(keyword.arg is None for keyword in call.keywords) or any(
        isinstance(arg, ast.Starred) for arg in call.args
    )
