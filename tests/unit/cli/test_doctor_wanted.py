"""What doctor takes the deployed template to say: the same as the renderer of the linters, which is another program."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetway_cli.doctor.collect.policies import strangers
from jetway_cli.doctor.facts import StackResource
from jetway_cli.doctor.wanted import UNKNOWN, same, unlike, wanted
from tests.unit.cli.healthy import stack
from tests.unit.sample_events import ROOT
from tests.unit.template.source import TEMPLATE
from tools.checks.rendered import ACCOUNT, WHOLE, Rendered, transformed

STACKS: dict[str, dict[str, str]] = {
    "least": {},
    "all that parameters can add": dict(WHOLE["template.yaml"]),
    "over the command line": {"Transport": "cli", "ScalingMode": "off", "AirflowLayers": "airflow2"},
    "over the web server, in a VPC": {
        "Transport": "direct",
        "SubnetIds": "subnet-1, subnet-2",
        "SecurityGroupIds": "sg-1",
    },
    "with a key of one's own": {"KmsKeyArn": "arn:aws:kms:eu-central-1:123456789012:key/own", "RolePath": "/team/"},
    "a second one": {"HttpCorsOrigins": "https://a.example.com,https://b.example.com", "HttpStartThrottleRate": "5"},
}


@pytest.mark.parametrize("name", STACKS)
def test_the_template_says_the_same_to_both(name: str) -> None:
    rendered = Rendered(parameters=STACKS[name], stack="jetway-2")
    parameters = {one: str(found.get("Default", "")) for one, found in TEMPLATE["Parameters"].items()}
    parameters |= {"EnvironmentName": "airflow", "EnvironmentBucketName": "airflow-bucket", **STACKS[name]}
    resources = tuple(
        StackResource(one, rendered.reference(one), found["Type"], "CREATE_COMPLETE")
        for one, found in rendered.resources.items()
    )
    its = replace(stack(), name="jetway-2", parameters=parameters, resources=resources)
    found = wanted(transformed(ROOT / "template.yaml"), its)
    assert found.keys() == rendered.resources.keys()
    for logical, properties in found.items():
        other = rendered.resources[logical]["Properties"]
        assert list(unlike(_without_paths(properties), _without_paths(other))) == [], logical


def _without_paths(node: Any) -> Any:
    """Roles have the path of their ARN here, which the renderer leaves out, and a parameter's list may have blanks."""
    if isinstance(node, Mapping):
        return {name: _without_paths(value) for name, value in node.items()}
    if isinstance(node, list):
        return [_without_paths(value) for value in node]
    return node.replace(":role/team/", ":role/").strip() if isinstance(node, str) else node


SCALARS = st.one_of(st.text(max_size=5), st.integers(), st.booleans())
NODES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(NODES)
def test_everything_is_as_it_is(node: Any) -> None:
    assert same(node, node)
    assert list(unlike(node, node)) == []


@given(st.lists(NODES, max_size=4), st.randoms())
def test_the_order_of_a_list_does_not_count(items: list[Any], random: Any) -> None:
    mixed = items.copy()
    random.shuffle(mixed)
    assert same(items, mixed)


@given(NODES, NODES)
def test_what_differs_is_told(wanted_one: Any, seen: Any) -> None:
    assert same(wanted_one, seen) == (not list(unlike(wanted_one, seen)))


@pytest.mark.parametrize(
    ("wanted_one", "seen", "is_same"),
    [
        ([{"Arn": UNKNOWN}, {"Arn": "x"}], [{"Arn": "x"}, {"Arn": "y"}], True),
        ([{"Arn": UNKNOWN}, {"Arn": "x"}], [{"Arn": "y"}, {"Arn": "z"}], False),
        ([{"": []}, {}, []], [{}, [], {"": []}], True),
        ("3", 3, True),
        (0, 0.0, True),
        (True, "true", True),
        (["a"], "a", True),
        ({}, None, True),
        (UNKNOWN, {"any": "thing"}, True),
        ([UNKNOWN, "a"], ["a", "b"], True),
        ([UNKNOWN, "a"], ["b", "c"], False),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        (["a", "a"], ["a"], False),
        (False, None, False),
        (3, 30, False),
    ],
)
def test_forms_of_a_value(wanted_one: Any, seen: Any, is_same: bool) -> None:
    assert same(wanted_one, seen) is is_same


ROOT_OF_OTHERS = "arn:aws:iam::666666666666:root"


@pytest.mark.parametrize(
    ("statement", "who"),
    [
        ({"Principal": "*"}, ["*"]),
        ({"Principal": {"AWS": "*"}}, ["*"]),
        ({"Principal": {"AWS": [ROOT_OF_OTHERS, f"arn:aws:iam::{ACCOUNT}:role/ours"]}}, [ROOT_OF_OTHERS]),
        ({"Principal": "*", "Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-1"}}}, []),
        ({"Principal": {"AWS": "*"}, "Sid": "__default_statement_ID"}, []),
        ({"Principal": {"Service": "events.amazonaws.com"}}, []),
        ({"Principal": "*", "Effect": "Deny"}, []),
    ],
)
def test_strangers_are_other_accounts_and_all_the_world_without_a_condition(
    statement: dict[str, Any], who: list[str]
) -> None:
    policy = json.dumps({"Statement": {"Effect": "Allow", "Action": "sqs:SendMessage", **statement}})
    assert strangers(policy, ACCOUNT) == who
