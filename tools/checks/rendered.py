"""A template as CloudFormation creates it: transformed by SAM, with its parameters, conditions and names resolved.

No account is asked. What AWS would choose (the random end of a name, an API's id) has the stack's name in it, so that
two stacks differ as they do in an account. Linters and tests look at this, because IAM, the linters' rules on policies
and the limits of CloudFormation are about what comes out of the template, not about what stands in it.
"""

from __future__ import annotations

import ipaddress
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import yaml
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import intrinsics_multi_constructor

from tools.venvs import ROOT

Node = Any  # of a template: mappings, lists and scalars
ACCOUNT, REGION = "123456789012", "eu-central-1"
_NOTHING = object()
# Where the files of functions and layers would be once `sam package` had uploaded them.
_UPLOADED = "s3://bucket/key"


class _Loader(yaml.CSafeLoader):  # SAM's own takes ten times as long
    """YAML with CloudFormation's short functions, each in its long form."""


_Loader.add_multi_constructor("!", intrinsics_multi_constructor)


def parse(path: Path) -> dict[str, Node]:
    """Return a template with its short functions in their long form."""
    template: dict[str, Node] = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506 - a safe loader
    return template


@cache
def transformed(path: Path) -> dict[str, Node]:
    """Return a template as its transforms leave it: SAM's resources, loops and included files are gone.

    It is shared, and not to be changed.
    """
    template = _without_loops(parse(path))
    for resource in template["Resources"].values():
        properties = resource.get("Properties", {})
        for name in ("CodeUri", "ContentUri"):
            if name in properties:
                properties[name] = _UPLOADED
        if resource["Type"] == "AWS::Lambda::Function":
            properties["Code"] = {"S3Bucket": "bucket", "S3Key": "key"}
    included = _included(template, path.parent)
    if "AWS::Serverless" not in str(template.get("Transform")):
        return {name: section for name, section in included.items() if name != "Transform"}
    defaults = {name: found["Default"] for name, found in template["Parameters"].items() if "Default" in found}
    logging.getLogger("samtranslator.metrics").setLevel(logging.ERROR)  # it misses a place to publish its own to
    # The first argument is AWS's managed policies by name; the template names none.
    translator = Translator({}, Parser(), boto_session=boto3.Session(region_name=REGION))
    result: dict[str, Node] = translator.translate(included, {**_NEEDED, **defaults}, feature_toggle=None)
    return result


_NEEDED = {"EnvironmentName": "airflow", "EnvironmentBucketName": "airflow-bucket"}


def _without_loops(node: Node, loop: Mapping[str, str] | None = None) -> Node:
    """Write out Fn::ForEach of the language extensions."""
    if isinstance(node, str):
        for name, value in (loop or {}).items():
            node = node.replace(f"${{{name}}}", value).replace(f"&{{{name}}}", re.sub(r"\W", "", value))
        return node
    if isinstance(node, list):
        return [_without_loops(item, loop) for item in node]
    if not isinstance(node, dict):
        return node
    out: dict[str, Node] = {}
    for key, value in node.items():
        if key.startswith("Fn::ForEach::"):
            name, values, body = value
            for one in values:
                out |= _without_loops(body, {**(loop or {}), name: one})
        else:
            out[_without_loops(key, loop)] = _without_loops(value, loop)
    return out


def _included(node: Node, folder: Path) -> Node:
    """Put in what AWS::Include would."""
    if isinstance(node, list):
        return [_included(item, folder) for item in node]
    if not isinstance(node, dict):
        return node
    include = node.get("Fn::Transform")
    if isinstance(include, dict) and include["Name"] == "AWS::Include":
        return parse(folder / include["Parameters"]["Location"])
    return {key: _included(value, folder) for key, value in node.items()}


def conditional_statements(
    role: Mapping[str, Node], resources: Mapping[str, Node]
) -> Iterator[tuple[dict[str, Node], list[str]]]:
    """Yield each statement of a role, inline or of a managed policy of the stack, and the conditions that bring it.

    Args:
        role: its properties in a transformed template.
        resources: of that template.
    """
    documents = [(policy["PolicyDocument"], list[str]()) for policy in role.get("Policies", [])]
    for managed in role.get("ManagedPolicyArns", []):
        for found, when in conditional(managed):
            if isinstance(found, Mapping) and found.get("Ref") in resources:
                documents.append((resources[found["Ref"]]["Properties"]["PolicyDocument"], when))
    for document, when in documents:
        for statement in document["Statement"]:
            for found, more in conditional(statement):
                yield found, when + more


def conditional(node: Node, when: tuple[str, ...] = ()) -> Iterator[tuple[Node, list[str]]]:
    """Yield what an Fn::If may give, each with the conditions that bring it; "!Name" where Name must not hold."""
    if node == {"Ref": "AWS::NoValue"}:
        return
    if not isinstance(node, Mapping) or "Fn::If" not in node:
        yield node, list(when)
        return
    condition, yes, no = node["Fn::If"]
    yield from conditional(yes, (*when, condition))
    yield from conditional(no, (*when, f"!{condition}"))


