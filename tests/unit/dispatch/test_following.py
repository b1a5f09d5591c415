"""follow_runs: the end of every run is told at least once, with one id; nothing is looked at more than needed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from moto import mock_aws

from jetway.airflow import DagRun, DagState
from jetway.airflow.blocked import Blocked, BlockedBy
from jetway.airflow.watch import Sighting
from jetway.dispatch.following import BLOCKED_AFTER, LATEST, RunFollower, next_look
from jetway.dispatch.run_events import DELETED, PAUSED, STALE, announcement, completion, never_ran
from jetway.errors import EnvironmentUnavailableError
from jetway.events.outgoing import EventsOutError, OutEvent
from jetway.ledger import Entry, Ledger
from tests.unit.ledger_table import make_ledger_table
from tests.unit.sample_events import ROOT

NOW = datetime(2026, 11, 22, 6, 0, tzinfo=UTC)


class FakeWatch:
    """Airflow's runs by (dag_id, run id); a look sees them as REST does: those that have ended."""

    def __init__(self) -> None:
        self.runs: dict[tuple[str, str], DagRun] = {}
        self.gone: set[tuple[str, str]] = set()
        self.by: dict[str, BlockedBy] = {}
        self.trouble: Exception | None = None
        self.asked_for_blocked: list[dict[str, list[str]]] = []
        self.asked: list[tuple[Mapping[str, Sequence[str]], datetime]] = []

    def is_stale(self, dag_id: str) -> bool:
        raise NotImplementedError

    def dag_state(self, dag_id: str) -> DagState | None:
        raise NotImplementedError

    def is_paused(self, dag_id: str) -> bool:
        raise NotImplementedError

    def blocked(self, wanted: Mapping[str, Sequence[str]]) -> Iterator[Blocked]:
        self.asked_for_blocked.append({name: list(ids) for name, ids in wanted.items()})
        if self.trouble is not None:
            raise self.trouble
        for dag_id, run_ids in wanted.items():
            if dag_id in self.by:
                yield from (Blocked(dag_id, run_id, self.by[dag_id]) for run_id in run_ids)

    def look(self, wanted: Mapping[str, Sequence[str]], *, since: datetime) -> Iterator[Sighting]:
        self.asked.append((wanted, since))
        for dag_id, run_ids in wanted.items():
            keys = frozenset((dag_id, run_id) for run_id in run_ids)
            yield Sighting(keys, ended=[self.runs[key] for key in keys & set(self.runs)], gone=keys & self.gone)

    def end(self, run_id: str, state: str = "success", dag_id: str = "etl") -> None:
        end = (NOW + timedelta(seconds=90)).isoformat()
        self.runs[dag_id, run_id] = DagRun(dag_id, run_id, state, start_date=NOW.isoformat(), end_date=end)


class World:
    def __init__(self) -> None:
        self.now = NOW
        self.told: list[OutEvent] = []
        self.watch = FakeWatch()
        self.ledger = Ledger(make_ledger_table(), clock=lambda: self.now)
        self.follower = RunFollower(self.ledger, self.watch, environment="env", tell=self.tell, clock=lambda: self.now)

    def tell(self, events: Sequence[OutEvent]) -> None:
        self.told += events

    def start(self, name: str, *, untold: bool = False) -> Entry:
        row = entry(name, decided_at=self.now)
        self.ledger.record(row, run_since=self.now, untold=untold)
        return row


@pytest.fixture
def world() -> Iterator[World]:
    with mock_aws():
        yield World()


def entry(name: str, **changes: object) -> Entry:
    row = Entry(
        id=f"orders#{name}",
        trigger="orders",
        kind="s3",
        identity=("s3", "acme", "a.csv", "version-id", "1"),
        decision="started",
        decided_at=NOW,
        dag_id="etl",
        dag_run_id=name,
        state="queued",
        occurred_at=NOW - timedelta(seconds=1),
        latency=1.0,
    )
    return replace(row, **changes)  # type: ignore[arg-type]


def test_ends_are_told_and_the_rows_closed(world: World) -> None:
    for name in ("r1", "r2", "r3"):
        world.start(name)
    world.watch.end("r1")
    world.watch.end("r2", "failed")
    world.now += timedelta(minutes=2)
    summary = world.follower.follow()
    assert (summary.due, summary.succeeded, summary.failed, summary.still_open) == (3, 1, 1, 1)
    assert {(event.detail_type, event.id) for event in world.told} == {
        ("DagRunSucceeded", "run#etl#r1#success"),
        ("DagRunFailed", "run#etl#r2#failed"),
    }
    row = world.ledger.get("orders#r2")
    assert row is not None
    assert (row.decision, row.state, row.ended_at) == ("started", "failed", NOW + timedelta(seconds=90))
    assert len(world.watch.asked) == 1


