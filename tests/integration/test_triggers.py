"""Trigger files, dropped as users drop them: each kind starts its run; changed, disabled, deleted, broken, repaired."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.integration.conftest import drop
from tests.integration.test_workers import invoke
from tools import venvs
from tools.stack.calls import airflow_api, call_api, list_runs, read_report, wait_for
from tools.stack.stack import Stack

SAMPLES = venvs.ROOT / "triggers"
LANDING, BUS = "acme-landing", "acme"
LONGEST = 90.0
SOON = timedelta(seconds=25)  # a schedule must be there before its moment, on a slow machine too


@pytest.fixture(scope="module")
def world(stack: Stack, dag: str) -> Iterator[Stack]:
    """A bucket and a bus that are not Jetway's, and a rule and a schedule that nobody may touch."""
    s3, events = stack.client("s3"), stack.client("events")
    for bucket in (LANDING, "acme-archive"):
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        s3.put_bucket_notification_configuration(
            Bucket=bucket, NotificationConfiguration={"EventBridgeConfiguration": {}}
        )
    events.create_event_bus(Name=BUS)
    for name in ("jetway-orders", "jetwayx.orders"):
        events.put_rule(Name=name, EventPattern='{"source": ["nobody"]}')
    schedule = {"FlexibleTimeWindow": {"Mode": "OFF"}, "ScheduleExpression": "rate(30 days)"}
    target = {"Arn": "arn:aws:sqs:eu-central-1:000000000000:nobody", "RoleArn": "arn:aws:iam::000000000000:role/nobody"}
    group = stack.outputs["ScheduleGroupName"]
    stack.client("scheduler").create_schedule(Name="other.orders", GroupName=group, Target=target, **schedule)
    alarm = {"Namespace": "x", "MetricName": "x", "Period": 60, "EvaluationPeriods": 1, "Threshold": 1.0}
    stack.client("cloudwatch").put_metric_alarm(
        AlarmName="jetwayx.orders", ComparisonOperator="LessThanThreshold", Statistic="Sum", **alarm
    )
    before = foreign(stack)
    yield stack
    listed = s3.list_objects_v2(Bucket=stack.outputs["DropBucketName"], Prefix="triggers/").get("Contents", [])
    there = {found["Key"] for found in listed}
    for file in SAMPLES.glob("*.yaml"):
        if f"triggers/{file.name}" in there:  # each deletion takes its turn, that of nothing too
            delete(stack, file.stem)
    wait_for("the end of our rules", lambda: None if ours(stack) else True, seconds=LONGEST)
    assert foreign(stack) == before


@pytest.fixture(scope="module", autouse=True)
def ahead(world: Stack, dag: str) -> dict[str, str]:
    """Triggers that take their time, dropped before the first test: versions by names, and the moment of `once`."""
    at = (datetime.now(UTC) + SOON).strftime("%Y-%m-%dT%H:%M:%S")
    texts = {
        "once": f"dag: {dag}\non: {{schedule: {{at: {at}}}}}\nconf: {{once: '{{{{ scheduled_time }}}}'}}\n",
        # The API remembers for half a minute which triggers there are.
        "called": f"dag: {dag}\non: {{http: {{auth: iam}}}}\nconf: {{called: '{{{{ order.id }}}}'}}\n"
        "limits: {rate: 600/min}\n",
    }
    return {"at": at, **{name: drop(world, f"triggers/{name}.yaml", text.encode()) for name, text in texts.items()}}


def put(stack: Stack, name: str, text: str | None = None) -> dict[str, Any]:
    """Drop a trigger file, a sample by default, and return the report on it."""
    body = (SAMPLES / f"{name}.yaml").read_bytes() if text is None else text.encode()
    return report_on(stack, name, drop(stack, f"triggers/{name}.yaml", body))


def report_on(stack: Stack, name: str, version: str) -> dict[str, Any]:
    """Wait for the report on a version of a trigger file."""

    def look() -> dict[str, Any] | None:
        report = read_report(stack, f"triggers/{name}.yaml")
        return report if report and report["source"]["version"] == version else None

    return wait_for(f"the report on {name}", look, seconds=LONGEST)


def delete(stack: Stack, name: str) -> None:
    stack.client("s3").delete_object(Bucket=stack.outputs["DropBucketName"], Key=f"triggers/{name}.yaml")


def rules(stack: Stack, bus: str = "default") -> dict[str, Any]:
    events = stack.client("events")
    return {rule["Name"]: rule for rule in events.list_rules(EventBusName=bus)["Rules"]}


