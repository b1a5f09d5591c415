"""actions.json, which doctor asks IAM by: it is the template's, and every name in it is found in a real stack."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from jetway_cli.doctor.needs import SAMPLE, Need, document, fill, holds, needs_of
from local.rendered import WHOLE, Rendered
from local.role_actions import FILE, needs
from tests.unit.cli.healthy import stack
from tests.unit.stacks import FULL, listed
from tests.unit.template import TEMPLATE


def test_the_file_is_what_the_template_says() -> None:
    assert json.loads(FILE.read_text(encoding="utf-8")) == needs(), "make role-actions"


def test_every_function_has_a_role_in_it_and_every_action_is_one() -> None:
    roles = {
        function["Role"].split("/")[-1].split("-")[1]
        for function in Rendered().of_type("AWS::Lambda::Function").values()
    }
    assert document()["roles"].keys() == roles
    actions = [action for role in document()["roles"].values() for one in role for action in one["actions"]]
    assert len(actions) > 200
    assert all(":" in action and "*" not in action for action in actions)


@pytest.mark.parametrize("parameters", [{}, {**FULL, "RolePath": "/"}], ids=["least", "full"])
def test_of_a_real_stack_every_permission_of_a_role_is_asked_about(parameters: dict[str, str]) -> None:
    """The statements of the rendered template, whose conditions are resolved by other code."""
    rendered = Rendered(parameters=parameters)
    deployed = replace(
        stack(),
        parameters={
            **{name: str(found.get("Default", "")) for name, found in TEMPLATE["Parameters"].items()},
            "EnvironmentName": "airflow",
            "EnvironmentBucketName": "airflow-bucket",
            **parameters,
        },
    )
    deployed = replace(
        deployed,
        resources=tuple(
            replace(deployed.resources[0], logical=name, physical=rendered.reference(name), kind=found["Type"])
            for name, found in rendered.resources.items()
        ),
    )
    for role in document()["roles"]:
        granted = {
            (action, sampled(resource))
            for statement in rendered.statements(role)
            if statement["Effect"] == "Allow"
            for action in listed(statement["Action"])
            for resource in listed(statement["Resource"])
        }
        asked = {
            (action, resource)
            for need in needs_of(role, deployed)
            for action in need.actions
            for resource in need.resources
        }
        assert asked == granted, role


def sampled(resource: str) -> str:
    return resource if resource == "*" or resource.endswith(":*") else resource.replace("*", SAMPLE)


def test_what_a_request_has_meets_the_conditions() -> None:
    entries = {
        (one["ContextKeyName"], *one["ContextKeyValues"], one["ContextKeyType"])
        for role in document()["roles"]
        for need in needs_of(role, replace(stack(), parameters={**stack().parameters, **WHOLE["template.yaml"]}))
        for one in need.entries
    }
    assert ("kms:ViaService", "s3.eu-central-1.amazonaws.com", "string") in entries
    assert ("events:source", "jetway", "stringList") in entries
    assert ("kms:GrantIsForAWSResource", "true", "boolean") in entries
    assert ("aws:RequestedRegion", "eu-central-1", "string") in entries


def test_a_need_without_conditions_has_no_context() -> None:
    assert Need(("a:B",), ("*",)).entries == []


def test_what_the_stack_has_no_name_for_is_not_needed() -> None:
    assert fill("${EnvironmentKmsKeyArn}", stack()) is None
    assert fill("${NoSuchThing.Arn}", stack()) is None
    assert fill("b/${DagS3Path}*", replace(stack(), parameters={"DagS3Path": ""})) == f"b/{SAMPLE}"


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"Fn::Equals": [{"Ref": "A"}, "1"]}, True),
        ({"Fn::Not": [{"Fn::Equals": [{"Ref": "A"}, "1"]}]}, False),
        ({"Fn::And": [{"Condition": "Is"}, {"Fn::Equals": [{"Ref": "B"}, ""]}]}, True),
        ({"Fn::Or": [{"Fn::Equals": [{"Ref": "A"}, "2"]}, {"Condition": "Is"}]}, True),
        ({"Fn::Equals": [{"Fn::Join": ["", {"Ref": "B"}]}, ""]}, True),
    ],
)
def test_conditions_hold_as_in_the_template(condition: Any, expected: bool) -> None:
    assert holds(condition, {"Is": {"Fn::Equals": [{"Ref": "A"}, "1"]}}, {"A": "1"}) is expected
