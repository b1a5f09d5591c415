"""Which DAGs a file makes, told by reading it.

A small and careful reader: it follows names imported from Airflow, strings put together from constants,
and loops over literal lists. What only running the file would tell is reported as dynamic, never guessed.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice

from jetway.artifacts.findings import Certainty, FoundDag
from jetway.artifacts.python.airflow_names import AirflowNames, Role, dotted_name
from jetway.artifacts.python.static_eval import MOST_ITEMS, Constants, Value

_Function = ast.FunctionDef | ast.AsyncFunctionDef
_Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp

# They hold nothing that could make a DAG; skipping them is most of this module's speed.
_LEAVES = (ast.Name, ast.Constant, ast.expr_context, ast.operator, ast.alias, ast.arg)

# A file that makes more than so many is not read further: it is generated, or hostile.
MOST_DAGS = 1000


@dataclass(frozen=True, slots=True)
class FoundDags:
    """The DAGs of a file, by line.

    Attributes:
        uncalled: the @dag functions that nothing calls: (name, line).
        lost: lines where a DAG is made that nothing keeps.
    """

    dags: tuple[FoundDag, ...] = ()
    uncalled: tuple[tuple[str, int], ...] = ()
    lost: tuple[int, ...] = ()


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
    rounds: tuple[Mapping[str, Value], ...] = ({},)


def find_dags(tree: ast.Module, file_stem: str = "") -> FoundDags:
    """Find the DAGs that loading a module makes.

    Args:
        tree: the module.
        file_stem: the file's name without its suffix.
    """
    nodes = list(ast.walk(tree))
    names = AirflowNames.of(nodes)
    if not names.any:
        return FoundDags()
    reader = _Reader(tree, nodes, names, Constants(tree, nodes, file_stem))
    found = list(islice(reader.read(tree), MOST_DAGS + 1))
    if len(found) > MOST_DAGS:
        found[MOST_DAGS:] = [FoundDag(None, found[MOST_DAGS].line, "dynamic")]
    dags = sorted(_distinct(found), key=lambda dag: (dag.line or 0, dag.dag_id or ""))
    return FoundDags(tuple(dags), tuple(sorted(reader.uncalled, key=lambda item: item[1])), tuple(reader.lost))


class _Reader:
    def __init__(self, tree: ast.Module, nodes: Iterable[ast.AST], names: AirflowNames, constants: Constants) -> None:
        self.uncalled: list[tuple[str, int]] = []
        self.lost: list[int] = []
        self._names = names
        self._constants = constants
        self._mentioned = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
        calls = (getattr(statement, "value", None) for statement in tree.body)
        self._called = {dotted_name(call.func) for call in calls if isinstance(call, ast.Call)}

    def read(self, tree: ast.Module) -> Iterator[FoundDag]:
        """Yield what makes a DAG, in no order; a dag_id may come more than once."""
        # A stack of our own: a hostile file nests deeper than Python calls.
        todo: list[tuple[ast.AST, _Place]] = [(tree, _Place())]
        while todo:
            node, place = todo.pop()
            if isinstance(node, ast.Call):
                yield from self._from_call(node, place)
            elif isinstance(node, _Function):
                yield from self._from_function(node, place)
            children, inner = self._inside(node, place)
            todo.extend((child, inner) for child in children if not isinstance(child, _LEAVES))

    def _inside(self, node: ast.AST, place: _Place) -> tuple[Iterable[ast.AST], _Place]:
        """What a node holds that loading the file may run, and where that stands."""
        children: Iterable[ast.AST] = ast.iter_child_nodes(node)
        if isinstance(node, ast.If) and _never_on_import(node.test):
            return node.orelse, place
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            if self._names.role(node.value.func) is Role.DAG:
                self.lost.append(node.lineno)
                return (), place  # made and not kept: Airflow takes DAGs from `with` and from the module's names
        elif isinstance(node, _Function):
            return node.body, replace(place, certain=False, hidden=place.hidden | _parameters(node.args))
        elif isinstance(node, ast.Lambda):
            place = replace(place, certain=False, hidden=place.hidden | _parameters(node.args))
        elif isinstance(node, _Comprehension):
            targets = (target for part in node.generators for target in ast.walk(part.target))
            hidden = {target.id for target in targets if isinstance(target, ast.Name)}
            place = replace(place, certain=False, hidden=place.hidden | hidden)
        elif isinstance(node, ast.For):
            rounds = self._rounds(node, place)
            place = replace(place, rounds=rounds) if rounds else replace(place, certain=False)
        elif isinstance(node, ast.If | ast.While | ast.Try | ast.TryStar | ast.ClassDef | ast.Match):
            place = replace(place, certain=False)
        return children, place

    def _rounds(self, node: ast.For, place: _Place) -> tuple[Mapping[str, Value], ...]:
        """The values that a loop over a literal list gives its one name; none when they are unknown or many."""
        if not isinstance(node.target, ast.Name):
            return ()
        name, values = node.target.id, self._constants.items(node.iter, place.hidden)
        if len(values) * len(place.rounds) > MOST_ITEMS:
            return ()
        return tuple({**outer, name: value} for outer in place.rounds for value in values)

    def _from_call(self, call: ast.Call, place: _Place) -> Iterator[FoundDag]:
        role = self._names.role(call.func)
        if role is Role.DAG:
            yield from self._dags(_argument(call, "dag_id"), call, place)
        elif role is Role.DAG_SUBCLASS or dotted_name(call.func) == "globals":
            # `globals()[dag_id] = …`, or a library that is given globals(), puts DAGs there by name.
            yield FoundDag(None, call.lineno, "dynamic")
        elif role is Role.DAG_DECORATOR:  # dag(dag_id=…)(function)(), not written as a decorator
            yield from self._dags(_argument(call, "dag_id"), call, replace(place, certain=False))

    def _from_function(self, function: _Function, place: _Place) -> Iterator[FoundDag]:
        for decorator in function.decorator_list:
            call = decorator if isinstance(decorator, ast.Call) else None
            role = self._names.role(call.func if call else decorator)
            if role is Role.DAG_DECORATOR:
                if function.name not in self._mentioned:
                    self.uncalled.append((function.name, function.lineno))
                    return
                certain = place.certain and function.name in self._called
                named = _argument(call, "dag_id") if call else None
                if named is None and not (call and _has_stars(call)):
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


def _parameters(arguments: ast.arguments) -> set[str]:
    several = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg)
    return {argument.arg for argument in several if argument is not None}


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
