"""`jetway triggers`: what is in force, what AWS has of it, and the last event."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from click.testing import Result

from jetway.ledger import Entry, Ledger
from jetway.sync.accepted import FORMAT, KEY
from jetway.sync.reconcile import Clients, SyncSettings, sync
from jetway.triggers.file import from_document, parse
from jetway.triggers.resources import EVENT_OF_RULE, EVENT_OF_SCHEDULE, Targets, message_template
from tests.unit.cli.conftest import REGION, Cloud, tell_of_event_bridge
from tests.unit.sample_events import ROOT

Jetway = Callable[..., Result]

BUCKET = "drop"
ORDERS = {"dag": "ingest", "on": {"event": {"source": ["acme"]}}}
NIGHTLY = {"dag": "nightly", "on": {"schedule": {"cron": "0 6 ? * MON-FRI *"}}}


def accept(cloud: Cloud, triggers: dict[str, dict[str, Any] | None], seen: str = "accepted") -> None:
    """Write what sync_triggers would have accepted."""
    entries = {
        f"triggers/{name}.yaml": {
            "name": name,
            "kind": next(iter(document["on"])) if document else None,
            "document": document,
            "seen": {"version": "1", "verdict": seen, "report": "0"},
        }
        for name, document in triggers.items()
    }
    s3 = boto3.client("s3", region_name=REGION)
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    s3.put_object(Bucket=BUCKET, Key=KEY, Body=json.dumps({"format": FORMAT, "triggers": entries}).encode())


@pytest.fixture(autouse=True)
def outputs(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the command reads of the stack."""
    tell_of_event_bridge(monkeypatch)
    cloud.outputs |= {"DropBucketName": BUCKET, "ScheduleGroupName": "jetway"}
    assert cloud.ledger


def put_rule(pattern: dict[str, Any], state: str = "ENABLED") -> None:
    client: Any = boto3.client("events", region_name=REGION)  # its stubs know states as literals only
    client.put_rule(Name="jetway.orders", EventPattern=json.dumps(pattern), State=state)
    trigger = from_document(ORDERS, "orders").trigger
    assert trigger is not None
    transformer = {"InputTemplate": message_template(trigger, EVENT_OF_RULE)}
    arn = f"arn:aws:sqs:{REGION}:123456789012:dispatch"
    client.put_targets(Rule="jetway.orders", Targets=[{"Id": "jetway", "Arn": arn, "InputTransformer": transformer}])


def states(jetway: Jetway) -> dict[str, dict[str, Any]]:
    result = jetway("triggers", "--json")
    assert result.exit_code == 0, result.stderr
    return {state["trigger"]: state for state in json.loads(result.stdout)}


def test_a_trigger_in_force_is_shown_with_its_last_event(cloud: Cloud, jetway: Jetway) -> None:
    accept(cloud, {"orders": ORDERS})
    put_rule({"source": ["acme"]})
    ledger = Ledger(cloud.ledger)
    for minute, decision in ((1, "held"), (2, "started")):
        at = datetime(2026, 11, 22, 6, minute, tzinfo=UTC)
        ledger.record(Entry(f"orders#{minute}", "orders", "event", ("x",), decision, at))  # type: ignore[arg-type]
    assert jetway("triggers").stdout == (
        "trigger  kind   dag     state  last event (UTC)     decision  note\n"
        "orders   event  ingest  on     2026-11-22 06:02:00  started\n"
    )


@pytest.mark.parametrize(
    ("pattern", "state", "enabled", "wanted"),
    [
        ({"source": ["acme"]}, "ENABLED", True, "on"),
        ({"source": ["acme"]}, "DISABLED", False, "off"),
        ({"source": ["acme"]}, "DISABLED", True, "drifted"),
        ({"source": ["acme"]}, "ENABLED", False, "drifted"),
        ({"source": ["other"]}, "ENABLED", True, "drifted"),
        (None, "ENABLED", True, "missing"),
    ],
)
def test_a_rule_that_is_not_as_its_file_says_is_told(
    cloud: Cloud, jetway: Jetway, pattern: dict[str, Any] | None, state: str, enabled: bool, wanted: str
) -> None:
    accept(cloud, {"orders": ORDERS | {"enabled": enabled}})
    if pattern is not None:
        put_rule(pattern, state)
    assert states(jetway)["orders"]["state"] == wanted


def test_a_rule_that_sends_something_else_or_nothing_is_told(cloud: Cloud, jetway: Jetway) -> None:
    accept(cloud, {"orders": ORDERS})
    put_rule({"source": ["acme"]})
    events = boto3.client("events", region_name=REGION)
    other: Any = {"Id": "jetway", "Arn": f"arn:aws:sqs:{REGION}:123456789012:q", "Input": "{}"}
    events.put_targets(Rule="jetway.orders", Targets=[other])
    found = states(jetway)["orders"]
    assert (found["state"], found["note"]) == ("drifted", "it sends something other than the file says")
    events.remove_targets(Rule="jetway.orders", Ids=["jetway"])
    assert states(jetway)["orders"]["note"] == "it sends nothing"


