"""What the template of the stack's deployment says of each resource, with its functions resolved. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from jetway_cli.doctor.needs import arn_of

if TYPE_CHECKING:
    from jetway_cli.doctor.facts import StackFacts


class _Unknown:
    """Stands for a value that cannot be told from here; it is like any other."""

    def __repr__(self) -> str:
        return "(not known)"


UNKNOWN = _Unknown()
_NOTHING = object()  # AWS::NoValue
_NAMED = re.compile(r"\$\{([^!${}]+)\}")  # in the text of Fn::Sub
_LISTS = ("CommaDelimitedList", "List<")


def wanted(template: Mapping[str, Any], stack: StackFacts) -> dict[str, Mapping[str, Any]]:
    """Return the properties of each resource that there is to be, by logical id.

    Args:
        template: as its transforms have left it.
        stack: gives the values of parameters and the names of resources.
    """
    reader = _Reader(template, stack)
    return {
        logical: reader.value(resource.get("Properties") or {})
        for logical, resource in template["Resources"].items()
        if reader.holds(resource.get("Condition"))
    }


class _Reader:
    def __init__(self, template: Mapping[str, Any], stack: StackFacts) -> None:
        self.stack = stack
        self.conditions: Mapping[str, Any] = template.get("Conditions") or {}
        declared: Mapping[str, Any] = template.get("Parameters") or {}
        self.parameters: dict[str, Any] = {
            "AWS::AccountId": stack.account,
            "AWS::Partition": stack.partition,
            "AWS::Region": stack.region,
            "AWS::StackName": stack.name,
            "AWS::URLSuffix": "amazonaws.com.cn" if stack.partition == "aws-cn" else "amazonaws.com",
            "AWS::NoValue": _NOTHING,
        }
        for name, value in stack.parameters.items():
            kind = str(declared.get(name, {}).get("Type", ""))
            self.parameters[name] = [one.strip() for one in value.split(",")] if kind.startswith(_LISTS) else value
            if value and set(value) == {"*"}:  # a parameter with NoEcho is told as asterisks
                self.parameters[name] = UNKNOWN

    def value(self, node: Any) -> Any:
        if isinstance(node, list):
            return [item for item in map(self.value, node) if item is not _NOTHING]
        if not isinstance(node, Mapping):
            return node
        if len(node) == 1:
            ((function, argument),) = node.items()
            if function in _FUNCTIONS:
                return _FUNCTIONS[function](self, argument)
            if function.startswith("Fn::"):
                return UNKNOWN
        return {key: found for key, one in node.items() if (found := self.value(one)) is not _NOTHING}

    def holds(self, condition: Any) -> bool:
        if condition is None:
            return True
        if isinstance(condition, str):
            return self.holds(self.conditions[condition])
        ((function, operands),) = condition.items()
        return _CONDITIONS[function](self, operands)

    def equal(self, operands: Any) -> bool:
        left, right = map(self.value, operands)
        return str(left) == str(right)

    def reference(self, name: str) -> Any:
        if name in self.parameters:
            return self.parameters[name]
        resource = self.stack.find(name)
        # A resource whose id has several parts is referred to by the last of them.
        return UNKNOWN if resource is None else resource.physical.rpartition("|")[2]

    def attribute(self, argument: Any) -> Any:
        name, attribute = argument.split(".", 1) if isinstance(argument, str) else argument
        resource = self.stack.find(name)
        if resource is None:
            return UNKNOWN
        if attribute == "Arn":
            return arn_of(resource, self.stack) or UNKNOWN
        return resource.physical.rpartition("/")[2] if attribute == "QueueName" else UNKNOWN

    def substitute(self, argument: Any) -> Any:
        text, own = (argument, {}) if isinstance(argument, str) else argument
        parts = {name: self.value(value) for name, value in own.items()}
        for name in _NAMED.findall(text):
            if name not in parts:
                parts[name] = self.attribute(name) if "." in name else self.reference(name)
        if any(part is UNKNOWN for part in parts.values()):
            return UNKNOWN
        filled = _NAMED.sub(lambda found: _text(parts[found[1]]), text)
        return filled.replace("${!", "${")

    def join(self, argument: Any) -> Any:
        separator, items = argument
        found = self.value(items)
        if found is UNKNOWN or any(item is UNKNOWN for item in found):
            return UNKNOWN
        return str(separator).join(map(_text, found))

    def choose(self, argument: Any) -> Any:
        condition, yes, no = argument
        return self.value(yes if self.holds(condition) else no)


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


_FUNCTIONS: Mapping[str, Callable[[_Reader, Any], Any]] = {
    "Ref": _Reader.reference,
    "Fn::GetAtt": _Reader.attribute,
    "Fn::Sub": _Reader.substitute,
    "Fn::Join": _Reader.join,
    "Fn::If": _Reader.choose,
}


_CONDITIONS: Mapping[str, Callable[[_Reader, Any], bool]] = {
    "Condition": _Reader.holds,
    "Fn::Equals": _Reader.equal,
    "Fn::Not": lambda reader, operands: not reader.holds(operands[0]),
    "Fn::And": lambda reader, operands: all(map(reader.holds, operands)),
    "Fn::Or": lambda reader, operands: any(map(reader.holds, operands)),
}


def same(wanted: Any, seen: Any, *, whole: bool = True) -> bool:
    """Whether a value is the one of the template, whatever form its service gives it.

    The order of a list does not count, one value is a list of one, numbers and booleans may be texts, and nothing is
    an empty text, list or mapping.

    Args:
        wanted: the template's.
        seen: the service's.
        whole: whether members that the template does not say count.

    >>> same({"Action": "sqs:SendMessage", "Retries": 3}, {"Retries": "3", "Action": ["sqs:SendMessage"]})
    True
    >>> same({"Mode": "OFF"}, {"Mode": "OFF", "Minutes": 0}, whole=False)
    True
    """
    if wanted is UNKNOWN:
        return True
    if isinstance(wanted, Mapping) and isinstance(seen, Mapping):
        names = wanted.keys() | seen.keys() if whole else wanted.keys()
        return all(same(wanted.get(name), seen.get(name), whole=whole) for name in names)
    if isinstance(wanted, list | tuple) or isinstance(seen, list | tuple):
        left, right = _items(wanted), _items(seen)
        return len(left) == len(right) and _pair_off(left, right, whole=whole)
    return _scalar(wanted) == _scalar(seen)


def _items(value: Any) -> list[Any]:
    if isinstance(value, list | tuple):
        return list(value)
    return [] if value is None or value in ("", {}) else [value]


def _pair_off(wanted: list[Any], seen: list[Any], *, whole: bool) -> bool:
    """Whether each item has one of its own on the other side.

    One that is known in part fits several, and must not keep the only one that fits another: its owner looks for
    another place first (augmenting paths).
    """
    fits = [[index for index, other in enumerate(seen) if same(item, other, whole=whole)] for item in wanted]
    taken: dict[int, int] = {}

    def has_place(item: int, tried: set[int]) -> bool:
        for index in fits[item]:
            if index in tried:
                continue
            tried.add(index)
            if index not in taken or has_place(taken[index], tried):
                taken[index] = item
                return True
        return False

    return all(has_place(item, set()) for item in range(len(wanted)))


def _scalar(value: Any) -> str:
    if value is None or value == {}:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def unlike(wanted: Any, seen: Any, path: str = "", *, whole: bool = True) -> Iterator[tuple[str, Any, Any]]:
    """Yield each part that is not the template's: its path, what the template says, what there is."""
    if isinstance(wanted, Mapping) and isinstance(seen, Mapping) and wanted and seen:
        for name in sorted(wanted.keys() | seen.keys() if whole else wanted.keys()):
            yield from unlike(wanted.get(name), seen.get(name), f"{path}.{name}" if path else str(name), whole=whole)
    elif not same(wanted, seen, whole=whole):
        yield path, wanted, seen
