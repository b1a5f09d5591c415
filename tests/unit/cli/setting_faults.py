"""As `faults`: of resources that are not as the deployed template says."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

from jetway_cli.doctor.facts import AlarmSeen, Asked, Facts, PartSeen, Trip
from tests.unit.cli.faults import Fault, of_part, with_bucket, with_part, with_queue
from tests.unit.cli.healthy import NOW, environment, healthy
from tools.checks.rendered import ACCOUNT

ELSEWHERE = "arn:aws:sqs:x:y:z"
UNHEALTHY = Asked((503, {"environment": {}, "airflow": {"detail": "no answer"}}))
DOWN: Asked[Any] = Asked(trouble="the response to airflow:GetEnvironment could not be read: EndpointConnectionError.")


def with_parts(*changed: PartSeen) -> Facts:
    by_name = {one.logical: one for one in changed}
    return healthy(parts=Asked(tuple(by_name.get(one.logical, one) for one in healthy().parts.value or ())))


def edited(logical: str, name: str, **changes: Any) -> Facts:
    """One member of a setting that is a mapping is another."""
    return with_part(logical, gone=False, **{name: {**of_part(logical, name), **changes}})


def targets(logical: str, **changes: Any) -> Facts:
    (first,) = of_part(logical, "Targets")
    return with_part(logical, Targets=[{**first, **changes}])


def denying(document: dict[str, Any], **statement: Any) -> dict[str, Any]:
    """A policy with a statement more."""
    return {**document, "Statement": [*document["Statement"], {"Effect": "Deny", "Principal": "*", **statement}]}


def bucket_denies(index: int, **statement: Any) -> Facts:
    bucket = (healthy().buckets.value or ())[index].name
    things = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    document = denying({"Statement": []}, **{"Action": "s3:*", "Resource": things, **statement})
    return with_bucket(index, policy=Asked(document))


def raised(**settings: Any) -> Facts:
    alarm = AlarmSeen("jetway-no-measurement", "ALARM", "Nothing was measured.", True, settings)
    return healthy(alarms=Asked((alarm,)))


def young(made: timedelta) -> Facts:
    return raised(
        TreatMissingData="breaching", Period=300, EvaluationPeriods=2, AlarmConfigurationUpdatedTimestamp=NOW - made
    )


def only_others_trust(logical: str) -> Facts:
    trust = json.loads(json.dumps(of_part(logical, "AssumeRolePolicyDocument")).replace("lambda.", "ec2."))
    return with_part(logical, AssumeRolePolicyDocument=trust)


SETTING_FAULTS: list[Fault] = [
    ("tables", lambda: with_part("LedgerTable", gone=True), "broken", "(LedgerTable) was deleted", "restore-table"),
    (
        "tables",
        lambda: edited("LedgerTable", "TimeToLiveSpecification", Enabled=False),
        "warning",
        "TimeToLiveSpecification.Enabled is False instead of True",
        "aws dynamodb update-time-to-live",
    ),
    (
        "tables",
        lambda: with_part("ArtifactTable", PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": False}),
        "warning",
        "PointInTimeRecoveryEnabled is False",
        "update-continuous-backups",
    ),
    (
        "tables",
        lambda: edited("BatchTable", "SSESpecification", KMSMasterKeyId="arn:aws:kms:::key/other"),
        "broken",
        "SSESpecification.KMSMasterKeyId is other instead of",
        "aws dynamodb update-table",
    ),
    (
        "tables",
        lambda: with_part(
            "ArtifactTable",
            TimeToLiveSpecification=Asked(None, "dynamodb:DescribeTimeToLive"),
        ),
        "not known",
        "You do not have permission for dynamodb:DescribeTimeToLive.",
        "in your policy",
    ),
    ("roles", lambda: only_others_trust("StartDagRunRole"), "broken", "(StartDagRunRole) was", "update-assume-role"),
    ("roles", lambda: with_part("StartDagRunRole", gone=True), "broken", "(StartDagRunRole) was deleted", "RolePath"),
    (
        "roles",
        lambda: with_part("StartDagRunRole", PermissionsBoundary="arn:aws:iam::1:policy/tight"),
        "warning",
        "PermissionsBoundary is arn:aws:iam::1:policy/tight instead of nothing",
        "delete-role-permissions-boundary",
    ),
    (
        "roles",
        lambda: with_part("ReadManifests", PolicyDocument={"Statement": []}),
        "broken",
        "PolicyDocument.Statement differs from the template",
        "create-policy-version",
    ),
    (
        "function-callers",
        lambda: with_part("FollowRunsEveryMinutePermission", gone=True),
        "broken",
        "FollowRunsEveryMinutePermission is missing: events.amazonaws.com cannot call function",
        "aws lambda add-permission --function-name",
    ),
    (
        "function-callers",
        lambda: with_part("FollowRunsEventInvokeConfig", MaximumRetryAttempts=2),
        "warning",
        "MaximumRetryAttempts is 2 instead of 0",
        "put-function-event-invoke-config",
    ),
    ("functions", lambda: with_part("StartDagRun", Timeout=1), "broken", "Timeout is 1 instead of", "--timeout"),
    ("functions", lambda: with_part("StartDagRun", MemorySize=128), "warning", "MemorySize is 128", "--memory-size"),
    ("functions", lambda: with_part("StartDagRun", Layers=[]), "broken", "Layers is nothing instead of", "--layers"),
    (
        "functions",
        lambda: with_part("StartDagRun", Role="arn:aws:iam::1:role/mine"),
        "broken",
        "Role is mine",
        "--role",
    ),
    (
        "functions",
        lambda: with_part("StartDagRun", Environment={"Variables": {"ENVIRONMENT_NAME": "another"}}),
        "broken",
        "Environment.Variables.ENVIRONMENT_NAME differs from the template",
        "Set the variables back",
    ),
    (
        "functions",
        lambda: with_part("StartDagRun", ReservedConcurrentExecutions=1),
        "warning",
        "ReservedConcurrentExecutions is 1 instead of nothing",
        "delete-function-concurrency",
    ),
    (
        "functions",
        lambda: with_part("StartDagRun", RecursiveLoop=Asked("Terminate")),
        "broken",
        "RecursiveLoop is Terminate instead of Allow",
        "put-function-recursion-config",
    ),
    (
        "functions",
        lambda: with_part("StartDagRun", Code="b3RoZXI="),
        "broken",
        "Code differs from the template",
        "update-function-code",
    ),
    ("queues", lambda: with_part("WaitingQueue", gone=True), "broken", "(WaitingQueue) was deleted", "from the"),
    ("queues", lambda: with_part("DispatchQueue", VisibilityTimeout="5"), "broken", "VisibilityTimeout is 5", "set-q"),
    (
        "queues",
        lambda: with_part("DispatchQueue", RedrivePolicy={}),
        "broken",
        "RedrivePolicy is nothing instead of",
        "RedrivePolicy",
    ),
    ("queues", lambda: with_part("DispatchQueue", KmsMasterKeyId="x"), "broken", "KmsMasterKeyId is x", "KmsMaster"),
    ("queues", lambda: with_part("WaitingQueue", VisibilityTimeout="7"), "broken", "VisibilityTimeout is 7", "set-q"),
    (
        "queues",
        lambda: with_part("DispatchDeadLetters", Denials=[{"Effect": "Deny"}]),
        "broken",
        "its policy has a Deny",
        "removes the policy",
    ),
    (
        "queues",
        lambda: with_part("ArtifactQueuePolicy", PolicyDocument={}),
        "broken",
        "(ArtifactQueuePolicy) was changed manually: PolicyDocument differs",
        "events.amazonaws.com",
    ),
    ("queue-readers", lambda: with_part("StartDagRunDispatchQueue", gone=True), "broken", "was deleted", "from the"),
    ("queue-readers", lambda: with_part("StartDagRunDispatchQueue", State="Disabled"), "broken", "Disabled", "enable"),
    ("queue-readers", lambda: with_part("StartDagRunDispatchQueue", BatchSize=1), "warning", "BatchSize is 1", "--cli"),
    (
        "queue-readers",
        lambda: with_part("StartDagRunDispatchQueue", FilterCriteria={"Filters": [{"Pattern": "{}"}]}),
        "broken",
        "FilterCriteria is",
        "update-event-source-mapping",
    ),
    (
        "queue-age",
        lambda: with_queue("CollectQueue", in_work=1, age=Asked(9000.0)),
        "warning",
        "1 message in CollectQueue, the oldest for 9,000 s",
        "log of the function",
    ),
    (
        "rules",
        lambda: with_part("DataDroppedRule", State="DISABLED"),
        "broken",
        "is disabled",
        "aws events enable-rule",
    ),
    ("rules", lambda: with_part("DataDroppedRule", gone=True), "broken", "was deleted", "from the stack"),
    ("rules", lambda: with_part("DataDroppedRule", Targets=[]), "broken", "no target", "aws events put-targets"),
    (
        "rules",
        lambda: edited("ArtifactDroppedRule", "EventPattern", source=["aws.ec2"]),
        "broken",
        "EventPattern.source differs from the template",
        """--event-pattern '{"source": ["aws.s3"], "detail-type": ["Object Created", "Object Deleted"]""",
    ),
    (
        "rules",
        lambda: with_part("VerifyPromotionEveryMinute", ScheduleExpression="rate(1 day)"),
        "broken",
        "ScheduleExpression is rate(1 day) instead of rate(1 minute)",
        "--schedule-expression 'rate(1 minute)'",
    ),
    ("rules", lambda: targets("DataDroppedRule", Arn=ELSEWHERE), "broken", f"sends to {ELSEWHERE}, which", "put-targ"),
    (
        "rules",
        lambda: targets("DataDroppedRule", InputTransformer={"InputTemplate": "{}"}),
        "broken",
        "InputTransformer.InputTemplate is {}",
        "put-targets",
    ),
    ("rules", lambda: targets("DataDroppedRule", DeadLetterConfig=None), "broken", "DeadLetterConfig", "put-targets"),
    (
        "rules",
        lambda: with_part("DataDroppedRule", Targets=[*of_part("DataDroppedRule", "Targets"), {"Arn": ELSEWHERE}]),
        "warning",
        f"also sends to {ELSEWHERE}",
        "remove-targets",
    ),
    ("schedules", lambda: with_part("SweepBatches", State="DISABLED"), "broken", "is disabled", "Enable"),
    ("schedules", lambda: with_part("SweepBatches", gone=True), "broken", "was deleted", "from the stack"),
    (
        "schedules",
        lambda: with_part("ScheduleGroup", gone=True),
        "broken",
        "(ScheduleGroup) was del",
        "from the stack",
    ),
    (
        "schedules",
        lambda: with_part("SweepBatches", ScheduleExpression="rate(1 hour)"),
        "broken",
        "rate(1 hour) instead of rate(1 minute)",
        "aws scheduler update-schedule",
    ),
    ("schedules", lambda: edited("SweepBatches", "Target", Input="{}"), "broken", "Target.Input is {}", "update-sched"),
    ("alarms", lambda: with_part("DeadLettersAlarm", gone=True), "warning", "was deleted", "put-metric-alarm"),
    ("alarms", lambda: with_part("DeadLettersAlarm", AlarmActions=[]), "warning", "AlarmActions is nothing", "put-me"),
    ("alarms", lambda: with_part("DeadLettersAlarm", Threshold=9.0), "warning", "Threshold is 9.0 instead of 0", "put"),
    ("alarms", lambda: with_part("DeadLettersAlarm", MetricName="Other"), "warning", "MetricName is Other", "put-metr"),
    ("alarms", raised, "warning", "is in ALARM", "Nothing was measured."),
    ("alarms", lambda: young(timedelta(hours=1)), "warning", "is in ALARM", "Nothing was measured."),
    (
        "topics",
        lambda: with_part("AlarmTopicPolicy", PolicyDocument={"Statement": []}),
        "broken",
        "PolicyDocument.Statement differs",
        "aws sns set-topic-attributes",
    ),
    ("topics", lambda: with_part("AlarmTopic", gone=True), "broken", "(AlarmTopic) was deleted", "from the stack"),
    ("topics", lambda: with_part("AlarmTopic", KmsMasterKeyId=None), "broken", "KmsMasterKeyId is nothing", "KmsMas"),
    ("topics", lambda: with_part("ArtifactTopic", Denials=[{"Sid": "x"}]), "broken", "its policy has a Deny", "Deny"),
    ("http-routes", lambda: with_part("HttpApi", gone=True), "broken", "(HttpApi) was deleted", "from the stack"),
    ("http-routes", lambda: with_part("WebhookRoute", gone=True), "broken", "Route", "create-route"),
    (
        "http-routes",
        lambda: with_part("WebhookRoute", AuthorizationType="NONE"),
        "broken",
        "AuthorizationType is NONE instead of AWS_IAM",
        "update-route",
    ),
    (
        "http-routes",
        lambda: with_part("HttpApiIntegration", IntegrationUri="arn:x"),
        "broken",
        "IntegrationUri is arn:x",
        "update-integration",
    ),
    (
        "http-routes",
        lambda: edited("HttpApiStage", "DefaultRouteSettings", ThrottlingRateLimit=0),
        "broken",
        "DefaultRouteSettings.ThrottlingRateLimit is 0 instead of",
        "aws apigatewayv2 update-stage",
    ),
    ("logs", lambda: with_part("StartDagRunLogs", gone=True), "warning", "was deleted", "create-log-group"),
    ("logs", lambda: with_part("StartDagRunLogs", RetentionInDays=1), "warning", "is 1 instead of", "put-retention"),
    ("logs", lambda: with_part("Dashboard", gone=True), "warning", "(Dashboard) was deleted", "from the stack"),
    (
        "bucket-settings",
        lambda: edited("DropBucket", "PublicAccessBlockConfiguration", BlockPublicPolicy=False),
        "warning",
        "BlockPublicPolicy is False instead of True",
        "put-public-access-block",
    ),
    (
        "bucket-settings",
        lambda: with_part("DropBucket", LifecycleConfiguration=Asked({"Rules": []})),
        "warning",
        "LifecycleConfiguration is nothing instead of",
        "put-bucket-lifecycle-configuration",
    ),
    (
        "bucket-policies",
        lambda: with_part("DropBucketPolicy", PolicyDocument={}),
        "warning",
        "The policy of bucket jetway-dropbucket-x1 (DropBucketPolicy) was changed manually",
        "put-bucket-policy",
    ),
    ("bucket-policies", lambda: bucket_denies(0), "broken", "denies s3:", "aws:PrincipalArn"),
    ("bucket-policies", lambda: bucket_denies(1), "broken", "the environment's bucket, denies s3:", "aws:PrincipalArn"),
    (
        "bucket-policies",
        lambda: bucket_denies(
            1,
            Sid="OnlyWe",
            Condition={"ArnNotLike": {"aws:PrincipalArn": f"arn:aws:iam::{ACCOUNT}:role/mwaa*"}},
        ),
        "broken",
        "(OnlyWe)",
        "aws:PrincipalArn",
    ),
    (
        "bucket-policies",
        lambda: bucket_denies(1, Condition={"StringNotEquals": {"aws:SourceVpce": "vpce-1"}}),
        "not known",
        "condition on aws:SourceVpce",
        "AccessDenied",
    ),
    ("environment-status", lambda: healthy(environment=DOWN), "not known", "EndpointConnectionError", "Try again"),
    (
        "environment-status",
        lambda: healthy(environment=DOWN, health=UNHEALTHY),
        "broken",
        "MWAA does not return the environment",
        "make logs",
    ),
    (
        "http-api",
        lambda: healthy(environment=environment(status="UPDATING"), health=UNHEALTHY),
        "warning",
        "no answer",
        "The environment is UPDATING",
    ),
    (
        "leftovers",
        lambda: healthy(leftovers=Asked({"old": ("log group /jetway/old/http_api",)})),
        "warning",
        "left log group /jetway/old/http_api",
        "aws logs delete-log-group --log-group-name /jetway/old/http_api",
    ),
    (
        "leftovers",
        lambda: healthy(leftovers=Asked({"old": ("schedule group old", "rule old.x")})),
        "warning",
        "left schedule group old, rule old.x",
        "uninstall --stack old",
    ),
]


