"""What each role of a stack must be allowed, as questions for IAM; the list is needed_actions.json.

    questions(parameters, resources)    # of the deployed stack: parameters by name, resources by logical id

The list is made from the template and from what the roles of the local stacks ask for (`make decisions`). Its texts are
those of Fn::Sub; `${A|B}` is the first of both that is not empty.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from itertools import product
from typing import Any


@dataclass(frozen=True, slots=True)
class NeededResource:
    """A resource of a stack, as CloudFormation and its service name it.

    Attributes:
        id: what Ref gives.
        arn: what GetAtt gives as Arn; "" where the type has none.
    """

    id: str
    arn: str = ""


@dataclass(frozen=True, slots=True)
class ContextKey:
    """A condition key of a request, as iam:SimulatePrincipalPolicy takes it.

    Attributes:
        kind: "string" or "stringList".
    """

    name: str
    kind: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NeededAction:
    """May this role do this?

    Attributes:
        role: logical id.
        statement: Sid of the statement of the template that allows it.
        resource: ARN, with `*` for any name; or "*" alone.
        context: keys that the request has.
    """

    role: str
    statement: str
    action: str
    resource: str
    context: tuple[ContextKey, ...] = field(default=())


@cache
def _list() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((files("jetway_cli") / "needed_actions.json").read_text(encoding="utf-8"))
    return found


def questions(parameters: Mapping[str, str], resources: Mapping[str, NeededResource]) -> list[NeededAction]:
    """Return what the roles of a stack must be allowed.

    Args:
        parameters: of the stack, and AWS::AccountId, AWS::Partition, AWS::Region, AWS::StackName; lists as text with
            commas.
        resources: by logical id. A role that is not among them is not asked about, and a resource neither.
    """
    found: list[NeededAction] = []
    for role, needs in _list()["roles"].items():
        for need in needs:
            if role in resources and all(_comes_with(condition, parameters) for condition in need["when"]):
                found += _questions(role, need, parameters, resources)
    return found


def _comes_with(name: str, parameters: Mapping[str, str]) -> bool:
    """Whether a condition holds, or, as "!Name", does not."""
    return holds(_list()["conditions"][name.removeprefix("!")], parameters) != name.startswith("!")


def _questions(
    role: str, need: Mapping[str, Any], parameters: Mapping[str, str], resources: Mapping[str, NeededResource]
) -> Iterator[NeededAction]:
    contexts = [
        [ContextKey(key["name"], key["kind"], values) for values in _choices(key, parameters, resources)]
        for key in need["context"]
    ]
    for text in need["resources"]:
        resource = resolved(text, parameters, resources)
        if resource is not None:
            for context in product(*contexts):
                yield NeededAction(role, need["statement"], need["action"], resource, context)


def _choices(
    key: Mapping[str, Any], parameters: Mapping[str, str], resources: Mapping[str, NeededResource]
) -> list[tuple[str, ...]]:
    """A list of values is one context; of single values, each is one."""
    values = [value for text in key["values"] if (value := resolved(text, parameters, resources)) is not None]
    return [tuple(values)] if key["kind"] == "stringList" else [(value,) for value in values]


def resolved(text: str, parameters: Mapping[str, str], resources: Mapping[str, NeededResource]) -> str | None:
    """Return a text with its references resolved; None when one of them is empty or not there."""
    missing = False

    def one(found: re.Match[str]) -> str:
        nonlocal missing
        values = (_value(name, parameters, resources) for name in found[1].split("|"))
        value = next(filter(None, values), "")
        missing = missing or not value
        return value

    result = re.sub(r"\$\{([^${}]+)\}", one, text)
    return None if missing else result


def _value(name: str, parameters: Mapping[str, str], resources: Mapping[str, NeededResource]) -> str:
    if name in parameters:
        return parameters[name]
    logical_id, _, attribute = name.partition(".")
    resource = resources.get(logical_id, NeededResource(""))
    return resource.arn if attribute == "Arn" else resource.id


def holds(condition: Mapping[str, Any], parameters: Mapping[str, str]) -> bool:
    """Return whether a condition of the template holds; other conditions in it are written out."""
    ((function, operands),) = condition.items()
    match function:
        case "Fn::Equals":
            left, right = (_operand(each, parameters) for each in operands)
            return left == right
        case "Fn::Not":
            return not holds(operands[0], parameters)
        case "Fn::And":
            return all(holds(each, parameters) for each in operands)
        case "Fn::Or":
            return any(holds(each, parameters) for each in operands)
    raise ValueError(function)


def _operand(value: Any, parameters: Mapping[str, str]) -> str:
    if isinstance(value, str):
        return value
    ((function, argument),) = value.items()
    if function == "Ref":
        return parameters.get(argument, "")
    separator, items = argument  # Fn::Join
    if isinstance(items, dict):
        return _operand(items, parameters).replace(",", separator)
    return str(separator.join(_operand(each, parameters) for each in items))
