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

from jetway_loader.references import Definition, References, aliases, calls, forks, own
from jetway_loader.scopes import (
    BUILTINS,
    Function,
    Module,
    Position,
    Scope,
    blocks,
    by_module,
    expressions,
    full_name,
    parameters,
    root,
)

_ROUNDS = 50

# Of libraries, what a call can change for the rest of the file.
_STATE = frozenset({"os.environ", "sys.path", "sys.modules", "sys.meta_path", "sys.path_hooks"})
_ADDS_PATHS = frozenset({"site.addsitedir", "pkgutil.extend_path"})
# Take arguments and change none of them.
_PURE = BUILTINS - {"setattr", "delattr", "next", "exec", "eval", "__import__", "__build_class__"}
_RUNS_TEXT = frozenset({"exec", "eval"})
_NAMESPACES = frozenset({"globals", "locals", "vars"})

Jump = ast.Return | ast.Raise | ast.Break | ast.Continue
Loop = ast.For | ast.AsyncFor | ast.While


class Influence:
    """Which expressions may be unseen, and which statements an unseen value may decide over.

    Args:
        modules: by the name they are imported by: the judged file, and those of the folder that it uses.
        sources: where something unseen was asked for: file and position of what ran.
        is_constant: tells of the full name of something imported whether it is a module, a class or a function.
    """

    def __init__(
        self,
        modules: Mapping[str, Module],
        sources: Iterable[tuple[str, Position]],
        is_constant: Callable[[str], bool] = lambda _name: True,
    ) -> None:
        self._modules = modules
        self._files = {module.file: module for module in modules.values()}
        self._names: set[tuple[Scope, str]] = set()  # that may hold something unseen
        self._changed: set[tuple[Scope, str]] = set()  # whose content may have been changed to something unseen
        self._state: set[str] = set()
        self._returns: set[ast.AST] = set()  # functions and classes whose outcome may be unseen
        self._methods: set[str] = set()  # names of those
        self._touching: set[ast.AST] = set()  # functions and modules in which something unseen takes part
        self._driven: set[ast.AST] = set()  # functions of which an unseen value decides whether they are called
        self._decided: set[ast.stmt] = set()
        self._open = False  # names may have been made out of texts
        self._wild = False  # unseen text was run
        self._marked: set[ast.AST] = set()
        self._references = References(modules, is_constant)
        for file, position in sources:
            self._mark(file, position)
        self._escaped = self._references.handed_on()
        self._settle()

    def decided(self, node: ast.AST, module: Module) -> bool:
        """Whether an unseen value may decide that this is run."""
        above = list(module.ancestors(node))
        if self._wild or any(item in self._decided for item in above) or module.tree in self._driven:
            return True
        return any(
            self._is(test, module.scope_of(node)) for item, upper in pairwise(above) for test in forks(item, upper)
        )

    def unseen(self, node: ast.AST, module: Module) -> bool:
        """Whether an expression's value, or its success, may be due to something unseen."""
        return self._wild or self._is(node, module.scope_of(node))

    def state(self, name: str) -> bool:
        """Whether something unseen may have changed what a library keeps, such as "sys.path"."""
        return self._wild or name in self._state

    def definitions(self, node: ast.expr, module: Module) -> list[Definition]:
        """What of the folder's own a call may call."""
        return self._references.callees(node, module.scope_of(node))[0]

    def _mark(self, file: str, position: Position) -> None:
        module = self._files.get(file)
        if module is None:
            self._wild = True  # of the folder, and not read
            return
        found = module.at(position)
        statement = module.statement(position[0])
        if not found and statement is not None:
            found = [statement, *(item for part in expressions(statement) for item in ast.walk(part))]
        self._marked.update(found)

    def _settle(self) -> None:
        """Follow names through all files until nothing new is found."""
        for _ in range(_ROUNDS):
            before = self._size()
            for module in self._modules.values():
                self._block(module.tree.body, module.scope, decided=module.tree in self._driven)
                if any(self._touches(statement, module.scope) for statement in module.tree.body):
                    self._touching.add(module.tree)
                for node, scope in module.scopes.items():
                    self._definition(node, scope)
            if self._size() == before:
                return
        self._wild = True

    def _size(self) -> tuple[int, ...]:
        known = (self._names, self._changed, self._state, self._returns, self._touching, self._driven, self._decided)
        return (*(len(item) for item in known), self._open, self._wild)

    def _definition(self, node: ast.AST, scope: Scope) -> None:
        if isinstance(node, Function):
            self._block(node.body, scope, decided=node in self._driven)
            if any(self._touches(statement, scope) for statement in node.body):
                self._touching.add(node)
                self._outcome(node, scope)
        elif isinstance(node, ast.Lambda) and self._is(node.body, scope):
            self._returns.add(node)
        elif isinstance(node, ast.ClassDef) and node in self._returns:
            self._names.add((scope.parent or scope, node.name))
            for item in node.body:
                if isinstance(item, Function) and (names := parameters(item)):
                    self._names.add((scope.module.scopes[item], names[0]))

    def _outcome(self, node: Function, scope: Scope) -> None:
        """Note a function that returns, or raises, what may be unseen."""
        jumps = [item for item in own(node) if isinstance(item, Jump)]
        values = [item.value for item in own(node) if isinstance(item, ast.Return | ast.Yield | ast.YieldFrom)]
        decided = any(item in self._decided for item in jumps)
        if any(isinstance(item, ast.Yield | ast.YieldFrom) for item in own(node)):
            decided = decided or any(item in self._decided for item in own(node))
        if decided and any(isinstance(item, ast.Return | ast.Raise) for item in jumps if item in self._decided):
            self._driven.add(node)  # what follows is run or not
        if decided or any(value is not None and self._is(value, scope) for value in values):
            self._returns.add(node)
            if isinstance(scope.module.parents[node], ast.ClassDef):
                self._methods.add(node.name)

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
                self._assign(targets, decided or self._is(value, scope), scope)
            case ast.AnnAssign(target=target, value=ast.expr() as value) | ast.AugAssign(target=target, value=value):
                self._assign([target], decided or self._is(value, scope), scope)
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
                decided = decided or self._is(test, scope)
            case ast.For(target=target, iter=values) | ast.AsyncFor(target=target, iter=values):
                decided = decided or self._is(values, scope)
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
                self._assign([item.optional_vars], decided or self._is(item.context_expr, scope), scope)
        if all(self._lets_through(item.context_expr, scope) for item in node.items):
            return decided
        return decided or self._touches(node, scope)

    def _match(self, node: ast.Match, scope: Scope, *, decided: bool) -> bool:
        guards = [case.guard for case in node.cases if case.guard is not None]
        decided = decided or any(self._is(item, scope) for item in (node.subject, *guards))
        for case in node.cases if decided else ():
            self._taint_bound(case.pattern, scope)
        return decided

    def _taint_bound(self, node: ast.AST, scope: Scope) -> None:
        for item in ast.walk(node):
            name = getattr(item, "name", None) or getattr(item, "rest", None)
            if isinstance(item, ast.ExceptHandler | ast.MatchAs | ast.MatchStar | ast.MatchMapping) and name:
                self._taint(str(name), scope)

    def _lets_through(self, node: ast.expr, scope: Scope) -> bool:
        """Whether a context manager lets errors through: Airflow's do, and files."""
        if not isinstance(node, ast.Call) or node in self._marked:
            return False
        name = full_name(node.func, scope)
        if name is None:
            return isinstance(node.func, ast.Name) and node.func.id == "open" and scope.of("open") is None
        return name.startswith("airflow.") and not self._is(node.func, scope)

    def _import(self, node: ast.Import | ast.ImportFrom, scope: Scope, *, decided: bool) -> None:
        if decided:
            self._driven.update(found.tree for found in self._references.imported(node, scope))
        if not (decided or node in self._marked):
            return
        for alias in node.names:
            if alias.name == "*":
                self._open = True
            else:
                self._taint(alias.asname or alias.name.partition(".")[0], scope)

    def _define(self, node: Function | ast.ClassDef, scope: Scope, *, decided: bool) -> None:
        tainted = decided or node in self._marked
        tainted = tainted or any(
            self._is(item, scope) and not (full_name(_called(item), scope) or "").startswith("airflow.")
            for item in node.decorator_list
        )
        if isinstance(node, ast.ClassDef):
            tainted = tainted or any(self._is(item, scope) for item in (*node.bases, *node.keywords))
            inner = scope.module.scopes[node]
            if any(owner is inner for owner, _ in self._names):
                self._returns.add(node)
        else:
            self._defaults(node, scope)
        if tainted:
            self._taint(node.name, scope)

    def _defaults(self, node: Function, scope: Scope) -> None:
        given = node.args
        positional = [*given.posonlyargs, *given.args]
        pairs = [
            *zip(reversed(positional), reversed(given.defaults), strict=False),
            *zip(given.kwonlyargs, given.kw_defaults, strict=True),
        ]
        inner = scope.module.scopes[node]
        for arg, default in pairs:
            if default is not None and self._is(default, scope):
                self._names.add((inner, arg.arg))

    def _assign(self, targets: Iterable[ast.expr], tainted: bool, scope: Scope) -> None:
        for target in targets:
            match target:
                case ast.Tuple(elts=parts) | ast.List(elts=parts):
                    self._assign(parts, tainted, scope)
                case ast.Starred(value=value):
                    self._assign([value], tainted, scope)
                case ast.Name(id=name):
                    if tainted:
                        self._taint(name, scope)
                case ast.Subscript(value=value, slice=key):
                    if tainted or self._is(key, scope):
                        self._change(value, scope)
                case ast.Attribute(value=value) if tainted:
                    name_ = full_name(target, scope)
                    if name_ in _STATE:
                        self._state.add(str(name_))
                    self._change(value, scope, attribute=target)

    def _taint(self, name: str, scope: Scope) -> None:
        self._names.add((scope.of(name) or scope, name))

    def _change(self, node: ast.expr, scope: Scope, attribute: ast.Attribute | None = None) -> None:
        """Something unseen was put into what an expression names."""
        start, name = root(node), full_name(node, scope)
        if name in _STATE:
            self._state.add(str(name))
            return
        if start is None or (start.id in _NAMESPACES and scope.of(start.id) is None):
            self._open = True
            return
        whole = full_name(attribute, scope) if attribute is not None else name
        found = by_module(whole, self._modules) if whole else None
        if found is not None and found[1]:
            self._names.add((found[0].scope, found[1].partition(".")[0]))
        self._change_name(start.id, scope)

    def _change_name(self, name: str, scope: Scope) -> None:
        """What a name holds was changed: so was what else has a name for it."""
        owner = scope.of(name) or scope
        if (owner, name) in self._changed:
            return
        self._changed.add((owner, name))
        self._names.add((owner, name))
        if isinstance(owner.node, Function):
            above, names = owner.module.parents[owner.node], parameters(owner.node)
            if isinstance(above, ast.ClassDef) and names and names[0] == name:
                self._returns.add(above)
        for value in owner.bound[name]:
            for held in aliases(value) if isinstance(value, ast.expr) else ():
                if not self._references.is_fixed(held, owner):
                    self._change_name(held.id, owner)

    def _effects(self, node: ast.expr, scope: Scope, *, decided: bool) -> None:
        """What the calls in an expression may change, and whom they call with what."""
        for item, tests in calls(node):
            where = scope.module.scope_of(item)
            unsure = decided or any(self._is(test, where) for test in tests)
            if isinstance(item, ast.NamedExpr):
                self._assign([item.target], unsure or self._is(item.value, where), where)
            elif isinstance(item, ast.comprehension):
                self._assign([item.target], unsure or self._is(item.iter, where), where)
            elif isinstance(item, ast.Call):
                self._call(item, where, decided=unsure)

    def _call(self, node: ast.Call, scope: Scope, *, decided: bool) -> None:
        arguments = [*node.args, *(item.value for item in node.keywords)]
        given = [item for item in arguments if self._is(item, scope)]
        callees, known = self._references.callees(node.func, scope)
        handed = [found for item in arguments for found in self._references.referred(item, scope)]
        for definition in callees:
            self._take_back(node, definition, scope)
        if decided or self._is(node.func, scope):
            self._driven.update([*callees, *handed, *(() if known else self._escaped)])
        if not (given or decided or node in self._marked):
            return
        name = full_name(node.func, scope)
        plain = isinstance(node.func, ast.Name) and scope.of(node.func.id) is None and node.func.id
        if plain in _RUNS_TEXT and (given or decided):
            self._wild = True
        if plain == "setattr":
            self._open = True  # of a module, perhaps
        if name in _ADDS_PATHS:
            self._state.add("sys.path")
        if isinstance(node.func, ast.Attribute):
            self._receiver(node.func.value, scope, changed=bool(given) or decided)
        if plain not in _PURE and not (name or "").startswith("airflow."):
            for item in arguments:
                start = root(item)
                if start is not None and not self._references.is_fixed(start, scope):
                    self._change(item if isinstance(item, ast.expr) else start, scope)
        for definition in callees:
            self._pass(node, definition, scope, everything=decided and not given)
        for definition in (*handed, *(() if known or plain else self._escaped)):
            self._taint_parameters(definition)

    def _receiver(self, node: ast.expr, scope: Scope, *, changed: bool) -> None:
        """What has the method that was called may keep what it was given."""
        name = full_name(node, scope)
        if name is not None:
            if name in _STATE and changed:
                self._state.add(name)
            if not changed or self._references.is_constant(name):
                return
        start = root(node)
        if start is not None and start.id in _NAMESPACES and scope.of(start.id) is None:
            self._open = True
        elif start is not None and not self._references.is_fixed(start, scope):
            self._change(node, scope)

    def _pass(self, call: ast.Call, definition: Definition, scope: Scope, *, everything: bool) -> None:
        """Follow unseen arguments into a function of the folder."""
        if isinstance(definition, ast.ClassDef):
            if any(self._is(item, scope) for item in (*call.args, *(key.value for key in call.keywords))):
                self._returns.add(definition)
                for item in definition.body:
                    if isinstance(item, Function):
                        self._taint_parameters(item)
            return
        pairs = self._pairs(call, definition)
        if pairs is None and not everything:
            self._taint_parameters(definition)
        inner = self._references.scope(definition)
        self._names.update((inner, name) for name, value in pairs or () if name and self._is(value, scope))

    def _take_back(self, call: ast.Call, definition: Definition, scope: Scope) -> None:
        """Follow what a function of the folder changes of its arguments."""
        if isinstance(definition, ast.ClassDef):
            return
        inner = self._references.scope(definition)
        changed = {name for name in parameters(definition) if (inner, name) in self._changed}
        if not changed:
            return
        values = [*call.args, *(item.value for item in call.keywords)]
        for name, value in self._pairs(call, definition) or [(None, value) for value in values]:
            start = root(value)
            if start is not None and name in {*changed, None} and not self._references.is_fixed(start, scope):
                self._change(value, scope)

    @staticmethod
    def _pairs(call: ast.Call, definition: Definition) -> list[tuple[str | None, ast.expr]] | None:
        """Which argument is which parameter's; None when that is not plain to see."""
        if isinstance(definition, ast.ClassDef) or not isinstance(call.func, ast.Name):
            return None
        stars = any(isinstance(item, ast.Starred) for item in call.args) or any(not key.arg for key in call.keywords)
        if stars or definition.args.vararg or definition.args.kwarg:
            return None
        named = [(key.arg, key.value) for key in call.keywords]
        return [*zip(parameters(definition), call.args, strict=False), *named]

    def _taint_parameters(self, definition: Definition) -> None:
        inner = self._references.scope(definition)
        self._names.update((inner, name) for name in parameters(definition))

    def _touches(self, node: ast.AST, scope: Scope) -> bool:
        """Whether something unseen takes part in a statement or one in it, but for definitions."""
        if isinstance(node, Function | ast.ClassDef):
            return (scope, node.name) in self._names
        if node in self._marked or node in self._decided:
            return True
        if isinstance(node, ast.Import | ast.ImportFrom):
            return any(found.tree in self._touching for found in self._references.imported(node, scope))
        if isinstance(node, ast.Call) and any(
            item in self._touching for item in self._references.callees(node.func, scope)[0]
        ):
            return True
        if isinstance(node, ast.expr) and self._is(node, scope):
            return True
        return any(self._touches(child, scope) for child in ast.iter_child_nodes(node))

    def _is(self, node: ast.AST, scope: Scope) -> bool:
        """Whether an expression may be unseen."""
        if node in self._marked:
            return True
        found = False
        match node:
            case ast.Name(id=name):
                return self._is_name(node, name, scope)
            case ast.Attribute(value=value, attr=attr):
                exported = self._linked(node, scope)
                return attr in self._methods or self._is(value, scope) if exported is None else exported
            case ast.Call(func=func):
                found = any(item in self._returns for item in self._references.callees(func, scope)[0])
            case ast.Lambda():
                scope = scope.module.scopes.get(node, scope)
        return found or any(self._is(child, scope) for child in ast.iter_child_nodes(node))

    def _linked(self, node: ast.Attribute, scope: Scope) -> bool | None:
        """Whether a name of an imported module may be unseen; None when it is no module's that was read."""
        whole = full_name(node, scope)
        if whole in self._state:
            return True
        found = by_module(whole, self._modules) if whole is not None else None
        return self._exported(*found) if found is not None and found[1] else None

    def _is_name(self, node: ast.AST, name: str, scope: Scope) -> bool:
        owner = scope.of(name)
        if owner is None:
            starred = [by_module(star, self._modules) for star in scope.module.scope.stars]
            if any(self._exported(found[0], name) for found in starred if found is not None):
                return True
            return self._open and name not in BUILTINS
        if (owner, name) in self._names:
            return True
        whole = full_name(node, scope)
        if whole is None:
            return False
        found = by_module(whole, self._modules)
        return whole in self._state or (found is not None and bool(found[1]) and self._exported(*found))

    def _exported(self, module: Module, name: str, depth: int = 0) -> bool:
        """Whether a module's name may be unseen."""
        head = name.partition(".")[0]
        if (module.scope, head) in self._names:
            return True
        links = [item for item in module.scope.bound.get(head, ()) if isinstance(item, str)]
        found = [by_module(item, self._modules) for item in links] if depth < _ROUNDS else []
        return any(self._exported(one[0], one[1], depth + 1) for one in found if one is not None and one[1])


def _called(node: ast.expr) -> ast.expr:
    return node.func if isinstance(node, ast.Call) else node
