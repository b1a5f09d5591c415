"""Which settings of the stack's resources are compared with the deployed template, and what it means if one differs.

A test keeps this table whole: every type and every property of template.yaml stands here, or in NOT_COMPARED with the
reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jetway_cli.doctor.results import CheckState

_ONLY_IF_SAID = object()


def _as_it_is(value: Any) -> Any:
    return value


def last_part(value: Any) -> Any:
    """Return the name at the end of an ARN, a URL or an id: a key may be named by either.

    >>> last_part("arn:aws:kms:eu-central-1:123456789012:key/ab-1")
    'ab-1'
    """
    return value.rpartition("/")[2] if isinstance(value, str) else value


def _rules_by_id(value: Any) -> Any:
    return by("Id")((value or {}).get("Rules"))


def _of_a_log(value: Any) -> Any:
    """Settings of an access log; a log group's ARN may end in `:*`."""
    return {**value, "DestinationArn": str(value["DestinationArn"]).removesuffix(":*")} if value else value


def by(name: str) -> Callable[[Any], Any]:
    """Return what makes a list of mappings a mapping, by one of their members."""

    def named(value: Any) -> Any:
        return {str(one.get(name)): one for one in value} if isinstance(value, list | tuple) else value

    return named


def _by_themselves(value: Any) -> Any:
    return {str(one): one for one in value or ()}


@dataclass(frozen=True, slots=True)
class Setting:
    """How a setting is compared.

    Attributes:
        state: of a check when it differs.
        default: what it is when the template does not say it; without one it is then not compared.
        whole: whether what the template does not say may not be there either; else AWS's own additions are passed over.
        form: brings both sides into one form.
        secret: whether its values are not to be shown.
    """

    state: CheckState = "broken"
    default: Any = _ONLY_IF_SAID
    whole: bool = False
    form: Callable[[Any], Any] = _as_it_is
    secret: bool = False

    @property
    def has_default(self) -> bool:
        """Whether it is compared even if the template does not say it."""
        return self.default is not _ONLY_IF_SAID


_BREAKS, _WARNS = Setting(), Setting("warning")
_KEY = Setting(form=last_part)
_POLICY = Setting(whole=True)
_NONE = Setting(default=None)
_NOBODY = Setting("warning", ())

SETTINGS: Mapping[str, Mapping[str, Setting]] = {
    "AWS::ApiGatewayV2::Api": {
        "ProtocolType": _BREAKS,
        "CorsConfiguration": Setting("warning", None),
        "DisableExecuteApiEndpoint": Setting(default=False),
        "OtherRoutes": _NOBODY,
    },
    "AWS::ApiGatewayV2::Authorizer": dict.fromkeys(("AuthorizerType", "IdentitySource", "JwtConfiguration"), _BREAKS),
    "AWS::ApiGatewayV2::Integration": dict.fromkeys(
        ("IntegrationType", "IntegrationUri", "PayloadFormatVersion"), _BREAKS
    ),
    "AWS::ApiGatewayV2::Route": {"AuthorizationType": _BREAKS, "AuthorizerId": _NONE, "Target": _BREAKS},
    "AWS::ApiGatewayV2::Stage": {
        "AutoDeploy": _BREAKS,
        "DefaultRouteSettings": _BREAKS,
        "RouteSettings": Setting(whole=True),
        "AccessLogSettings": Setting("warning", form=_of_a_log),
    },
    "AWS::CloudWatch::Alarm": {
        **dict.fromkeys(
            (
                "Namespace",
                "MetricName",
                "Dimensions",
                "Statistic",
                "ComparisonOperator",
                "Threshold",
                "Period",
                "EvaluationPeriods",
                "DatapointsToAlarm",
                "TreatMissingData",
                "OKActions",
            ),
            _WARNS,
        ),
        "AlarmActions": Setting("warning", None),
    },
    "AWS::CloudWatch::Dashboard": {},
    "AWS::DynamoDB::Table": {
        "AttributeDefinitions": _BREAKS,
        "BillingMode": _WARNS,
        "GlobalSecondaryIndexes": _BREAKS,
        "KeySchema": _BREAKS,
        "Denials": _NONE,
        "PointInTimeRecoverySpecification": _WARNS,
        "SSESpecification": Setting(
            form=lambda value: {**value, "KMSMasterKeyId": last_part(value.get("KMSMasterKeyId"))} if value else value
        ),
        "TimeToLiveSpecification": _WARNS,
    },
    "AWS::Events::Rule": {
        "EventPattern": Setting(whole=True),
        "ScheduleExpression": _BREAKS,
        "Targets": Setting(form=by("Id")),
    },
    "AWS::IAM::ManagedPolicy": {"PolicyDocument": _POLICY},
    "AWS::IAM::Role": {
        "AssumeRolePolicyDocument": _POLICY,
        "PermissionsBoundary": Setting("warning", None),
        "Policies": Setting("warning", (), whole=True, form=by("PolicyName")),
        "ManagedPolicyArns": Setting("warning", (), whole=True, form=_by_themselves),
    },
    "AWS::KMS::Key": {"EnableKeyRotation": _WARNS, "KeyPolicy": Setting("warning", whole=True)},
    "AWS::Lambda::EventInvokeConfig": dict.fromkeys(
        ("DestinationConfig", "MaximumEventAgeInSeconds", "MaximumRetryAttempts"), _WARNS
    ),
    "AWS::Lambda::EventSourceMapping": {
        "BatchSize": _WARNS,
        "EventSourceArn": _BREAKS,
        "FilterCriteria": _NONE,
        "FunctionName": _BREAKS,
        "FunctionResponseTypes": _BREAKS,
        "MaximumBatchingWindowInSeconds": Setting("warning", 0),
        "ScalingConfig": Setting("warning", None),
    },
    "AWS::Lambda::Function": {
        "Strangers": _NOBODY,  # first of all: a door that is open
        "Urls": _NOBODY,
        "Architectures": _BREAKS,
        "Code": _BREAKS,
        "Environment": Setting(secret=True),
        "EphemeralStorage": _WARNS,
        "Handler": _BREAKS,
        "Layers": _BREAKS,
        "LoggingConfig": _WARNS,
        "MemorySize": _WARNS,
        "RecursiveLoop": Setting(default="Terminate"),
        "ReservedConcurrentExecutions": Setting("warning", None),
        "Role": Setting(form=last_part),
        "Runtime": _BREAKS,
        "Timeout": _BREAKS,
        "VpcConfig": Setting(default={"SubnetIds": [], "SecurityGroupIds": []}),
    },
    "AWS::Lambda::Permission": {},
    "AWS::Logs::LogGroup": {"KmsKeyId": Setting("warning", form=last_part), "RetentionInDays": _WARNS},
    "AWS::S3::Bucket": {
        # In this order they are shown, and only so many of them: who may read comes first.
        "PublicAccessBlockConfiguration": _WARNS,
        "OwnershipControls": _WARNS,
        "LoggingConfiguration": _WARNS,
        "LifecycleConfiguration": Setting("warning", whole=True, form=_rules_by_id),
    },
    "AWS::S3::BucketPolicy": {"PolicyDocument": Setting("warning", whole=True)},
    "AWS::SNS::Subscription": {"FilterPolicy": Setting("warning", None)},
    "AWS::SNS::Topic": {"KmsMasterKeyId": _KEY, "Denials": _NONE, "Strangers": _NOBODY},
    "AWS::SNS::TopicPolicy": {"PolicyDocument": _POLICY},
    "AWS::SQS::Queue": {
        "ContentBasedDeduplication": Setting(default=False),
        "DelaySeconds": Setting(default=0),
        "Denials": _NONE,
        "FifoQueue": _BREAKS,
        "KmsMasterKeyId": _KEY,
        "MaximumMessageSize": Setting(default=262144),
        "MessageRetentionPeriod": _BREAKS,
        "RedrivePolicy": _NONE,
        "Strangers": _NOBODY,
        "VisibilityTimeout": Setting(default=30),
    },
    "AWS::SQS::QueuePolicy": {"PolicyDocument": _POLICY},
    "AWS::Scheduler::Schedule": {
        "FlexibleTimeWindow": _BREAKS,
        "ScheduleExpression": _BREAKS,
        "ScheduleExpressionTimezone": _BREAKS,
        "Target": _BREAKS,
    },
    "AWS::Scheduler::ScheduleGroup": {},
}

