"""`jetway triggers`: the triggers in force, whether AWS has them as it should, and their last event."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from jetway_cli.errors import error_code, sentence
from jetway_cli.output import print_json, print_table, say
from jetway_cli.stack import Target, stack_options

if TYPE_CHECKING:
    from jetway.triggers.file import TriggerFile

GONE = frozenset({"ResourceNotFoundException"})


@dataclass(frozen=True, slots=True)
class ListedTrigger:
    """One trigger as it stands.

    Attributes:
        state: on; off (enabled: false); over (its one moment has passed); cannot fire; missing or drifted (the next run
            of sync_triggers puts it right); rejected (no version of the file was ever good).
        note: what differs, why it cannot fire, or that a newer version of the file was rejected.
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

    target, now = Target(**where), datetime.now(UTC)
    known = accepted.load(target.client("s3"), target.output("DropBucketName")).triggers
    states = [_state(target, key, entry, now) for key, entry in sorted(known.items())]
    if as_json:
        print_json([asdict(state) for state in states])
    elif states:
        print_table(["trigger", "kind", "dag", "state", "last event (UTC)", "decision", "note"], map(_row, states))
    else:
        say("There are no triggers. Upload a file to triggers/ of the drop bucket (docs/triggers.md).")


def message_content(template: str | None) -> Any:
    """Return what a template of dispatch messages says: two that say the same are equal, however they are written.

    Where a rule puts the event in, the template is not JSON; with a text in that place it is. A template that is not
    like that is returned as it is.

    >>> message_content('{"b": 1, "event": <aws.events.event.json>}')
    {'b': 1, 'event': '<aws.events.event.json>'}
    """
    from jetway.triggers.resources import EVENT_OF_RULE

    try:
        return json.loads((template or "").replace(EVENT_OF_RULE, json.dumps(EVENT_OF_RULE)))
    except (ValueError, RecursionError):
        return template


def _state(target: Target, key: str, entry: Mapping[str, Any], now: datetime) -> ListedTrigger:
    from jetway.triggers.file import from_document

    name, kind = entry["name"], str(entry.get("kind") or "")
    document = entry.get("document")
    rejected = (entry.get("seen") or {}).get("verdict") == "rejected"
    why = _why_rejected(target, key) if rejected or not document else ""
    trigger = from_document(document, name).trigger if document else None
    if trigger is None:
        # No event was ever one of its own: those of its name are a built-in trigger's, or of a file before it.
        said_kind, said_dag = _outline(target, key)
        return ListedTrigger(name, kind or said_kind, said_dag, "rejected", why)
    state, note = _standing(target, trigger, now)
    if rejected:
        in_force = f"the newest version was rejected; the version of {entry.get('accepted_at')} is in force: {why}"
        note = "; ".join(filter(None, (note, in_force)))
    return _with_last_event(target, ListedTrigger(name, trigger.kind, trigger.dag, state, note))


def _standing(target: Target, trigger: TriggerFile, now: datetime) -> tuple[str, str]:
    """Return the state of a trigger in force, and what is to be said about it."""
    from jetway.triggers.file import Schedule

    at = trigger.on.at if isinstance(trigger.on, Schedule) else None
    if at is not None and at <= now:
        return "over", (
            f"its only time was {at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC; delete the file or set another time"
        )
    wrong = _drift(target, trigger)
    if wrong == "missing":
        return "missing", ""
    if wrong is not None:
        return "drifted", wrong
    if not trigger.enabled:
        return "off", ""
    hindrance = _hindrance(target, trigger)
    return ("cannot fire", hindrance) if hindrance else ("on", "")