def foreign(stack: Stack) -> list[Any]:
    """What is not Jetway's: rules on both buses, the schedules of its group, alarms, and what the bucket notifies."""
    group = stack.outputs["ScheduleGroupName"]
    schedules = stack.client("scheduler").list_schedules(GroupName=group)["Schedules"]
    alarms = stack.client("cloudwatch").describe_alarms(MaxRecords=100)["MetricAlarms"]
    notified = stack.client("s3").get_bucket_notification_configuration(Bucket=LANDING)
    return [
        rules(stack),
        rules(stack, BUS),
        {item["Name"]: item["Target"] for item in schedules if not item["Name"].startswith("jetway.")},
        {item["AlarmName"] for item in alarms if not item["AlarmName"].startswith("jetway.")},
        {name: value for name, value in notified.items() if name != "ResponseMetadata"},
    ]


def ours(stack: Stack) -> list[str]:
    found = [name for bus in ("default", BUS) for name in rules(stack, bus) if name.startswith("jetway.")]
    group = stack.outputs["ScheduleGroupName"]
    schedules = stack.client("scheduler").list_schedules(GroupName=group)["Schedules"]
    return found + [item["Name"] for item in schedules if item["Name"].startswith("jetway.")]


def sync(stack: Stack) -> None:
    """What the daily rule does."""
    stack.client("sqs").send_message(
        QueueUrl=stack.outputs["TriggerSyncQueueUrl"],
        MessageBody=json.dumps({"now": datetime.now(UTC).isoformat()}),
        MessageGroupId="triggers",
    )


def upload(stack: Stack, key: str, bucket: str = LANDING) -> None:
    stack.client("s3").put_object(Bucket=bucket, Key=key, Body=b"12345")


def wait_for_conf(stack: Stack, dag_id: str, **wanted: object) -> dict[str, Any]:
    """Wait for a run whose conf has these members, and return its conf."""

    def look() -> dict[str, Any] | None:
        confs: list[dict[str, Any]] = [run["conf"] for run in list_runs(stack, dag_id).values()]
        return next((conf for conf in confs if wanted.items() <= conf.items()), None)

    return wait_for(f"a run with {wanted}", look, seconds=LONGEST)


def test_a_file_in_a_foreign_bucket_starts_the_dag_with_the_conf_of_the_template(world: Stack, dag: str) -> None:
    report = put(world, "orders")
    assert (report["verdict"], report["findings"]) == ("accepted", [])
    for key in ("incoming/orders/a.txt", "other/a.csv", "incoming/orders/ü + \"q\" <b>.csv"):  # fmt: skip
        upload(world, key)
    path = f"s3://{LANDING}/incoming/orders/ü + \"q\" <b>.csv"  # fmt: skip
    assert wait_for_conf(world, dag, path=path) == {"path": path, "size": 5, "note": "<orders> of a trigger file"}
    paths = [run["conf"].get("path", "") for run in list_runs(world, dag).values()]
    assert not any(other.endswith(("a.txt", "a.csv")) for other in paths)
    (alarm,) = world.client("cloudwatch").describe_alarms(AlarmNames=["jetway.orders"])["MetricAlarms"]
    assert (alarm["Period"] * alarm["EvaluationPeriods"], alarm["TreatMissingData"]) == (25 * 3600, "breaching")


def test_an_event_on_a_custom_bus_starts_the_dag(world: Stack, dag: str) -> None:
    assert put(world, "invoices")["verdict"] == "accepted"
    entries = [
        {
            "EventBusName": BUS,
            "Source": "acme.billing",
            "DetailType": "InvoiceClosed",
            "Detail": json.dumps({"id": f"inv-{total}", "total": total}),
        }
        for total in (99, 101.5)
    ]
    assert world.client("events").put_events(Entries=entries)["FailedEntryCount"] == 0
    assert wait_for_conf(world, dag, invoice="inv-101.5") == {"invoice": "inv-101.5", "total": 101.5}
    assert all(run["conf"].get("invoice") != "inv-99" for run in list_runs(world, dag).values())


def test_many_files_become_one_run_with_a_manifest(world: Stack) -> None:
    drop(world, "dags/batch_manifest.py", (venvs.ROOT / "dags" / "batch_manifest.py").read_bytes())
    wait_for("the DAG in Airflow", lambda: airflow_api(world, "GET", "/dags/batch_manifest"), seconds=LONGEST)
    assert put(world, "orders_batched")["verdict"] == "accepted"
    for number in range(4):
        upload(world, f"bulk/2026/part-{number}.csv", "acme-archive" if number % 2 else LANDING)

    def look() -> list[dict[str, Any]] | None:
        """A slow machine may let a batch end before all four are there."""
        confs: list[dict[str, Any]] = [run["conf"] for run in list_runs(world, "batch_manifest").values()]
        found = [event for conf in confs for event in conf["events"] if event["key"].startswith("bulk/2026/")]
        return found if len(found) >= 4 else None

    events = wait_for("the events in manifests", look, seconds=LONGEST)
    assert sorted((event["bucket"], event["key"][-5]) for event in events) == [
        *(("acme-archive", "1"), ("acme-archive", "3")),
        *((LANDING, "0"), (LANDING, "2")),
    ]


