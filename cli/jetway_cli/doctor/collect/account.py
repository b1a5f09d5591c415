"""Alarms, subscriptions, quotas, and what stacks that are gone have left behind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from jetway_cli.doctor.asking import Desk, ask
from jetway_cli.doctor.collect.parts import history
from jetway_cli.doctor.facts import AlarmSeen, Asked, QuotaSeen, StackFacts, Subscription

# How a rule of a trigger describes itself: `jetway.triggers.resources`.
_RULE_OF_A_TRIGGER = "Jetway: triggers/"
# How template.yaml names its log groups; the stack's name comes next.
LOG_PREFIXES = ("/jetway/", "/aws/vendedlogs/jetway/")
_RULES_QUOTA = "Number of rules"
_DAY = 24 * 60


def alarms(desk: Desk, stack: StackFacts) -> tuple[AlarmSeen, ...]:
    """Look at the stack's alarms: those of the template, and those of triggers."""
    client, found = desk.client("cloudwatch"), []
    ours = {one.physical for one in stack.of_kind("AWS::CloudWatch::Alarm")}
    of_triggers = f"{stack.name}."
    for prefix in (f"{stack.name}-", of_triggers):  # another stack's name may begin as ours does
        for page in client.get_paginator("describe_alarms").paginate(
            AlarmNamePrefix=prefix, AlarmTypes=["MetricAlarm"]
        ):
            found += [
                AlarmSeen(
                    one["AlarmName"],
                    one["StateValue"],
                    one.get("AlarmDescription", ""),
                    one.get("ActionsEnabled", True),
                    one,
                )
                for one in page["MetricAlarms"]
                if one["AlarmName"] in ours or one["AlarmName"].startswith(of_triggers)
            ]
    return tuple(found)


def subscriptions(desk: Desk, stack: StackFacts) -> tuple[Subscription, ...]:
    """Look at who is told."""
    client, found = desk.client("sns"), []
    for topic, output in (("alarms", "AlarmTopicArn"), ("artifacts", "ArtifactTopicArn")):
        pages = client.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=stack.outputs[output])
        found += [
            Subscription(topic, one["Protocol"], one["Endpoint"], one["SubscriptionArn"].startswith("arn:"))
            for page in pages
            for one in page["Subscriptions"]
        ]
    return tuple(found)


def quotas(desk: Desk, now: datetime) -> QuotaSeen:
    """Look at the account's limits."""
    settings: Asked[Mapping[str, Any]] = ask(
        "lambda:GetAccountSettings", lambda: desk.client("lambda").get_account_settings()["AccountLimit"]
    )
    concurrency = (
        Asked(int(settings.value["ConcurrentExecutions"]))
        if settings.value
        else Asked[int](None, settings.denied, settings.trouble)
    )
    return QuotaSeen(
        rules=ask("servicequotas:ListServiceQuotas", lambda: _most_rules(desk)),
        concurrency=concurrency,
        peak=ask("cloudwatch:GetMetricData", lambda: _peak(desk, now)),
    )


def _most_rules(desk: Desk) -> int:
    pages = desk.client("service-quotas").get_paginator("list_service_quotas").paginate(ServiceCode="events")
    for page in pages:
        for quota in page["Quotas"]:
            if quota.get("QuotaName") == _RULES_QUOTA:
                return int(quota["Value"])
    raise ValueError(f"Service Quotas has no quota {_RULES_QUOTA!r}.")


def _peak(desk: Desk, now: datetime) -> float:
    return max(history(desk, "AWS/Lambda", "ConcurrentExecutions", {}, now, minutes=_DAY, period=300), default=0.0)


