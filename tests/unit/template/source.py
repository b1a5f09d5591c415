"""template.yaml, read."""

from __future__ import annotations

from typing import Any

import yaml

from tests.unit.sample_events import ROOT


class Loader(yaml.CSafeLoader):  # ten times as fast as SafeLoader
    """YAML with CloudFormation's short intrinsic functions, each as {name: value}."""


def _intrinsic(loader: Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        return {suffix: loader.construct_scalar(node)}
    if isinstance(node, yaml.SequenceNode):
        return {suffix: loader.construct_sequence(node, deep=True)}
    assert isinstance(node, yaml.MappingNode)
    return {suffix: loader.construct_mapping(node, deep=True)}


Loader.add_multi_constructor("!", _intrinsic)
TEMPLATE: dict[str, Any] = yaml.load((ROOT / "template.yaml").read_text(), Loader)
RESOURCES: dict[str, dict[str, Any]] = TEMPLATE["Resources"]
FUNCTIONS = {name: found for name, found in RESOURCES.items() if found["Type"] == "AWS::Serverless::Function"}

# The stack's own, unless the account has one for it.
THE_KEY = {"If": ["UseOwnKey", {"Ref": "KmsKeyArn"}, {"GetAtt": "Key.Arn"}]}


def of_type(kind: str) -> dict[str, dict[str, Any]]:
    """Properties of all resources of a type, by their names."""
    return {name: found["Properties"] for name, found in RESOURCES.items() if found["Type"] == kind}


def statements(function: dict[str, Any]) -> list[dict[str, Any]]:
    """What a function's role says, its managed policies included; of what is conditional, the branch that exists."""
    role = RESOURCES[function["Properties"]["Role"]["GetAtt"].partition(".")[0]]["Properties"]
    managed = [branch(arn)["Ref"] for arn in role.get("ManagedPolicyArns", [])]
    documents = [policy["PolicyDocument"] for policy in role["Policies"]]
    documents += [RESOURCES[name]["Properties"]["PolicyDocument"] for name in managed]
    return [branch(statement) for document in documents for statement in document["Statement"]]


def branch(node: dict[str, Any]) -> dict[str, Any]:
    """The branch that exists, of what may be conditional."""
    found: dict[str, Any] = node["If"][1] if "If" in node else node
    return found


def assert_plain_http_is_denied(policy: dict[str, Any], action: str, name: str) -> None:
    """Assert that whoever comes without TLS may do nothing."""
    assert [
        found
        for found in policy["PolicyDocument"]["Statement"]
        if (found["Effect"], found["Principal"], found["Action"]) == ("Deny", "*", action)
        and found["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    ], name
