"""What may be made of values that the gate cannot see, and what those may decide: read from the files' text.

The values themselves carry no mark that lasts: an f-string, int() or a look-up makes a plain value of them. So the
names are followed. A name that is assigned from an unseen value is unseen wherever it stands; so is all that is
assigned, called or changed where an unseen value decides whether it happens. What is not understood is unseen: too
much makes a fault `unknown`, never the other way round. Pure; nothing is run.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise

from jetway_loader.names import NAMESPACES, STATE, Names
from jetway_loader.references import Definition, References, calls, forks, own, pairs
from jetway_loader.scopes import (
    BUILTINS,
    Function,
    Module,
    Position,
    Scope,
    blocks,
    expressions,
    full_name,
    parameters,
    root,
)

_ROUNDS = 50

_ADDS_PATHS = frozenset({"site.addsitedir", "pkgutil.extend_path"})
# Take arguments and change none of them.
_PURE = BUILTINS - {"setattr", "delattr", "next", "exec", "eval", "__import__", "__build_class__"}
_RUNS_TEXT = frozenset({"exec", "eval"})

Jump = ast.Return | ast.Raise | ast.Break | ast.Continue
Loop = ast.For | ast.AsyncFor | ast.While


class Influence:
    """Which expressions may be unseen, and which statements an unseen value may decide over.

    Args:
        modules: by the name they are imported by: the judged file, and those of the folder that it uses.
        sources: where something unseen was asked for: file and position of what ran, and whether it asked itself.
        is_constant: tells of the full name of something imported whether it is a module, a class or a function.
    """

    def __init__(
        self,
        modules: Mapping[str, Module],
        sources: Iterable[tuple[str, Position, bool]],
        is_constant: Callable[[str], bool] = lambda _name: True,
    ) -> None:
        self._modules = modules
        self._files = {module.file: module for module in modules.values()}
        self._references = References(modules, is_constant)
        self._known = Names(modules, self._references)
        self._touching: set[ast.AST] = set()  # functions and modules in which something unseen takes part
        self._driven: set[ast.AST] = set()  # functions of which an unseen value decides whether they are called
        self._decided: set[ast.stmt] = set()
        for file, position, inner in sources:
            self._mark(file, position, inner=inner)
        self._escaped = self._references.handed_on()
        self._settle()

    def decided(self, node: ast.AST, module: Module) -> bool:
        """Whether an unseen value may decide that this is run."""
        above = list(module.ancestors(node))
        if self._known.wild or any(item in self._decided for item in above) or module.tree in self._driven:
            return True
        return any(
            self._known.is_unseen(test, module.scope_of(node))
            for item, upper in pairwise(above)
            for test in forks(item, upper)
        )

    def imports_others(self, node: ast.AST, module: Module) -> bool:
        """Whether it is an import, and of nothing that users wrote."""
        return isinstance(node, ast.Import | ast.ImportFrom) and not [*self._references.imported(node, module.scope)]

    def unseen(self, node: ast.AST, module: Module) -> bool:
        """Whether an expression's value, or its success, may be due to something unseen."""
        return self._known.wild or self._known.is_unseen(node, module.scope_of(node))

    def chosen(self, node: ast.AST, module: Module) -> bool:
        """Whether something unseen may decide which function an expression names."""
        return self._known.wild or self._known.is_chosen(node, module.scope_of(node))

    def is_one_class(self, node: ast.expr, module: Module) -> bool:
        """Whether a name is one class of the folder for certain; what its instances were given is another matter."""
        found = self._references.one_class(node, module)
        if found is None:
            return False
        made_of = [*found[0].bases, *found[0].keywords, *found[0].decorator_list]
        return not self.decided(*found) and not any(self.unseen(part, found[1]) for part in made_of)

    def state(self, name: str) -> bool:
        """Whether something unseen may have changed what a library keeps, such as "sys.path"."""
        return self._known.wild or name in self._known.state

    def definitions(self, node: ast.expr, module: Module) -> list[Definition]:
        """What of the folder's own a call may call."""
        return self._references.callees(node, module.scope_of(node))[0]

    def _mark(self, file: str, position: Position, *, inner: bool) -> None:
        module = self._files.get(file)
        if module is None:
            self._known.wild = True  # of the folder, and not read
            return
        found = module.at(position)
        statement = module.statement(position[0])
        if not found and statement is not None:
            found = [statement, *(item for part in expressions(statement) for item in ast.walk(part))]
        # What a module asks for while it is imported is followed in that module.
        self._known.marked.update(node for node in found if inner or not isinstance(node, ast.Import | ast.ImportFrom))

    def _settle(self) -> None:
        """Follow names through all files until nothing new is found."""
        for _ in range(_ROUNDS):
            before = self._size()
            for module in self._files.values():
                self._block(module.tree.body, module.scope, decided=module.tree in self._driven)
                if any(self._touches(statement, module.scope) for statement in module.tree.body):
                    self._touching.add(module.tree)
                for node, scope in module.scopes.items():
                    self._definition(node, scope)
            if self._size() == before:
                return
        self._known.wild = True

    def _size(self) -> tuple[int, ...]:
        return (*self._known.size(), len(self._touching), len(self._driven), len(self._decided))

    def _definition(self, node: ast.AST, scope: Scope) -> None:
        if isinstance(node, Function):
            self._block(node.body, scope, decided=node in self._driven)
            if any(self._touches(statement, scope) for statement in node.body):
                self._touching.add(node)
                self._outcome(node, scope)
        elif isinstance(node, ast.Lambda) and self._known.is_unseen(node.body, scope):
            self._known.returns.add(node)
        elif isinstance(node, ast.ClassDef) and node in self._known.returns:
            self._known.names.add((scope.parent or scope, node.name))
            for item in node.body:
                if isinstance(item, Function) and (names := parameters(item)):
                    self._known.names.add((scope.module.scopes[item], names[0]))

    def _outcome(self, node: Function, scope: Scope) -> None:
        """Note a function that returns, or raises, what may be unseen."""
        jumps = [item for item in own(node) if isinstance(item, Jump)]
        values = [item.value for item in own(node) if isinstance(item, ast.Return | ast.Yield | ast.YieldFrom)]
        decided = any(item in self._decided for item in jumps)
        if any(isinstance(item, ast.Yield | ast.YieldFrom) for item in own(node)):
            decided = decided or any(item in self._decided for item in own(node))
        if decided and any(isinstance(item, ast.Return | ast.Raise) for item in jumps if item in self._decided):
            self._driven.add(node)  # what follows is run or not
        if decided or any(value is not None and self._known.is_unseen(value, scope) for value in values):
            self._known.returns.add(node)
            above = scope.module.parents[node]
            if isinstance(above, ast.ClassDef):
                self._known.methods.add(node.name)
                if node.name.startswith("__"):  # called without its name
                    self._known.returns.add(above)

    def _block(self, block: Sequence[ast.stmt], scope: Scope, *, decided: bool) -> None:
        for statement in block:
            self._statement(statement, scope, decided=decided)

    def _statement(self, node: ast.stmt, scope: Scope, *, decided: bool) -> None:
        if decided:
            self._decided.add(node)
        for expression in expressions(node):
            self._effects(expression, scope, decided=decided)
        match node:
            case ast.Assign(targets=targets, value=value):
                self._assign(targets, decided or self._known.is_unseen(value, scope), scope)
            case ast.AnnAssign(target=target, value=ast.expr() as value) | ast.AugAssign(target=target, value=value):
                self._assign([target], decided or self._known.is_unseen(value, scope), scope)
            case ast.Delete(targets=targets):
                self._assign(targets, decided, scope)
            case ast.Import() | ast.ImportFrom():
                self._import(node, scope, decided=decided)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                self._define(node, scope, decided=decided)
                if isinstance(node, ast.ClassDef):
                    self._block(node.body, scope.module.scopes[node], decided=decided)
                return  # a function's body is looked at by itself
        self._inner(node, scope, decided=decided)

    def _inner(self, node: ast.stmt, scope: Scope, *, decided: bool) -> None:
        """The statements in a statement, and who decides over them."""
        inside = [statement for block in blocks(node) for statement in block]
        match node:
            case ast.If(test=test) | ast.While(test=test):
                decided = decided or self._known.is_unseen(test, scope)
            case ast.For(target=target, iter=values) | ast.AsyncFor(target=target, iter=values):
                decided = decided or self._known.is_unseen(values, scope)
                self._assign([target], decided, scope)
            case ast.With() | ast.AsyncWith():
                decided = self._with(node, scope, decided=decided)
            case ast.Match():
                decided = self._match(node, scope, decided=decided)
            case ast.Try() | ast.TryStar():
                decided = decided or any(self._touches(statement, scope) for statement in node.body)
                for handler in node.handlers if decided else ():
                    self._taint_bound(handler, scope)
        if isinstance(node, Loop):
            jumps = [item for statement in inside for item in ast.walk(statement) if isinstance(item, Jump)]
            decided = decided or any(item in self._decided for item in jumps)
        for block in blocks(node):
            self._block(block, scope, decided=decided)

    def _with(self, node: ast.With | ast.AsyncWith, scope: Scope, *, decided: bool) -> bool:
        for item in node.items:
            if item.optional_vars is not None:
                self._assign([item.optional_vars], decided or self._known.is_unseen(item.context_expr, scope), scope)
        if all(self._lets_through(item.context_expr, scope) for item in node.items):
            return decided
        return decided or self._touches(node, scope)

    def _match(self, node: ast.Match, scope: Scope, *, decided: bool) -> bool:
        guards = [case.guard for case in node.cases if case.guard is not None]
        decided = decided or any(self._known.is_unseen(item, scope) for item in (node.subject, *guards))
        for case in node.cases if decided else ():
            self._taint_bound(case.pattern, scope)
        return decided

    def _taint_bound(self, node: ast.AST, scope: Scope) -> None:
        for item in ast.walk(node):
            name = getattr(item, "name", None) or getattr(item, "rest", None)
            if isinstance(item, ast.ExceptHandler | ast.MatchAs | ast.MatchStar | ast.MatchMapping) and name:
                self._known.taint(str(name), scope)

    def _lets_through(self, node: ast.expr, scope: Scope) -> bool:
        """Whether a context manager lets errors through: Airflow's do, and files."""
        if not isinstance(node, ast.Call) or node in self._known.marked:
            return False
        name = full_name(node.func, scope)
        if name is None:
            return isinstance(node.func, ast.Name) and node.func.id == "open" and scope.of("open") is None
        return name.startswith("airflow.") and not self._known.is_unseen(node.func, scope)

    def _import(self, node: ast.Import | ast.ImportFrom, scope: Scope, *, decided: bool) -> None:
        if decided:
            self._driven.update(found.tree for found in self._references.imported(node, scope))
        if not (decided or node in self._known.marked):
            return
        for alias in node.names:
            if alias.name == "*":
                self._known.open = True
            else:
                self._known.taint(alias.asname or alias.name.partition(".")[0], scope)

    def _define(self, node: Function | ast.ClassDef, scope: Scope, *, decided: bool) -> None:
        tainted = decided or node in self._known.marked
        tainted = tainted or any(
            self._known.is_unseen(item, scope) and not (full_name(_called(item), scope) or "").startswith("airflow.")
            for item in node.decorator_list
        )
        if isinstance(node, ast.ClassDef):
            tainted = tainted or any(self._known.is_unseen(item, scope) for item in (*node.bases, *node.keywords))
            inner = scope.module.scopes[node]
            if any(owner is inner for owner, _ in self._known.names):
                self._known.returns.add(node)
        else:
            self._defaults(node, scope)
        if tainted:
            self._known.taint(node.name, scope)

    def _defaults(self, node: Function, scope: Scope) -> None:
        given = node.args
        positional = [*given.posonlyargs, *given.args]
        pairs = [
            *zip(reversed(positional), reversed(given.defaults), strict=False),
            *zip(given.kwonlyargs, given.kw_defaults, strict=True),
        ]
        inner = scope.module.scopes[node]
        for arg, default in pairs:
            if default is not None and self._known.is_unseen(default, scope):
                self._known.names.add((inner, arg.arg))

    def _assign(self, targets: Iterable[ast.expr], tainted: bool, scope: Scope) -> None:
        for target in targets:
            match target:
                case ast.Tuple(elts=parts) | ast.List(elts=parts):
                    self._assign(parts, tainted, scope)
                case ast.Starred(value=value):
                    self._assign([value], tainted, scope)
                case ast.Name(id=name):
                    if tainted:
                        self._known.taint(name, scope)
                case ast.Subscript(value=value, slice=key):
                    if tainted or self._known.is_unseen(key, scope):
                        self._known.change(value, scope)
                case ast.Attribute(value=value) if tainted:
                    name_ = full_name(target, scope)
                    if name_ in STATE:
                        self._known.state.add(str(name_))
                    self._known.change(value, scope, attribute=target)

    def _effects(self, node: ast.expr, scope: Scope, *, decided: bool) -> None:
        """What the calls in an expression may change, and whom they call with what."""
        for item, tests in calls(node):
            where = scope.module.scope_of(item)
            unsure = decided or any(self._known.is_unseen(test, where) for test in tests)
            if isinstance(item, ast.NamedExpr):
                self._assign([item.target], unsure or self._known.is_unseen(item.value, where), where)
            elif isinstance(item, ast.comprehension):
                self._assign([item.target], unsure or self._known.is_unseen(item.iter, where), where)
            elif isinstance(item, ast.Call):
                self._call(item, where, decided=unsure)

    def _call(self, node: ast.Call, scope: Scope, *, decided: bool) -> None:
        arguments = [*node.args, *(item.value for item in node.keywords)]
        given = [item for item in arguments if self._known.is_unseen(item, scope)]
        callees, known = self._references.callees(node.func, scope)
        handed = [found for item in arguments for found in self._references.referred(item, scope)]
        for definition in callees:
            self._take_back(node, definition, scope)
        if decided or self._known.is_chosen(node.func, scope):
            self._driven.update([*callees, *handed, *(() if known else self._escaped)])
        if not (given or decided or node in self._known.marked):
            return
        name = full_name(node.func, scope)
        plain = isinstance(node.func, ast.Name) and scope.of(node.func.id) is None and node.func.id
        if plain in _RUNS_TEXT and (given or decided):
            self._known.wild = True
        if plain == "setattr":
            self._known.open = True  # of a module, perhaps
        if name in _ADDS_PATHS:
            self._known.state.add("sys.path")
        if isinstance(node.func, ast.Attribute):
            self._receiver(node.func.value, scope, changed=bool(given) or decided)
        if plain not in _PURE and not (name or "").startswith("airflow."):
            for item in arguments:
                start = root(item)
                if start is not None and not self._references.is_fixed(start, scope):
                    self._known.change(item if isinstance(item, ast.expr) else start, scope)
        for definition in callees:
            self._pass(node, definition, scope, everything=decided and not given)
        for definition in (*handed, *(() if known or plain else self._escaped)):
            self._taint_parameters(definition)

    def _receiver(self, node: ast.expr, scope: Scope, *, changed: bool) -> None:
        """What has the method that was called may keep what it was given."""
        name = full_name(node, scope)
        if name is not None:
            if name in STATE and changed:
                self._known.state.add(name)
            if not changed or self._references.is_constant(name):
                return
        start = root(node)
        if start is not None and start.id in NAMESPACES and scope.of(start.id) is None:
            self._known.open = True
        elif start is not None and not self._references.is_fixed(start, scope):
            self._known.change(node, scope)

    def _pass(self, call: ast.Call, definition: Definition, scope: Scope, *, everything: bool) -> None:
        """Follow unseen arguments into a function of the folder."""
        if isinstance(definition, ast.ClassDef):
            if any(self._known.is_unseen(item, scope) for item in (*call.args, *(key.value for key in call.keywords))):
                self._known.returns.add(definition)
                for item in definition.body:
                    if isinstance(item, Function):
                        self._taint_parameters(item)
            return
        given = pairs(call, definition)
        if given is None and not everything:
            self._taint_parameters(definition)
        inner = self._references.scope(definition)
        unseen = {name for name, value in given or () if name and self._known.is_unseen(value, scope)}
        self._known.names.update((inner, name) for name in unseen)

    def _take_back(self, call: ast.Call, definition: Definition, scope: Scope) -> None:
        """Follow what a function of the folder changes of its arguments."""
        if isinstance(definition, ast.ClassDef):
            return
        inner = self._references.scope(definition)
        changed = {name for name in parameters(definition) if (inner, name) in self._known.changed}
        if not changed:
            return
        values = [*call.args, *(item.value for item in call.keywords)]
        for name, value in pairs(call, definition) or [(None, value) for value in values]:
            start = root(value)
            if start is not None and name in {*changed, None} and not self._references.is_fixed(start, scope):
                self._known.change(value, scope)

    def _taint_parameters(self, definition: Definition) -> None:
        inner = self._references.scope(definition)
        self._known.names.update((inner, name) for name in parameters(definition))

    def _touches(self, node: ast.AST, scope: Scope) -> bool:
        """Whether something unseen takes part in a statement or one in it, but for definitions."""
        if isinstance(node, Function | ast.ClassDef):
            return (scope, node.name) in self._known.names
        if node in self._known.marked or node in self._decided:
            return True
        if isinstance(node, ast.Import | ast.ImportFrom):
            return any(found.tree in self._touching for found in self._references.imported(node, scope))
        if isinstance(node, ast.Call) and any(
            item in self._touching for item in self._references.callees(node.func, scope)[0]
        ):
            return True
        if isinstance(node, ast.expr) and self._known.is_unseen(node, scope):
            return True
        return any(self._touches(child, scope) for child in ast.iter_child_nodes(node))


def _called(node: ast.expr) -> ast.expr:
    return node.func if isinstance(node, ast.Call) else node
