"""A deployed stack for doctor, as far as it looks: moto for what moto has, and Lambda on loopback."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

import boto3
from jetway_cli.doctor.firing import configured_of

from jetway.sync.accepted import FORMAT
from jetway.sync.accepted import KEY as ACCEPTED
from jetway.sync.alarms import Alarms
from jetway.sync.rules import Rules
from jetway.sync.schedules import Schedules
from jetway.triggers.file import from_document
from jetway.triggers.rules import Places, resources_of
from jetway_cli.doctor.facts import Configured
from local.rendered import transformed
from tests.unit.cli.conftest import ACCOUNT, REGION, Cloud
from tests.unit.cli.healthy import POLICY, VERSION, stack
from tests.unit.sample_events import ROOT

DROP, ENVIRONMENT, ORDERS = "jetway-drop", "acme-airflow", "acme-orders"
TRIGGER = {"dag": "orders", "on": {"s3": {"bucket": ORDERS, "key": {"suffix": ".csv"}}}, "expect": {"within": "1d"}}
DAILY = {"dag": "orders", "on": {"schedule": {"rate": "1d"}}}


@dataclass
class LambdaServer:
    """Lambda, with one function for each of the stack's; and Service Quotas, of which moto has too little.

    Attributes:
        roles: ARN of each function's role.
        reads: queue that a function reads, and whether its mapping is enabled.
        configured: time-out and environment of each function.
        loaded: what import_dag answers.
        asked: requests that it got: method and path.
    """

    roles: dict[str, str]
    reads: dict[str, tuple[str, str]]
    concurrency: int = 1000
    state: str = "Active"
    reserved: int | None = None
    configured: dict[str, Configured] = field(default_factory=dict)
    loaded: dict[str, Any] = field(
        default_factory=lambda: {"airflow": "3.3.1", "loaded": [{"verdict": "accepted", "findings": []}]}
    )
    asked: list[tuple[str, str]] = field(default_factory=list)
    url: str = ""

    def answer(self, path: str) -> Any:
        if path == "/":  # Service Quotas
            return {"Quotas": [{"QuotaName": "Number of rules", "Value": 300.0}]}
        if path.endswith("/account-settings"):
            return {"AccountLimit": {"ConcurrentExecutions": self.concurrency}}
        if "/event-source-mappings" in path:
            name = unquote(path.partition("FunctionName=")[2].partition("&")[0])
            found = [self.reads[name]] if name in self.reads else []
            return {"EventSourceMappings": [{"EventSourceArn": arn, "State": state} for arn, state in found]}
        if path.endswith("/concurrency"):
            return {} if self.reserved is None else {"ReservedConcurrentExecutions": self.reserved}
        if path.endswith("/invocations"):
            return self.loaded
        name = unquote(path.split("/")[3])
        return {
            "FunctionName": name,
            "Role": self.roles[name],
            "State": self.state,
            "LastUpdateStatus": "Successful",
            "Timeout": self.configured[name].timeout,
            "Environment": {"Variables": self.configured[name].variables},
        }

    def __enter__(self) -> LambdaServer:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.do_GET()

            def do_GET(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                server.asked.append((self.command, self.path))
                body = json.dumps(server.answer(self.path)).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parent's name for it
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def deployed(cloud: Cloud) -> Iterator[LambdaServer]:
    """Make the stack's resources, one trigger of a bucket and one schedule."""
    services = ("s3", "kms", "sqs", "events", "sns", "scheduler")
    make: Any = boto3.client
    client: dict[str, Any] = {name: make(name, region_name=REGION) for name in services}
    policy = json.dumps({**POLICY, "Statement": [_plain(one) for one in POLICY["Statement"]]})
    key = client["kms"].create_key(Policy=policy)["KeyMetadata"]["Arn"]
    for bucket in (DROP, ENVIRONMENT, ORDERS):
        client["s3"].create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        client["s3"].put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        client["s3"].put_bucket_notification_configuration(
            Bucket=bucket, NotificationConfiguration={"EventBridgeConfiguration": {}}
        )
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}}
    client["s3"].put_bucket_encryption(Bucket=DROP, ServerSideEncryptionConfiguration={"Rules": [rule]})
    client["scheduler"].create_schedule_group(Name="jetway")
    physical: dict[str, str] = {}
    for one in stack().resources:
        name = f"jetway-{one.logical}"
        if one.kind == "AWS::SQS::Queue":
            fifo = one.physical.endswith(".fifo")
            attributes = {"FifoQueue": "true"} if fifo else {}
            name += ".fifo" if fifo else ""
            allow = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage"}
            attributes["Policy"] = json.dumps({"Version": "2012-10-17", "Statement": [{**allow, "Resource": "*"}]})
            name = client["sqs"].create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        elif one.kind == "AWS::SNS::Topic":
            name = client["sns"].create_topic(Name=name)["TopicArn"]
        elif one.kind == "AWS::S3::Bucket":
            name = DROP
        elif one.kind == "AWS::CloudWatch::Alarm":
            put_alarm(name)
        elif one.kind == "AWS::KMS::Key":
            name = key.rpartition("/")[2]
        physical[one.logical] = name
    arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:jetway-DispatchQueue.fifo"
    for one in stack().resources:
        name = physical[one.logical]
        if one.kind == "AWS::Events::Rule":
            fires = transformed(ROOT / "template.yaml")["Resources"][one.logical]["Properties"]
            pattern = json.dumps(fires.get("EventPattern", {})).replace('{"Ref": "DropBucket"}', json.dumps(DROP))
            on = {"ScheduleExpression": fires["ScheduleExpression"]} if pattern == "{}" else {"EventPattern": pattern}
            client["events"].put_rule(Name=name, **on)
            client["events"].put_targets(
                Rule=name, Targets=[{"Id": "1", "Arn": arn, "SqsParameters": {"MessageGroupId": "g"}}]
            )
        elif one.kind == "AWS::Scheduler::Schedule":
            target = {"Arn": arn, "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/x"}
            client["scheduler"].create_schedule(
                Name=name,
                GroupName="jetway",
                ScheduleExpression="rate(1 minute)",
                FlexibleTimeWindow={"Mode": "OFF"},
                Target=target,
            )
    cloud.resources = [(one.logical, physical[one.logical], one.kind, "CREATE_COMPLETE") for one in stack().resources]
    cloud.parameters |= {**stack().parameters, "EnvironmentBucketName": ENVIRONMENT}
    cloud.outputs |= {
        "JetwayVersion": VERSION,
        "EnvironmentName": "acme",
        "DropBucketName": DROP,
        "ScheduleGroupName": "jetway",
        "AlarmTopicArn": physical["AlarmTopic"],
        "ArtifactTopicArn": physical["ArtifactTopic"],
        "TriggerSyncQueueUrl": physical["TriggerSyncQueue"],
    }
    client["sns"].subscribe(
        TopicArn=physical["AlarmTopic"], Protocol="sqs", Endpoint=f"arn:aws:sqs:{REGION}:{ACCOUNT}:x"
    )
    put_triggers(physical["AlarmTopic"])
    functions = [one for one in stack().resources if one.kind == "AWS::Lambda::Function"]
    reading = sum(one.kind == "AWS::Lambda::EventSourceMapping" for one in stack().resources)
    reads = {physical[one.logical]: (arn, "Enabled") for one in functions[:reading]}
    wanted = configured_of(transformed(ROOT / "template.yaml"), replace(stack(), parameters=cloud.parameters))
    with LambdaServer(
        {physical[one.logical]: _role(one.logical) for one in functions},
        reads,
        configured={physical[one.logical]: wanted[one.logical] for one in functions},
    ) as server:
        yield server


