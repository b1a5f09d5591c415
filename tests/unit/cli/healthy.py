"""What doctor sees of a stack that is well: the resources of the template itself, rendered, and all as it must be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from typing import Any

from jetway.airflow.environment import EnvironmentFacts
from jetway_cli.doctor.collect.compared import name_of
from jetway_cli.doctor.facts import (
    AlarmSeen,
    Asked,
    BucketSeen,
    EnvironmentSeen,
    Facts,
    FunctionSeen,
    IamDecision,
    KeySeen,
    LoadSeen,
    PartSeen,
    QueueSeen,
    QuotaSeen,
    RoleSeen,
    StackFacts,
    StackResource,
    Subscription,
    TriggersSeen,
    Trip,
)
from jetway_cli.doctor.needs import arn_of
from jetway_cli.doctor.settings import NOT_LOOKED_AT, SETTINGS
from jetway_cli.doctor.wanted import wanted
from tests.unit.sample_events import ROOT
from tests.unit.template.source import TEMPLATE
from tests.unit.template.stacks import least
from tools.checks.rendered import ACCOUNT, REGION, transformed

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
BUCKET = "jetway-dropbucket-x1"
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/jetway-Key-X1"
VERSION = version("jetway")
GROUP, SUBNETS = "sg-1", "subnet-1,subnet-2"
POLICY: dict[str, Any] = transformed(ROOT / "template.yaml")["Resources"]["Key"]["Properties"]["KeyPolicy"]


@cache
def stack() -> StackFacts:
    """The stack with its defaults, every resource of it."""
    rendered = least()
    parameters = {name: str(found.get("Default", "")) for name, found in TEMPLATE["Parameters"].items()}
    parameters |= {"EnvironmentName": "acme", "EnvironmentBucketName": "acme-airflow", "Transport": "rest"}
    resources = tuple(
        StackResource(name, rendered.reference(name), found["Type"], "CREATE_COMPLETE")
        for name, found in rendered.resources.items()
    )
    outputs = {name: str(found["Value"]) for name, found in rendered.outputs.items()}
    return StackFacts("jetway", REGION, ACCOUNT, "CREATE_COMPLETE", "aws", "", outputs, parameters, resources)


def environment(**changes: Any) -> Asked[EnvironmentSeen]:
    """An environment of today."""
    its = EnvironmentFacts(
        name="acme", status="AVAILABLE", airflow_version="3.3.1", source_bucket="acme-airflow", dags_path="dags"
    )
    return Asked(EnvironmentSeen(replace(its, **changes), tuple(SUBNETS.split(",")), (GROUP,)))


def healthy(**changes: Any) -> Facts:
    """All as it must be, but for what a test changes."""
    own = stack()
    policy = {"Statement": [*_statements(own)]}
    functions = tuple(
        FunctionSeen(one.logical, one.physical, "Active", "Successful", _role(one.logical), in_vpc=False)
        for one in own.of_kind("AWS::Lambda::Function")
    )
    all_of_it: dict[str, Any] = {
        "now": NOW,
        "version": VERSION,
        "stack": own,
        "environment": environment(),
        "buckets": Asked(
            (
                BucketSeen(BUCKET, "the drop bucket", key=Asked(KEY)),
                BucketSeen("acme-airflow", "the environment's bucket", events=Asked(False)),
                BucketSeen("orders", "read by orders"),
            )
        ),
        "keys": Asked((KeySeen(KEY, "what the stack keeps", True, Asked("Enabled"), ACCOUNT, Asked(policy)),)),
        "roles": (RoleSeen("StartDagRunRole", "jetway-StartDagRunRole-X1", Asked((decision(),))),),
        "functions": Asked(functions),
        "queues": Asked(
            tuple(
                QueueSeen(one.logical, arn_of(one, own).rpartition(":")[2], 0, Asked(0.0))
                for one in own.of_kind("AWS::SQS::Queue")
            )
        ),
        "parts": Asked(parts()),
        "triggers": Asked(TriggersSeen(1, (), {"orders": ("orders",)}, (), {"default": 20})),
        "alarms": Asked(
            tuple(
                AlarmSeen(one.physical, "OK", "Redrive them.", actions_enabled=True)
                for one in own.of_kind("AWS::CloudWatch::Alarm")
            )
        ),
        "subscriptions": Asked((Subscription("alarms", "email", "airflow@example.com", confirmed=True),)),
        "loads": Asked((LoadSeen("ImportDagAirflow3", "3.3.1", "accepted"),)),
        "quotas": QuotaSeen(Asked(300), Asked(1000), Asked(12.0)),
        "skew": Asked(0.0),
        "rest_throttled": Asked(0.0),
        "rest": Asked(Trip(True, "Airflow answered", 0.2)),
        "cli": Asked(Trip(True, "Airflow 3.3.1", 2.5)),
        "health": Asked((200, {"status": "healthy"})),
        "leftovers": Asked({}),
    }
    return Facts(**{**all_of_it, **changes})


@cache
def parts() -> tuple[PartSeen, ...]:
    """Every resource as the template says; of a policy with several things there is one for the first."""
    own = stack()
    properties = wanted(transformed(ROOT / "template.yaml"), own)
    return tuple(
        PartSeen(
            one.logical,
            one.kind,
            name_of(one, properties[one.logical]),
            properties[one.logical],
            Asked(_as_wanted(one, properties)),
        )
        for one in own.resources
        if one.kind not in NOT_LOOKED_AT
    )


def _as_wanted(resource: StackResource, properties: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    its = properties[resource.logical]
    seen = {
        name: its.get(name, setting.default)
        for name, setting in SETTINGS[resource.kind].items()
        if name in its or setting.has_default
    }
    states = {"AWS::Events::Rule": "ENABLED", "AWS::Scheduler::Schedule": "ENABLED"}
    return {"State": states.get(resource.kind, "Enabled"), "Targets": its.get("Targets", []), **seen}


def decision(**changes: Any) -> IamDecision:
    """A decision of IAM's that allows."""
    return replace(IamDecision("StartDagRunRole", "sqs:SendMessage", "arn:aws:sqs:::waiting", "allowed"), **changes)


def _role(function: str) -> str:
    own = stack()
    rendered = least()
    arn: str = rendered.resources[function]["Properties"]["Role"]
    return arn if own.find(function) else ""


def _statements(own: StackFacts) -> list[dict[str, Any]]:
    """The key policy of the template, as this account has it."""
    root = {"AWS": f"arn:aws:iam::{own.account}:root"}
    found = []
    for statement in POLICY["Statement"]:
        principal = statement["Principal"]
        if "AWS" in principal:
            principal = root
        elif isinstance(principal["Service"], dict):
            principal = {"Service": f"logs.{own.region}.amazonaws.com"}
        found.append({**statement, "Principal": principal})
    return found
