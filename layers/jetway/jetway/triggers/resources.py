"""A trigger as AWS resources: EventBridge rule, Scheduler schedule, absence alarm. Pure functions.

Every name is `<stack>.<trigger>`. No stack name has a dot, and CloudFormation gives no names with one: so the prefix
`<stack>.` belongs to this module alone, and the policies of the stack's roles and queues are made of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil
from typing import Any

from jetway.artifacts.findings import Finding
from jetway.dispatch.limits import limits_in_message
from jetway.dispatch.run import bulk_lane, schedule_lane
from jetway.formats import MEMBER, MESSAGE
from jetway.triggers.file import S3, BusEvent, Schedule, TriggerFile

# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html
LONGEST_NAME = 64
LONGEST_PATTERN = 2048
LONGEST_TEMPLATE = 8192
MOST_TARGETS = 5

# Where AWS puts the event in: a rule's InputTransformer, and the context of Scheduler.
# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html
# https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html
EVENT_OF_RULE = "<aws.events.event.json>"
EVENT_OF_SCHEDULE = (
    '{"schedule-arn": "<aws.scheduler.schedule-arn>", "scheduled-time": "<aws.scheduler.scheduled-time>"}'
)

RETRIES = {"MaximumRetryAttempts": 185, "MaximumEventAgeInSeconds": 86400}  # the most there is

# https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_limits.html
_DAY, _HOUR, _MINUTE = 86400, 3600, 60
_FINEST = 20  # periods of an alarm that looks back a day or less


@dataclass(frozen=True, slots=True)
class Targets:
    """Where the stack's triggers live and send to.

    Attributes:
        stack: the stack's name.
        collect_queue: ARN of the queue of batched events; None when the stack has none.
        undelivered: ARN of the queue of what EventBridge and Scheduler could not deliver.
        scheduler_role: ARN of the role that Scheduler sends with.
        group: the schedules' group.
        one_bulk_lane: whether files and events of all triggers share one lane, and so do all schedules.
    """

    stack: str
    dispatch_queue: str
    collect_queue: str | None
    undelivered: str
    scheduler_role: str
    group: str
    one_bulk_lane: bool = False

    @property
    def prefix(self) -> str:
        """What the names of all these resources begin with, and of no others."""
        return f"{self.stack}."

    def name(self, trigger: str) -> str:
        """Name of a trigger's rule, schedule and alarm."""
        return self.prefix + trigger


@dataclass(frozen=True, slots=True)
class RuleSpec:
    """An EventBridge rule and its targets, as PutRule and PutTargets take them."""

    name: str
    bus: str
    pattern: Mapping[str, Any]
    description: str
    enabled: bool
    targets: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class ScheduleSpec:
    """A schedule.

    Attributes:
        at: of one that fires once, when.
        request: as CreateSchedule and UpdateSchedule take it.
    """

    name: str
    at: datetime | None
    request: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class AlarmSpec:
    """An alarm on the absence of a trigger's runs: none started in `periods` periods of `period` seconds."""

    name: str
    trigger: str
    period: int
    periods: int


@dataclass(frozen=True, slots=True)
class Resources:
    """All that a trigger needs in AWS."""

    rules: tuple[RuleSpec, ...] = ()
    schedules: tuple[ScheduleSpec, ...] = ()
    alarms: tuple[AlarmSpec, ...] = ()
    findings: tuple[Finding, ...] = field(default=())


def resources_of(trigger: TriggerFile, places: Targets) -> Resources:
    """Say what a trigger needs in AWS; with findings, and nothing else, when AWS would refuse it."""
    source, name = trigger.on, places.name(trigger.name)
    rules: tuple[RuleSpec, ...] = ()
    schedules: tuple[ScheduleSpec, ...] = ()
    if isinstance(source, Schedule):
        schedules = (_schedule(trigger, source, name, places),)
    elif isinstance(source, S3 | BusEvent):
        rules = (_rule(trigger, source, name, places),)
    findings = tuple(_findings(trigger, name, rules, schedules, places))
    if findings:
        return Resources(findings=findings)
    alarms = (_alarm(trigger, trigger.expect, name),) if trigger.expect and trigger.enabled else ()
    return Resources(rules, schedules, alarms)


def event_pattern(source: S3 | BusEvent) -> dict[str, Any]:
    """Return the EventBridge pattern of a source."""
    if isinstance(source, BusEvent):
        return dict(source.pattern)
    detail: dict[str, Any] = {"bucket": {"name": list(source.buckets)}}
    if source.keys:
        detail["object"] = {"key": [_key_matcher(key) for key in source.keys]}
    return {"source": ["aws.s3"], "detail-type": ["Object Created"], "detail": detail}


def message_template(trigger: TriggerFile, event: str) -> str:
    """Return a dispatch message (`jetway.dispatch.run`) as AWS takes it, with `event` in the place of the event.

    `<` begins a placeholder there, so in what comes from the file it is written as an escape of JSON.
    """
    described: dict[str, Any] = {"name": trigger.name, "kind": trigger.kind, "dag": trigger.dag}
    if trigger.version is not None:
        described["version"] = trigger.version
    if trigger.conf is not None:
        described["conf"] = trigger.conf
    described |= limits_in_message(trigger.max_event_age, trigger.rate) | trigger.dates.to_json()
    if trigger.when_paused != "start":
        described["when_paused"] = trigger.when_paused
    if trigger.batch is not None:
        described["batch"] = {"max_events": trigger.batch.max_events, "within": _seconds(trigger.batch.within)}
    # Without blanks: what a conf of before just fitted into, it must still fit into (LONGEST_TEMPLATE).
    compact = json.dumps(described, sort_keys=True, separators=(",", ":"))
    safe = compact.replace("<", "\\u003c").replace(">", "\\u003e")
    return f'{{"{MEMBER}":{MESSAGE},"trigger":{safe},"event":{event}}}'


