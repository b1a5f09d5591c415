"""What an error is about, and whether that may be due to something unseen. Pure; nothing is run.

A fault is certain when nothing unseen decided that its place is reached, and nothing unseen is among what it is about:
of an argument that an operator does not know its name, of a task_id that is there twice both of its calls, of all else
the whole expression that failed. What cannot be told may be due to something unseen.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jetway_loader import package_stubs
from jetway_loader.names import is_airflows
from jetway_loader.scopes import Function, Module, expressions, full_name
from jetway_loader.source_lines import Made, Place, Sightings, closes_cycle

if TYPE_CHECKING:
    from jetway_loader.influence import Influence

_SCHEDULES = ("schedule", "schedule_interval", "timetable")
# What a DAG or a group hands to its tasks.
_HANDED_DOWN = frozenset({"default_args", "start_date", "end_date", "params"})
_KEY = re.compile(r"The key '|has to be (?:made of|less than|of type)|The key has to")
_ARGUMENT = re.compile(r"unexpected keyword argument '(\w+)'")
_ARGUMENTS = "**kwargs: {"
_LACKING = re.compile(r"missing (?:keyword argument|required argument|\d+ required)[^']*('.*)", re.DOTALL)
_QUOTED = re.compile(r"'([\w ]+)'")
_TWICE = re.compile(r"id '([^'\n]{1,250})' has already been added")
_UNREGISTERED = re.compile(r"Timetable class .* is not registered")
_EXITS = frozenset({"exit", "quit", "_exit"})
_NODES = ("Operator", "Sensor")


@dataclass(frozen=True)
class Failure:
    """An error, as the child sees it.

    Attributes:
        text: as Airflow keeps it.
        rule, kind, message: as it is understood.
        places: of all code that was on its way, from the outside; none when it came after the file had been run.
    """

    text: str
    rule: str
    kind: str
    message: str
    places: tuple[Place, ...] = ()


class Causes:
    """One error, and all that is known."""

    def __init__(
        self,
        failure: Failure,
        sightings: Sightings,
        influence: Influence,
        modules: dict[str, Module],
        leaning: Iterable[str],
    ) -> None:
        self._failure, self._sightings, self._influence = failure, sightings, influence
        self._modules, self._leaning = modules, frozenset(leaning)
        calls = [made.places[0] for made in sightings.made if made.what != "edge" and made.places]
        self._makers = {node for place in calls for node in self._at(place)}

    def reached(self) -> bool:
        """Whether something unseen may have led to it."""
        failure = self._failure
        if failure.rule in {"missing-module", "missing-name"} and self._influence.state("sys.path"):
            return True
        own = [place for place in failure.places if self._sightings.is_users(place.file)]
        if not own:
            return self._after_all(failure)
        if failure.rule not in {"missing-module", "missing-name"} and self._leans(failure.places):
            return True
        if any(self._is_decided(place) for place in own) or any(self._chosen(place) for place in own[:-1]):
            return True
        return any(self._is_about(node, self._modules[own[-1].file]) for node in self._failing(own[-1]))

    def _leans(self, places: tuple[Place, ...]) -> bool:
        """Whether the way to the error leads through a library that a stand-in was given to."""
        if any(place.file in self._leaning for place in places):
            return True
        return self._failure.rule != "duplicate-task-id" and any(
            place.file == package_stubs.__file__ for place in places
        )

    def _after_all(self, failure: Failure) -> bool:
        """Of an error that came when the file had been run: of a DAG as a whole, or of the file's text."""
        if failure.rule in {"syntax", "swallowed"}:
            return False
        if failure.rule == "cycle":
            clean = [made for made in self._sightings.made if made.what == "edge" and self._is_sure_edge(made)]
            return closes_cycle(clean) is None
        dags = [made for made in self._sightings.made if made.what == "dag"]
        made = [made for made in dags if made.name in failure.text] or dags
        if failure.rule == "schedule" or _UNREGISTERED.search(failure.text):
            calls = [(node, place) for one in made for place in one.places[:1] for node in self._at(place)]
            return not calls or any(
                self._is_decided(place) or self._schedule(node, self._modules[place.file]) for node, place in calls
            )
        return any(self._is_made_of_unseen(one) for one in self._sightings.made)

    def _is_made_of_unseen(self, made: Made) -> bool:
        if any(self._is_decided(place) for place in made.places):
            return True
        inner = made.places[:1]
        return any(
            self._influence.unseen(node, self._modules[place.file]) for place in inner for node in self._at(place)
        )

    def _is_about(self, node: ast.AST, module: Module) -> bool:
        """Whether what the error is about is unseen, where it came up."""
        failure = self._failure
        if isinstance(node, ast.Raise) or self._influence.imports_others(node, module):
            # It is raised whatever it says; and which modules and names a stand-in has is no matter of values.
            return False
        if isinstance(node, ast.ClassDef):
            return any(self._influence.unseen(part, module) for part in expressions(node))
        if isinstance(node, ast.Call):
            if failure.rule == "exits" and _last(node.func) in _EXITS:
                return self._influence.chosen(node.func, module)
            special = self._special(failure)
            if special is not None and self._is_node_class(node.func, module):
                return special(node, module)
        if self._influence.unseen(node, module):
            return True
        in_airflow = self._sightings.is_airflows(failure.places[-1].file)
        return isinstance(node, ast.Call) and in_airflow and self._handed_down()

    def _special(self, failure: Failure) -> Callable[[ast.Call, Module], bool] | None:
        """What looks at the arguments that an error is about, where it tells which those are."""
        if failure.rule == "arguments":
            return self._arguments
        if failure.rule == "schedule":
            return self._schedule
        if failure.rule == "duplicate-task-id" and (found := _TWICE.search(failure.message)):
            return lambda *_: self._twice(found[1])
        if _KEY.search(failure.message):
            return self._id
        if "python_callable" in failure.message:
            return lambda call, module: self._argument(call, module, "python_callable", None)
        return next((about for words, about in self._named().items() if words in failure.message), None)

    def _named(self) -> dict[str, Callable[[ast.Call, Module], bool]]:
        """Words that are about one argument, and what looks at that."""

        def anything(call: ast.Call, module: Module, name: str) -> bool:
            """Where the argument is not given to the call itself, it comes from elsewhere."""
            given = {item.arg for item in call.keywords}
            return name not in given and (self._influence.unseen(call, module) or self._handed_down())

        def trigger_rule(call: ast.Call, module: Module) -> bool:
            return anything(call, module, "trigger_rule") or self._argument(call, module, "trigger_rule", None)

        def params(call: ast.Call, module: Module) -> bool:
            if anything(call, module, "params") or self._argument(call, module, "params", None):
                return True
            return self._handed_down(keys=True) or self._is_handed("params")  # they are put together

        def positional(call: ast.Call, _module: Module) -> bool:
            return not call.args or any(isinstance(item, ast.Starred) for item in call.args)

        def service(call: ast.Call, module: Module) -> bool:
            """Of boto3: which there are, nobody asks the network."""
            return self._argument(call, module, "service_name", 0)

        return {
            "Unknown service: ": service,
            "Use keyword arguments when initializing": positional,
            "trigger_rule must be one of": trigger_rule,
            "parameters must be json-serializable": params,
            "required params without default values": self._params_of_dag,
        }

    def _is_handed(self, name: str) -> bool:
        """Whether an argument of that name is unseen anywhere, or a mapping's value under it."""
        return any(
            (isinstance(node, ast.keyword) and node.arg == name and self._influence.unseen(node.value, module))
            or (isinstance(node, ast.Dict) and self._has_unseen(node, name, module))
            for module in self._modules.values()
            for node in module.parents
        )

    def _has_unseen(self, node: ast.Dict, name: str, module: Module) -> bool:
        return any(
            isinstance(key, ast.Constant) and key.value == name and self._influence.unseen(value, module)
            for key, value in zip(node.keys, node.values, strict=True)
        )

    def _arguments(self, call: ast.Call, module: Module) -> bool:
        """Of arguments that are not known, or that are not there."""
        keywords = [item for one in (call, *self._decorators(call, module)) for item in one.keywords]
        given = {item.arg for item in keywords}
        if any(self._unseen_keys(item.value, module) for item in keywords if item.arg is None):
            return True
        if any(isinstance(item, ast.Starred) and self._influence.unseen(item, module) for item in call.args):
            return True
        message = self._failure.message
        named = _ARGUMENT.findall(message)[:1] or re.findall(
            r"'(\w+)':", message.partition(_ARGUMENTS)[2].rpartition("}")[0]
        )
        if named or _ARGUMENTS in message:
            return not (None in given or set(named) & given)
        if found := _LACKING.search(self._failure.message):
            return bool(set(_QUOTED.findall(found[1])) & given) or self._handed_down(keys=True)
        return self._influence.unseen(call, module)

    def _schedule(self, node: ast.AST, module: Module) -> bool:
        """Of a DAG's schedule."""
        values = self._of_dag(node, module, _SCHEDULES)
        return not values or any(self._influence.unseen(value, module) for value in values)

    def _params_of_dag(self, node: ast.Call, module: Module) -> bool:
        """Of params that a DAG with a schedule cannot have: its own, and those that default_args bring."""
        values = self._of_dag(node, module, ("params", *_SCHEDULES))
        if values is None or any(self._influence.unseen(value, module) for value in values):
            return True
        return self._handed_down(keys=True) or self._is_handed("params")

    def _of_dag(self, node: ast.AST, module: Module, names: Collection[str]) -> list[ast.expr] | None:
        """A DAG's arguments of these names; None when they may come from elsewhere."""
        call = self._dag_call(node, module) if isinstance(node, ast.Call) else None
        if call is None or any(self._unseen_keys(item.value, module) for item in call.keywords if not item.arg):
            return None
        return [item.value for item in call.keywords if item.arg in names]

    def _dag_call(self, node: ast.Call, module: Module) -> ast.Call | None:
        """The call that has the DAG's arguments: itself, or the decorator of the function that is called."""
        found = self._influence.definitions(node.func, module)
        if not found:
            return node
        calls = [item for item in self._decorators(node, module) if _last(item.func) == "dag"]
        return calls[0] if len(calls) == 1 else None

    def _decorators(self, node: ast.Call, module: Module) -> list[ast.Call]:
        """The calls that decorate the function that is called, when it is one of the same file."""
        found = self._influence.definitions(node.func, module)
        decorators = [item for one in found if isinstance(one, Function) for item in one.decorator_list]
        here = len(found) == 1 and found[0] in module.parents
        return [item for item in decorators if here and isinstance(item, ast.Call)]

    def _twice(self, name: str) -> bool:
        """Of an id that is there twice: each task that has it."""
        made = [one for one in self._sightings.made if one.what == "task" and one.name == name]
        calls = [
            (node, self._modules[place.file]) for one in made for place in one.places[:1] for node in self._at(place)
        ]
        if not made or any(self._is_decided(place) for one in made for place in one.places):
            return True
        here = [place for place in self._failure.places if self._sightings.is_users(place.file)][-1]
        calls += [(node, self._modules[here.file]) for node in self._failing(here)]
        return any(not isinstance(node, ast.Call) or self._id(node, module) for node, module in calls)

    def _id(self, call: ast.Call, module: Module) -> bool:
        """Of a call's own id, in its DAG and groups."""
        if any(not item.arg and self._unseen_keys(item.value, module) for item in call.keywords):
            return True
        withs = [above for above in module.ancestors(call) if isinstance(above, ast.With | ast.AsyncWith)]
        around = [item.context_expr for above in withs for item in above.items]
        groups = [
            item for item in around if isinstance(item, ast.Call) and item is not call and _last(item.func) != "DAG"
        ]
        if any(self._id_of(group, module) for group in groups):
            return True
        others = [item.value for item in call.keywords if item.arg in {"dag", "task_group"}]
        return self._id_of(call, module) or any(not self._is_sure_node(item, module) for item in others)

    def _id_of(self, call: ast.Call, module: Module) -> bool:
        names = ("task_id", "dag_id", "group_id")
        return any(self._argument(call, module, name, 0) for name in names)

    def _argument(self, call: ast.Call, module: Module, name: str, place: int | None) -> bool:
        found = [item.value for item in call.keywords if item.arg == name]
        if place is not None and len(call.args) > place:
            found.append(call.args[place])
        stars = [item.value for item in call.keywords if not item.arg]
        return any(self._influence.unseen(item, module) for item in (*found, *stars))

    def _handed_down(self, *, keys: bool = False) -> bool:
        """Whether a DAG or a group hands something unseen to its tasks."""
        for module in self._modules.values():
            for node in module.parents:
                if isinstance(node, ast.Attribute) and node.attr == "default_args":
                    if self._influence.unseen(node, module):
                        return True
                elif isinstance(node, ast.keyword) and node.arg is None:
                    if self._unseen_keys(node.value, module):
                        return True
                elif isinstance(node, ast.keyword) and node.arg in _HANDED_DOWN:
                    if keys and node.arg == "default_args" and self._unseen_keys(node.value, module):
                        return True
                    if not keys and self._influence.unseen(node.value, module):
                        return True
        return False

    def _unseen_keys(self, node: ast.expr, module: Module, depth: int = 0) -> bool:
        """Whether the keys of a mapping may be unseen."""
        if not self._influence.unseen(node, module):
            return False
        match node:
            case ast.Dict(keys=keys):
                return any(key is None or self._influence.unseen(key, module) for key in keys)
            case ast.Call(func=ast.Name(id="dict"), args=[], keywords=keywords):
                return any(item.arg is None for item in keywords)
            case ast.Name(id=name) if depth < 3:
                owner = module.scope_of(node).of(name)
                bound = owner.bound[name] if owner is not None else []
                return not bound or any(
                    not isinstance(item, ast.expr)
                    or self._influence.decided(item, module)
                    or self._unseen_keys(item, module, depth + 1)
                    for item in bound
                )
        return True

    def _is_sure_edge(self, made: Made) -> bool:
        if not made.places or any(self._is_decided(place) for place in made.places):
            return False
        module = self._modules[made.places[0].file]
        nodes = self._failing(made.places[0])
        return bool(nodes) and all(self._is_sure_node(node, module) for node in nodes)

    def _is_sure_node(self, node: ast.AST, module: Module) -> bool:
        """Whether an expression names the same tasks, groups or DAG whatever the unseen values are."""
        if not self._influence.unseen(node, module) or node in self._makers:
            return True
        parts: list[ast.expr] = []
        match node:
            case ast.BinOp(left=left, right=right):
                parts = [left, right]
            case ast.List(elts=parts) | ast.Tuple(elts=parts):
                pass
            case ast.Call(func=ast.Attribute(value=value, attr=attr), args=args) if attr.startswith("set_"):
                parts = [value, *args]
            case ast.Call(func=func, args=args) if is_airflows(func, module.scope_of(node)):
                parts = args
            case ast.Name(id=name):
                owner = module.scope_of(node).of(name)
                bound = owner.bound[name] if owner is not None else []
                return bool(bound) and all(
                    item in self._makers and not self._influence.decided(item, module)
                    for item in bound
                    if isinstance(item, ast.AST)
                )
        return bool(parts) and all(self._is_sure_node(part, module) for part in parts)

    def _is_node_class(self, node: ast.expr, module: Module) -> bool:
        """Whether a call is sure to be of that class: it is Airflow's, or a stand-in for an operator."""
        name = full_name(node, module.scope_of(node)) or ""
        return not self._influence.chosen(node, module) or (
            self._failure.rule == "duplicate-task-id" and name.endswith(_NODES)
        )

    def _is_decided(self, place: Place) -> bool:
        module = self._modules.get(place.file)
        nodes = self._failing(place) if module is not None else []
        return module is None or not nodes or any(self._influence.decided(node, module) for node in nodes)

    def _chosen(self, place: Place) -> bool:
        """Whether something unseen decides which function a call on the way is of."""
        module = self._modules[place.file]
        for node in self._failing(place):
            if isinstance(node, ast.Import | ast.ImportFrom | ast.ClassDef):
                continue
            if not isinstance(node, ast.Call):
                chosen = self._influence.unseen(node, module)
            else:
                chosen = self._influence.chosen(node.func, module) and not self._influence.is_one_class(
                    node.func, module
                )
            if chosen:
                return True
        return False

    def _at(self, place: Place) -> list[ast.AST]:
        module = self._modules.get(place.file)
        return module.at(place.position()) if module is not None else []

    def _failing(self, place: Place) -> list[ast.AST]:
        """What was being run there: an expression, or what its statement evaluates."""
        found = self._at(place)
        module = self._modules.get(place.file)
        statement = module.statement(place.line) if module is not None else None
        if found or statement is None:
            return found
        return [*expressions(statement)] or [statement]


def _last(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