def test_a_run_that_goes_on_is_looked_at_from_where_the_last_look_ended(world: World) -> None:
    world.start("r1")
    world.now += timedelta(minutes=1)
    world.follower.follow()
    world.now += timedelta(seconds=20)
    assert world.follower.follow().due == 0
    world.now += timedelta(seconds=40)
    world.follower.follow()
    assert [since for _, since in world.watch.asked] == [NOW, NOW + timedelta(minutes=1)]


def test_killed_between_the_event_and_its_row_the_end_is_told_twice_with_one_id(world: World) -> None:
    world.start("r1")
    world.watch.end("r1")
    close, world.ledger.close = world.ledger.close, None  # type: ignore[method-assign,assignment]
    with pytest.raises(TypeError):
        world.follower.follow()
    world.ledger.close = close  # type: ignore[method-assign]
    world.follower.follow()
    assert [event.id for event in world.told] == ["run#etl#r1#success"] * 2
    assert world.follower.follow().due == 0


def test_what_the_bus_did_not_take_is_sent_later(world: World) -> None:
    started = world.start("r1", untold=True)
    dead = entry("d1", decision="dead-lettered", because="dag-not-found: no", message_id="m1")
    world.ledger.record(dead, untold=True)
    assert world.follower.follow().told_late == 2
    assert {event.id for event in world.told} == {f"{started.id}#started", "orders#d1#dead-lettered#m1"}
    world.now += timedelta(minutes=1)
    summary = world.follower.follow()
    assert (summary.due, summary.told_late) == (1, 0)


def test_while_the_bus_takes_nothing_nothing_is_closed(world: World) -> None:
    world.start("r1")
    world.watch.end("r1")

    def refuse(events: Sequence[OutEvent]) -> None:
        if events:
            raise EventsOutError("no such bus")

    deaf = RunFollower(world.ledger, world.watch, environment="env", tell=refuse, clock=lambda: world.now)
    with pytest.raises(EventsOutError):
        deaf.follow()
    assert world.follower.follow().succeeded == 1


def test_a_run_that_was_deleted_in_airflow_is_followed_no_more(world: World) -> None:
    world.start("r1")
    world.watch.gone.add(("etl", "r1"))
    assert world.follower.follow().gone == 1
    row = world.ledger.get("orders#r1")
    assert row is not None
    assert row.state == "deleted"
    assert (world.told, world.ledger.open_entries(limit=9)) == ([], [])


def test_with_nothing_open_nobody_is_asked(world: World) -> None:
    assert world.follower.follow().due == 0
    assert world.watch.asked == []


@given(st.timedeltas(timedelta(0), timedelta(days=30)))
def test_an_end_is_seen_within_a_tenth_of_the_run_and_at_least_every_quarter_of_an_hour(age: timedelta) -> None:
    wait = next_look(NOW, NOW + age) - (NOW + age)
    assert timedelta(seconds=50) <= wait <= LATEST
    assert wait <= max(timedelta(seconds=50), age / 10 + timedelta(milliseconds=1))


EVENTS = [
    announcement("env", entry("r1")),
    announcement("env", entry("r1", because=PAUSED, latency=None, batch_id="b")),
    announcement("env", entry("x", decision="dead-lettered", because="dag-not-found: no DAG: " + "x" * 9999)),
    announcement(
        "env",
        Entry("unknown#m", "unknown", "unknown", (), "dead-lettered", NOW, because="unknown-event: no", message_id="m"),
    ),
    completion("env", entry("r1"), state="success", start=NOW, end=NOW + timedelta(seconds=3), now=NOW),
    completion("env", entry("r1"), state="failed", start=None, end=None, now=NOW),
    *(never_ran("env", entry("r1"), because=because, now=NOW) for because in (PAUSED, STALE, DELETED)),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: str(event.detail_type))
def test_every_event_out_is_as_its_published_schema_says(event: OutEvent) -> None:
    schema = json.loads((ROOT / "docs" / "schemas" / f"{event.detail_type}.json").read_text())
    validator = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
    detail = json.loads(json.dumps({"id": event.id, **event.detail}))
    assert list(validator.iter_errors(detail)) == []
    assert set(detail) == set(schema["required"])


@pytest.mark.parametrize(("by", "reason"), [("paused", "dag-paused"), ("stale", "dag-stale")])
def test_a_run_that_never_began_is_told_once_for_each_reason(world: World, by: BlockedBy, reason: str) -> None:
    started = world.start("r1")
    world.watch.by["etl"] = by
    world.now += BLOCKED_AFTER - timedelta(seconds=1)
    world.follower.follow()
    assert world.watch.asked_for_blocked == [], "it may be queued for want of a slot"
    world.now += timedelta(minutes=1)
    summary = world.follower.follow()
    assert (summary.behind_paused, summary.behind_stale, summary.deleted) == (by == "paused", by == "stale", 0)
    (event,) = world.told
    assert (event.detail_type, event.id) == ("DagRunBlocked", f"{started.id}#blocked#{reason}")
    world.now += timedelta(minutes=20)
    summary = world.follower.follow()
    assert (summary.due, summary.behind_paused, summary.behind_stale) == (1, 0, 0)
    assert len(world.told) == 1
    world.watch.by.clear()
    world.watch.end("r1")
    world.now += timedelta(minutes=20)
    assert world.follower.follow().succeeded == 1, "it is followed all the time"