def _rule(trigger: TriggerFile, source: S3 | BusEvent, name: str, places: Targets) -> RuleSpec:
    target: dict[str, Any] = {
        "Id": "jetway",
        "Arn": places.dispatch_queue,
        "InputTransformer": {"InputTemplate": message_template(trigger, EVENT_OF_RULE)},
        "RetryPolicy": RETRIES,
        "DeadLetterConfig": {"Arn": places.undelivered},
    }
    if trigger.batch is None:
        target["SqsParameters"] = {"MessageGroupId": bulk_lane(trigger.name, one_for_all=places.one_bulk_lane)}
    else:
        target["Arn"] = places.collect_queue
    return RuleSpec(
        name=name,
        bus=source.bus if isinstance(source, BusEvent) else "default",
        pattern=event_pattern(source),
        description=_description(trigger),
        enabled=trigger.enabled,
        targets=(target,),
    )


def _schedule(trigger: TriggerFile, source: Schedule, name: str, places: Targets) -> ScheduleSpec:
    request: dict[str, Any] = {
        "GroupName": places.group,
        "Description": _description(trigger),
        "ScheduleExpression": source.expression,
        "ScheduleExpressionTimezone": source.timezone,
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "State": "ENABLED" if trigger.enabled else "DISABLED",
        "ActionAfterCompletion": "DELETE" if source.at else "NONE",
        "Target": {
            "Arn": places.dispatch_queue,
            "RoleArn": places.scheduler_role,
            "SqsParameters": {"MessageGroupId": schedule_lane(trigger.name, one_for_all=places.one_bulk_lane)},
            "Input": message_template(trigger, EVENT_OF_SCHEDULE),
            "RetryPolicy": RETRIES,
            "DeadLetterConfig": {"Arn": places.undelivered},
        },
    }
    return ScheduleSpec(name, source.at, request)


def _alarm(trigger: TriggerFile, within: timedelta, name: str) -> AlarmSpec:
    """Cut the time into periods: up to a day as CloudWatch likes it, beyond a day whole hours."""
    seconds = _seconds(within)
    period = _HOUR if seconds > _DAY else _MINUTE * ceil(seconds / _MINUTE / _FINEST)
    return AlarmSpec(name, trigger.name, period, ceil(seconds / period))


def _findings(
    trigger: TriggerFile,
    name: str,
    rules: tuple[RuleSpec, ...],
    schedules: tuple[ScheduleSpec, ...],
    places: Targets,
) -> Iterator[Finding]:
    if len(name) > LONGEST_NAME:
        room = LONGEST_NAME - len(places.prefix)
        yield _error(
            "name-too-long",
            f"The rule's name {name} would have more than {LONGEST_NAME} characters.",
            f"Give the file a name of at most {room} characters." if room > 0 else "Give the stack a shorter name.",
        )
    if trigger.batch is not None and places.collect_queue is None:
        yield _error("no-batches", "This stack has no queue for batches.", "Leave batch out, or update the stack.")
    if trigger.dates.interval is not None and places.one_bulk_lane:
        yield _error(
            "interval-needs-rest",
            "data_interval cannot be set over Airflow's command line, and this stack has Transport: cli.",
            "Leave data_interval out, or set the stack's Transport to auto, rest or direct (Airflow 2.9 or later).",
        )
    for rule in rules:
        if len(json_text(rule.pattern)) > LONGEST_PATTERN:
            yield _error(
                "pattern-too-long",
                (
                    f"The event pattern has {len(json_text(rule.pattern))} characters; EventBridge accepts "
                    f"{LONGEST_PATTERN}."
                ),
                "Match by prefixes or wildcards instead of lists, or write several trigger files.",
            )
        if len(rule.targets) > MOST_TARGETS:
            yield _error("too-many-targets", f"A rule can have {MOST_TARGETS} targets.", "Write several trigger files.")
        for target in rule.targets:
            yield from _check_template(target["InputTransformer"]["InputTemplate"])
    for schedule in schedules:
        yield from _check_template(schedule.request["Target"]["Input"])


def _check_template(text: str) -> Iterator[Finding]:
    if len(text) > LONGEST_TEMPLATE:
        yield _error(
            "conf-too-long",
            (
                f"With its conf, the message has {len(text)} characters before the event is inserted; EventBridge "
                f"accepts {LONGEST_TEMPLATE}."
            ),
            "Shorten conf: keep what is constant in the DAG, or in a file that conf names.",
        )


def json_text(value: Any) -> str:
    """JSON without blanks, in a fixed order: equal values are equal texts."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False)


def _key_matcher(key: str | Mapping[str, Any]) -> Any:
    """A matcher for one key. EventBridge has none for beginning and end together: a wildcard is that."""
    if isinstance(key, str) or not {"prefix", "suffix"} <= key.keys():
        return key
    return {"wildcard": f"{_escaped(key['prefix'])}*{_escaped(key['suffix'])}"}


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("*", "\\*")


def _description(trigger: TriggerFile) -> str:
    return f"Jetway: triggers/{trigger.name}.yaml starts DAG {trigger.dag}"[:512]


def _seconds(time: timedelta) -> int:
    return int(time.total_seconds())


def _error(rule: str, message: str, remedy: str) -> Finding:
    return Finding(rule, "error", message, None, remedy)
