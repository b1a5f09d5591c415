"""What `jetway doctor` asks IAM about is what CloudFormation makes of the template, with any parameters."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from jetway_cli import needed
from jetway_cli.needed import ContextKey, NeededResource
from tools.checks import decisions
from tools.checks.rendered import ACCOUNT, REGION, WHOLE, Rendered, parse
from tools.venvs import ROOT

KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/given"
OTHERS = {"KmsKeyArn": KEY, "Transport": "cli", "AirflowLayers": "airflow2"}


def parameters_of(given: Mapping[str, str]) -> dict[str, str]:
    declared = parse(ROOT / "template.yaml")["Parameters"]
    defaults = {name: str(found["Default"]) for name, found in declared.items() if "Default" in found}
    pseudo = {"AccountId": ACCOUNT, "Partition": "aws", "Region": REGION, "StackName": "jetway"}
    needed_ones = {"EnvironmentName": "airflow", "EnvironmentBucketName": "airflow-bucket"}
    return {**defaults, **needed_ones, **given, **{f"AWS::{name}": value for name, value in pseudo.items()}}


def questions(given: Mapping[str, str]) -> tuple[Rendered, list[needed.NeededAction]]:
    stack = Rendered(parameters=given)
    resources = {
        name: NeededResource(stack.reference(name), stack.reference(name, "Arn"))
        for name in stack.resources
        if stack.resources[name]["Type"].startswith(("AWS::IAM", "AWS::S3", "AWS::SQS", "AWS::SNS", "AWS::DynamoDB"))
        or stack.resources[name]["Type"] in {"AWS::KMS::Key", "AWS::Lambda::Function", "AWS::Logs::LogGroup"}
    }
    return stack, needed.questions(parameters_of(given), resources)


@pytest.mark.parametrize(
    "given",
    [{}, WHOLE["template.yaml"], OTHERS, {"Transport": "direct"}],
    ids=["defaults", "whole", "others", "direct"],
)
def test_each_action_of_each_statement_is_asked_on_each_of_its_resources(given: Mapping[str, str]) -> None:
    stack, asked = questions(given)
    exempt = {grant for grant, why in decisions.exempt().items() if why.asked == "never" and not why.needed}
    granted = {
        (role, statement["Sid"], action, resource)
        for role in stack.of_type("AWS::IAM::Role")
        for statement in stack.statements(role)
        if statement["Effect"] == "Allow"
        for action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
        if decisions.Grant(role, statement["Sid"], action) not in exempt
        for resource in ([statement["Resource"]] if isinstance(statement["Resource"], str) else statement["Resource"])
    }
    assert {(one.role, one.statement, one.action, one.resource) for one in asked} == granted


def test_the_key_is_asked_for_through_each_service_that_uses_it() -> None:
    _, asked = questions(OTHERS)
    through = {
        one.context[0].values[0]
        for one in asked
        if (one.role, one.action, one.resource) == ("ValidateArtifactRole", "kms:Decrypt", KEY)
    }
    assert through == {f"{service}.{REGION}.amazonaws.com" for service in ("s3", "sqs", "sns", "dynamodb")}


def test_a_key_of_many_values_is_a_list() -> None:
    _, asked = questions({})
    (told,) = {one.context for one in asked if (one.role, one.action) == ("ValidateArtifactRole", "events:PutEvents")}
    assert told == (ContextKey("events:source", "stringList", ("jetway",)),)


def test_a_role_that_the_stack_has_not_is_not_asked_about() -> None:
    assert needed.questions(parameters_of({}), {}) == []