def test_two_triggers_on_one_event_start_two_runs(world: Stack, dag: str) -> None:
    keys = "[{prefix: two/, suffix: .csv}, {wildcard: 'three/*/*.txt'}, exactly.this]"
    texts = {
        "several": f"dag: {dag}\non: {{s3: {{bucket: [{LANDING}, acme-archive], key: {keys}}}}}\n",
        "others": f"dag: {dag}\non: {{s3: {{bucket: {LANDING}, key: {{anything-but: {{suffix: [.txt, .tmp]}}}}}}}}\n",
    }
    for name, text in texts.items():
        assert put(world, name, f"{text}conf: {{by: {name}, at: '{{{{ bucket }}}}/{{{{ key }}}}'}}\n")["findings"] == []
    for key in ("two/a.csv", "two/a.tmp", "three/x/a.txt", "exactly.this", "two/a.txt"):
        upload(world, key)
    upload(world, "two/a.csv", "acme-archive")
    wanted = {
        *(("several", f"{LANDING}/{key}") for key in ("two/a.csv", "three/x/a.txt", "exactly.this")),
        ("several", "acme-archive/two/a.csv"),
        *(("others", f"{LANDING}/{key}") for key in ("two/a.csv", "exactly.this")),
    }

    def look() -> list[tuple[str, str]] | None:
        confs = [run["conf"] for run in list_runs(world, dag).values()]
        found = [(conf["by"], conf["at"]) for conf in confs if conf.get("by") in texts]
        return found if len(found) >= len(wanted) else None

    assert sorted(wait_for("all runs", look, seconds=LONGEST)) == sorted(wanted)
    for name in texts:
        delete(world, name)


def test_the_end_of_one_run_starts_the_next(world: Stack, dag: str) -> None:
    source = (SAMPLES.parent / "dags" / f"{dag}.py").read_text().replace(dag, "chained")
    drop(world, "dags/chained.py", source.encode())
    text = (
        "dag: chained\non: {event: {source: [jetway], detail-type: [DagRunSucceeded], "
        f"detail: {{dag_id: [{dag}], trigger: [data]}}}}}}\nconf: {{after: '{{{{ detail.dag_run_id }}}}'}}\n"
    )
    wait_for("the DAG in Airflow", lambda: airflow_api(world, "GET", "/dags/chained"), seconds=LONGEST)
    assert put(world, "chained", text)["findings"] == []
    drop(world, f"data/{dag}/chained.csv", b"x")

    def ended() -> str | None:
        runs = list_runs(world, dag).values()
        found = [run for run in runs if run["conf"].get("key") == f"data/{dag}/chained.csv"]
        return found[0]["dag_run_id"] if found and found[0]["state"] == "success" else None

    run_id = wait_for("the end of the first run", ended, seconds=LONGEST)
    invoke(world, "FollowRuns")  # as its schedule does every minute
    wait_for_conf(world, "chained", after=run_id)
    delete(world, "chained")


def test_a_trigger_is_changed_disabled_and_deleted(world: Stack, dag: str) -> None:
    text = (
        f"dag: {dag}\non: {{s3: {{bucket: {LANDING}, key: {{prefix: PREFIX}}}}}}\nconf: {{changed: '{{{{ key }}}}'}}\n"
    )
    put(world, "changing", text.replace("PREFIX", "one/"))
    put(world, "changing", text.replace("PREFIX", "two/"))
    upload(world, "one/x")
    upload(world, "two/x")
    wait_for_conf(world, dag, changed="two/x")
    assert all(run["conf"].get("changed") != "one/x" for run in list_runs(world, dag).values())
    put(world, "changing", text.replace("PREFIX", "two/") + "enabled: false\n")
    assert rules(world)["jetway.changing"]["State"] == "DISABLED"
    delete(world, "changing")
    wait_for("the end of the rule", lambda: None if "jetway.changing" in rules(world) else True, seconds=LONGEST)


