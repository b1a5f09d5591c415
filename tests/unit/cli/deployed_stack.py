"""A deployed stack for doctor, as far as it looks: made from the template, in moto where moto has it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from jetway.sync.accepted import FORMAT
from jetway.sync.accepted import KEY as ACCEPTED
from jetway.sync.alarms import Alarms
from jetway.sync.rules import RuleSet
from jetway.sync.schedules import Schedules
from jetway.triggers.file import from_document
from jetway.triggers.resources import Targets, resources_of
from jetway_cli.doctor.facts import StackFacts
from jetway_cli.doctor.needs import arn_of
from jetway_cli.doctor.wanted import wanted
from tests.unit.cli.conftest import ACCOUNT, REGION, Cloud
from tests.unit.cli.healthy import VERSION, stack
from tests.unit.cli.lambda_server import LambdaServer
from tests.unit.moto_clients import client as client  # noqa: PLC0414 - for those who plant faults
from tests.unit.sample_events import ROOT
from tools.checks.rendered import transformed

DROP, ENVIRONMENT, ORDERS = "jetway-drop", "acme-airflow", "acme-orders"
TRIGGER = {"dag": "orders", "on": {"s3": {"bucket": ORDERS, "key": {"suffix": ".csv"}}}, "expect": {"within": "1d"}}
DAILY = {"dag": "orders", "on": {"schedule": {"rate": "1d"}}}

Properties = Mapping[str, Any]


class World:
    """Makes the stack's resources, those first whose names others need."""

    def __init__(self, cloud: Cloud, functions: LambdaServer) -> None:
        self.cloud = cloud
        self.functions = functions
        parameters = {**stack().parameters, "EnvironmentBucketName": ENVIRONMENT}
        resources = tuple(
            replace(one, physical=_named(one.logical, one.kind, one.physical)) for one in stack().resources
        )
        self.stack = replace(stack(), parameters=parameters, resources=resources)

    def make(self) -> StackFacts:
        """Make everything; return the stack."""
        for kinds in _ORDER:
            for logical, its in self.properties().items():
                resource = self.stack.find(logical)
                if resource is not None and resource.kind in kinds:
                    physical = _MAKERS[resource.kind](self, resource.physical, its)
                    self._name(logical, physical or resource.physical)
            if "AWS::SQS::Queue" in kinds:
                self._link_queues()
        return self.stack

    def _link_queues(self) -> None:
        """Say where dead letters go; before policies are put, which moto would forget."""
        for logical, its in self.properties().items():
            queue = self.stack.find(logical)
            if queue is not None and "RedrivePolicy" in its:
                attributes = {"RedrivePolicy": json.dumps(its["RedrivePolicy"])}
                client("sqs").set_queue_attributes(QueueUrl=queue.physical, Attributes=attributes)

    def properties(self) -> dict[str, Properties]:
        """What the template says, with the names that are known by now."""
        return wanted(transformed(ROOT / "template.yaml"), self.stack)

    def _name(self, logical: str, physical: str) -> None:
        resources = tuple(
            replace(one, physical=physical) if one.logical == logical else one for one in self.stack.resources
        )
        self.stack = replace(self.stack, resources=resources)

    def arn(self, logical: str) -> str:
        resource = self.stack.find(logical)
        assert resource is not None, logical
        return arn_of(resource, self.stack)


def _named(logical: str, kind: str, rendered: str) -> str:
    """Names as they are easily told."""
    if kind == "AWS::S3::Bucket":
        return DROP
    if kind in {"AWS::Logs::LogGroup", "AWS::Scheduler::ScheduleGroup", "AWS::IAM::ManagedPolicy"}:
        return rendered
    return f"jetway-{logical}"


def _key(_world: World, _name: str, its: Properties) -> str:
    made = client("kms").create_key(Policy=json.dumps(its["KeyPolicy"]))["KeyMetadata"]
    client("kms").enable_key_rotation(KeyId=made["KeyId"])
    return str(made["KeyId"])


def _queue(_world: World, name: str, its: Properties) -> str:
    names = ("KmsMasterKeyId", "MessageRetentionPeriod", "VisibilityTimeout")
    attributes = {one: str(its[one]) for one in names if one in its}
    for one in ("FifoQueue", "ContentBasedDeduplication"):
        attributes |= {one: "true"} if its.get(one) else {}
    name += ".fifo" if "FifoQueue" in attributes else ""
    return str(client("sqs").create_queue(QueueName=name, Attributes=attributes)["QueueUrl"])


