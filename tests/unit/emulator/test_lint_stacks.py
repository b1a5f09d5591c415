"""What `make lint` finds in policies of a transformed template, and how a template is rendered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tools.checks.lint_stacks import iam_refusals, policy_findings
from tools.checks.rendered import Rendered


def statement(sid: str, action: str, resource: str) -> dict[str, Any]:
    return {"Sid": sid, "Effect": "Allow", "Action": action, "Resource": resource}


QUEUE = "arn:aws:sqs:*:*:queue"
SEND = statement("Send", "sqs:SendMessage", QUEUE)
PUT = statement("Put", "events:PutEvents", "arn:aws:events:*:*:event-bus/bus")


@pytest.mark.parametrize(
    ("statements", "found"),
    [
        ([SEND, PUT], None),
        ([SEND, {**PUT, "Sid": "Send"}], "DUPLICATE_SID"),
        ([{**SEND, "Sid": "Send it"}], "INVALID_SID"),
        ([{**SEND, "Action": "sqs:SendMassage"}], "UNKNOWN_ACTION"),
        ([{**SEND, "Resource": "arn:aws:s3:::bucket/*"}], "RESOURCE_MISMATCH"),
        ([{**PUT, "Condition": {"StringEqual": {"events:source": "jetway"}}}], "OPERATOR"),
    ],
)
def test_what_iam_would_refuse_or_misread_is_found(statements: list[dict[str, Any]], found: str | None) -> None:
    said = list(policy_findings("policy", {"Version": "2012-10-17", "Statement": statements}))
    assert (found is None) == (said == []), said
    assert found is None or any(found in line for line in said), said


TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Parameters:
  EnvironmentName: {Type: String}
  Names: {Type: CommaDelimitedList, Default: ""}
Conditions:
  Named: !Not [!Equals [!Join ["", !Ref Names], ""]]
Resources:
  Queue:
    Type: AWS::SQS::Queue
    Properties:
      QueueName: !Sub ${AWS::StackName}-${EnvironmentName}
      Tags: !If [Named, !Ref Names, !Ref "AWS::NoValue"]
  Other:
    Type: AWS::SQS::Queue
    Condition: Named
    Properties: {Second: !Select [1, !Ref Names], RedrivePolicy: {deadLetterTargetArn: !GetAtt Queue.Arn}}
  Function:
    Type: AWS::Serverless::Function
    Properties: {CodeUri: here, Handler: a.b, Runtime: python3.13}
"""


def test_a_template_is_rendered_as_cloudformation_would(tmp_path: Path) -> None:
    file = tmp_path / "template.yaml"
    file.write_text(TEMPLATE)
    plain, named = Rendered(file, stack="s"), Rendered(file, {"Names": "a,b"}, stack="s")
    assert plain.resources["Queue"]["Properties"] == {"QueueName": "s-airflow"}
    assert plain.resources.keys() == {"Queue", "Function", "FunctionRole"}
    assert named.resources["Queue"]["Properties"]["Tags"] == ["a", "b"]
    assert named.resources["Other"]["Properties"]["Second"] == "b"
    arn = named.resources["Other"]["Properties"]["RedrivePolicy"]["deadLetterTargetArn"]
    assert arn == "arn:aws:sqs:eu-central-1:123456789012:s-Queue-X1"
    assert ":aws:policy/" in str(plain.resources["FunctionRole"]["Properties"]["ManagedPolicyArns"])


ROLE = """
Parameters: {EnvironmentName: {Type: String, Default: airflow}}
Resources:
  Caller:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Version: "2012-10-17"
        Statement: [{Effect: Allow, Principal: {Service: lambda.amazonaws.com}, Action: sts:AssumeRole}]
      Policies:
        - PolicyName: calls
          PolicyDocument:
            Version: "2012-10-17"
            Statement:
              - {Sid: EventsOut, Effect: Allow, Action: sqs:SendMessage, Resource: "*"}
              - {Sid: AGAIN, Effect: Allow, Action: sns:Publish, Resource: "*"}
  Managed:
    Type: AWS::IAM::ManagedPolicy
    Properties:
      PolicyDocument:
        Version: "2012-10-17"
        Statement: [{Effect: Allow, Action: sqs:SendMessage, Resource: "*"}]
"""


@pytest.mark.parametrize(
    ("changed", "to", "found"),
    [
        ("", "", None),
        ("AGAIN", "EventsOut", "Caller, calls: IAM refuses it: MalformedPolicyDocument"),
        ("[{Effect: Allow, Action: sqs", "[{Effect: Permit, Action: sqs", "Managed: IAM refuses it"),
        ("Principal: {Service: lambda.amazonaws.com}", "Resource: '*'", "Caller: IAM refuses it"),
    ],
)
def test_another_iam_takes_every_document_as_a_whole(tmp_path: Path, changed: str, to: str, found: str | None) -> None:
    file = tmp_path / "template.yaml"
    file.write_text(ROLE.replace(changed, to) if changed else ROLE)
    said = list(iam_refusals(Rendered(file, stack="s")))
    assert (found is None) == (said == []), said
    assert found is None or any(line.startswith(found) for line in said), said
