"""The look at all runs: each end is told and alarmed once, in whatever pages and however late Airflow shows it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from moto import mock_aws

from jetway.airflow.finished_runs import pages_of_ends
from jetway.dispatch.run_events import end_id
from jetway.ledger import Entry
from jetway.run_monitoring.alarms_file import RunAlarms
from jetway.run_monitoring.deadlines import Expectation
from jetway.run_monitoring.notifications import MOST_SHOWN
from jetway.run_monitoring.state_table import ID, MOST_MARKS, OVERLAP, OvertakenError, mark_of
from tests.unit.dispatch.test_following import FakeWatch
from tests.unit.run_monitoring.world import NOW, FakeAirflow, World
from tests.unit.sample_events import ROOT

MINUTE = timedelta(minutes=1)
DAILY = frozenset(range(7))


@pytest.fixture
def world() -> Iterator[World]:
    with mock_aws():
        yield World()


def begun(world: World) -> World:
    """The world a minute after a first look."""
    world.look()
    world.now += MINUTE
    return world


def test_what_ended_before_the_first_look_is_not_told(world: World) -> None:
    world.airflow.end("old", "failed", NOW - MINUTE)
    begun(world)
    world.airflow.end("new", "failed", NOW + timedelta(seconds=30))
    assert world.look().failed == 1
    assert world.ids() == [end_id("theirs", "new", "failed")]
    assert [mail.subject for mail in world.mails] == ["Jetway acme: dag-failed: theirs"]


def test_an_end_is_told_once_however_often_it_is_looked_at(world: World) -> None:
    begun(world)
    world.airflow.end("a", "failed", NOW + timedelta(seconds=10))
    world.airflow.end("b", "success", NOW + timedelta(seconds=20))
    for _ in range(int(OVERLAP / MINUTE) + 3):
        world.look()
        world.now += MINUTE
    assert sorted(world.ids()) == [end_id("theirs", "a", "failed"), end_id("theirs", "b", "success")]
    assert len(world.mails) == 1
    seen = world.memory.recall()
    assert seen is not None
    assert seen.told == {}, "what will not be met again is forgotten"


def test_an_end_that_airflow_shows_late_is_told(world: World) -> None:
    """The scheduler's transaction is over minutes after the end date that it writes."""
    begun(world)
    for _ in range(8):
        world.look()
        world.now += MINUTE
    world.airflow.end("late", "failed", NOW + timedelta(seconds=30))
    world.look()
    assert world.ids() == [end_id("theirs", "late", "failed")]


def test_after_an_outage_all_of_it_is_told_and_after_a_month_three_days(world: World) -> None:
    expecting(begun(world), NOW + 5 * MINUTE)
    world.airflow.end("in the outage", "failed", NOW + timedelta(hours=1))
    world.now += timedelta(days=2)
    world.look()
    assert end_id("theirs", "in the outage", "failed") in world.ids()
    world.told.clear()
    world.airflow.end("long ago", "failed", world.now + timedelta(days=20))
    world.airflow.end("of late", "failed", world.now + timedelta(days=28))
    world.now += timedelta(days=30)
    world.look()
    assert [id_ for id_ in world.ids() if id_.startswith("run#")] == [end_id("theirs", "of late", "failed")]
    assert sum(id_.startswith("missing#") for id_ in world.ids()) == 3


def test_the_row_is_never_larger_than_dynamodb_takes(world: World) -> None:
    begun(world)
    seen = world.memory.recall()
    assert seen is not None
    marks = {mark_of(str(number)): NOW for number in range(MOST_MARKS + 500)}
    kept = world.memory.keep(seen.with_told(marks), seen)
    assert len(kept.told) == MOST_MARKS
    assert len(str(world.table.get_item(Key={"id": ID})["Item"])) < 400 * 1024


def test_a_run_that_is_cleared_and_fails_again_is_alarmed_again_with_the_same_id(world: World) -> None:
    begun(world)
    run = world.airflow.end("a", "failed", NOW + timedelta(seconds=10))
    world.look()
    run["end_date"] = (NOW + timedelta(seconds=100)).isoformat()
    world.now += MINUTE
    world.look()
    assert world.ids() == [end_id("theirs", "a", "failed")] * 2
    assert len(world.mails) == 2


