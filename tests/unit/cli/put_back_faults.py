"""As `faults`: the command that is shown mends just what differs, and all of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jetway_cli.doctor.facts import Asked, Facts
from tests.unit.cli.faults import Fault, of_part, with_part
from tests.unit.cli.setting_faults import ELSEWHERE

EVERYTHING = "arn:aws:iam::aws:policy/AdministratorAccess"
ALLOW_ALL = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


def edited_policy(logical: str, **documents: Any) -> Callable[[], Facts]:
    def facts() -> Facts:
        policies = {one["PolicyName"]: one["PolicyDocument"] for one in of_part(logical, "Policies")}
        both = {**policies, **documents}.items()
        kept = [{"PolicyName": name, "PolicyDocument": one} for name, one in both if one is not None]
        return with_part(logical, Policies=Asked(kept))

    return facts


def one_target_more() -> Facts:
    own = of_part("DataDroppedRule", "Targets")
    return with_part("DataDroppedRule", Targets=[*own, {"Id": "spy", "Arn": ELSEWHERE}])


PUT_BACK_FAULTS: list[Fault] = [
    (
        "roles",
        lambda: with_part("ImportDagRole", Policies=[{"PolicyName": "debug", "PolicyDocument": ALLOW_ALL}]),
        "broken",
        "it has policy debug, which is not in the template",
        "aws iam delete-role-policy --role-name jetway-ImportDagRole-X1 --policy-name debug",
    ),
    (
        "roles",
        edited_policy("StartDagRunRole", start_dag_run=ALLOW_ALL),
        "warning",
        "policy start_dag_run differs from the template",
        "aws iam put-role-policy --role-name jetway-StartDagRunRole-X1 --policy-name start_dag_run --policy-document",
    ),
    (
        "roles",
        edited_policy("StartDagRunRole", start_dag_run=None),
        "warning",
        "it lacks policy start_dag_run",
        "aws iam put-role-policy",
    ),
    (
        "roles",
        lambda: with_part("SyncTriggersRole", ManagedPolicyArns=Asked([])),
        "warning",
        "it lacks policy ",
        "aws iam attach-role-policy --role-name jetway-SyncTriggersRole-X1 --policy-arn ",
    ),
    (
        "roles",
        lambda: with_part(
            "HttpApiFunctionRole", ManagedPolicyArns=[*of_part("HttpApiFunctionRole", "ManagedPolicyArns"), EVERYTHING]
        ),
        "warning",
        f"it has policy {EVERYTHING}, which is not in the template",
        f"aws iam detach-role-policy --role-name jetway-HttpApiFunctionRole-X1 --policy-arn {EVERYTHING}",
    ),
    (
        "roles",
        lambda: with_part("StartDagRunRole", Policies=Asked(None, "iam:GetRolePolicy")),
        "not known",
        "You do not have permission for iam:GetRolePolicy.",
        "in your policy",
    ),
    (
        "tables",
        lambda: with_part("LedgerTable", Denials=Asked([{"Effect": "Deny"}])),
        "broken",
        "its policy has a Deny",
        "aws dynamodb delete-resource-policy --resource-arn",
    ),
    ("queues", lambda: with_part("CollectQueue", DelaySeconds="900"), "broken", "900", '\'{"DelaySeconds": "0"}\''),
    (
        "queues",
        lambda: with_part("DispatchDeadLetters", RedrivePolicy={"maxReceiveCount": 1}),
        "broken",
        "RedrivePolicy",
        '\'{"RedrivePolicy": ""}\'',
    ),
    (
        "queues",
        lambda: with_part("WaitingQueue", Strangers=["666666666666"]),
        "warning",
        "its policy allows 666666666666",
        "removes the policy",
    ),
    (
        "functions",
        lambda: with_part("SweepArtifacts", VpcConfig={"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}),
        "broken",
        "VpcConfig",
        """--vpc-config '{"SubnetIds": [], "SecurityGroupIds": []}'""",
    ),
    (
        "queue-readers",
        lambda: with_part("SyncTriggersTriggerSyncQueue", ScalingConfig={"MaximumConcurrency": 999}),
        "warning",
        "ScalingConfig",
        '"ScalingConfig": {}',
    ),
    (
        "functions",
        lambda: with_part("StartDagRun", Architectures=["x86_64"]),
        "broken",
        "Architectures is ['x86_64'] instead of ['arm64']",
        "update-function-code --function-name jetway-StartDagRun-X1",
    ),
    (
        "functions",
        lambda: with_part("StartDagRun", Urls=Asked(["https://x/ (NONE)"])),
        "broken",
        "it has an additional address, https://x/ (NONE)",
        "aws lambda delete-function-url-config --function-name jetway-StartDagRun-X1",
    ),
    (
        "functions",
        lambda: with_part("StartDagRun", Strangers=Asked(["666666666666"])),
        "warning",
        "its policy allows 666666666666",
        "aws lambda remove-permission --function-name jetway-StartDagRun-X1",
    ),
    (
        "rules",
        one_target_more,
        "warning",
        f"also sends to {ELSEWHERE}",
        "aws events remove-targets --rule jetway-DataDroppedRule-X1 --ids spy",
    ),
    (
        "schedules",
        lambda: with_part("SweepBatches", State="DISABLED"),
        "broken",
        "is disabled",
        "Enable it: aws scheduler update-schedule --cli-input-json",
    ),
    ("topics", lambda: with_part("ArtifactTopic", Strangers=["*"]), "broken", "its policy allows *", "that statement"),
    (
        "http-routes",
        lambda: with_part("HttpApi", OtherRoutes=Asked(["ANY /{proxy+} (NONE)"])),
        "broken",
        "it has route ANY /{proxy+} (NONE), which is not in the template",
        """--query 'Items[?RouteKey=='"'"'ANY /{proxy+}'"'"'].RouteId'""",
    ),
    (
        "http-routes",
        lambda: with_part("HttpApi", OtherRoutes=Asked(["GET /mine (AWS_IAM)"])),
        "warning",
        "it has route GET /mine (AWS_IAM)",
        "aws apigatewayv2 delete-route --api-id",
    ),
    ("logs", lambda: with_part("StartDagRunLogs", KmsKeyId=None), "warning", "KmsKeyId", "aws logs associate-kms-key"),
    (
        "logs",
        lambda: with_part("StartDagRunLogs", gone=True),
        "warning",
        "was deleted",
        " && aws logs put-retention-policy",
    ),
    (
        "bucket-settings",
        lambda: with_part("DropBucket", OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]}),
        "warning",
        "OwnershipControls",
        "aws s3api put-bucket-ownership-controls",
    ),
]
