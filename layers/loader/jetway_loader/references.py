"""Whom a call in a DAG file may call, and what decides whether a part of an expression is reached. Pure."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Mapping

from jetway_loader.scopes import BUILTINS, Function, Module, Scope, by_module, full_name, parameters, root

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef


class References:
    """Which of the folder's functions and classes an expression may be of.

    Args:
        modules: by the name they are imported by.
        is_constant: tells of the full name of something imported whether it is a module, a class or a function.
    """

    def __init__(self, modules: Mapping[str, Module], is_constant: Callable[[str], bool]) -> None:
        self._modules, self.is_constant = modules, is_constant
        self._each = list(dict.fromkeys(modules.values()))
        self._methods: dict[str, list[Definition]] = {}
        for module in self._each:
            for node in module.scopes:
                if isinstance(node, Function) and isinstance(module.parents[node], ast.ClassDef):
                    self._methods.setdefault(node.name, []).append(node)

    def scope(self, definition: Definition) -> Scope:
        """What is inside a function or class."""
        return next(module.scopes[definition] for module in self._each if definition in module.scopes)

    def callees(self, node: ast.expr, scope: Scope) -> tuple[list[Definition], bool]:
        """The folder's functions that a call may be of, and whether it can be no others."""
        if isinstance(node, ast.Lambda):
            return [node], True
        name = full_name(node, scope)
        if name is not None:
            found = by_module(name, self._modules)
            if found is None:
                return [], True
            bound = found[0].scope.bound.get(found[1].partition(".")[0], [])
            return [item for item in bound if isinstance(item, Function | ast.ClassDef)], bool(bound)
        if isinstance(node, ast.Name):
            owner = scope.of(node.id)
            if owner is None:
                return [], node.id in BUILTINS
            bound = owner.bound[node.id]
            own = [item for item in bound if isinstance(item, Function | ast.ClassDef) and item is not owner.node]
            values = [item for item in bound if isinstance(item, ast.expr)]
            return [*own, *(found for item in values for found in self.referred(item, owner))], len(own) == len(bound)
        start = root(node)
        methods = list(self._methods.get(node.attr, ())) if isinstance(node, ast.Attribute) else []
        held = self.callees(start, scope)[0] if start is not None and not isinstance(node, ast.Attribute) else []
        return [*methods, *held], isinstance(node, ast.Attribute)

    def referred(self, node: ast.AST, scope: Scope) -> list[Definition]:
        """Functions of the folder that an expression names without calling them."""
        found: list[Definition] = []
        called = {item.func for item in ast.walk(node) if isinstance(item, ast.Call)}
        for item in ast.walk(node):
            if isinstance(item, ast.Lambda):
                found.append(item)
            elif isinstance(item, ast.Name) and item not in called:
                owner = scope.of(item.id)
                bound = owner.bound[item.id] if owner is not None else []
                found += [one for one in bound if isinstance(one, Function) and owner and one is not owner.node]
        return found

    def one_class(self, node: ast.expr, module: Module) -> tuple[ast.ClassDef, Module] | None:
        """The class of the folder that a name is, and the module it is of; None when it may be something else."""
        if not isinstance(node, ast.Name) or not _is_bound_once(node.id, node, module):
            return None
        found = self.callees(node, module.scope_of(node))[0]
        if len(found) != 1 or not isinstance(found[0], ast.ClassDef):
            return None
        home = next(one for one in self._each if found[0] in one.parents)
        return (found[0], home) if _is_bound_once(found[0].name, found[0], home) else None

    def handed_on(self) -> set[Definition]:
        """Functions that are named without being called: whoever gets them may call them."""
        return {found for module in self._each for found in self._handed_on(module)}

    def _handed_on(self, module: Module) -> Iterable[Definition]:
        for node in module.parents:
            if isinstance(node, ast.Lambda):
                yield node
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                above = module.parents[node]
                if not (isinstance(above, ast.Call) and above.func is node):
                    yield from self.referred(node, module.scope_of(node))

    def imported(self, node: ast.Import | ast.ImportFrom, scope: Scope) -> Iterable[Module]:
        """The folder's modules that an import runs."""
        origin = "" if isinstance(node, ast.Import) else scope.module.origin(node)
        for alias in node.names:
            name = ".".join(part for part in (origin, alias.name) if part and part != "*")
            parts = name.split(".")
            heads = (".".join(parts[: count + 1]) for count in range(len(parts)))
            yield from (self._modules[head] for head in heads if head in self._modules)

    def is_fixed(self, node: ast.Name, scope: Scope) -> bool:
        """Whether a name is a module, a function or something imported, which a call does not change."""
        owner = scope.of(node.id)
        if owner is None:
            return True
        bound = owner.bound[node.id]
        own = [item for item in bound if isinstance(item, Function | ast.ClassDef) and item is not owner.node]
        return all(self.is_constant(item) if isinstance(item, str) else item in own for item in bound)


def _is_bound_once(name: str, node: ast.AST, module: Module) -> bool:
    owner = module.scope_of(node).of(name)
    return owner is not None and len(owner.bound[name]) == 1


def pairs(call: ast.Call, definition: Definition) -> list[tuple[str | None, ast.expr]] | None:
    """Which argument is which parameter's; None when that is not plain to see."""
    if isinstance(definition, ast.ClassDef) or not isinstance(call.func, ast.Name):
        return None
    stars = any(isinstance(item, ast.Starred) for item in call.args) or any(not key.arg for key in call.keywords)
    if stars or definition.args.vararg or definition.args.kwarg:
        return None
    named = [(key.arg, key.value) for key in call.keywords]
    return [*zip(parameters(definition), call.args, strict=False), *named]


def aliases(node: ast.expr) -> Iterator[ast.Name]:
    """The names whose content an expression may hand out as it is, or hold."""
    match node:
        case ast.Name():
            yield node
        case ast.Attribute() | ast.Subscript():
            if (start := root(node)) is not None:
                yield start
        case ast.Call(func=func, args=args, keywords=keywords):
            for part in (func, *args, *(item.value for item in keywords)):
                yield from aliases(part)
        case ast.Constant() | ast.JoinedStr() | ast.Compare() | ast.Lambda():
            return
        case _:
            for child in ast.iter_child_nodes(node):
                if isinstance(child, ast.expr):
                    yield from aliases(child)


def own(node: Function) -> Iterable[ast.AST]:
    """What is in a function and in none of those in it."""
    todo: list[ast.AST] = list(node.body)
    while todo:
        item = todo.pop()
        yield item
        if not isinstance(item, Definition):
            todo.extend(ast.iter_child_nodes(item))


def calls(node: ast.AST, tests: tuple[ast.expr, ...] = ()) -> Iterable[tuple[ast.AST, tuple[ast.expr, ...]]]:
    """Calls, walrus assignments and loops in an expression, each with the tests that decide whether it is reached."""
    if isinstance(node, ast.Call | ast.NamedExpr | ast.comprehension):
        yield node, tests
    for child in ast.iter_child_nodes(node):
        yield from calls(child, (*tests, *forks(child, node)))


def forks(node: ast.AST, above: ast.AST) -> Iterable[ast.expr]:
    """What decides whether a part of an expression is reached."""
    match above:
        case ast.IfExp(test=test) if node is not test:
            yield test
        case ast.BoolOp(values=values):
            yield from values[: values.index(node)] if node in values else ()
        case ast.ListComp() | ast.SetComp() | ast.GeneratorExp() | ast.DictComp():
            yield from (test for part in above.generators for test in (part.iter, *part.ifs) if part is not node)
        case ast.comprehension(iter=values, ifs=tests) if node is not values:
            yield from (values, *tests)
