"""What several resources of template.yaml share stands in it once, and is shared only where all of it is needed."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.unit.sample_events import ROOT
from tests.unit.template.source import RESOURCES, Loader
from tests.unit.template.stacks import STACKS, full, listed, roles
from tools.aws.adopt import import_template
from tools.checks import decisions
from tools.checks.rendered import Rendered

KINDS = ("AWS::CloudWatch::Alarm", "AWS::Logs::LogGroup", "AWS::IAM::Role", "AWS::ApiGatewayV2::Route")
GRAPH = yaml.compose((ROOT / "template.yaml").read_text(), Loader)


def members(node: yaml.Node | None) -> dict[str, yaml.Node]:
    """The members of a mapping as they are written: what is merged stands under <<."""
    return {key.value: value for key, value in node.value} if isinstance(node, yaml.MappingNode) else {}


def resources() -> dict[str, yaml.Node]:
    return members(members(GRAPH)["Resources"])


def read(node: yaml.Node) -> Any:
    """A node as data."""
    loader = Loader("")
    try:
        return loader.construct_document(node)
    finally:
        loader.dispose()


def below(node: yaml.Node) -> Iterator[yaml.Node]:
    """A node and all below it; what an alias names comes wherever it is named, as the same node."""
    yield node
    for one in node.value if isinstance(node, yaml.MappingNode | yaml.SequenceNode) else ():
        for child in one if isinstance(one, tuple) else (one,):
            yield from below(child)


def statements(node: yaml.Node) -> Iterator[yaml.Node]:
    for found in below(node):
        if {"Effect", "Action"} <= members(found).keys():
            yield found


def without_sid(node: yaml.Node) -> str:
    return json.dumps({name: found for name, found in read(node).items() if name != "Sid"}, sort_keys=True)


def of_roles() -> Iterator[yaml.Node]:
    for name, node in resources().items():
        if RESOURCES[name]["Type"] in {"AWS::IAM::Role", "AWS::IAM::ManagedPolicy"}:
            yield from statements(node)


def test_no_statement_stands_twice_whatever_it_is_called() -> None:
    """It is written once and referred to: whoever changes one has changed all."""
    nodes: dict[str, dict[int, yaml.Node]] = defaultdict(dict)
    for node in of_roles():
        nodes[without_sid(node)][id(node)] = node
    assert len(nodes) > 60
    twice = {
        content: [f"line {node.start_mark.line + 1}" for node in found.values()] for content, found in nodes.items()
    }
    assert {content: lines for content, lines in twice.items() if len(lines) > 1} == {}


def test_what_is_shared_is_needed_whole_by_each_role_that_has_it() -> None:
    """`make integration` fails on a grant that nothing asks for, unless the list excuses it, which no shared one is."""
    shared = shared_grants(full())
    assert len({grant.statement for grant in shared}) > 20
    excused = {grant for grant, why in decisions.exempt().items() if not why.needed}
    assert shared & excused == set()


def shared_grants(stack: Rendered) -> set[decisions.Grant]:
    """The grants of statements that more than one role has."""
    having: dict[str, set[str]] = defaultdict(set)
    for role, found in roles(stack):
        for statement in found:
            having[json.dumps(statement, sort_keys=True)].add(role)
    return {
        decisions.Grant(role, statement["Sid"], action)
        for role, found in roles(stack)
        for statement in found
        if statement["Effect"] == "Allow" and len(having[json.dumps(statement, sort_keys=True)]) > 1
        for action in listed(statement["Action"])
    }


@pytest.mark.parametrize("kind", KINDS)
def test_resources_of_a_kind_say_only_what_differs(kind: str) -> None:
    """What most of them have is merged, and none repeats what it has merged."""
    found = {name: members(node)["Properties"] for name, node in resources().items() if RESOURCES[name]["Type"] == kind}
    merging = {name: members(node) for name, node in found.items() if "<<" in members(node)}
    assert len(merging) > len(found) * 0.8
    for name, own in merging.items():
        merged = read(own["<<"])
        assert [key for key, node in own.items() if key in merged and read(node) == merged[key]] == [], name
    written = Counter(
        (key, json.dumps(read(node), sort_keys=True))
        for own in merging.values()
        for key, node in own.items()
        if key not in {"<<", "ManagedPolicyArns"}
    )
    often = [key for (key, value), times in written.items() if times > len(merging) / 2 and not value.isdigit()]
    assert often == []


@pytest.mark.parametrize("stack", STACKS)
def test_a_role_has_no_more_managed_policies_than_iam_attaches(stack: Any) -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html"""
    rendered: Rendered = stack()
    for name, role in rendered.of_type("AWS::IAM::Role").items():
        assert len(role.get("ManagedPolicyArns", [])) <= 10, name


def test_the_part_that_is_imported_over_a_deleted_stack_has_no_anchors() -> None:
    """`make adopt` hands it to CloudFormation as it is written, without sam."""
    part, _, _ = import_template((ROOT / "template.yaml").read_text())
    events = list(yaml.parse(part, Loader))
    assert not [event for event in events if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None)]