def test_the_events_are_of_the_published_schemas(world: World) -> None:
    midnight = Expectation("late", time(6, 0), DAILY, ZoneInfo("UTC"))
    world.alarms = RunAlarms(owners={"theirs": ("ann", "bob")}, expected=(midnight,))
    world.now -= MINUTE
    begun(world)
    world.airflow.end("a", "failed", NOW)
    world.airflow.end("b", "success", NOW)
    world.now = NOW + 2 * MINUTE
    world.look()
    assert {event.detail_type for event in world.told} == {"DagRunFailed", "DagRunSucceeded", "DagRunMissing"}
    for event in world.told:
        schema = json.loads((ROOT / f"docs/schemas/{event.detail_type}.json").read_text())
        detail = {"id": event.id, **event.detail}
        Draft202012Validator(schema).validate(detail)
        assert set(detail) == set(schema["properties"])
    (failed,) = [event for event in world.told if event.detail_type == "DagRunFailed"]
    assert failed.detail["owners"] == ["ann", "bob"]
    assert failed.detail["url"] == "https://ui.example/dags/theirs/runs/a"


def test_the_mail_says_dag_run_owners_and_link(world: World) -> None:
    world.alarms = RunAlarms(owners={"theirs": ("ann@example.com",)})
    begun(world)
    world.airflow.end("scheduled__2026-11-30T06:00:00+00:00", "failed", NOW + timedelta(seconds=10))
    world.look()
    (mail,) = world.mails
    assert mail.text.splitlines() == [
        "1 DAG run failed in environment acme.",
        "",
        "DAG: theirs",
        "Run: scheduled__2026-11-30T06:00:00+00:00",
        "Ended: 2026-11-30T06:00:10+00:00",
        "Owners: ann@example.com",
        "Airflow: https://ui.example/dags/theirs/runs/scheduled__2026-11-30T06%3A00%3A00%2B00%3A00",
        "",
        "To receive no messages about a DAG, write `alarm: false` for it in alarms.yaml of the drop bucket.",
    ]


def test_a_bad_night_is_one_mail(world: World) -> None:
    begun(world)
    for number in range(MOST_SHOWN + 7):
        world.airflow.end(f"r{number}", "failed", NOW + timedelta(seconds=10), dag_id=f"dag{number}")
    world.look()
    (mail,) = world.mails
    assert mail.subject == f"Jetway acme: dag-failed: {MOST_SHOWN + 7} DAGs"
    assert (mail.text.count("DAG: "), "and 7 more." in mail.text) == (MOST_SHOWN, True)


def test_a_dag_that_is_silent_is_told_and_not_alarmed(world: World) -> None:
    world.alarms = RunAlarms(silent=frozenset({"theirs"}))
    begun(world)
    world.airflow.end("a", "failed", NOW + timedelta(seconds=10))
    assert world.look().failed == 1
    assert world.ids() == [end_id("theirs", "a", "failed")]
    assert world.mails == []


# Runs that Jetway has started


def start(world: World, run_id: str) -> Entry:
    row = Entry(
        id=f"http#{run_id}" if not run_id.startswith("jetway__") else "orders#neao5nwq7jut2lxa4mqj",
        trigger="orders",
        kind="s3",
        identity=("s3", "acme", "a.csv", "version-id", "1"),
        decision="started",
        decided_at=NOW,
        dag_id="etl",
        dag_run_id=run_id,
        state="queued",
    )
    world.ledger.record(row, run_since=NOW)
    return row


OURS = "jetway__orders__neao5nwq7jut2lxa4mqj"


@pytest.mark.parametrize("first", ["look", "follower"])
def test_the_end_of_a_run_of_ours_is_told_once_and_alarmed_once(world: World, first: str) -> None:
    start(world, OURS)
    begun(world)
    watch = FakeWatch()
    end = NOW + timedelta(seconds=90)
    world.airflow.end(OURS, "failed", end, dag_id="etl")
    watch.end(OURS, "failed")
    world.now = NOW + 2 * MINUTE
    steps = [world.look, world.follower(watch).follow]
    for step in steps if first == "look" else reversed(steps):
        step()
    world.look()
    world.follower(watch).follow()
    assert world.ids() == [end_id("etl", OURS, "failed")]
    assert world.told[0].detail["trigger"] == "orders"
    assert len(world.mails) == 1


def test_an_end_that_is_seen_makes_its_row_due_at_once(world: World) -> None:
    row = start(world, OURS)
    begun(world)
    (opened,) = world.ledger.open_entries(limit=9)
    world.ledger.look_again(opened, state="running", since=NOW, at=NOW + timedelta(minutes=15))
    assert world.ledger.open_entries(limit=9) == []
    world.airflow.end(OURS, "success", NOW + timedelta(seconds=30), dag_id="etl")
    world.look()
    assert [found.entry.id for found in world.ledger.open_entries(limit=9)] == [row.id]


