"""What the rules of a stack are to fire on, by its own template. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from jetway_cli.doctor.facts import Firing

if TYPE_CHECKING:
    from jetway_cli.doctor.facts import StackFacts


class _UnknownError(Exception):
    """A function that is not resolved here."""


def firing_of(template: Mapping[str, Any], stack: StackFacts) -> dict[str, Firing]:
    """Return what each rule is to fire on, by logical id; without those of which this cannot be told.

    Args:
        template: as its transforms have left it.
        stack: gives the names that references stand for.
    """
    found = {}
    for logical, resource in template["Resources"].items():
        if resource["Type"] == "AWS::Events::Rule":
            properties = resource["Properties"]
            try:
                pattern = _resolved(properties.get("EventPattern", {}), stack)
                found[logical] = Firing(pattern, _resolved(properties.get("ScheduleExpression", ""), stack))
            except _UnknownError:
                continue
    return found


def _resolved(node: Any, stack: StackFacts) -> Any:
    if isinstance(node, list):
        return [_resolved(item, stack) for item in node]
    if not isinstance(node, Mapping):
        return node
    if node.keys() == {"Ref"}:
        return _name(node["Ref"], stack)
    if any(key.startswith("Fn::") for key in node):
        raise _UnknownError
    return {key: _resolved(value, stack) for key, value in node.items()}


def _name(reference: str, stack: StackFacts) -> str:
    resource = stack.find(reference)
    name = resource.physical if resource is not None else stack.parameters.get(reference)
    if name is None:
        raise _UnknownError
    return name