def test_a_run_whose_dag_was_deleted_is_told_and_its_row_closed(world: World) -> None:
    world.start("r1")
    world.watch.by["etl"] = "deleted"
    world.now += BLOCKED_AFTER
    summary = world.follower.follow()
    assert (summary.deleted, [event.detail["reason"] for event in world.told]) == (1, ["dag-deleted"])
    row = world.ledger.get("orders#r1")
    assert row is not None
    assert (row.decision, row.state) == ("started", "deleted")
    world.now += timedelta(hours=1)
    assert world.follower.follow().due == 0


def test_what_was_told_at_the_start_is_not_told_again(world: World) -> None:
    world.ledger.record(entry("r1", because=PAUSED), run_since=NOW)
    world.watch.by["etl"] = "paused"
    world.now += BLOCKED_AFTER
    assert world.follower.follow().behind_paused == 0
    world.watch.by["etl"] = "stale"
    world.now += timedelta(minutes=20)
    assert world.follower.follow().behind_stale == 1


def test_killed_between_the_event_and_its_row_a_blocked_run_is_told_twice_with_one_id(world: World) -> None:
    world.start("r1")
    world.watch.by["etl"] = "stale"
    world.now += BLOCKED_AFTER
    explain, world.ledger.explain = world.ledger.explain, None  # type: ignore[method-assign,assignment]
    with pytest.raises(TypeError):
        world.follower.follow()
    world.ledger.explain = explain  # type: ignore[method-assign]
    world.now += timedelta(minutes=20)
    world.follower.follow()
    assert [event.id for event in world.told] == ["orders#r1#blocked#dag-stale"] * 2


def test_runs_that_are_seen_to_run_or_have_ended_are_not_asked_for(world: World) -> None:
    for name, state in (("r1", "running"), ("r2", "queued"), ("r3", "queued")):
        world.ledger.record(entry(name, state=state), run_since=NOW)
    world.watch.end("r2")
    world.now += BLOCKED_AFTER
    world.follower.follow()
    assert world.watch.asked_for_blocked == [{"etl": ["r3"]}]


def test_trouble_with_the_question_costs_nothing_of_what_was_seen(world: World) -> None:
    for name in ("r1", "r2"):
        world.start(name)
    world.watch.end("r1")
    world.watch.trouble = EnvironmentUnavailableError("no")
    world.now += BLOCKED_AFTER
    assert world.follower.follow().succeeded == 1


def test_a_dead_letter_says_reason_and_error_apart() -> None:
    detail = announcement("env", entry("x", decision="dead-lettered", because="invalid-conf: a: b")).detail
    assert (detail["reason"], detail["error"]) == ("invalid-conf", "a: b")


def test_a_dead_letter_that_starts_while_it_is_told_late_is_followed(world: World) -> None:
    """It is redriven just when the bus is back: the follower has read it, and something else was decided since."""
    row = entry("r1", decision="dead-lettered", because="dag-not-found: no")
    world.ledger.record(row, untold=True)

    def and_it_starts(events: Sequence[OutEvent]) -> None:
        world.told += events
        if events:
            world.ledger.record(entry("r1", decided_at=NOW + timedelta(seconds=1)), run_since=NOW)

    follower = RunFollower(world.ledger, world.watch, environment="env", tell=and_it_starts, clock=lambda: world.now)
    follower.follow()
    world.watch.end("r1")
    world.now += timedelta(minutes=2)
    world.follower.follow()
    assert [event.detail_type for event in world.told] == ["EventDeadLettered", "DagRunSucceeded"]


def test_a_start_that_was_told_late_is_not_told_again_while_airflow_is_down(world: World) -> None:
    world.start("r1", untold=True)

    def down(_wanted: Mapping[str, Sequence[str]], *, since: datetime) -> Iterator[Sighting]:
        raise EnvironmentUnavailableError("UPDATING")
        yield  # a generator, as a watch's look is

    setattr(world.watch, "look", down)  # noqa: B010 - for the one instance
    for _ in range(3):
        with pytest.raises(EnvironmentUnavailableError):
            world.follower.follow()
        world.now += timedelta(minutes=1)
    assert [event.detail_type for event in world.told] == ["DagRunStarted"]