def test_a_run_of_ours_that_was_cleared_and_ended_in_another_way_is_told_with_its_event(world: World) -> None:
    start(world, OURS)
    begun(world)
    (opened,) = world.ledger.open_entries(limit=9)
    world.ledger.close(opened, state="failed", ended_at=NOW)
    world.airflow.end(OURS, "success", NOW + timedelta(seconds=30), dag_id="etl")
    world.look()
    (event,) = world.told
    assert (event.id, event.detail["trigger"]) == (end_id("etl", OURS, "success"), "orders")


# Pages


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    moments=st.lists(st.integers(0, 6), max_size=25),
    most=st.integers(1, 5),
    cleared=st.sets(st.integers(0, 24), max_size=3),
)
def test_no_end_is_between_two_pages_whatever_is_cleared_meanwhile(
    moments: list[int], most: int, cleared: set[int]
) -> None:
    airflow = FakeAirflow(most=most)
    for number, moment in enumerate(moments):
        airflow.end(f"r{number}", "success", NOW + moment * MINUTE)
    gone = iter(sorted(cleared))

    def clear() -> None:
        number = next(gone, None)
        # One of many of the same moment shifts its neighbours, which have no other order; the overlap sees to them.
        if number is not None and number < len(moments) and moments.count(moments[number]) <= most - 1:
            airflow.runs[number]["end_date"] = None

    airflow.between = clear
    world = World.__new__(World)
    world.airflow = airflow
    seen = {run.dag_run_id for page in pages_of_ends(world.client(), NOW) for run in page}
    assert {run["dag_run_id"] for run in airflow.runs if run["end_date"]} <= seen


def test_without_time_the_next_look_goes_on_where_this_one_ended(world: World) -> None:
    begun(world)
    world.airflow.most = 2
    for number in range(5):
        world.airflow.end(f"r{number}", "success", NOW + timedelta(seconds=number))
    world.seconds = 0.0
    assert not world.look().complete
    assert len(world.told) == 2
    for _ in range(6):
        world.look()
    assert sorted(world.ids()) == sorted({end_id("theirs", f"r{number}", "success") for number in range(5)})


def test_a_look_that_is_overtaken_ends(world: World) -> None:
    begun(world)
    seen = world.memory.recall()
    assert seen is not None
    world.memory.keep(replace(seen, until=NOW), seen)
    with pytest.raises(OvertakenError):
        world.memory.keep(seen, seen)


# Deadlines


def expecting(world: World, at: datetime, dag_id: str = "nightly") -> World:
    world.alarms = RunAlarms(expected=(Expectation(dag_id, at.time(), DAILY, ZoneInfo("UTC")),))
    return world


def test_a_dag_that_did_not_run_in_time_is_missed_once(world: World) -> None:
    expecting(begun(world), NOW + 5 * MINUTE)
    for _ in range(30):
        world.look()
        world.now += MINUTE
    (event,) = world.told
    assert event.id == "missing#nightly#2026-11-30T06:05:00+00:00"
    (mail,) = world.mails
    assert mail.subject == "Jetway acme: dag-missing: nightly"
    assert "No run of DAG nightly in environment acme has succeeded by 2026-11-30 06:05 UTC." in mail.text
    assert "It has no run." in mail.text


@pytest.mark.parametrize(
    ("state", "ended", "missed"),
    [
        ("success", NOW - timedelta(hours=3), False),
        ("success", NOW + 5 * MINUTE, False),
        ("success", NOW + 5 * MINUTE + timedelta(seconds=1), True),
        ("success", NOW - timedelta(days=1), True),
        ("failed", NOW - timedelta(hours=3), True),
    ],
)
def test_only_what_succeeded_between_two_deadlines_counts(
    world: World, state: str, ended: datetime, missed: bool
) -> None:
    expecting(begun(world), NOW + 5 * MINUTE)
    world.airflow.end("r", state, ended, dag_id="nightly")
    world.now = NOW + 7 * MINUTE
    world.look()
    assert [event.detail["last_state"] for event in world.told if event.detail_type == "DagRunMissing"] == (
        [state] if missed else []
    )


def test_a_dag_that_is_not_there_is_missed(world: World) -> None:
    expecting(begun(world), NOW + 5 * MINUTE)
    world.airflow.unknown.add("nightly")
    world.now = NOW + 7 * MINUTE
    world.look()
    assert [event.detail_type for event in world.told] == ["DagRunMissing"]


def test_what_was_expected_before_the_file_came_is_not_missed(world: World) -> None:
    begun(world)
    world.now = NOW + 20 * MINUTE
    world.look()
    expecting(world, NOW + 5 * MINUTE)
    world.now += MINUTE
    world.look()
    assert world.told == []
