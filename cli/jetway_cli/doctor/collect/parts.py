"""Functions, queues, rules and schedules that the template makes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from jetway_cli.doctor.asking import Desk, ask
from jetway_cli.doctor.facts import (
    Asked,
    Configured,
    Firing,
    FunctionSeen,
    QueueSeen,
    Resource,
    RuleSeen,
    ScheduleSeen,
    StackFacts,
)
from jetway_cli.doctor.firing import configured_of, firing_of
from jetway_cli.errors import error_code


def function(desk: Desk, resource: Resource) -> FunctionSeen:
    """Look at a function and what it reads."""
    from botocore.exceptions import ClientError

    client = desk.client("lambda")
    try:
        found = client.get_function_configuration(FunctionName=resource.physical)
    except ClientError as exc:
        if error_code(exc) != "ResourceNotFoundException":
            raise
        return FunctionSeen(resource.logical, resource.physical, "gone", "", "", in_vpc=False)
    reserved = client.get_function_concurrency(FunctionName=resource.physical).get("ReservedConcurrentExecutions")
    mappings = client.get_paginator("list_event_source_mappings").paginate(FunctionName=resource.physical)
    reads = [(one["EventSourceArn"], one.get("State", "")) for page in mappings for one in page["EventSourceMappings"]]
    return FunctionSeen(
        logical=resource.logical,
        name=resource.physical,
        state=found.get("State", "Active"),
        update=found.get("LastUpdateStatus", "Successful"),
        role=found["Role"],
        in_vpc=bool((found.get("VpcConfig") or {}).get("SubnetIds")),
        reserved=reserved,
        reads=tuple(reads),
        configured=Configured(found.get("Timeout"), (found.get("Environment") or {}).get("Variables") or {}),
    )


def queue(desk: Desk, resource: Resource, now: datetime) -> QueueSeen:
    """Look at a queue: how many messages wait, and for how long."""
    from botocore.exceptions import ClientError

    name, sqs = resource.physical.rpartition("/")[2], desk.client("sqs")
    wanted: Any = ["ApproximateNumberOfMessages", "Policy"]
    try:
        told = sqs.get_queue_attributes(QueueUrl=resource.physical, AttributeNames=wanted)["Attributes"]
    except ClientError as exc:
        if error_code(exc) not in _NO_QUEUE:
            raise
        return QueueSeen(resource.logical, name, None, Asked(None))
    age = ask("cloudwatch:GetMetricData", lambda: age_of(desk, name, now))
    senders = tuple(_services(json.loads(told.get("Policy") or "{}")))
    return QueueSeen(resource.logical, name, int(told["ApproximateNumberOfMessages"]), age, senders)


_NO_QUEUE = frozenset({"NonExistentQueue", "QueueDoesNotExist"})


def _services(policy: Mapping[str, Any]) -> Iterator[str]:
    """Services that a queue's policy lets send to it."""
    statements = policy.get("Statement", [])
    for one in statements if isinstance(statements, list) else [statements]:
        if one.get("Effect") == "Allow":
            principal = one.get("Principal", {})
            found = principal.get("Service", []) if isinstance(principal, dict) else principal
            yield from found if isinstance(found, list) else [found]


def age_of(desk: Desk, queue_name: str, now: datetime) -> float | None:
    """Return the seconds that the oldest message has waited, as SQS says it now and then; None for no number."""
    return newest(desk, "AWS/SQS", "ApproximateAgeOfOldestMessage", {"QueueName": queue_name}, now, minutes=15)


def newest(
    desk: Desk,
    namespace: str,
    metric: str,
    dimensions: dict[str, str],
    now: datetime,
    *,
    minutes: int,
    statistic: str = "Maximum",
    period: int = 60,
) -> float | None:
    """Return the newest value of a metric in the last minutes, or None."""
    values = history(desk, namespace, metric, dimensions, now, minutes=minutes, statistic=statistic, period=period)
    return values[0] if values else None


def history(
    desk: Desk,
    namespace: str,
    metric: str,
    dimensions: dict[str, str],
    now: datetime,
    *,
    minutes: int,
    statistic: str = "Maximum",
    period: int = 60,
) -> list[float]:
    """Return the values of a metric in the last minutes, the newest first."""
    of = [{"Name": name, "Value": value} for name, value in dimensions.items()]
    stat = {"Metric": {"Namespace": namespace, "MetricName": metric, "Dimensions": of}, "Stat": statistic}
    answer = desk.client("cloudwatch").get_metric_data(
        MetricDataQueries=[{"Id": "m", "MetricStat": {**stat, "Period": period}}],
        StartTime=now - timedelta(minutes=minutes),
        EndTime=now,
        ScanBy="TimestampDescending",
    )
    values: list[float] = answer["MetricDataResults"][0]["Values"]
    return values


def rule(desk: Desk, resource: Resource) -> RuleSeen:
    """Look at a rule of the stack's own."""
    from botocore.exceptions import ClientError

    events = desk.client("events")
    bus, _, name = resource.physical.rpartition("|")  # CloudFormation's id of a rule on another bus
    where = {"EventBusName": bus} if bus else {}
    try:
        found = events.describe_rule(Name=name, **where)
        targets = events.list_targets_by_rule(Rule=name, **where)["Targets"]
    except ClientError as exc:
        if error_code(exc) != "ResourceNotFoundException":
            raise
        return RuleSeen(resource.logical, name, None)
    fires = Firing(json.loads(found.get("EventPattern") or "{}"), found.get("ScheduleExpression", ""))
    return RuleSeen(resource.logical, name, found["State"], tuple(target["Arn"] for target in targets), fires)


def firing(desk: Desk, stack: StackFacts) -> dict[str, Firing | Configured]:
    """Read what rules are to fire on and how functions are configured, from the template of the stack's deployment."""
    found = desk.client("cloudformation").get_template(StackName=stack.name, TemplateStage="Processed")["TemplateBody"]
    template = json.loads(found) if isinstance(found, str) else found
    return {**firing_of(template, stack), **configured_of(template, stack)}


def schedule(desk: Desk, resource: Resource, stack: StackFacts) -> ScheduleSeen:
    """Look at a schedule of the stack's own."""
    from botocore.exceptions import ClientError

    group, _, name = resource.physical.rpartition("|")
    group = group or stack.outputs.get("ScheduleGroupName", stack.name)
    try:
        found = desk.client("scheduler").get_schedule(GroupName=group, Name=name)
    except ClientError as exc:
        if error_code(exc) != "ResourceNotFoundException":
            raise
        return ScheduleSeen(resource.logical, name, None)
    return ScheduleSeen(resource.logical, name, found.get("State", "ENABLED"))


def known(*answers: Asked[Any]) -> Asked[tuple[Any, ...]]:
    """Put answers together; the first that is missing is the answer of all."""
    for asked in answers:
        if not asked.known:
            return Asked(denied=asked.denied, trouble=asked.trouble)
    return Asked(tuple(asked.value for asked in answers))
