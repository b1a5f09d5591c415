"""Which logical date a run has: derived from its event, the same on every delivery, and never in another one's way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws

from jetway.airflow import DagRun, DagRunRequest
from jetway.airflow.names import check_dates
from jetway.dispatch.dates import DATES_IN_ONE_GO, dates_to_try
from jetway.dispatch.run import parse_message, plan
from jetway.errors import AnswerLostError, InvalidRequestError, UnknownEventError
from tests.unit.dispatch.outcomes import Airflow, again
from tests.unit.dispatching import NOW, World, file_message, message

SECOND = datetime(2026, 11, 22, 6, 0, tzinfo=UTC)  # of the file
WEEKDAYS: dict[str, Any] = {"schedule": "cron(0 6 ? * MON-FRI *)", "timezone": "Europe/Vienna"}
MONDAY = "2026-11-23T05:00:00Z"
FRIDAY = datetime(2026, 11, 20, 5, tzinfo=UTC)


@pytest.fixture
def world() -> Iterator[World]:
    with mock_aws():
        yield World()


def asked(body: dict[str, Any], *, major: int = 3) -> DagRunRequest:
    """Return the run that a message asks for."""
    request = plan(parse_message(json.dumps(body), sent_at=NOW), major=lambda: major).request
    assert request is not None
    return request


def of_file(key: str = "a.csv", **trigger: Any) -> DagRunRequest:
    return asked(json.loads(file_message(key, trigger=trigger).body))


def of_schedule(planned: str = MONDAY, *, major: int = 3, **trigger: Any) -> DagRunRequest:
    event = {"schedule-arn": "arn:aws:scheduler:eu-central-1:1:schedule/s/s.nightly", "scheduled-time": planned}
    return asked(
        {"trigger": {"name": "nightly", "kind": "schedule", "dag": "d", **trigger}, "event": event}, major=major
    )


def of_event(detail: Any, **trigger: Any) -> DagRunRequest:
    event = {"id": "1", "source": "acme", "detail-type": "Closed", "time": "2026-11-22T06:00:00Z", "detail": detail}
    return asked({"trigger": {"name": "closed", "kind": "event", "dag": "d", **trigger}, "event": event})


def of_call(**event: Any) -> DagRunRequest:
    body = {"dag_run_id": "r1", "conf": {}, "note": None, "time": "2026-11-22T06:00:00.123456+00:00", **event}
    return asked({"trigger": {"name": "http", "kind": "http", "dag": "d"}, "event": body})


# What the date is


def test_a_file_has_the_second_of_its_event_and_microseconds_of_its_own() -> None:
    date = of_file().logical_date
    assert date is not None
    assert date.replace(microsecond=0) == SECOND
    assert date.microsecond > 0, "or it would meet a schedule's run"
    assert date == of_file().logical_date, "on every delivery"
    assert date != of_file("b.csv").logical_date


@given(st.text(max_size=60), st.datetimes(timezones=st.just(UTC)))
def test_the_second_is_kept_whatever_the_run_is(run_id: str, at: datetime) -> None:
    request = DagRunRequest("d", run_id, logical_date=at, is_date_derived=True)
    dates = [each.logical_date for each in (*dates_to_try(request, passed=0), *dates_to_try(request, passed=1))]
    assert dates[0] == at
    assert len(dates) == 2 * DATES_IN_ONE_GO
    assert {each and each.replace(microsecond=0) for each in dates} == {at.replace(microsecond=0)}
    assert all(each and each.microsecond for each in dates[1:])


def test_ten_thousand_files_of_one_second_have_as_many_dates_within_a_few_tries() -> None:
    taken: set[datetime] = set()
    moved = 0
    for number in range(10_000):
        request = of_file(f"{number}.csv")
        for tries, each in enumerate(dates_to_try(request, passed=0)):
            if each.logical_date not in taken:
                assert each.logical_date is not None
                taken.add(each.logical_date)
                moved += tries > 0
                break
    assert len(taken) == 10_000
    assert 0 < moved < 200, "some collide: without another date they would be lost"


def test_a_schedule_has_what_airflow_gives_a_cron_of_its_own() -> None:
    planned = datetime.fromisoformat(MONDAY)
    on_3, on_2 = of_schedule(**WEEKDAYS), of_schedule(major=2, **WEEKDAYS)
    assert (on_3.logical_date, on_3.data_interval) == (planned, (planned, planned))
    assert (on_2.logical_date, on_2.data_interval) == (FRIDAY, (FRIDAY, planned))


@pytest.mark.parametrize("major", [2, 3])
def test_what_the_trigger_says_counts_on_every_version(major: int) -> None:
    planned = datetime.fromisoformat(MONDAY)
    assert of_schedule(major=major, logical_date="planned", **WEEKDAYS).logical_date == planned
    previous = of_schedule(major=major, logical_date="previous", **WEEKDAYS)
    assert (previous.logical_date, previous.data_interval) == (FRIDAY, (FRIDAY, planned))
    assert of_schedule(major=major, logical_date="none", **WEEKDAYS).logical_date is None
    by_path = of_schedule(major=major, logical_date="{{ scheduled_time }}", **WEEKDAYS)
    assert (by_path.logical_date, by_path.is_date_derived) == (planned, False)


def test_rates_have_the_time_before_and_what_fires_once_its_own() -> None:
    planned = datetime.fromisoformat(MONDAY)
    assert of_schedule(major=2, schedule="rate(15 minutes)").logical_date == planned - timedelta(minutes=15)
    assert of_schedule(major=2, schedule="at(2026-11-23T06:00:00)", timezone="Europe/Vienna").logical_date == planned
    assert of_schedule(major=2).logical_date == planned, "a message that is older than the member"


def test_a_path_is_taken_to_the_microsecond() -> None:
    request = of_event({"day": "2026-11-20"}, logical_date="{{ detail.day }}T00:00:00.000001+01:00")
    assert request.logical_date == datetime(2026, 11, 19, 23, 0, 0, 1, tzinfo=UTC)
    assert list(dates_to_try(request, passed=0)) == [request]


def test_an_interval_of_the_event(world: World) -> None:
    interval = {"start": "{{ detail.from }}", "end": "{{ detail.to }}"}
    request = of_event({"from": "2026-11-20T00:00:00Z", "to": "2026-11-21T00:00:00Z"}, data_interval=interval)
    assert request.data_interval == (datetime(2026, 11, 20, tzinfo=UTC), datetime(2026, 11, 21, tzinfo=UTC))
    assert (request.is_date_derived, request.is_interval_derived) == (True, False)
    with pytest.raises(InvalidRequestError, match="ends before it begins"):
        check_dates(of_event({"from": "2026-11-21T00:00:00Z", "to": "2026-11-20T00:00:00Z"}, data_interval=interval))


def test_an_interval_without_a_date_is_refused() -> None:
    """Airflow keeps none; the run would come without it."""
    interval = {"start": "2026-11-20T00:00:00Z", "end": "2026-11-21T00:00:00Z"}
    with pytest.raises(InvalidRequestError, match="logical_date"):
        of_event({}, logical_date="none", data_interval=interval)


@pytest.mark.parametrize(
    ("detail", "says"),
    [
        ({"at": "tomorrow"}, "not an ISO 8601 time"),
        ({"at": 1764482400}, "not an ISO 8601 time"),
        ({"at": None}, "not an ISO 8601 time"),
        ({"at": "2026-11-20"}, "has no time zone"),
        ({"at": "2026-11-20T06:00:00"}, "has no time zone"),
        ({"of": "2026-11-20T06:00:00Z"}, "the event has no 'detail.at' (did you mean 'of'?)"),
    ],
)
def test_a_path_that_is_no_time_is_told(detail: Any, says: str) -> None:
    for trigger in (
        {"logical_date": "{{ detail.at }}"},
        {"data_interval": {"start": "2026-11-20T06:00:00Z", "end": "{{ detail.at }}"}},
    ):
        with pytest.raises(InvalidRequestError) as info:
            of_event(detail, **trigger)
        assert says.partition(" (")[0] in str(info.value)
        assert next(iter(trigger)) in str(info.value)


def test_a_call_without_a_date_has_that_of_its_moment_and_null_asks_for_none() -> None:
    derived, none, given_ = of_call(), of_call(logical_date=None), of_call(logical_date="2026-11-20T00:00:00+00:00")
    assert derived.logical_date is not None
    assert (derived.logical_date.replace(microsecond=0), derived.is_date_derived) == (SECOND, True)
    assert (none.logical_date, none.is_date_derived) == (None, False)
    assert (given_.logical_date, given_.is_date_derived) == (datetime(2026, 11, 20, tzinfo=UTC), False)


def test_a_batch_has_the_time_of_its_newest_member() -> None:
    event = {"batch_id": "b", "manifest": "s3://b/m", "count": 2, "time": "2026-11-22T06:05:00+00:00"}
    body = {"trigger": {"name": "bulk", "kind": "batch", "dag": "d"}, "event": event}
    date = asked({**body, "event": {**event, "newest_time": "2026-11-22T06:00:00+00:00"}}).logical_date
    assert date is not None
    assert date.replace(microsecond=0) == SECOND
    before = asked(body).logical_date
    assert before is not None
    assert before.replace(microsecond=0) == SECOND + timedelta(minutes=5), "of a batch that was closed before"


@pytest.mark.parametrize(
    "wrong",
    [{"logical_date": 5}, {"data_interval": {"start": "x"}}, {"timezone": 1}, {"when_paused": "stop"}],
)
def test_a_message_with_odd_dates_is_none(wrong: dict[str, Any]) -> None:
    with pytest.raises(UnknownEventError):
        of_file(**wrong)


# What becomes of a date that another run has


def colliding() -> tuple[str, str]:
    """Return two files whose runs have the same date first."""
    found: dict[datetime, str] = {}
    for number in range(5_000):
        date = of_file(f"{number}.csv").logical_date
        assert date is not None
        if date in found:
            return found[date], f"{number}.csv"
        found[date] = f"{number}.csv"
    raise AssertionError("no two of 5,000 collide")


def taken_by_others(world: World, request: DagRunRequest, *, go: int = 0, most: int = DATES_IN_ONE_GO) -> None:
    for number, each in enumerate(list(dates_to_try(request, passed=go))[:most]):
        assert each.logical_date is not None
        key = ("ingest", f"theirs {go} {number}")
        world.airflow.runs[key] = DagRun(*key, state="success", logical_date=each.logical_date.isoformat())


def dates(world: World) -> list[str | None]:
    return [run.logical_date for run in world.airflow.runs.values()]


def test_two_files_with_one_date_are_two_runs_however_often_they_come(world: World) -> None:
    first, second = (file_message(key) for key in colliding())
    made = [world.dispatch(each).decision for each in (first, second, second, first)]
    assert made == ["started", "started", "duplicate", "duplicate"]
    assert len(set(dates(world))) == 2


def test_a_run_whose_answer_was_lost_is_found_though_its_date_is_the_other_ones_first(world: World) -> None:
    """The answer to the second date is lost: the next try meets the first date again, and then its own run."""
    first, second = (file_message(key) for key in colliding())
    world.dispatch(first)
    airflow = world.airflow = Airflow(runs=world.airflow.runs)
    world.dispatcher = world.make_dispatcher()
    airflow.after = AnswerLostError("lost")
    with pytest.raises(AnswerLostError):
        world.dispatch(second)
    assert len(world.airflow.runs) == 2
    assert world.dispatch(again(second)).decision == "started"
    assert len(set(dates(world))) == 2


def test_somebody_elses_run_moves_the_date_and_the_second_stays(world: World) -> None:
    taken_by_others(world, of_file(), most=DATES_IN_ONE_GO - 1)
    assert world.dispatch(file_message()).decision == "started"
    assert len(set(dates(world))) == DATES_IN_ONE_GO
    assert {text and text[:19] for text in dates(world)} == {"2026-11-22T06:00:00"}


def test_after_a_go_of_taken_dates_others_are_tried(world: World) -> None:
    taken_by_others(world, of_file())
    entry = world.dispatch(file_message())
    assert (entry.decision, str(entry.because).partition(":")[0]) == ("waiting", "run-collision")
    (back,) = world.resume()
    taken_by_others(world, of_file(), go=1)
    assert world.dispatch(back).decision == "waiting"
    (back,) = world.resume()
    assert world.dispatch(back).decision == "started"
    assert len(set(dates(world))) == 2 * DATES_IN_ONE_GO + 1


def test_a_planned_time_that_another_run_has_moves_by_microseconds(world: World) -> None:
    """As two schedules of one DAG at one time, or a cron that the DAG still has."""
    taken_by_others(world, replace(of_schedule(**WEEKDAYS)), most=1)
    trigger = {"name": "nightly", "kind": "schedule", "dag": "ingest", **WEEKDAYS}
    event = {"schedule-arn": "arn:aws:scheduler:eu-central-1:1:schedule/s/s.nightly", "scheduled-time": MONDAY}
    now = datetime.fromisoformat(MONDAY)
    world.now = now
    found = message(1, body=json.dumps({"trigger": trigger, "event": event}), sent_at=now, first_tried_at=now)
    assert world.dispatch(found).decision == "started"
    date, interval = world.airflow.requests[-1].logical_date, world.airflow.requests[-1].data_interval
    assert (date and date.replace(microsecond=0), interval) == (now, (now, now))
    assert date != now


def test_a_date_that_was_asked_for_stays_and_its_event_is_a_dead_letter(world: World) -> None:
    trigger = {"logical_date": "{{ event_time }}"}
    taken = ("ingest", "theirs")
    world.airflow.runs[taken] = DagRun(*taken, state="success", logical_date=SECOND.isoformat())
    entry = world.dispatch(file_message(trigger=trigger))
    assert (entry.decision, str(entry.because).partition(":")[0]) == ("dead-lettered", "logical-date-taken")
    (letter,) = world.letters()
    assert letter["reason"] == "logical-date-taken"
    assert list(world.airflow.runs) == [taken]


def test_no_two_dates_of_a_go_are_one() -> None:
    """Else a go would try a date twice; it is by chance alone, for these files."""
    for number in range(50):
        found = [each.logical_date for each in dates_to_try(of_file(f"{number}.csv"), passed=0)]
        assert all(one != other for one, other in combinations(found, 2))


def test_the_version_is_asked_for_only_where_the_date_depends_on_it() -> None:
    def unknown() -> int:
        raise AssertionError

    for trigger in ({}, {"logical_date": "none"}, {"logical_date": "{{ event_time }}"}):
        plan(parse_message(file_message(trigger=trigger).body, sent_at=NOW), major=unknown)
