"""What doctor asks IAM: all that tests of `jetway_cli.needed` know to be needed, in few questions."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jetway_cli import needed
from jetway_cli.doctor.facts import StackFacts, StackResource
from jetway_cli.doctor.needs import SAMPLE, Need, arn_of, needs
from tests.unit.cli.healthy import stack
from tests.unit.cli.test_needed import questions
from tests.unit.template.stacks import FULL


def test_every_question_is_asked_once_and_in_few_calls() -> None:
    rendered, asked = questions(FULL)
    parameters = {**stack().parameters, **FULL, "EnvironmentName": "airflow", "EnvironmentBucketName": "airflow-bucket"}
    deployed = replace(
        stack(),
        parameters={**parameters, "RolePath": "/"},
        resources=tuple(
            StackResource(name, rendered.reference(name), found["Type"], "CREATE_COMPLETE")
            for name, found in rendered.resources.items()
        ),
    )
    found = needs(deployed)
    pairs = [
        (one.role, action, thing, one.context) for one in found for action in one.actions for thing in one.resources
    ]
    assert len(pairs) == len(set(pairs))
    wanted = {(one.role, one.action, sampled(one.resource), one.context) for one in asked}
    assert set(pairs) == wanted
    assert len(found) < len(wanted) / 2
    assert all(len({action.partition(":")[0] for action in one.actions}) == 1 for one in found), "one service each"


def sampled(resource: str) -> str:
    return resource if resource == "*" or resource.endswith(":*") else resource.replace("*", SAMPLE)


def test_context_is_as_iam_takes_it() -> None:
    keys = (
        needed.ContextKey("kms:GrantIsForAWSResource", "string", ("true",)),
        needed.ContextKey("events:source", "stringList", ("jetway",)),
    )
    assert Need("R", ("a:B",), ("*",), keys).entries == [
        {
            "ContextKeyName": "kms:GrantIsForAWSResource",
            "ContextKeyValues": ["true"],
            "ContextKeyType": "boolean",
        },
        {"ContextKeyName": "events:source", "ContextKeyValues": ["jetway"], "ContextKeyType": "stringList"},
    ]


@pytest.mark.parametrize(
    ("kind", "physical", "arn"),
    [
        ("AWS::SQS::Queue", "https://sqs.eu-central-1.amazonaws.com/1/q.fifo", "arn:aws:sqs:eu-central-1:1:q.fifo"),
        ("AWS::SNS::Topic", "arn:aws:sns:eu-central-1:1:t", "arn:aws:sns:eu-central-1:1:t"),
        ("AWS::S3::Bucket", "b", "arn:aws:s3:::b"),
        ("AWS::IAM::Role", "r", "arn:aws:iam::1:role/team/r"),
        ("AWS::DynamoDB::Table", "t", "arn:aws:dynamodb:eu-central-1:1:table/t"),
        ("AWS::Lambda::Function", "f", "arn:aws:lambda:eu-central-1:1:function:f"),
        ("AWS::Logs::LogGroup", "/jetway/x", "arn:aws:logs:eu-central-1:1:log-group:/jetway/x:*"),
        ("AWS::KMS::Key", "k", "arn:aws:kms:eu-central-1:1:key/k"),
        ("AWS::Events::Rule", "r", "arn:aws:events:eu-central-1:1:rule/r"),
        ("AWS::Events::Rule", "default|r", "arn:aws:events:eu-central-1:1:rule/r"),
        ("AWS::Events::Rule", "bus|r", "arn:aws:events:eu-central-1:1:rule/bus/r"),
        ("AWS::CloudWatch::Alarm", "a", ""),
    ],
)
def test_an_arn_is_made_of_the_physical_id(kind: str, physical: str, arn: str) -> None:
    deployed = StackFacts("jetway", "eu-central-1", "1", "CREATE_COMPLETE", parameters={"RolePath": "/team/"})
    assert arn_of(StackResource("X", physical, kind, "CREATE_COMPLETE"), deployed) == arn
