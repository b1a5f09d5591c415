"""What a stack's rules are to fire on, and how its functions are configured, by its own template. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from jetway_cli.doctor.facts import Configured, Firing

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


def configured_of(template: Mapping[str, Any], stack: StackFacts) -> dict[str, Configured]:
    """Return how each function is to be configured, by logical id: what stands there plainly or is a parameter's.

    Args:
        template: as its transforms have left it.
        stack: gives the values of parameters.
    """
    found = {}
    for logical, resource in template["Resources"].items():
        if resource["Type"] in {"AWS::Lambda::Function", "AWS::Serverless::Function"}:
            properties = resource["Properties"]
            timeout = properties.get("Timeout")
            variables = (properties.get("Environment") or {}).get("Variables") or {}
            plain = {name: _plain(value, stack) for name, value in variables.items()}
            found[logical] = Configured(
                int(timeout) if isinstance(timeout, int | str) and str(timeout).isdecimal() else None,
                {name: value for name, value in plain.items() if value is not None},
            )
    return found


def _plain(node: Any, stack: StackFacts) -> str | None:
    """A value that is the same for everybody who reads the template; not a secret parameter's, which is masked."""
    if isinstance(node, bool):
        return "true" if node else "false"
    if isinstance(node, str | int | float):
        return str(node)
    if isinstance(node, Mapping) and node.keys() == {"Ref"} and stack.find(node["Ref"]) is None:
        value = stack.parameters.get(node["Ref"])
        return None if value is None or set(value) == {"*"} else value
    return None


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