@pytest.mark.parametrize(("hour", "state", "note"), [("7", "drifted", "0 7"), ("6", "on", "")])
def test_a_schedule_is_compared_too(cloud: Cloud, jetway: Jetway, hour: str, state: str, note: str) -> None:
    accept(cloud, {"nightly": NIGHTLY})
    assert states(jetway)["nightly"]["state"] == "missing"
    trigger = from_document(NIGHTLY, "nightly").trigger
    assert trigger is not None
    scheduler = boto3.client("scheduler", region_name=REGION)
    scheduler.create_schedule_group(Name="jetway")
    scheduler.create_schedule(
        GroupName="jetway",
        Name="jetway.nightly",
        ScheduleExpression=f"cron(0 {hour} ? * MON-FRI *)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={
            "Arn": "arn:aws:sqs:eu-central-1:123456789012:q",
            "RoleArn": "arn:aws:iam::123456789012:role/r",
            "Input": message_template(trigger, EVENT_OF_SCHEDULE),
        },
    )
    found = states(jetway)["nightly"]
    assert (found["state"], note in found["note"]) == (state, True)


def test_a_file_that_was_never_good_and_one_that_was_good_before(cloud: Cloud, jetway: Jetway) -> None:
    accept(cloud, {"bad": None, "orders": ORDERS}, seen="rejected")
    put_rule({"source": ["acme"]})
    found = states(jetway)
    assert found["bad"]["state"] == "rejected"
    assert (found["orders"]["state"], "rejected" in found["orders"]["note"]) == ("on", True)


PLACES = Targets(
    stack="jetway",
    dispatch_queue=f"arn:aws:sqs:{REGION}:123456789012:dispatch.fifo",
    collect_queue=f"arn:aws:sqs:{REGION}:123456789012:collect",
    undelivered=f"arn:aws:sqs:{REGION}:123456789012:undelivered",
    scheduler_role="arn:aws:iam::123456789012:role/scheduler",
    group="jetway",
)


def drop(*files: Path) -> None:
    """Put trigger files into the drop bucket of a stack whose buckets and bus are there, and let them be synced."""
    s3 = boto3.client("s3", region_name=REGION)
    events = boto3.client("events", region_name=REGION)
    scheduler = boto3.client("scheduler", region_name=REGION)
    here: Any = {"LocationConstraint": REGION}
    for bucket in {BUCKET, *(name for file in files for name in buckets_of(file))}:
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration=here)
        sends: Any = {"EventBridgeConfiguration": {}}
        s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=sends)
    events.create_event_bus(Name="acme")
    scheduler.create_schedule_group(Name="jetway")
    for file in files:
        s3.put_object(Bucket=BUCKET, Key=f"triggers/{file.name}", Body=file.read_bytes())
    put_in_force()


def put_in_force() -> None:
    """Do what sync_triggers does."""
    clients = Clients(
        boto3.client("s3", region_name=REGION),
        boto3.client("events", region_name=REGION),
        boto3.client("scheduler", region_name=REGION),
        boto3.client("cloudwatch", region_name=REGION),
    )
    assert not sync(clients, SyncSettings(BUCKET, "prod", "Jetway", PLACES)).troubles


def buckets_of(file: Path) -> tuple[str, ...]:
    trigger = parse(file.read_bytes(), f"triggers/{file.name}").trigger
    return getattr(trigger.on, "buckets", ()) if trigger else ()


OWN = sorted([*(ROOT / "triggers").glob("*.yaml"), *(ROOT / "triggers" / "examples").glob("*.yaml")])


def test_every_trigger_file_of_this_project_is_on_once_it_is_synced(jetway: Jetway) -> None:
    assert len(OWN) > 10
    drop(*OWN)
    assert {name: (found["state"], found["note"]) for name, found in states(jetway).items()} == {
        file.stem: ("on", "") for file in OWN
    }


def write(folder: Path, name: str, text: str) -> Path:
    file = folder / f"{name}.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_a_moment_that_has_passed_is_over_and_one_to_come_is_not(jetway: Jetway, tmp_path: Path) -> None:
    past = write(tmp_path, "past", "dag: d\non: {schedule: {at: 2026-01-01T06:00:00}}\n")
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    come = write(tmp_path, "come", f"dag: d\non: {{schedule: {{at: {tomorrow:%Y-%m-%dT%H:%M:%S}}}}}\n")
    drop(past, come)
    found = states(jetway)
    assert (found["past"]["state"], "2026-01-01 06:00:00 UTC" in found["past"]["note"]) == ("over", True)
    assert found["come"]["state"] == "on"
    boto3.client("scheduler", region_name=REGION).delete_schedule(GroupName="jetway", Name="jetway.come")
    assert states(jetway)["come"]["state"] == "missing"


