"""What the roles of one stack must be allowed, in as few questions to IAM as there can be. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jetway_cli import needed

if TYPE_CHECKING:
    from jetway_cli.doctor.facts import StackFacts, StackResource

# Stands for what a pattern leaves open: IAM is asked about one thing.
SAMPLE = "jetway-doctor"
_SERVICES = {
    "AWS::SQS::Queue": "sqs",
    "AWS::DynamoDB::Table": "dynamodb",
    "AWS::Lambda::Function": "lambda",
    "AWS::Logs::LogGroup": "logs",
    "AWS::KMS::Key": "kms",
    "AWS::SNS::Topic": "sns",
    "AWS::Events::Rule": "events",
}
_PREFIXES = {
    "AWS::DynamoDB::Table": "table/",
    "AWS::Lambda::Function": "function:",
    "AWS::Logs::LogGroup": "log-group:",
    "AWS::KMS::Key": "key/",
    "AWS::Events::Rule": "rule/",
}


@dataclass(frozen=True, slots=True)
class Need:
    """Actions that a role must be allowed on each of some things of one service.

    Attributes:
        role: its logical id.
        context: what the requests have.
    """

    role: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    context: tuple[needed.ContextKey, ...] = ()

    @property
    def entries(self) -> list[dict[str, Any]]:
        """The context as SimulatePrincipalPolicy takes it."""
        return [
            {"ContextKeyName": key.name, "ContextKeyValues": list(key.values), "ContextKeyType": _type(key)}
            for key in self.context
        ]


def needs(stack: StackFacts) -> list[Need]:
    """Return what all roles of a stack must be allowed."""
    parameters = {
        **stack.parameters,
        "AWS::AccountId": stack.account,
        "AWS::Partition": stack.partition,
        "AWS::Region": stack.region,
        "AWS::StackName": stack.name,
    }
    resources = {
        one.logical: needed.NeededResource(one.physical, arn_of(one, stack)) for one in stack.resources if one.physical
    }
    # First the actions on one thing, then the things that have the same actions: IAM answers each for each.
    of_thing: dict[tuple[str, str, str, tuple[needed.ContextKey, ...]], set[str]] = {}
    for one in needed.questions(parameters, resources):
        service = one.action.partition(":")[0]
        of_thing.setdefault((one.role, service, _sample(one.resource), one.context), set()).add(one.action)
    together: dict[tuple[str, tuple[str, ...], tuple[needed.ContextKey, ...]], list[str]] = {}
    for (role, _, thing, context), actions in of_thing.items():
        together.setdefault((role, tuple(sorted(actions)), context), []).append(thing)
    return [Need(role, actions, tuple(things), context) for (role, actions, context), things in together.items()]


def arn_of(resource: StackResource, stack: StackFacts) -> str:
    """Return the ARN of a resource, made of its physical id; empty where the type has none that is known here."""
    name, kind = resource.physical, resource.kind
    if name.startswith("arn:"):
        return name
    if kind == "AWS::S3::Bucket":
        return f"arn:{stack.partition}:s3:::{name}"
    if kind == "AWS::IAM::Role":
        return f"arn:{stack.partition}:iam::{stack.account}:role{stack.parameters.get('RolePath') or '/'}{name}"
    if kind not in _SERVICES:
        return ""
    service = _SERVICES[kind]
    if service == "sqs":
        name = name.rpartition("/")[2]  # a queue's physical id is its URL
    name = name.removeprefix("default|").replace("|", "/")  # a rule's bus may stand before its name
    return stack.arn(service, f"{_PREFIXES.get(kind, '')}{name}{':*' if service == 'logs' else ''}")


def _sample(text: str) -> str:
    return text if text == "*" or text.endswith(":*") else text.replace("*", SAMPLE)


def _type(key: needed.ContextKey) -> str:
    return "boolean" if set(key.values) <= {"true", "false"} else key.kind
