"""Which names of a dags folder's files may hold something unseen, and what that makes of an expression. Pure."""

from __future__ import annotations

import ast
from collections.abc import Mapping

from jetway_loader.references import References, aliases
from jetway_loader.scopes import BUILTINS, Function, Module, Scope, by_module, full_name, parameters, root

# Of libraries, what a call can change for the rest of the file.
STATE = frozenset({"os.environ", "sys.path", "sys.modules", "sys.meta_path", "sys.path_hooks"})
NAMESPACES = frozenset({"globals", "locals", "vars"})
_DEEPEST = 50


class Names:
    """What is known to be unseen so far; it only grows.

    Args:
        modules: by the name they are imported by.
        references: tells whom a call may call.

    Attributes:
        names: that may hold something unseen, each in its scope.
        changed: those of which the content may have been changed to something unseen.
        state: of libraries, what may have been.
        returns: functions and classes whose outcome may be unseen.
        methods: the names of methods among them.
        marked: nodes that asked for something unseen.
        open: names may have been made out of texts.
        wild: unseen text was run, or the text of what asked is not known: all may be unseen.
    """

    def __init__(self, modules: Mapping[str, Module], references: References) -> None:
        self._modules, self._references = modules, references
        self.names: set[tuple[Scope, str]] = set()
        self.changed: set[tuple[Scope, str]] = set()
        self.state: set[str] = set()
        self.returns: set[ast.AST] = set()
        self.methods: set[str] = set()
        self.marked: set[ast.AST] = set()
        self.open = False
        self.wild = False

    def size(self) -> tuple[int, ...]:
        """How much is known: it stays the same when there is nothing new."""
        sizes = [len(self.names), len(self.changed), len(self.state), len(self.returns)]
        return (*sizes, self.open, self.wild)

    def is_unseen(self, node: ast.AST, scope: Scope) -> bool:
        """Whether an expression may be unseen."""
        if node in self.marked:
            return True
        found = False
        match node:
            case ast.Name(id=name):
                return self._is_name(node, name, scope) or self._is_held(node, scope)
            case ast.Attribute(value=value, attr=attr):
                exported = self._linked(node, scope)
                return attr in self.methods or self.is_unseen(value, scope) if exported is None else exported
            case ast.Call(func=func):
                called = any(item in self.returns for item in self._references.callees(func, scope)[0])
                given = [*node.args, *(item.value for item in node.keywords)]
                if is_airflows(func, scope):  # which calls what it is given in tasks
                    given = [item for item in given if not isinstance(item, ast.Name) or self.is_chosen(item, scope)]
                return called or self.is_chosen(func, scope) or any(self.is_unseen(item, scope) for item in given)
            case ast.ImportFrom(names=aliases):
                origin = scope.module.origin(node)
                wanted = [by_module(f"{origin}.{alias.name}", self._modules) for alias in aliases]
                return any(one is not None and one[1] and (self.open or self._exported(*one)) for one in wanted)
            case ast.Lambda():
                scope = scope.module.scopes.get(node, scope)
        return found or any(self.is_unseen(child, scope) for child in ast.iter_child_nodes(node))

    def is_chosen(self, node: ast.AST, scope: Scope) -> bool:
        """Whether which function or value an expression names may be unseen, whatever that one does."""
        if node in self.marked:
            return True
        return self._is_name(node, node.id, scope) if isinstance(node, ast.Name) else self.is_unseen(node, scope)

    def _is_held(self, node: ast.AST, scope: Scope) -> bool:
        """Whether a function of which the outcome may be unseen is handed on by its name."""
        return any(found in self.returns for found in self._references.referred(node, scope))

    def _linked(self, node: ast.Attribute, scope: Scope) -> bool | None:
        """Whether a name of an imported module may be unseen; None when it is no module's that was read."""
        whole = full_name(node, scope)
        if whole in self.state:
            return True
        found = by_module(whole, self._modules) if whole is not None else None
        return self._exported(*found) if found is not None and found[1] else None

    def _is_name(self, node: ast.AST, name: str, scope: Scope) -> bool:
        owner = scope.of(name)
        if owner is None:
            starred = [by_module(star, self._modules) for star in scope.module.scope.stars]
            if any(self._exported(found[0], name) for found in starred if found is not None):
                return True
            return self.open and name not in BUILTINS
        if (owner, name) in self.names:
            return True
        whole = full_name(node, scope)
        if whole is None:
            return False
        found = by_module(whole, self._modules)
        return whole in self.state or (found is not None and bool(found[1]) and self._exported(*found))

    def _exported(self, module: Module, name: str, depth: int = 0) -> bool:
        """Whether a module's name may be unseen."""
        head = name.partition(".")[0]
        if (module.scope, head) in self.names:
            return True
        links = [item for item in module.scope.bound.get(head, ()) if isinstance(item, str)]
        found = [by_module(item, self._modules) for item in links] if depth < _DEEPEST else []
        return any(self._exported(one[0], one[1], depth + 1) for one in found if one is not None and one[1])

    def taint(self, name: str, scope: Scope) -> None:
        self.names.add((scope.of(name) or scope, name))

    def change(self, node: ast.expr, scope: Scope, attribute: ast.Attribute | None = None) -> None:
        """Something unseen was put into what an expression names."""
        start, name = root(node), full_name(node, scope)
        if name in STATE:
            self.state.add(str(name))
            return
        if start is None or (start.id in NAMESPACES and scope.of(start.id) is None):
            self.open = True
            return
        whole = full_name(attribute, scope) if attribute is not None else name
        found = by_module(whole, self._modules) if whole else None
        if found is not None and found[1]:
            self.names.add((found[0].scope, found[1].partition(".")[0]))
        self._change_name(start.id, scope)

    def _change_name(self, name: str, scope: Scope) -> None:
        """What a name holds was changed: so was what else has a name for it."""
        owner = scope.of(name) or scope
        if (owner, name) in self.changed:
            return
        self.changed.add((owner, name))
        self.names.add((owner, name))
        if isinstance(owner.node, Function):
            above, names = owner.module.parents[owner.node], parameters(owner.node)
            if isinstance(above, ast.ClassDef) and names and names[0] == name:
                self.returns.add(above)
        for value in owner.bound[name]:
            for held in aliases(value) if isinstance(value, ast.expr) else ():
                if not self._references.is_fixed(held, owner):
                    self._change_name(held.id, owner)


def is_airflows(node: ast.AST, scope: Scope) -> bool:
    """Whether an expression names something of Airflow's."""
    return (full_name(node, scope) or "").startswith("airflow.")
