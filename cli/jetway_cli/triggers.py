"""`jetway triggers`: the triggers in force, whether AWS has them as it should, and their last event."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from jetway_cli.errors import error_code
from jetway_cli.output import print_json, print_table, say
from jetway_cli.stack import Target, stack_options

if TYPE_CHECKING:
    from jetway.triggers.file import TriggerFile

GONE = frozenset({"ResourceNotFoundException"})


@dataclass(frozen=True, slots=True)
class State:
    """One trigger as it stands.

    Attributes:
        state: on, off (enabled: false), missing or drifted (the next sync mends it), or rejected (no version of the
            file was ever good).
        note: what differs, or that a newer version of the file was rejected.
        last_event: when the ledger's last decision on an event of it was made, and which.
    """

    trigger: str
    kind: str
    dag_id: str | None
    state: str
    note: str = ""
    last_event: str | None = None
    last_decision: str | None = None


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@stack_options
def triggers(*, as_json: bool, **where: Any) -> None:
    """List the triggers with their state in AWS and their last event."""
    from jetway.sync import accepted

    target = Target(**where)
    known = accepted.load(target.client("s3"), target.output("DropBucketName")).triggers
    states = [_with_last_event(target, _state(target, entry)) for _, entry in sorted(known.items())]
    if as_json:
        print_json([asdict(state) for state in states])
    elif states:
        print_table(["trigger", "kind", "dag", "state", "last event (UTC)", "decision", "note"], map(_row, states))
    else:
        say("There is no trigger; put a file in triggers/ of the drop bucket (docs/triggers.md).")


def _state(target: Target, entry: Mapping[str, Any]) -> State:
    from jetway.triggers.file import from_document

    name, kind = entry["name"], str(entry.get("kind") or "")
    document = entry.get("document")
    trigger = from_document(document, name).trigger if document else None
    if trigger is None:
        return State(name, kind, None, "rejected", "see its report in reports/triggers/")
    rejected = (entry.get("seen") or {}).get("verdict") == "rejected"
    note = "a newer version was rejected: see its report" if rejected else ""
    wrong = _drift(target, trigger)
    if wrong is None:
        return State(name, trigger.kind, trigger.dag, "on" if trigger.enabled else "off", note)
    state = "missing" if wrong == "missing" else "drifted"
    return State(name, trigger.kind, trigger.dag, state, wrong if state == "drifted" else note)


def _drift(target: Target, trigger: TriggerFile) -> str | None:
    """Say how the trigger's rule or schedule differs from its file, or None when it does not."""
    from botocore.exceptions import ClientError

    from jetway.triggers.file import S3, BusEvent, Schedule
    from jetway.triggers.rules import EVENT_OF_RULE, EVENT_OF_SCHEDULE, event_pattern, message_template

    source, name = trigger.on, f"{target.stack}.{trigger.name}"
    try:
        if isinstance(source, Schedule):
            group = target.output("ScheduleGroupName")
            schedule = target.client("scheduler").get_schedule(GroupName=group, Name=name)
            wanted, actual = source.expression, schedule["ScheduleExpression"]
            state, messages = schedule["State"], [schedule["Target"].get("Input")]
            message = message_template(trigger, EVENT_OF_SCHEDULE)
        elif isinstance(source, S3 | BusEvent):
            bus = source.bus if isinstance(source, BusEvent) else "default"
            events = target.client("events")
            rule = events.describe_rule(Name=name, EventBusName=bus)
            targets = events.list_targets_by_rule(Rule=name, EventBusName=bus)["Targets"]
            messages = [found.get("InputTransformer", {}).get("InputTemplate") for found in targets]
            message = message_template(trigger, EVENT_OF_RULE)
            wanted, actual = json.loads(json.dumps(event_pattern(source))), json.loads(rule["EventPattern"])
            state = rule["State"]
        else:
            return None  # a webhook has no resource of its own
    except ClientError as exc:
        if error_code(exc) in GONE:
            # A schedule that fires once is deleted by AWS when it has.
            return None if isinstance(source, Schedule) and source.at else "missing"
        raise
    if actual != wanted:
        return f"it is {json.dumps(actual)} there"
    if (state == "ENABLED") is not trigger.enabled:
        return f"it is {state.lower()} there"
    if messages != [message]:
        return "what it sends there is not what the file says" if messages else "it sends nothing there"
    return None


def _with_last_event(target: Target, state: State) -> State:
    from boto3.dynamodb.conditions import Key

    from jetway.ledger import BY_TRIGGER

    table = target.table(target.output("LedgerTableName"))
    mine = Key("trigger").eq(state.trigger)
    items = table.query(IndexName=BY_TRIGGER, KeyConditionExpression=mine, ScanIndexForward=False, Limit=1)["Items"]
    if not items:
        return state
    return replace(state, last_event=items[0]["decided_at"], last_decision=items[0]["decision"])


def _row(state: State) -> list[str]:
    last = (state.last_event or "")[:19].replace("T", " ")
    return [state.trigger, state.kind, state.dag_id or "", state.state, last, state.last_decision or "", state.note]
