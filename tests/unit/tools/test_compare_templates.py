"""What `tools.checks.compare_templates` tells of two templates, and what it holds for the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.checks.compare_templates import differences
from tools.checks.rendered import transformed

TEMPLATE = """
Parameters: {EnvironmentName: {Type: String, Default: airflow}, Own: {Type: String, Default: ""}}
Conditions: {UseOwn: !Not [!Equals [!Ref Own, ""]]}
Resources:
  Queue: {Type: AWS::SQS::Queue, Properties: {VisibilityTimeout: 30}}
  Caller:
    Type: AWS::IAM::Role
    Properties:
      Path: /
      Policies:
        - PolicyName: calls
          PolicyDocument:
            Statement:
              - {Sid: Take, Effect: Allow, Action: [sqs:ReceiveMessage, sqs:DeleteMessage], Resource: !GetAtt Queue.Arn}
              - !If
                - UseOwn
                - {Sid: Send, Effect: Allow, Action: sqs:SendMessage, Resource: "*", Condition: {Bool: {a:b: "true"}}}
                - !Ref AWS::NoValue
Outputs: {QueueUrl: {Value: !Ref Queue}}
"""
MANAGED = """
Parameters: {EnvironmentName: {Type: String, Default: airflow}, Own: {Type: String, Default: ""}}
Conditions: {UseOwn: !Not [!Equals [!Ref Own, ""]]}
Resources:
  Queue: {Type: AWS::SQS::Queue, Properties: {VisibilityTimeout: 30}}
  Sending:
    Type: AWS::IAM::ManagedPolicy
    Properties:
      PolicyDocument:
        Statement: [{Sid: S, Effect: Allow, Action: sqs:SendMessage, Resource: "*", Condition: {Bool: {a:b: "true"}}}]
  Caller:
    Type: AWS::IAM::Role
    Properties:
      Path: /
      ManagedPolicyArns: [!If [UseOwn, !Ref Sending, !Ref AWS::NoValue]]
      Policies:
        - PolicyName: calls
          PolicyDocument:
            Statement:
              - &Take {Sid: Receive, Effect: Allow, Action: sqs:ReceiveMessage, Resource: !GetAtt Queue.Arn}
              - {<<: *Take, Sid: Delete, Action: sqs:DeleteMessage}
Outputs: {QueueUrl: {Value: !Ref Queue}}
"""


def compared(folder: Path, after: str) -> list[str]:
    files = [folder / "before.yaml", folder / "after.yaml"]
    for file, text in zip(files, (TEMPLATE, after), strict=True):
        file.write_text(text)
    before, now = map(transformed, files)
    return list(differences(before, now))


def test_a_statement_may_move_into_a_managed_policy_be_split_and_have_another_name(tmp_path: Path) -> None:
    assert compared(tmp_path, MANAGED) == []


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("VisibilityTimeout: 30", "VisibilityTimeout: 31", ["! Queue.Properties.VisibilityTimeout: 30 -> 31"]),
        ("Path: /", "Path: /team/", ["! Caller.Properties.Path: / -> /team/"]),
        ("Value: !Ref Queue", "Value: other", ['! Outputs.QueueUrl.Value: {"Ref": "Queue"} -> other']),
        (", sqs:DeleteMessage]", "]", ['- Caller: Allow sqs:DeleteMessage on {"Fn::GetAtt": ["Queue", "Arn"]}']),
        (
            "Resource: !GetAtt Queue.Arn",
            'Resource: [!GetAtt Queue.Arn, "*"]',
            ["+ Caller: Allow sqs:DeleteMessage on *", "+ Caller: Allow sqs:ReceiveMessage on *"],
        ),
        ("  Queue: {", "  Other: {Type: A::B::C}\n  Queue: {", ['+ Other: {"Type": "A::B::C"}']),
        (
            '{a:b: "true"}',
            '{a:b: "false"}',
            [
                '- Caller: Allow sqs:SendMessage on * if {"Bool": {"a:b": "true"}} with UseOwn',
                '+ Caller: Allow sqs:SendMessage on * if {"Bool": {"a:b": "false"}} with UseOwn',
            ],
        ),
        (
            "      Policies:",
            "      ManagedPolicyArns: [arn:aws:iam::aws:policy/AdministratorAccess]\n      Policies:",
            ["+ Caller: attached arn:aws:iam::aws:policy/AdministratorAccess"],
        ),
    ],
)
def test_whatever_else_differs_is_told(tmp_path: Path, old: str, new: str, found: list[str]) -> None:
    assert TEMPLATE.count(old) == 1
    assert compared(tmp_path, TEMPLATE.replace(old, new)) == found
