"""Which names a Jinja template cannot do without: read with Jinja's own parser, never rendered.

People guard what may not be there: `{% if ds is defined %}`, `{{ ds | default('-') }}`,
`{% if dag_run.logical_date %}`. A name that is used behind such a guard is not needed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from jinja2 import Environment, TemplateError, nodes

_MOST_DEEP = 5  # templates that a template takes in
_DEFAULTS = frozenset({"default", "d"})
_RUNS = frozenset({"scheduled", "backfill"})  # kinds of runs that have a date


@dataclass(frozen=True)
class Wanted:
    """What is looked for.

    Attributes:
        names: of the context.
        attributes: of things in the context, such as "dag_run.execution_date".
        nullable: of these what is looked up in them, for they may be None; tested, they say that all of `together` is
            there.
        together: names of which a run has all or none.
        strict: a name that is not there is an error even where it is only tested, as Airflow has it unless a DAG says
            otherwise.
    """

    names: frozenset[str]
    attributes: frozenset[str] = frozenset()
    nullable: frozenset[str] = frozenset()
    together: frozenset[str] = frozenset()
    strict: bool = True


def needed(text: str, environment: Environment, wanted: Wanted, *, deep: int = 0) -> list[tuple[str, int]]:
    """Return the wanted names that a template needs, each with the first line that does, in order.

    Args:
        text: the template.
        environment: parses it; finds what it takes in, if it has a loader.
        wanted: what is looked for.
        deep: how many templates have taken this one in.

    Returns:
        nothing for a template that cannot be parsed.
    """
    if "{{" not in text and "{%" not in text and environment.variable_start_string == "{{":
        return []
    try:
        tree = environment.parse(text)
    except (TemplateError, RecursionError):
        return []
    reader = _Reader(wanted, frozenset(environment.globals))
    reader.body(tree.body, frozenset())
    found: dict[str, int] = {}
    for name, line in reader.found:
        found.setdefault(name, line)
    if environment.loader is not None and deep < _MOST_DEEP:
        for other, line in _taken_in(tree):
            for name, _ in needed(_source(environment, other), environment, wanted, deep=deep + 1):
                found.setdefault(name, line)
    return list(found.items())


def _taken_in(tree: nodes.Template) -> Iterator[tuple[str, int]]:
    """Names of templates that stand in it as they are. An import gets no context unless it says so."""
    for node in tree.find_all((nodes.Include, nodes.Extends)):
        template = getattr(node, "template", None)
        if isinstance(template, nodes.Const) and isinstance(template.value, str):
            yield template.value, node.lineno


def _source(environment: Environment, name: str) -> str:
    try:
        return environment.loader.get_source(environment, name)[0] if environment.loader else ""
    except (TemplateError, OSError, UnicodeError):
        return ""


class _Reader:
    """Walks a template's tree with the names that are certainly there at each place."""

    def __init__(self, wanted: Wanted, defined: Collection[str]) -> None:
        self._wanted, self._names = wanted, wanted.names - set(defined)
        self.found: list[tuple[str, int]] = []

    def body(self, statements: Sequence[nodes.Node], there: frozenset[str]) -> frozenset[str]:
        """Read statements one after the other; return the names that are there after them."""
        for node in statements:
            there = self._statement(node, there)
        return there

    def _statement(self, node: nodes.Node, there: frozenset[str]) -> frozenset[str]:
        if isinstance(node, nodes.If):
            return self._if(node, there)
        if isinstance(node, nodes.Assign | nodes.AssignBlock):
            for child in node.iter_child_nodes():
                self._read(child, there)
            return there | set(_stored(node.target))
        if isinstance(node, nodes.For):
            self._read(node.iter, there)
            inside = there | set(_stored(node.target)) | {"loop"}
            if node.test is not None:
                self._read(node.test, inside)
            self.body(node.body, inside)
            self.body(node.else_, there)
        elif isinstance(node, nodes.Macro | nodes.CallBlock):
            for child in (*node.defaults, *([node.call] if isinstance(node, nodes.CallBlock) else [])):
                self._read(child, there)
            self.body(node.body, there | {argument.name for argument in node.args})
        elif isinstance(node, nodes.With):
            for child in node.values:
                self._read(child, there)
            self.body(node.body, there | {name for target in node.targets for name in _stored(target)})
        elif isinstance(node, nodes.Block | nodes.Scope | nodes.ScopedEvalContextModifier):
            self.body(node.body, there)
        else:
            self._read(node, there)
        return there

    def _if(self, node: nodes.If, there: frozenset[str]) -> frozenset[str]:
        ends, left = [], there
        for branch in (node, *node.elif_):
            self._test(branch.test, left)
            ends.append(self.body(branch.body, left | self._known(branch.test, truth=True)))
            left |= self._known(branch.test, truth=False)
        ends.append(self.body(node.else_, left))
        return frozenset.intersection(*ends)

    def _test(self, node: nodes.Node, there: frozenset[str]) -> None:
        """Read what is only tested: where undefined names are not strict, that needs nothing."""
        if isinstance(node, nodes.Name) and not self._wanted.strict:
            return
        if isinstance(node, nodes.Not) and isinstance(node.node, nodes.Name):
            self._test(node.node, there)
        else:
            self._read(node, there)

    def _read(self, node: nodes.Node, there: frozenset[str]) -> None:
        name = self._dotted(node)
        if name is not None:
            if name not in there:
                self.found.append((name, node.lineno))
            return
        if isinstance(node, nodes.CondExpr):
            self._test(node.test, there)
            self._read(node.expr1, there | self._known(node.test, truth=True))
            if node.expr2 is not None:
                self._read(node.expr2, there | self._known(node.test, truth=False))
        elif isinstance(node, nodes.And | nodes.Or):
            self._test(node.left, there)
            self._read(node.right, there | self._known(node.left, truth=isinstance(node, nodes.And)))
        else:
            forgiven = _forgiven(node)
            for child in node.iter_child_nodes():
                if child is not forgiven or self._dotted(child) is None:
                    self._statement(child, there)

    def _dotted(self, node: nodes.Node | None) -> str | None:
        """The wanted name or attribute that a node reads."""
        if isinstance(node, nodes.Name):
            return node.name if node.ctx == "load" and node.name in self._names else None
        whole, inner = _attribute(node), _attribute(getattr(node, "node", None))
        if inner in self._wanted.nullable and isinstance(node, nodes.Getattr | nodes.Getitem):
            return inner
        return whole if whole in self._wanted.attributes else None

    def _known(self, test: nodes.Node, *, truth: bool) -> frozenset[str]:
        """The names that are there when a test has that outcome."""
        known = partial(self._known, truth=truth)
        if isinstance(test, nodes.Not):
            return self._known(test.node, truth=not truth)
        if isinstance(test, nodes.And | nodes.Or):
            both = truth is isinstance(test, nodes.And)
            return known(test.left) | known(test.right) if both else known(test.left) & known(test.right)
        said = self._said(test, truth)
        return said | self._wanted.together if said & self._wanted.together else said

    def _said(self, test: nodes.Node, truth: bool) -> frozenset[str]:
        """What one test without and, or, not says."""
        date = self._wanted.together
        if isinstance(test, nodes.Test) and test.name in {"defined", "undefined"}:
            name = test.node.name if isinstance(test.node, nodes.Name) else _attribute(test.node)
            return frozenset({name} if name and truth is (test.name == "defined") else ())
        if isinstance(test, nodes.Test) and test.name == "none":
            return date if not truth and self._is_date(test.node) else frozenset()
        if isinstance(test, nodes.Compare) and len(test.ops) == 1:
            operand, other = test.ops[0], getattr(test.ops[0].expr, "value", "")
            if self._is_date(test.expr) and isinstance(operand.expr, nodes.Const) and other is None:
                return date if truth is (operand.op == "ne") else frozenset()
            scheduled = _attribute(test.expr) == "dag_run.run_type" and other in _RUNS and operand.op == "eq"
            return date if scheduled and truth else frozenset()
        if truth and isinstance(test, nodes.Name):  # of a strict name that is not there the test itself fails
            return frozenset({test.name})
        return date if truth and self._is_date(test) else frozenset()

    def _is_date(self, node: nodes.Node | None) -> bool:
        return _attribute(node) in self._wanted.nullable


def _forgiven(node: nodes.Node) -> nodes.Node | None:
    """What may be missing in a filter or test without harm."""
    if isinstance(node, nodes.Filter) and node.name in _DEFAULTS:
        return node.node
    if isinstance(node, nodes.Test) and node.name in {"defined", "undefined", "none"}:
        return node.node
    return None


def _attribute(node: Any) -> str | None:
    """`name.attribute`, however it is written."""
    if isinstance(node, nodes.Getattr) and isinstance(node.node, nodes.Name):
        return f"{node.node.name}.{node.attr}"
    if isinstance(node, nodes.Getitem) and isinstance(node.node, nodes.Name) and isinstance(node.arg, nodes.Const):
        return f"{node.node.name}.{node.arg.value}"
    return None


def _stored(target: nodes.Node) -> Iterator[str]:
    names: Callable[[nodes.Node], Iterator[Any]] = lambda node: node.find_all(nodes.Name)  # noqa: E731
    if isinstance(target, nodes.Name):
        yield target.name
    else:
        yield from (name.name for name in names(target))
