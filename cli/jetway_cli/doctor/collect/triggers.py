"""The accepted triggers, and whether AWS has them as sync_triggers would make them. Nothing is put right here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from jetway_cli.doctor.facts import Drift, StackFacts, TriggersSeen
from jetway_cli.doctor.needs import arn_of

if TYPE_CHECKING:
    from jetway.sync.alarms import Alarms
    from jetway.sync.rules import RuleSet
    from jetway.sync.schedules import Schedules
    from jetway.triggers.file import TriggerFile
    from jetway.triggers.resources import Resources, Targets
    from jetway_cli.doctor.asking import Desk

NAMESPACE = "Jetway"


def triggers(desk: Desk, stack: StackFacts, now: datetime) -> TriggersSeen:
    """Look at the triggers.

    Raises:
        ClientError, BotoCoreError, TransientError, ValueError: they cannot be seen.
    """
    from jetway.sync import accepted
    from jetway.sync.alarms import Alarms
    from jetway.sync.rules import RuleSet
    from jetway.sync.schedules import Schedules
    from jetway.triggers.file import S3, from_document
    from jetway.triggers.file import in_force as as_in_force
    from jetway.triggers.resources import resources_of

    known = accepted.load(desk.client("s3"), stack.outputs["DropBucketName"]).triggers
    documents = {str(entry["name"]): entry["document"] for entry in known.values() if entry.get("document")}
    in_force = [one for name, text in documents.items() if (one := from_document(text, name).trigger) is not None]
    places = _places(stack)
    rules = RuleSet.load(desk.client("events"), places.prefix)
    schedules = Schedules.load(desk.client("scheduler"), places.group, places.prefix)
    alarms = Alarms.load(
        desk.client("cloudwatch"),
        places.prefix,
        environment=stack.parameters.get("EnvironmentName", ""),
        namespace=NAMESPACE,
        topic=stack.outputs.get("AlarmTopicArn"),
    )
    wanted = [(one, resources_of(as_in_force(one), places), resources_of(one, places)) for one in in_force]
    with_alarms = stack.parameters.get("MetricsByTrigger", "true") == "true"
    drift = [*_missing(wanted, rules, schedules, alarms, now, with_alarms=with_alarms)]
    drift += _strange(wanted, rules, schedules, alarms)
    buckets: dict[str, tuple[str, ...]] = {}
    for one in in_force:
        for bucket in one.on.buckets if isinstance(one.on, S3) and one.enabled else ():
            buckets[bucket] = (*buckets.get(bucket, ()), one.name)
    ours = {bus for bus, _ in rules.found} | {"default"}
    return TriggersSeen(
        in_force=len(in_force),
        rejected=tuple(key for key, one in known.items() if (one.get("seen") or {}).get("verdict") == "rejected"),
        buckets=buckets,
        drift=tuple(drift),
        rules={bus: rules.others.get(bus, 0) + sum(place[0] == bus for place in rules.found) for bus in sorted(ours)},
    )


# A trigger, what it needs, and what it needed before its messages named the file's version: that does the same.
WantedTrigger = tuple["TriggerFile", "Resources", "Resources"]


def _places(stack: StackFacts) -> Targets:
    from jetway.triggers.resources import Targets

    def arn(logical: str) -> str:
        found = stack.find(logical)
        if found is None:
            raise ValueError(f"the stack has no {logical}.")
        return arn_of(found, stack)

    return Targets(
        stack=stack.name,
        dispatch_queue=arn("DispatchQueue"),
        collect_queue=arn("CollectQueue") if stack.find("CollectQueue") else None,
        undelivered=arn("UndeliveredEvents"),
        scheduler_role=arn("SchedulerRole"),
        group=stack.outputs.get("ScheduleGroupName", stack.name),
        one_bulk_lane=stack.parameters.get("Transport") == "cli",
    )


def _missing(
    wanted: list[WantedTrigger],
    rules: RuleSet,
    schedules: Schedules,
    alarms: Alarms,
    now: datetime,
    *,
    with_alarms: bool,
) -> Iterator[Drift]:
    """Yield what is not as its accepted file says."""
    for _, resources, older in wanted:
        for rule, before in zip(resources.rules, older.rules, strict=True):
            if not (rules.stands(rule) or rules.stands(before)):
                there = rules.found.get((rule.bus, rule.name))
                disabled = there is not None and there.state == "DISABLED" and rule.enabled
                yield Drift(f"rule {rule.name}", _how(there, disabled=disabled))
        for schedule, before_it in zip(resources.schedules, older.schedules, strict=True):
            over = schedule.at is not None and schedule.at <= now  # fires once, and is gone then
            if not (over or schedules.stands(schedule) or schedules.stands(before_it)):
                found: Mapping[str, Any] | None = schedules.found.get(schedule.name)
                disabled = (found or {}).get("State") == "DISABLED" and schedule.request["State"] == "ENABLED"
                yield Drift(f"schedule {schedule.name}", _how(found, disabled=disabled))
        for alarm in resources.alarms if with_alarms else ():
            if not alarms.stands(alarm):
                yield Drift(f"alarm {alarm.name}", _how(alarms.found.get(alarm.name), disabled=False))


def _strange(wanted: list[WantedTrigger], rules: RuleSet, schedules: Schedules, alarms: Alarms) -> Iterator[Drift]:
    """Yield what has a name of ours and no trigger."""
    names = {rule.name for _, resources, _ in wanted for rule in resources.rules}
    names |= {schedule.name for _, resources, _ in wanted for schedule in resources.schedules}
    names |= {alarm.name for _, resources, _ in wanted for alarm in resources.alarms}
    found = [("rule", name) for _, name in rules.found]
    found += [("schedule", name) for name in schedules.found] + [("alarm", name) for name in alarms.found]
    for kind, name in found:
        if name not in names:
            yield Drift(f"{kind} {name}", "belongs to no trigger")


def _how(there: object, *, disabled: bool) -> str:
    if there is None:
        return "is missing"
    return "is disabled" if disabled else "was changed manually"
