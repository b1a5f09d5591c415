"""What somebody else did to rules, schedules and alarms is seen and mended; what AWS refuses half-way is taken back."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from jetway.errors import OutOfTimeError, TransientError
from jetway.sync import accepted
from tests.unit.sync.world import CLOSED, DROP, NIGHTLY, NOW, ORDERS, World

HOOK = "dag: hook\non: {http: {auth: iam}}\n"
OTHER_DAG = ORDERS.replace("ingest", "ingest2").replace("in/", "new/")


def refuse(client: Any, call: str, code: str, *, times: int = 1) -> None:
    """Let AWS answer a call with an error, so many times; nothing is done."""
    left = iter(range(times))

    def answer(**_: Any) -> Any:
        if next(left, None) is None:
            return None
        return SimpleNamespace(status_code=400), {"Error": {"Code": code, "Message": "as the test has it"}}

    client.meta.events.register_first(f"before-call.*.{call}", answer)


def not_taken(client: Any, call: str) -> None:
    """Let AWS answer a call on targets with entries that it did not take, once."""
    left = iter(range(1))

    def answer(**_: Any) -> Any:
        if next(left, None) is None:
            return None
        return SimpleNamespace(status_code=200), {"FailedEntryCount": 1, "FailedEntries": [{"ErrorCode": "Internal"}]}

    client.meta.events.register_first(f"before-call.*.{call}", answer)


def starts(world: World) -> dict[str, tuple[str, str]]:
    """For each rule, the prefix or wildcard of its keys, and the DAG that its target starts."""
    found = {}
    for name, rule in world.rules().items():
        (key,) = json.loads(rule["EventPattern"])["detail"]["object"]["key"]
        targets = [
            json.loads(each["InputTransformer"]["InputTemplate"].split(',"event"')[0] + "}") for each in rule["Targets"]
        ]
        found[name] = (key["wildcard"], *(each["trigger"]["dag"] for each in targets))
    return found


# ------------------------------------------------------------------------------------------- refused half-way
@pytest.mark.parametrize("code", ["ValidationException", "LimitExceededException"])
def test_a_change_whose_targets_are_refused_leaves_the_last_good_in_force_as_its_report_says(
    world: World, code: str
) -> None:
    world.sync(orders=ORDERS)
    refuse(world.aws.events, "PutTargets", code)
    done = world.sync(orders=OTHER_DAG)
    assert done.rejected == ["triggers/orders.yaml"]
    assert world.said("orders") == ["aws-refuses", "last-good-in-force"]
    assert starts(world) == {"jetway.orders": ("in/*.csv", "ingest")}, "never the new pattern with the old DAG"


def test_a_change_whose_targets_are_not_taken_is_taken_back_until_the_message_is_there_again(world: World) -> None:
    world.sync(orders=ORDERS)
    not_taken(world.aws.events, "PutTargets")
    done = world.sync(orders=OTHER_DAG)
    assert [type(trouble) for trouble in done.troubles] == [TransientError]
    assert starts(world) == {"jetway.orders": ("in/*.csv", "ingest")}
    assert world.sync().troubles == []
    assert starts(world) == {"jetway.orders": ("new/*.csv", "ingest2")}


def test_a_new_rule_whose_targets_are_refused_does_not_stay(world: World) -> None:
    world.sync()
    refuse(world.aws.events, "PutTargets", "ValidationException")
    assert world.sync(orders=ORDERS).rejected == ["triggers/orders.yaml"]
    assert world.rules() == {}


def test_the_first_sync_of_all_keeps_nothing_that_it_made_of_a_refused_file_and_all_that_was_there(
    world: World,
) -> None:
    old = ORDERS + "expect: {within: 1h}\n"
    world.sync(old=old)
    world.aws.s3.delete_object(Bucket=DROP, Key=accepted.KEY)
    refuse(world.aws.cloudwatch, "PutMetricAlarm", "ValidationError", times=9)
    done = world.sync(old=old.replace("1h", "2h"), new=ORDERS + "expect: {within: 1h}\n")
    assert done.rejected == ["triggers/new.yaml", "triggers/old.yaml"]
    assert set(world.rules()) == set(world.alarms()) == {"jetway.old"}


@pytest.mark.parametrize(("call", "file"), [("PutTargets", ORDERS), ("CreateSchedule", NIGHTLY)])
def test_what_was_deleted_under_our_hands_is_no_fault_of_the_file(world: World, call: str, file: str) -> None:
    refuse(world.aws.scheduler if call == "CreateSchedule" else world.aws.events, call, "ResourceNotFoundException")
    done = world.sync(x=file)
    assert (done.rejected, len(done.troubles)) == ([], 1)
    assert world.sync().troubles == []
    assert world.report("x")["verdict"] == "accepted"


# ------------------------------------------------------------------------------------------- changed by hand
def test_a_rule_that_got_a_schedule_or_a_role_loses_it(world: World) -> None:
    world.sync(orders=ORDERS)
    rule = world.rules()["jetway.orders"]
    events: Any = world.aws.events
    events.put_rule(
        Name="jetway.orders",
        EventPattern=rule["EventPattern"],
        Description=rule["Description"],
        ScheduleExpression="rate(1 minute)",
        RoleArn="arn:aws:iam::123456789012:role/other",
    )
    assert world.sync().changes == ["changed rule default jetway.orders"]
    assert world.rules()["jetway.orders"] == rule
    assert world.sync().changes == []


def test_a_rule_that_is_enabled_in_another_way_is_as_the_file_says(world: World) -> None:
    world.sync(orders=ORDERS + "enabled: false\n")
    rule = world.rules()["jetway.orders"]
    world.aws.events.put_rule(
        Name="jetway.orders",
        EventPattern=rule["EventPattern"],
        Description=rule["Description"],
        State="ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS",
    )
    assert world.sync().changes == ["changed rule default jetway.orders"]
    assert world.rules()["jetway.orders"] == rule


def test_foreign_targets_make_way_for_ours_before_ours_is_put(world: World) -> None:
    world.sync(orders=ORDERS)
    targets = world.rules()["jetway.orders"]["Targets"]
    events: Any = world.aws.events
    events.remove_targets(Rule="jetway.orders", Ids=["jetway"])
    foreign = [{"Id": f"t{number}", "Arn": f"arn:aws:sqs:eu-central-1:1:q{number}"} for number in range(5)]
    events.put_targets(Rule="jetway.orders", Targets=foreign)

    def no_more_than_five(params: Any, **_: Any) -> Any:
        there = {each["Id"] for each in world.rules()["jetway.orders"]["Targets"]}
        if len(there | {"jetway"}) > 5:
            return SimpleNamespace(status_code=400), {"Error": {"Code": "LimitExceededException", "Message": "five"}}
        return None

    events.meta.events.register_first("before-call.*.PutTargets", no_more_than_five)
    done = world.sync()
    assert (done.changes, done.rejected) == (["changed rule default jetway.orders"], [])
    assert world.rules()["jetway.orders"]["Targets"] == targets


@pytest.mark.parametrize(
    "by_hand",
    [
        {"EndDate": datetime(2026, 11, 1, tzinfo=UTC)},
        {"StartDate": datetime(2036, 11, 1, tzinfo=UTC)},
        {"KmsKeyArn": "arn:aws:kms:eu-central-1:123456789012:key/other"},
        {"State": "DISABLED"},
    ],
)
def test_a_schedule_that_would_not_fire_is_mended(world: World, by_hand: dict[str, Any]) -> None:
    world.sync(nightly=NIGHTLY)
    scheduler: Any = world.aws.scheduler
    added = {"Arn", "CreationDate", "LastModificationDate", "Name", "ResponseMetadata"}
    there = scheduler.get_schedule(GroupName="jetway", Name="jetway.nightly")
    same = {name: value for name, value in there.items() if name not in added and value}
    scheduler.update_schedule(Name="jetway.nightly", **{**same, **by_hand})
    assert world.sync().changes == ["changed schedule jetway.nightly"]
    assert not {*by_hand} & {*scheduler.get_schedule(GroupName="jetway", Name="jetway.nightly")} - {"State"}
    assert world.sync().changes == []


def test_an_alarm_that_tells_nobody_or_somebody_else_is_mended(world: World) -> None:
    world.sync(orders=ORDERS + "expect: {within: 1h}\n")
    world.aws.cloudwatch.disable_alarm_actions(AlarmNames=["jetway.orders"])
    assert world.sync().changes == ["changed alarm jetway.orders"]
    assert world.alarms()["jetway.orders"]["ActionsEnabled"] is True
    assert world.sync().changes == []


# ------------------------------------------------------------------------------------------- schedules
def test_a_group_that_is_gone_keeps_nothing_but_schedules_from_being_in_force(world: World) -> None:
    world.sync(gone=ORDERS)
    refuse(world.aws.scheduler, "ListSchedules", "ResourceNotFoundException")
    done = world.sync(gone=None, orders=ORDERS, hook=HOOK, nightly=NIGHTLY)
    assert set(world.rules()) == {"jetway.orders"}
    assert set(accepted.load(world.aws.s3, DROP).triggers) == {"triggers/hook.yaml", "triggers/orders.yaml"}
    (trouble,) = done.troubles
    assert isinstance(trouble, TransientError)
    assert str(trouble) == "schedule group 'jetway' does not exist. Deploy the stack again to create it."
    assert done.rejected == [], "it is no fault of the file"
    assert world.sync().troubles == []
    assert world.schedules() == ["jetway.nightly"]


def test_a_schedule_that_fires_while_the_run_is_on_its_way_is_not_made_anew(world: World) -> None:
    world.sync(once="dag: once\non: {schedule: {at: 2026-11-22T10:00:00}}\n")
    world.now = NOW + timedelta(minutes=59)

    def fires(**_: Any) -> None:
        if world.now == NOW + timedelta(hours=1):
            return
        world.now = NOW + timedelta(hours=1)
        boto3.client("scheduler", region_name="eu-central-1").delete_schedule(GroupName="jetway", Name="jetway.once")

    world.aws.scheduler.meta.events.register_first("before-call.*.ListSchedules", fires)
    assert world.sync().changes == []
    assert world.schedules() == []


def test_a_schedule_whose_moment_is_over_for_days_does_not_stay(world: World) -> None:
    world.sync(once="dag: once\non: {schedule: {at: 2026-11-22T10:00:00}}\n")
    world.now = NOW + timedelta(hours=25)
    assert world.sync().changes == [], "Scheduler may still be at it: it tries for a day"
    world.now = NOW + timedelta(hours=50)
    assert world.sync().changes == ["deleted schedule jetway.once"]
    assert world.sync().changes == []


# ------------------------------------------------------------------------------------------- alarms
def test_the_clock_of_an_alarm_starts_without_a_run_that_never_was(world: World) -> None:
    world.sync(orders=ORDERS + "expect: {within: 1h}\n")
    dimensions: Any = [{"Name": "Environment", "Value": "prod"}, {"Name": "Trigger", "Value": "orders"}]
    now = datetime.now(UTC)
    alarm = world.alarms()["jetway.orders"]
    points: list[Any] = world.aws.cloudwatch.get_metric_statistics(
        Namespace=alarm["Namespace"],
        MetricName=alarm["MetricName"],
        Dimensions=dimensions,
        StartTime=now - timedelta(hours=1),
        EndTime=now + timedelta(hours=1),
        Period=86400,
        Statistics=["Sum", "SampleCount"],
    )["Datapoints"]
    (point,) = points
    assert point["Sum"] == 0, "nothing was started"
    assert not point[alarm["Statistic"]] < alarm["Threshold"], "its clock has started"
    assert (alarm["ComparisonOperator"], alarm["TreatMissingData"]) == ("LessThanThreshold", "breaching")


# ------------------------------------------------------------------------------------------- out of time
def test_a_run_whose_time_is_over_saves_what_it_did_and_the_next_goes_on_from_there(world: World) -> None:
    world.sync(gone=ORDERS, kept=NIGHTLY, z=HOOK)
    left = [100.0]

    def passes(**_: Any) -> None:
        left[0] -= 20.0

    world.aws.events.meta.events.register_first("before-call.*.PutRule", passes)
    world.seconds_left = lambda: left[0]
    files = {f"t{number:02}": ORDERS for number in range(12)}
    done = world.sync(gone=None, kept=NIGHTLY.replace("1h", "2h"), z=None, **files)
    assert {type(trouble) for trouble in done.troubles} == {OutOfTimeError}
    first = set(world.rules())
    assert 0 < len(first) < 12
    assert world.schedules() == ["jetway.kept"]
    saved = accepted.load(world.aws.s3, DROP).triggers
    assert {f"jetway.{entry['name']}" for entry in saved.values()} == first | {"jetway.kept"}
    runs = 1
    while done.troubles:
        left[0] = 100.0
        versions = len(world.aws.s3.list_object_versions(Bucket=DROP, Prefix="reports/triggers/t00")["Versions"])
        done = world.sync()
        runs += 1
        assert runs < 9
        assert (
            len(world.aws.s3.list_object_versions(Bucket=DROP, Prefix="reports/triggers/t00")["Versions"]) == versions
        )
    assert runs == 3
    assert set(world.rules()) == {f"jetway.{name}" for name in files}
    assert len(accepted.load(world.aws.s3, DROP).triggers) == 13


def test_a_run_that_is_left_no_time_takes_nothing_away(world: World) -> None:
    world.sync(orders=ORDERS, closed=CLOSED)
    before = (world.rules(), world.rules("acme"), dict(accepted.load(world.aws.s3, DROP).triggers))
    world.seconds_left = lambda: 19.0
    assert world.sync(nightly=NIGHTLY).troubles != []
    assert (world.rules(), world.rules("acme"), dict(accepted.load(world.aws.s3, DROP).triggers)) == before