class Rendered:
    """A stack of a template.

    Attributes:
        name: of the stack.
        resources: type and properties of each resource that there is, by logical id.
        outputs: of the stack, those whose condition holds.
    """

    def __init__(
        self,
        path: Path = ROOT / "template.yaml",
        parameters: Mapping[str, object] | None = None,
        *,
        stack: str = "jetway",
    ) -> None:
        """Render a template.

        Args:
            path: the template.
            parameters: values; lists are given as text with commas.
            stack: its stack's name.
        """
        self.name = stack
        self._template = transformed(path)
        self._parameters = self._values({**_NEEDED, **{name: str(value) for name, value in (parameters or {}).items()}})
        self._conditions: dict[str, bool] = {}
        self.resources: dict[str, dict[str, Node]] = {
            name: {"Type": found["Type"], "Properties": self.value(found.get("Properties", {}))}
            for name, found in self._template["Resources"].items()
            if self._is_there(found)
        }
        self.outputs: dict[str, dict[str, Node]] = {
            name: self.value(found)
            for name, found in self._template.get("Outputs", {}).items()
            if self._is_there(found)
        }

    def of_type(self, kind: str) -> dict[str, dict[str, Node]]:
        """Return the properties of all resources of a type, by logical id."""
        return {name: found["Properties"] for name, found in self.resources.items() if found["Type"] == kind}

    def statements(self, role: str) -> list[dict[str, Node]]:
        """Return what a role's inline policies and the stack's own managed policies on it say."""
        properties = self.resources[role]["Properties"]
        documents = [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
        managed = self.of_type("AWS::IAM::ManagedPolicy")
        documents += [
            found["PolicyDocument"]
            for name, found in managed.items()
            if self.reference(name) in properties.get("ManagedPolicyArns", [])
        ]
        return [statement for document in documents for statement in document["Statement"]]

    def documents(self) -> Iterator[tuple[str, str, dict[str, Node]]]:
        """Yield every policy document: the resource's logical id, where in it, and the document."""
        for name, found in self.resources.items():
            for key, value in found["Properties"].items():
                if isinstance(value, dict) and "Statement" in value:
                    yield name, key, value
            for policy in found["Properties"].get("Policies", []):
                yield name, policy["PolicyName"], policy["PolicyDocument"]

    def reference(self, name: str, attribute: str | None = None) -> str:
        """Return what Ref of a resource gives, or GetAtt of one of its attributes."""
        found = self._template["Resources"][name]
        kind, own = found["Type"], f"{self.name}-{name}-X1"
        if kind == "AWS::Logs::LogGroup":
            own = self.value(found["Properties"]["LogGroupName"])
        elif kind == "AWS::SQS::Queue":
            own += ".fifo" if found["Properties"].get("FifoQueue") else ""
        elif kind == "AWS::S3::Bucket":
            own = own.lower()
        elif kind == "AWS::Scheduler::ScheduleGroup":
            own = self.value(found["Properties"]["Name"])
        arn = _ARNS[kind](own) if kind in _ARNS else f"{own}-{attribute or 'arn'}"
        if attribute == "QueueName":
            return str(own)
        if attribute is not None:
            return arn + ":*" if kind == "AWS::Logs::LogGroup" else arn
        if kind == "AWS::SQS::Queue":
            return f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{own}"
        return arn if kind in ("AWS::SNS::Topic", "AWS::IAM::ManagedPolicy") else str(own)

    def value(self, node: Node) -> Node:
        """Return a node with its functions resolved."""
        if isinstance(node, list):
            return [item for item in map(self.value, node) if item is not _NOTHING]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            ((function, argument),) = node.items()
            if function in _FUNCTIONS:
                return _FUNCTIONS[function](self, argument)
        return {key: found for key, value in node.items() if (found := self.value(value)) is not _NOTHING}

    def holds(self, condition: Node) -> bool:
        """Return whether a condition, or one of the template's by its name, holds."""
        if isinstance(condition, str):
            if condition not in self._conditions:
                self._conditions[condition] = self.holds(self._template["Conditions"][condition])
            return self._conditions[condition]
        ((function, operands),) = condition.items()
        match function:
            case "Condition":
                return self.holds(operands)
            case "Fn::Equals":
                left, right = map(self.value, operands)
                return str(left) == str(right)
            case "Fn::Not":
                return not self.holds(operands[0])
            case "Fn::And":
                return all(map(self.holds, operands))
            case "Fn::Or":
                return any(map(self.holds, operands))
        raise ValueError(function)

    def _is_there(self, found: Mapping[str, Node]) -> bool:
        return "Condition" not in found or self.holds(found["Condition"])

    def _values(self, given: Mapping[str, str]) -> dict[str, str | list[str]]:
        values: dict[str, str | list[str]] = {
            "AWS::AccountId": ACCOUNT,
            "AWS::Partition": "aws",
            "AWS::Region": REGION,
            "AWS::StackName": self.name,
            "AWS::URLSuffix": "amazonaws.com",
        }
        for name, found in self._template["Parameters"].items():
            text = given[name] if name in given else str(found["Default"])
            values[name] = text.split(",") if found["Type"] in _LISTS else text
        return values

    def _ref(self, name: str) -> Node:
        if name == "AWS::NoValue":
            return _NOTHING
        return self._parameters[name] if name in self._parameters else self.reference(name)

    def _attribute(self, argument: Node) -> Node:
        name, attribute = argument.split(".", 1) if isinstance(argument, str) else argument
        return self.reference(name, attribute)

    def _substitute(self, argument: Node) -> str:
        text, own = (argument, {}) if isinstance(argument, str) else argument

        def one(found: re.Match[str]) -> str:
            name = found[1]
            if name in own:
                return str(self.value(own[name]))
            return str(self._attribute(name) if "." in name else self._ref(name))

        return re.sub(r"\$\{!", "${", re.sub(r"\$\{([^!}]+)\}", one, text))

    def _join(self, argument: Node) -> str:
        separator, items = argument
        return str(separator).join(str(item) for item in self.value(items))

    def _if(self, argument: Node) -> Node:
        condition, yes, no = argument
        return self.value(yes if self.holds(condition) else no)

    def _select(self, argument: Node) -> Node:
        index, items = argument
        return self.value(items)[int(self.value(index))]

    def _cidr(self, argument: Node) -> list[str]:
        block, count, bits = map(self.value, argument)
        subnets = ipaddress.ip_network(block).subnets(new_prefix=32 - int(bits))
        return [str(subnet) for subnet, _ in zip(subnets, range(int(count)), strict=False)]

    def _zones(self, _: Node) -> list[str]:
        return [f"{REGION}{letter}" for letter in "abc"]


_LISTS = ("CommaDelimitedList", "List<String>", "List<AWS::EC2::AvailabilityZone::Name>")
_FUNCTIONS: Mapping[str, Callable[[Rendered, Node], Node]] = {
    "Ref": Rendered._ref,
    "Fn::GetAtt": Rendered._attribute,
    "Fn::Sub": Rendered._substitute,
    "Fn::Join": Rendered._join,
    "Fn::If": Rendered._if,
    "Fn::Select": Rendered._select,
    "Fn::Cidr": Rendered._cidr,
    "Fn::GetAZs": Rendered._zones,
}
_HERE = f"{REGION}:{ACCOUNT}"
_ARNS: Mapping[str, Callable[[str], str]] = {
    "AWS::S3::Bucket": "arn:aws:s3:::{}".format,
    "AWS::SQS::Queue": f"arn:aws:sqs:{_HERE}:{{}}".format,
    "AWS::SNS::Topic": f"arn:aws:sns:{_HERE}:{{}}".format,
    "AWS::DynamoDB::Table": f"arn:aws:dynamodb:{_HERE}:table/{{}}".format,
    "AWS::KMS::Key": f"arn:aws:kms:{_HERE}:key/{{}}".format,
    "AWS::Lambda::Function": f"arn:aws:lambda:{_HERE}:function:{{}}".format,
    "AWS::IAM::Role": f"arn:aws:iam::{ACCOUNT}:role/{{}}".format,
    "AWS::IAM::ManagedPolicy": f"arn:aws:iam::{ACCOUNT}:policy/{{}}".format,
    "AWS::Events::Rule": f"arn:aws:events:{_HERE}:rule/{{}}".format,
    "AWS::Logs::LogGroup": f"arn:aws:logs:{_HERE}:log-group:{{}}".format,
}

_KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/environment"
# All that parameters can add to a stack, by template.
WHOLE: Mapping[str, Mapping[str, str]] = {
    "template.yaml": {
        "EnvironmentKmsKeyArn": _KEY,
        "EnvironmentExecutionRoleArn": f"arn:aws:iam::{ACCOUNT}:role/mwaa",
        "SubnetIds": "subnet-1,subnet-2",
        "SecurityGroupIds": "sg-1",
        "Transport": "rest",
        "ScalingMode": "act",
        "Webhooks": "enabled",
        "SecretsKmsKeyArn": _KEY,
        "ScheduleDagId": "hello",
        "AlarmEmail": "airflow@example.com",
        "SlackWorkspaceId": "T1",
        "SlackChannelId": "C1",
        "JwtIssuer": "https://example.com",
        "JwtAudience": "jetway",
        "PermissionsBoundaryArn": f"arn:aws:iam::{ACCOUNT}:policy/boundary",
        "RolePath": "/team/",
    },
    "environment.yaml": {
        "Egress": "endpoints",
        "WebserverAccessMode": "PRIVATE_ONLY",
        "SecretsBackend": "secretsmanager",
        "SecretsKmsKeyArn": _KEY,
        "PermissionsBoundaryArn": f"arn:aws:iam::{ACCOUNT}:policy/boundary",
        "RolePath": "/team/",
    },
}