def test_a_broken_file_leaves_the_last_good_trigger_in_force(world: Stack, dag: str) -> None:
    good = f"dag: {dag}\non: {{s3: {{bucket: {LANDING}, key: {{prefix: good/}}}}}}\nconf: {{good: '{{{{ key }}}}'}}\n"
    put(world, "breaking", good)
    report = put(world, "breaking", good.replace("s3:", "s4:"))
    assert report["verdict"] == "rejected"
    assert (report["findings"][0]["line"], report["findings"][0]["rule"]) == (2, "unknown-key")
    assert report["findings"][-1]["rule"] == "last-good-in-force"
    upload(world, "good/x")
    wait_for_conf(world, dag, good="good/x")
    delete(world, "breaking")


def test_a_schedule_fires_once_at_its_moment_and_is_gone(world: Stack, dag: str, ahead: dict[str, str]) -> None:
    nightly = put(world, "nightly")
    assert (nightly["verdict"], nightly["findings"]) == ("accepted", [])
    assert report_on(world, "once", ahead["once"])["verdict"] == "accepted"
    assert wait_for_conf(world, dag, once=f"{ahead['at']}Z")
    wait_for("the end of the schedule", lambda: None if "jetway.once" in ours(world) else True, seconds=LONGEST)
    sync(world)
    wait_for(
        "the warning",
        lambda: (read_report(world, "triggers/once.yaml") or {})["findings"] or None,
        seconds=LONGEST,
    )
    assert "jetway.once" not in ours(world)
    delete(world, "once")


def test_a_call_of_a_trigger_starts_its_dag_with_the_conf_of_the_template(
    world: Stack, dag: str, ahead: dict[str, str]
) -> None:
    assert report_on(world, "called", ahead["called"])["findings"] == []

    def call() -> dict[str, Any] | None:
        """It may not know of it yet."""
        answer = call_api(
            world, "POST", "/triggers/called", body={"order": {"id": 7}}, headers={"Idempotency-Key": "7"}
        )
        return None if answer.status_code == 404 else {"status": answer.status_code, **answer.json()}

    first, second = (wait_for("the trigger", call, seconds=LONGEST, pause=1) for _ in range(2))
    assert (first["status"], first) == (202, second)
    assert wait_for_conf(world, dag, called=7) == {"called": 7}
    assert [run["conf"].get("called") for run in list_runs(world, dag).values()].count(7) == 1
    delete(world, "called")


def test_what_is_changed_by_hand_is_put_right(world: Stack, dag: str) -> None:
    text = f"dag: {dag}\non: {{s3: {{bucket: {LANDING}, key: {{prefix: drift/}}}}}}\nconf: {{drift: '{{{{ key }}}}'}}\n"
    put(world, "drifting", text)
    events = world.client("events")
    events.remove_targets(Rule="jetway.drifting", Ids=["jetway"])
    events.delete_rule(Name="jetway.drifting")
    sync(world)
    wait_for("the rule", lambda: rules(world).get("jetway.drifting"), seconds=LONGEST)
    upload(world, "drift/x")
    wait_for_conf(world, dag, drift="drift/x")
    delete(world, "drifting")


def test_the_daily_rule_puts_right_what_nobody_tells_of(world: Stack, dag: str) -> None:
    put(world, "daily", f"dag: {dag}\non: {{event: {{source: [acme.daily]}}}}\n")
    events = world.client("events")
    (daily,) = [name for name in rules(world) if "TriggerDriftRule" in name]
    assert rules(world)[daily]["ScheduleExpression"] == "rate(1 day)"
    events.put_rule(Name="jetway.daily", EventPattern='{"source": ["somebody"]}', State="DISABLED")
    events.put_rule(Name=daily, ScheduleExpression="rate(1 minute)")
    try:
        wait_for(
            "the rule as it was",
            lambda: True if "acme.daily" in rules(world)["jetway.daily"]["EventPattern"] else None,
            seconds=LONGEST + 60,
        )
    finally:
        events.put_rule(Name=daily, ScheduleExpression="rate(1 day)")
    assert rules(world)["jetway.daily"]["State"] == "ENABLED"
    delete(world, "daily")


def test_a_bucket_that_sends_no_events_is_a_warning_and_stays_as_it_is(world: Stack, dag: str) -> None:
    s3 = world.client("s3")
    s3.create_bucket(Bucket="acme-silent", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    report = put(world, "silent", f"dag: {dag}\non: {{s3: {{bucket: acme-silent}}}}\n")
    (finding,) = report["findings"]
    assert (report["verdict"], finding["rule"]) == ("accepted", "bucket-sends-no-events")
    assert "aws s3api put-bucket-notification-configuration --bucket acme-silent" in finding["remedy"]
    assert "EventBridgeConfiguration" not in s3.get_bucket_notification_configuration(Bucket="acme-silent")
    delete(world, "silent")