def test_a_time_zone_that_differs_is_drift(jetway: Jetway, tmp_path: Path) -> None:
    drop(ROOT / "triggers" / "nightly.yaml")
    scheduler = boto3.client("scheduler", region_name=REGION)
    there = scheduler.get_schedule(GroupName="jetway", Name="jetway.nightly")
    names = ("Name", "GroupName", "ScheduleExpression", "FlexibleTimeWindow", "Target")
    kept: Any = {name: there[name] for name in names}  # type: ignore[literal-required]
    scheduler.update_schedule(**kept, ScheduleExpressionTimezone="UTC")
    assert states(jetway)["nightly"]["state"] == "drifted"


@pytest.mark.parametrize(
    ("webhooks", "auth", "state"),
    [("disabled", "hmac", "cannot fire"), ("disabled", "iam", "on"), ("enabled", "hmac", "on")],
)
def test_a_webhook_on_a_stack_that_takes_none_cannot_fire(
    cloud: Cloud, jetway: Jetway, webhooks: str, auth: str, state: str
) -> None:
    cloud.parameters["Webhooks"] = webhooks
    accept(cloud, {"hook": {"dag": "d", "on": {"http": {"auth": auth}}}})
    found = states(jetway)["hook"]
    assert (found["state"], "Webhooks=enabled" in found["note"]) == (state, state != "on")


def test_a_bucket_that_sends_no_events_is_told(jetway: Jetway, tmp_path: Path) -> None:
    drop(write(tmp_path, "in", "dag: d\non: {s3: {bucket: silent}}\n"))
    s3 = boto3.client("s3", region_name=REGION)
    s3.put_bucket_notification_configuration(Bucket="silent", NotificationConfiguration={})
    found = states(jetway)["in"]
    assert (found["state"], "silent does not send events" in found["note"]) == ("cannot fire", True)
    s3.delete_bucket(Bucket="silent")
    assert states(jetway)["in"]["note"] == "bucket silent does not exist"


def test_a_rejected_file_has_no_event_of_the_trigger_that_it_is_named_like(
    cloud: Cloud, jetway: Jetway, tmp_path: Path
) -> None:
    drop(write(tmp_path, "data", "dag: d\non: {s3: {bucket: acme}}\n"))
    at = datetime(2026, 11, 22, 6, tzinfo=UTC)
    Ledger(cloud.ledger).record(Entry("data#1", "data", "s3", ("1",), "started", at))
    found = states(jetway)["data"]
    assert (found["state"], found["last_event"], found["last_decision"]) == ("rejected", None, None)
    assert "is reserved for one of Jetway's own triggers" in found["note"]
    assert "reports/triggers/data.yaml/report.md" in found["note"]


@pytest.mark.parametrize(
    ("text", "kind", "dag"),
    [
        ("dag: ingest\non: {schedule: {cron: '*/00 6 ? * * *'}}\n", "schedule", "ingest"),
        ("dag: ingest\non: {s3: {bukket: acme}}\n", "s3", "ingest"),
        ("dag: ingest\non: {ftp: {host: acme}}\n", "", "ingest"),
        ("dag: ingest\non: {s3: {bucket: acme}, event: {source: [acme]}}\n", "", "ingest"),
        ("dag: [ingest]\non: s3\n", "", None),
        ("- dag: ingest\n", "", None),
        ("dag: {{ ingest\n", "", None),
        ("dag: \udcff\n", "", None),
        ("", "", None),
    ],
)
def test_a_rejected_file_is_shown_with_the_kind_and_the_dag_that_it_names(
    jetway: Jetway, tmp_path: Path, text: str, kind: str, dag: str | None
) -> None:
    file = tmp_path / "orders.yaml"
    file.write_text(text, encoding="utf-8", errors="surrogateescape")
    drop(file)
    found = states(jetway)["orders"]
    assert (found["state"], found["kind"], found["dag_id"]) == ("rejected", kind, dag)


def test_a_rejected_file_that_is_gone_again_is_shown_without(jetway: Jetway, tmp_path: Path) -> None:
    drop(write(tmp_path, "orders", "dag: ingest\non: {s3: {bukket: acme}}\n"))
    boto3.client("s3", region_name=REGION).delete_object(Bucket=BUCKET, Key="triggers/orders.yaml")
    found = states(jetway)["orders"]
    assert (found["state"], found["kind"], found["dag_id"]) == ("rejected", "", None)


def test_the_last_good_version_in_force_is_told_with_what_was_wrong_since(jetway: Jetway, tmp_path: Path) -> None:
    drop(write(tmp_path, "orders", "dag: d\non: {event: {source: [acme]}}\n"))
    s3 = boto3.client("s3", region_name=REGION)
    s3.put_object(Bucket=BUCKET, Key="triggers/orders.yaml", Body=b"dag: d\non: {event: {source: acme}}\n")
    put_in_force()
    found = states(jetway)["orders"]
    assert found["state"] == "on"
    assert "is in force" in found["note"]
    assert "source" in found["note"]


def test_no_trigger_is_said_so(jetway: Jetway, cloud: Cloud) -> None:
    accept(cloud, {})
    result = jetway("triggers")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "There are no triggers" in result.stderr