def leftovers(desk: Desk) -> dict[str, tuple[str, ...]]:
    """Look for what stacks that are gone have left. A stack's name has no dot and no slash: it ends at the first."""
    from jetway.sync.alarms import METRIC

    there = _stacks(desk)
    found: dict[str, list[str]] = {}
    events = desk.client("events")
    for bus in _buses(events):
        for page in events.get_paginator("list_rules").paginate(EventBusName=bus):
            for rule in page["Rules"]:
                name = rule["Name"]
                if _may_be_left(name, there) and _is_of_a_trigger(events, rule, bus):
                    _note(found, there, f"rule {name}", name)
    for name in _schedules(desk):
        _note(found, there, f"schedule {name}", name)
    pages = desk.client("cloudwatch").get_paginator("describe_alarms")
    for page in pages.paginate(AlarmTypes=["MetricAlarm"], PaginationConfig={"PageSize": 100}):
        for alarm in page["MetricAlarms"]:
            if (alarm.get("Namespace"), alarm.get("MetricName")) == ("Jetway", METRIC) and "." in alarm["AlarmName"]:
                _note(found, there, f"alarm {alarm['AlarmName']}", alarm["AlarmName"])
    _note_what_is_silent(desk, there, found)
    return {stack: tuple(what) for stack, what in found.items()}


def _may_be_left(name: str, there: frozenset[str]) -> bool:
    stack, dot, _ = name.partition(".")
    return bool(dot) and stack not in there


def _is_of_a_trigger(events: Any, rule: Mapping[str, Any], bus: str) -> bool:
    """Whether a trigger made a rule: it says so, or sends to a queue of the stack that its name begins with."""
    if str(rule.get("Description", "")).startswith(_RULE_OF_A_TRIGGER):
        return True
    stack = rule["Name"].partition(".")[0]
    queues = tuple(f":{stack}-{queue}-" for queue in ("DispatchQueue", "CollectQueue"))
    targets = events.list_targets_by_rule(Rule=rule["Name"], EventBusName=bus)["Targets"]
    return any(queue in target["Arn"] for target in targets for queue in queues)


def _stacks(desk: Desk) -> frozenset[str]:
    pages = desk.client("cloudformation").get_paginator("describe_stacks").paginate()
    return frozenset(stack["StackName"] for page in pages for stack in page["Stacks"])


def _buses(events: Any) -> Iterator[str]:
    """Names of all buses. There is no paginator for them."""
    answer = events.list_event_buses()
    yield from (bus["Name"] for bus in answer["EventBuses"])
    while answer.get("NextToken"):
        answer = events.list_event_buses(NextToken=answer["NextToken"])
        yield from (bus["Name"] for bus in answer["EventBuses"])


def _schedules(desk: Desk) -> Iterator[str]:
    """Names of the schedules of triggers: their group has the stack's name, and theirs begins with it and a dot."""
    for page in desk.client("scheduler").get_paginator("list_schedules").paginate():
        for one in page["Schedules"]:
            if one["Name"].startswith(f"{one['GroupName']}."):
                yield one["Name"]


def _note_what_is_silent(desk: Desk, there: frozenset[str], found: dict[str, list[str]]) -> None:
    """Note log groups and groups of schedules: they do nothing, and cost or keep a name."""
    for prefix in LOG_PREFIXES:
        for page in desk.client("logs").get_paginator("describe_log_groups").paginate(logGroupNamePrefix=prefix):
            for group in page["logGroups"]:
                stack, slash, _ = group["logGroupName"].removeprefix(prefix).partition("/")
                if slash and stack not in there:
                    found.setdefault(stack, []).append(f"log group {group['logGroupName']}")
    for name in _groups(desk):
        if name not in there and (name in found or _is_of_a_stack(desk, name)):
            found.setdefault(name, []).append(f"schedule group {name}")


def _groups(desk: Desk) -> Iterator[str]:
    """Names of all groups of schedules; those of ours have the stack's name."""
    for page in desk.client("scheduler").get_paginator("list_schedule_groups").paginate():
        yield from (group["Name"] for group in page["ScheduleGroups"] if group["Name"] != "default")


def _is_of_a_stack(desk: Desk, group: str) -> bool:
    """Whether CloudFormation has made a group as the one of our template."""
    client = desk.client("scheduler")
    arn = client.get_schedule_group(Name=group)["Arn"]
    tags = {tag["Key"]: tag["Value"] for tag in client.list_tags_for_resource(ResourceArn=arn)["Tags"]}
    return tags.get("aws:cloudformation:logical-id") == "ScheduleGroup"


def _note(found: dict[str, list[str]], there: frozenset[str], what: str, name: str) -> None:
    stack = name.partition(".")[0]
    if stack not in there:
        found.setdefault(stack, []).append(what)