def _queue_policy(_world: World, _name: str, its: Properties) -> None:
    for url in its["Queues"]:
        client("sqs").set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(its["PolicyDocument"])})


def _topic(_world: World, name: str, its: Properties) -> str:
    made = client("sns").create_topic(Name=name, Attributes={"KmsMasterKeyId": its["KmsMasterKeyId"]})
    return str(made["TopicArn"])


def _topic_policy(_world: World, _name: str, its: Properties) -> None:
    for arn in its["Topics"]:
        policy = json.dumps(its["PolicyDocument"])
        client("sns").set_topic_attributes(TopicArn=arn, AttributeName="Policy", AttributeValue=policy)


def _table(_world: World, name: str, its: Properties) -> None:
    dynamodb, kinds = client("dynamodb"), ("AttributeDefinitions", "BillingMode", "GlobalSecondaryIndexes", "KeySchema")
    encryption = {**its["SSESpecification"], "Enabled": True}
    del encryption["SSEEnabled"]
    made = {one: its[one] for one in kinds if one in its}
    dynamodb.create_table(TableName=name, SSESpecification=encryption, **made)
    dynamodb.update_time_to_live(TableName=name, TimeToLiveSpecification=its["TimeToLiveSpecification"])
    if spec := its.get("PointInTimeRecoverySpecification"):
        dynamodb.update_continuous_backups(TableName=name, PointInTimeRecoverySpecification=spec)


def _bucket(_world: World, name: str, its: Properties) -> None:
    s3 = client("s3")
    (rule,) = its["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    encryption = {"Rules": [{"ApplyServerSideEncryptionByDefault": rule["ServerSideEncryptionByDefault"]}]}
    make_bucket(name)
    s3.put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration=encryption)
    s3.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=its["PublicAccessBlockConfiguration"])
    s3.put_bucket_ownership_controls(Bucket=name, OwnershipControls=its["OwnershipControls"])
    rules = [_lifecycle(one) for one in its["LifecycleConfiguration"]["Rules"]]
    s3.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": rules})


def _lifecycle(rule: Properties) -> dict[str, Any]:
    found = {"ID": rule["Id"], "Status": rule["Status"], "Filter": {"Prefix": rule.get("Prefix", "")}}
    if "ExpirationInDays" in rule:
        found["Expiration"] = {"Days": int(rule["ExpirationInDays"])}
    for name in ("NoncurrentVersionExpiration", "AbortIncompleteMultipartUpload"):
        found |= {name: rule[name]} if name in rule else {}
    return found


def make_bucket(name: str) -> None:
    """Make a bucket that keeps versions and sends its events."""
    s3 = client("s3")
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    s3.put_bucket_notification_configuration(Bucket=name, NotificationConfiguration={"EventBridgeConfiguration": {}})


def _bucket_policy(_world: World, _name: str, its: Properties) -> None:
    client("s3").put_bucket_policy(Bucket=its["Bucket"], Policy=json.dumps(its["PolicyDocument"]))


def _log_group(_world: World, name: str, its: Properties) -> None:
    client("logs").create_log_group(logGroupName=name, kmsKeyId=its["KmsKeyId"])
    client("logs").put_retention_policy(logGroupName=name, retentionInDays=int(its["RetentionInDays"]))


def _alarm(_world: World, name: str, its: Properties) -> None:
    numbers = ("Threshold", "Period", "EvaluationPeriods", "DatapointsToAlarm")
    typed = {one: float(its[one]) if one == "Threshold" else int(its[one]) for one in numbers if one in its}
    cloudwatch = client("cloudwatch")
    cloudwatch.put_metric_alarm(**{**its, **typed, "AlarmName": name})
    cloudwatch.set_alarm_state(AlarmName=name, StateValue="OK", StateReason="so")


def _dashboard(_world: World, name: str, _its: Properties) -> None:
    client("cloudwatch").put_dashboard(DashboardName=name, DashboardBody='{"widgets": []}')


def _rule(_world: World, name: str, its: Properties) -> None:
    on = {one: its[one] for one in ("ScheduleExpression", "State") if one in its}
    if "EventPattern" in its:
        on["EventPattern"] = json.dumps(its["EventPattern"])
    client("events").put_rule(Name=name, **on)
    client("events").put_targets(Rule=name, Targets=its["Targets"])


