"""What the roles of one stack must be allowed: actions.json with this stack's names. Pure functions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jetway_cli.doctor.facts import Resource, StackFacts

# Stands for what a pattern leaves open.
SAMPLE = "jetway-doctor"
_LISTS = frozenset({"events:source", "dynamodb:LeadingKeys"})  # keys of a request that are sets
_SERVICES = {
    "AWS::SQS::Queue": "sqs",
    "AWS::DynamoDB::Table": "dynamodb",
    "AWS::Lambda::Function": "lambda",
    "AWS::Logs::LogGroup": "logs",
    "AWS::KMS::Key": "kms",
    "AWS::SNS::Topic": "sns",
}


@dataclass(frozen=True, slots=True)
class Need:
    """Actions that a role must be allowed on each of some things of one service.

    Attributes:
        context: what the requests have, by condition key.
    """

    actions: tuple[str, ...]
    resources: tuple[str, ...]
    context: tuple[tuple[str, str], ...] = ()

    @property
    def entries(self) -> list[dict[str, Any]]:
        """The context as SimulatePrincipalPolicy takes it."""
        return [
            {"ContextKeyName": key, "ContextKeyValues": [value], "ContextKeyType": _type(key, value)}
            for key, value in self.context
        ]


@cache
def document() -> Mapping[str, Any]:
    """Return actions.json."""
    found: Mapping[str, Any] = json.loads(resources.files(__package__).joinpath("actions.json").read_text("utf-8"))
    return found


def needs_of(role: str, stack: StackFacts) -> tuple[Need, ...]:
    """Return what a role needs, in as few questions as there can be: one for each service and context.

    What the stack has no name for (no own key, no such function) is not needed.

    Args:
        role: its logical id.
    """
    conditions = document()["conditions"]
    together: dict[tuple[Any, ...], set[str]] = {}
    for one in document()["roles"].get(role, []):
        if not all(holds({"Condition": name}, conditions, stack.parameters) for name in one["when"]):
            continue
        things = tuple(sorted(filter(None, (fill(resource, stack) for resource in one["resources"]))))
        context = tuple(sorted((key, str(fill(value.rstrip("*"), stack))) for key, value in one["context"].items()))
        for service, actions in _by_service(one["actions"]):
            if things:
                together.setdefault((service, things, context), set()).update(actions)
    return tuple(Need(tuple(sorted(actions)), things, context) for (_, things, context), actions in together.items())


def holds(condition: Any, conditions: Mapping[str, Any], parameters: Mapping[str, str]) -> bool:
    """Return whether a condition of the template holds for a stack with these parameters."""
    ((function, operands),) = condition.items()
    if function == "Condition":
        return holds(conditions[operands], conditions, parameters)
    if function == "Fn::Equals":
        left, right = (_operand(one, parameters) for one in operands)
        return left == right
    each = [holds(one, conditions, parameters) for one in operands]
    return {"Fn::Not": not each[0], "Fn::And": all(each), "Fn::Or": any(each)}[function]


def fill(text: str, stack: StackFacts) -> str | None:
    """Put this stack's names into a text; None when it has one that the stack has not.

    >>> stack = StackFacts("jetway", "eu-central-1", "1", "CREATE_COMPLETE", parameters={"EnvironmentName": "prod"})
    >>> fill("environment/${EnvironmentName}", stack)
    'environment/prod'
    """
    choice = re.fullmatch(r"\$\{(\w+)\?(.*):(.*)\}", text)
    if choice:
        names = document()["conditions"] | _OWN_KEY
        return fill(choice[2 if holds({"Condition": choice[1]}, names, stack.parameters) else 3], stack)
    missing = False

    def one(found: re.Match[str]) -> str:
        nonlocal missing
        value = _name(found[1], stack)
        missing = missing or value is None
        return value or ""

    filled = re.sub(r"\$\{([\w:.]+)\}", one, text)
    return None if missing else _sample(filled)


_OWN_KEY = {"UseOwnKey": {"Fn::Not": [{"Fn::Equals": [{"Ref": "KmsKeyArn"}, ""]}]}}
_MAY_BE_EMPTY = frozenset({"DagS3Path"})


def _name(name: str, stack: StackFacts) -> str | None:
    pseudo = {
        "AWS::Partition": stack.partition,
        "AWS::Region": stack.region,
        "AWS::AccountId": stack.account,
        "AWS::StackName": stack.name,
    }
    if name in pseudo:
        return pseudo[name]
    if name in stack.parameters:
        value = stack.parameters[name]
        return value if value or name in _MAY_BE_EMPTY else None
    found = stack.find(name.partition(".")[0])
    return arn_of(found, stack) if found else None


def arn_of(resource: Resource, stack: StackFacts) -> str:
    """Return the ARN of a resource, made of its physical id."""
    name = resource.physical
    if name.startswith("arn:"):
        return name
    if resource.kind == "AWS::S3::Bucket":
        return f"arn:{stack.partition}:s3:::{name}"
    if resource.kind == "AWS::IAM::Role":
        return f"arn:{stack.partition}:iam::{stack.account}:role{stack.parameters.get('RolePath') or '/'}{name}"
    prefix = {
        "AWS::DynamoDB::Table": "table/",
        "AWS::Lambda::Function": "function:",
        "AWS::Logs::LogGroup": "log-group:",
        "AWS::KMS::Key": "key/",
    }.get(resource.kind, "")
    service = _SERVICES[resource.kind]
    if service == "sqs":
        name = name.rpartition("/")[2]  # a queue's physical id is its URL
    return stack.arn(service, f"{prefix}{name}{':*' if service == 'logs' else ''}")


def _sample(text: str) -> str:
    """A thing that a pattern matches: IAM is asked about one."""
    return text if text == "*" or text.endswith(":*") else text.replace("*", SAMPLE)


def _by_service(actions: list[str]) -> Iterator[tuple[str, set[str]]]:
    for service in sorted({action.partition(":")[0] for action in actions}):
        yield service, {action for action in actions if action.startswith(f"{service}:")}


def _operand(node: Any, parameters: Mapping[str, str]) -> str:
    if not isinstance(node, dict):
        return str(node)
    ((function, argument),) = node.items()
    return parameters.get(argument, "") if function == "Ref" else _operand(argument[1], parameters)


def _type(key: str, value: str) -> str:
    if value in {"true", "false"}:
        return "boolean"
    return "stringList" if key in _LISTS else "string"