def well() -> dict[str, Facts]:
    """Facts of stacks that are well, each odd in one way."""
    off = next(one for one in healthy().parts.value or () if one.logical == "ScaleWorkersEveryFiveMinutes")
    off = replace(
        off, wanted={**off.wanted, "State": "DISABLED"}, seen=Asked({**(off.seen.value or {}), "State": "DISABLED"})
    )
    tls = {"Condition": {"Bool": {"aws:SecureTransport": "false"}}}
    others = {"Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:role/intern"}}
    ours = {"Condition": {"ArnNotLike": {"aws:PrincipalArn": f"arn:aws:iam::{ACCOUNT}:role/*jetway-*"}}}
    return {
        "a policy that wants TLS": bucket_denies(1, **tls),
        "a policy that wants TLS 1.2": bucket_denies(1, Condition={"NumericLessThan": {"s3:TlsVersion": 1.2}}),
        "a policy about somebody else": bucket_denies(1, **others),
        "a policy that leaves us out": bucket_denies(1, **ours),
        "a policy about an action that nobody needs": bucket_denies(1, Action="s3:PutBucketPolicy"),
        "a policy about a folder of others": bucket_denies(1, Resource="arn:aws:s3:::acme-airflow/secret/*"),
        "alarms that have seen nothing yet": young(timedelta(minutes=9)),
        "a rule that the template has disabled": with_parts(off),
        "a way that Transport=rest does without": healthy(cli=Asked(Trip(False, "timed out"))),
        "nobody has called": healthy(rest_throttled=Asked(None)),
        "numbers as texts": with_part(
            "DispatchQueue", VisibilityTimeout=str(of_part("DispatchQueue", "VisibilityTimeout"))
        ),
        "the key by its id": with_part(
            "DispatchQueue", KmsMasterKeyId=of_part("DispatchQueue", "KmsMasterKeyId").rpartition("/")[2]
        ),
        "a target with AWS's own defaults": targets(
            "VerifyPromotionEveryMinute", RetryPolicy={"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 86400}
        ),
        "a variable more": edited(
            "StartDagRun",
            "Environment",
            Variables={**of_part("StartDagRun", "Environment")["Variables"], "DD_ENV": "x"},
        ),
    }