def _group(_world: World, name: str, _its: Properties) -> None:
    client("scheduler").create_schedule_group(Name=name)


def _schedule(_world: World, name: str, its: Properties) -> None:
    client("scheduler").create_schedule(Name=name, **its)


def _api(world: World, name: str, its: Properties) -> None:
    world.functions.api[f"/v2/apis/{name}"] = _camel(its)


def _integration(world: World, name: str, its: Properties) -> None:
    world.functions.api[f"/v2/apis/{its['ApiId']}/integrations/{name}"] = _camel(its)


def _route(world: World, name: str, its: Properties) -> None:
    world.functions.api[f"/v2/apis/{its['ApiId']}/routes/{name}"] = _camel(its)


def _stage(world: World, _name: str, its: Properties) -> None:
    routes = {route: _camel({**one, "DetailedMetricsEnabled": False}) for route, one in its["RouteSettings"].items()}
    path = f"/v2/apis/{its['ApiId']}/stages/{its['StageName']}"
    world.functions.api[path] = {**_camel(its), "routeSettings": routes}


def _camel(value: Any) -> Any:
    """Names as API Gateway writes them; numbers as it has them."""
    if not isinstance(value, Mapping):
        return int(value) if isinstance(value, str) and value.isdecimal() else value
    return {f"{name[:1].lower()}{name[1:]}": _camel(one) for name, one in value.items()}


def _role(world: World, name: str, its: Properties) -> None:
    world.cloud.trusts[name] = dict(its["AssumeRolePolicyDocument"])
    world.cloud.inline[name] = {one["PolicyName"]: one["PolicyDocument"] for one in its.get("Policies", ())}
    world.cloud.attached[name] = list(its.get("ManagedPolicyArns", ()))


def _policy(world: World, name: str, its: Properties) -> None:
    world.cloud.policies[name] = dict(its["PolicyDocument"])


def _function(world: World, name: str, its: Properties) -> None:
    answer = {one: its.get(one) for one in ("Architectures", "Handler", "LoggingConfig", "Role", "Runtime")}
    numbers = {one: int(its[one]) for one in ("MemorySize", "Timeout")}
    states = {"State": "Active", "LastUpdateStatus": "Successful", "FunctionName": name}
    layers = [{"Arn": arn} for arn in its["Layers"]]
    more = {one: its[one] for one in ("Environment", "EphemeralStorage") if one in its}
    found = {**answer, **numbers, **states, **more, "Layers": layers, "CodeSha256": "of nobody's"}
    world.functions.functions[name] = {one: value for one, value in found.items() if value is not None}
    world.functions.loops[name] = str(its.get("RecursiveLoop", "Terminate"))


def _mapping(world: World, _name: str, its: Properties) -> str:
    name = f"00000000-0000-4000-8000-{len(world.functions.mappings):012}"
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{its['FunctionName']}"
    world.functions.mappings[name] = {**its, "FunctionArn": arn, "State": "Enabled"}
    return name


def _permission(world: World, name: str, its: Properties) -> None:
    statement = {
        "Effect": "Allow",
        "Action": its["Action"],
        "Principal": {"Service": its["Principal"]},
        "Condition": {"ArnLike": {"AWS:SourceArn": its["SourceArn"]}},
    }
    world.functions.policies.setdefault(its["FunctionName"], {})[name] = statement


def _invoke_config(world: World, _name: str, its: Properties) -> None:
    world.functions.configs[its["FunctionName"]] = dict(its)


def _nothing(_world: World, _name: str, _its: Properties) -> None:
    """What doctor does not look at."""