def _drift(target: Target, trigger: TriggerFile) -> str | None:
    """Say how the trigger's rule or schedule differs from its file, or None when it does not."""
    from botocore.exceptions import ClientError

    from jetway.triggers.file import S3, BusEvent, Schedule
    from jetway.triggers.file import in_force as as_in_force
    from jetway.triggers.resources import EVENT_OF_RULE, EVENT_OF_SCHEDULE, event_pattern, message_template

    source, name = trigger.on, f"{target.stack}.{trigger.name}"
    wanted: Any
    actual: Any
    try:
        if isinstance(source, Schedule):
            group = target.output("ScheduleGroupName")
            schedule = target.client("scheduler").get_schedule(GroupName=group, Name=name)
            wanted = [source.expression, source.timezone]
            actual = [schedule["ScheduleExpression"], schedule.get("ScheduleExpressionTimezone") or "UTC"]
            state, messages = schedule.get("State", "ENABLED"), [schedule["Target"].get("Input")]
            template = EVENT_OF_SCHEDULE
        elif isinstance(source, S3 | BusEvent):
            bus = source.bus if isinstance(source, BusEvent) else "default"
            events = target.client("events")
            rule = events.describe_rule(Name=name, EventBusName=bus)
            targets = events.list_targets_by_rule(Rule=name, EventBusName=bus)["Targets"]
            messages = [found.get("InputTransformer", {}).get("InputTemplate") for found in targets]
            template = EVENT_OF_RULE
            wanted, actual = event_pattern(source), json.loads(rule.get("EventPattern") or "null")
            state = rule["State"]
        else:
            return None  # a webhook has no resource of its own
    except ClientError as exc:
        if error_code(exc) in GONE:
            return "missing"
        raise
    if actual != wanted:
        return f"it is {json.dumps(actual)} in AWS"
    if (state == "ENABLED") is not trigger.enabled:
        return f"it is {state.lower()} in AWS"
    # What was made before messages named the file's version does the same.
    said = (message_content(message_template(one, template)) for one in (as_in_force(trigger), trigger))
    if [message_content(one) for one in messages] not in [[one] for one in said]:
        return "it sends something other than the file says" if messages else "it sends nothing"
    return None


def _hindrance(target: Target, trigger: TriggerFile) -> str:
    """Say why a trigger that is as its file says starts nothing all the same; nothing when it may."""
    from jetway.triggers.file import S3, Http

    source = trigger.on
    if isinstance(source, Http) and source.auth != "iam" and target.parameters.get("Webhooks") == "disabled":
        return "this stack does not accept webhooks; deploy it with the parameter Webhooks=enabled"
    if isinstance(source, S3):
        return "; ".join(filter(None, (_silence(target, bucket) for bucket in source.buckets)))
    return ""


def _silence(target: Target, bucket: str) -> str:
    """Say why nothing comes from a bucket; nothing when it sends events, or when the caller may not see that."""
    from botocore.exceptions import ClientError

    try:
        answer = target.client("s3").get_bucket_notification_configuration(Bucket=bucket)
    except ClientError as exc:
        return f"bucket {bucket} does not exist" if error_code(exc) == "NoSuchBucket" else ""
    if "EventBridgeConfiguration" in answer:
        return ""
    return f"bucket {bucket} does not send events to EventBridge; the file's report has the command that turns them on"


def _why_rejected(target: Target, key: str) -> str:
    """Return what the newest report says first, and where all of it is."""
    from botocore.exceptions import ClientError

    from jetway.artifacts.keys import report_key, report_text_key

    where = f"see {report_text_key(key)} in the drop bucket"
    try:
        answer = target.client("s3").get_object(Bucket=target.output("DropBucketName"), Key=report_key(key, "latest"))
    except ClientError:
        return where
    with answer["Body"] as body:
        findings = json.loads(body.read()).get("findings", [])
    errors = [str(found["message"]) for found in findings if found["severity"] == "error"]
    return f"{sentence(errors[0])} ({where})" if errors else where


def _outline(target: Target, key: str) -> tuple[str, str | None]:
    """Return the kind and the DAG that a rejected file names, as far as it can be read."""
    from botocore.exceptions import ClientError

    from jetway.aws.s3 import head, read
    from jetway.documents.yaml_document import YamlError, load
    from jetway.triggers.file import LARGEST_FILE, schema

    s3 = target.client("s3")
    try:
        there = head(s3, target.output("DropBucketName"), key)
        content = read(s3, there, LARGEST_FILE) if there else None
        value = load((content or b"").decode("utf-8-sig")).value
    except (ClientError, UnicodeDecodeError, YamlError):
        return "", None
    if not isinstance(value, dict):
        return "", None
    source, dag = value.get("on"), value.get("dag")
    kinds = schema()["properties"]["on"]["properties"].keys() & (source if isinstance(source, dict) else {}).keys()
    return next(iter(kinds)) if len(kinds) == 1 else "", dag if isinstance(dag, str) else None


def _with_last_event(target: Target, state: ListedTrigger) -> ListedTrigger:
    from boto3.dynamodb.conditions import Key

    from jetway.ledger import BY_TRIGGER

    table = target.table(target.output("LedgerTableName"))
    mine = Key("trigger").eq(state.trigger)
    items = table.query(IndexName=BY_TRIGGER, KeyConditionExpression=mine, ScanIndexForward=False, Limit=1)["Items"]
    if not items:
        return state
    return replace(state, last_event=items[0]["decided_at"], last_decision=items[0]["decision"])


def _row(state: ListedTrigger) -> list[str]:
    last = (state.last_event or "")[:19].replace("T", " ")
    return [state.trigger, state.kind, state.dag_id or "", state.state, last, state.last_decision or "", state.note]