def put_alarm(name: str, **changes: Any) -> None:
    """Make an alarm that is fine."""
    request: dict[str, Any] = {
        "AlarmName": name,
        "Namespace": "Jetway",
        "MetricName": "DeadLetters",
        "Statistic": "Sum",
        "ComparisonOperator": "GreaterThanThreshold",
        "Threshold": 0.0,
        "Period": 60,
        "EvaluationPeriods": 1,
        **changes,
    }
    cloudwatch = boto3.client("cloudwatch", region_name=REGION)
    cloudwatch.put_metric_alarm(**request)
    cloudwatch.set_alarm_state(AlarmName=name, StateValue="OK", StateReason="so")


def put_triggers(topic: str, *, one_bulk_lane: bool = False) -> None:
    """Do what sync_triggers does for two files."""
    entries = {}
    places = Places(
        stack="jetway",
        dispatch_queue=f"arn:aws:sqs:{REGION}:{ACCOUNT}:jetway-DispatchQueue.fifo",
        collect_queue=f"arn:aws:sqs:{REGION}:{ACCOUNT}:jetway-CollectQueue",
        undelivered=f"arn:aws:sqs:{REGION}:{ACCOUNT}:jetway-UndeliveredEvents",
        scheduler_role=f"arn:aws:iam::{ACCOUNT}:role/jetway-SchedulerRole",
        group="jetway",
        one_bulk_lane=one_bulk_lane,
    )
    rules = Rules.load(boto3.client("events", region_name=REGION), places.prefix)
    schedules = Schedules.load(boto3.client("scheduler", region_name=REGION), places.group, places.prefix)
    alarms = Alarms.load(
        boto3.client("cloudwatch", region_name=REGION),
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
            boto3.client("cloudwatch", region_name=REGION).set_alarm_state(
                AlarmName=alarm.name, StateValue="OK", StateReason="so"
            )
    s3 = boto3.client("s3", region_name=REGION)
    s3.put_object(Bucket=DROP, Key=ACCEPTED, Body=json.dumps({"format": FORMAT, "triggers": entries}))


_NEVER: Any = None  # asked of schedules that fire once only


def _role(function: str) -> str:
    role = re.sub(r"^(ImportDag)\w+$", r"\1", function)
    return f"arn:aws:iam::{ACCOUNT}:role/jetway-{role}Role"


def _plain(statement: dict[str, Any]) -> dict[str, Any]:
    """A statement of the template's key policy with this account's names."""
    principal = statement["Principal"]
    if "AWS" in principal:
        return {**statement, "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}}
    service = principal["Service"] if isinstance(principal["Service"], str) else f"logs.{REGION}.amazonaws.com"
    return {"Effect": "Allow", "Principal": {"Service": service}, "Action": "kms:Decrypt", "Resource": "*"}