_MAKERS: Mapping[str, Callable[[World, str, Properties], str | None]] = {
    "AWS::ApiGatewayV2::Api": _api,
    "AWS::ApiGatewayV2::Integration": _integration,
    "AWS::ApiGatewayV2::Route": _route,
    "AWS::ApiGatewayV2::Stage": _stage,
    "AWS::CloudWatch::Alarm": _alarm,
    "AWS::CloudWatch::Dashboard": _dashboard,
    "AWS::DynamoDB::Table": _table,
    "AWS::Events::Rule": _rule,
    "AWS::IAM::ManagedPolicy": _policy,
    "AWS::IAM::Role": _role,
    "AWS::KMS::Key": _key,
    "AWS::Lambda::EventInvokeConfig": _invoke_config,
    "AWS::Lambda::EventSourceMapping": _mapping,
    "AWS::Lambda::Function": _function,
    "AWS::Lambda::LayerVersion": _nothing,
    "AWS::Lambda::Permission": _permission,
    "AWS::Logs::LogGroup": _log_group,
    "AWS::S3::Bucket": _bucket,
    "AWS::S3::BucketPolicy": _bucket_policy,
    "AWS::SNS::Topic": _topic,
    "AWS::SNS::TopicPolicy": _topic_policy,
    "AWS::SQS::Queue": _queue,
    "AWS::SQS::QueuePolicy": _queue_policy,
    "AWS::Scheduler::Schedule": _schedule,
    "AWS::Scheduler::ScheduleGroup": _group,
}
_FIRST = (
    {"AWS::KMS::Key", "AWS::Scheduler::ScheduleGroup", "AWS::ApiGatewayV2::Api"},
    {"AWS::SQS::Queue", "AWS::SNS::Topic", "AWS::S3::Bucket", "AWS::ApiGatewayV2::Integration"},
)
_ORDER = (*_FIRST, _MAKERS.keys() - _FIRST[0] - _FIRST[1])


@contextmanager
def deployed(cloud: Cloud) -> Iterator[LambdaServer]:
    """Make the stack's resources, one trigger of a bucket and one schedule."""
    for bucket in (ENVIRONMENT, ORDERS):
        make_bucket(bucket)
    with LambdaServer() as server:
        world = World(cloud, server)
        found = world.make()
        cloud.resources = [(one.logical, one.physical, one.kind, "CREATE_COMPLETE") for one in found.resources]
        cloud.parameters |= found.parameters
        physical = {one.logical: one.physical for one in found.resources}
        cloud.outputs |= {
            "JetwayVersion": VERSION,
            "EnvironmentName": "acme",
            "DropBucketName": DROP,
            "ScheduleGroupName": "jetway",
            "AlarmTopicArn": physical["AlarmTopic"],
            "ArtifactTopicArn": physical["ArtifactTopic"],
            "TriggerSyncQueueUrl": physical["TriggerSyncQueue"],
        }
        client("sns").subscribe(
            TopicArn=physical["AlarmTopic"], Protocol="sqs", Endpoint=f"arn:aws:sqs:{REGION}:{ACCOUNT}:x"
        )
        put_triggers(physical["AlarmTopic"])
        client("sqs").purge_queue(QueueUrl=physical["TriggerSyncQueue"])  # these files are in force by now
        yield server


def put_triggers(topic: str, *, one_bulk_lane: bool = False) -> None:
    """Do what sync_triggers does for two files."""
    entries = {}
    places = Targets(
        stack="jetway",
        dispatch_queue=f"arn:aws:sqs:{REGION}:{ACCOUNT}:jetway-DispatchQueue.fifo",
        collect_queue=f"arn:aws:sqs:{REGION}:{ACCOUNT}:jetway-CollectQueue",
        undelivered=f"arn:aws:sqs:{REGION}:{ACCOUNT}:jetway-UndeliveredEvents",
        scheduler_role=f"arn:aws:iam::{ACCOUNT}:role/jetway-SchedulerRole",
        group="jetway",
        one_bulk_lane=one_bulk_lane,
    )
    rules = RuleSet.load(client("events"), places.prefix)
    schedules = Schedules.load(client("scheduler"), places.group, places.prefix)
    alarms = Alarms.load(
        client("cloudwatch"),
        places.prefix,
        environment="acme",
        namespace="Jetway",
        topic=topic,
    )
    for name, document in (("orders", TRIGGER), ("daily", DAILY)):
        entries[f"triggers/{name}.yaml"] = {"name": name, "kind": "s3", "document": document}
        trigger = from_document(document, name).trigger
        assert trigger is not None
        resources = resources_of(trigger, places)
        for rule in resources.rules:
            rules.put(rule)
        for schedule in resources.schedules:
            schedules.put(schedule, lambda: _NEVER)
        for alarm in resources.alarms:
            alarms.put(alarm)
            client("cloudwatch").set_alarm_state(AlarmName=alarm.name, StateValue="OK", StateReason="so")
    s3 = client("s3")
    s3.put_object(Bucket=DROP, Key=ACCEPTED, Body=json.dumps({"format": FORMAT, "triggers": entries}))


_NEVER: Any = None  # asked of schedules that fire once only