_IN_NAMES = "it is part of how the resource is found"
_WORDS = "a description for people"
_OTHER_CHECK = "another check covers it"
NOT_COMPARED: Mapping[str, Mapping[str, str]] = {
    "AWS::ApiGatewayV2::Api": {"Name": _WORDS, "Description": _WORDS},
    "AWS::ApiGatewayV2::Authorizer": {"ApiId": _IN_NAMES, "Name": _WORDS},
    "AWS::ApiGatewayV2::Integration": {"ApiId": _IN_NAMES},
    "AWS::ApiGatewayV2::Route": {"ApiId": _IN_NAMES, "RouteKey": _IN_NAMES},
    "AWS::ApiGatewayV2::Stage": {"ApiId": _IN_NAMES, "StageName": _IN_NAMES},
    "AWS::CloudWatch::Alarm": {"AlarmName": _IN_NAMES, "AlarmDescription": _WORDS},
    "AWS::CloudWatch::Dashboard": {"DashboardName": _IN_NAMES, "DashboardBody": "teams change their dashboards"},
    "AWS::Events::Rule": {"Description": _WORDS, "State": _OTHER_CHECK},
    "AWS::IAM::ManagedPolicy": {"Path": _IN_NAMES, "Description": _WORDS},
    "AWS::IAM::Role": {
        "Path": _IN_NAMES,
        "Description": _WORDS,
    },
    "AWS::KMS::Key": {"Description": _WORDS},
    "AWS::Lambda::EventInvokeConfig": {"FunctionName": _IN_NAMES, "Qualifier": _IN_NAMES},
    "AWS::Lambda::Function": {"Description": _WORDS, "Tags": _WORDS},
    "AWS::Lambda::Permission": dict.fromkeys(("Action", "FunctionName", "Principal", "SourceArn"), _IN_NAMES),
    "AWS::Logs::LogGroup": {"LogGroupName": _IN_NAMES},
    "AWS::S3::Bucket": dict.fromkeys(
        ("BucketEncryption", "NotificationConfiguration", "VersioningConfiguration"), _OTHER_CHECK
    ),
    "AWS::S3::BucketPolicy": {"Bucket": _IN_NAMES},
    "AWS::SNS::Subscription": dict.fromkeys(("Endpoint", "Protocol", "TopicArn"), _IN_NAMES),
    "AWS::SNS::Topic": {"DisplayName": _WORDS},
    "AWS::SNS::TopicPolicy": {"Topics": _IN_NAMES},
    "AWS::SQS::QueuePolicy": {"Queues": _IN_NAMES},
    "AWS::Scheduler::Schedule": {"Description": _WORDS, "GroupName": _IN_NAMES},
    "AWS::Scheduler::ScheduleGroup": {"Name": _IN_NAMES},
}
# Types that nobody reads, and why.
NOT_LOOKED_AT: Mapping[str, str] = {
    "AWS::Chatbot::SlackChannelConfiguration": (
        "it only sends to people, and checking it would need another permission"
    ),
    "AWS::Lambda::LayerVersion": ("a layer version cannot change, and the layer versions of a function are compared"),
}
