"""By when a DAG is to have run: the clock on the wall, both changes of it included; each deadline once."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetway.airflow.environment import EnvironmentFacts
from jetway.run_monitoring.deadlines import Expectation, due
from jetway.run_monitoring.notifications import link
from tests.unit.run_monitoring.world import FACTS

BERLIN = ZoneInfo("Europe/Berlin")
DAILY = frozenset(range(7))
WEEKDAYS = frozenset(range(5))


def shown(expectation: Expectation, after: str, until: str) -> list[str]:
    found = due([expectation], datetime.fromisoformat(after), datetime.fromisoformat(until))
    return [each.at.astimezone(UTC).strftime("%d %H:%M") for each in found]


def test_six_in_the_morning_is_what_the_clock_says_also_when_it_changes() -> None:
    six = Expectation("a", time(6), DAILY, BERLIN)
    assert shown(six, "2026-03-27T12:00Z", "2026-03-30T12:00Z") == ["28 05:00", "29 04:00", "30 04:00"]
    assert shown(six, "2026-10-23T12:00Z", "2026-10-26T12:00Z") == ["24 04:00", "25 05:00", "26 05:00"]


@pytest.mark.parametrize(("day", "moment"), [("2026-03-29", "29 01:30"), ("2026-10-25", "25 00:30")])
def test_a_time_that_a_change_leaves_out_or_has_twice_is_one_deadline(day: str, moment: str) -> None:
    assert shown(Expectation("a", time(2, 30), DAILY, BERLIN), f"{day}T00:00Z", f"{day}T12:00Z") == [moment]


def test_on_a_monday_what_ran_at_the_weekend_counts() -> None:
    (monday,) = due(
        [Expectation("a", time(6), WEEKDAYS, BERLIN)],
        datetime(2026, 11, 29, tzinfo=UTC),
        datetime(2026, 11, 30, 12, tzinfo=UTC),
    )
    assert (monday.at.isoformat(), monday.since.isoformat()) == (
        "2026-11-30T06:00:00+01:00",
        "2026-11-27T06:00:00+01:00",
    )


@given(
    st.timedeltas(timedelta(0), timedelta(days=364)),
    st.lists(st.timedeltas(timedelta(seconds=1), timedelta(days=2)), min_size=1, max_size=8),
    st.times(),
    st.sets(st.integers(0, 6), min_size=1),
)
def test_each_deadline_comes_once_however_time_is_cut(
    start: timedelta, steps: list[timedelta], by: time, days: set[int]
) -> None:
    expected = [Expectation("a", by.replace(second=0, microsecond=0), frozenset(days), BERLIN)]
    moments = [datetime(2026, 1, 1, tzinfo=UTC) + start]
    for step in steps:
        moments.append(moments[-1] + step)
    pieces = [each for one, next_ in itertools.pairwise(moments) for each in due(expected, one, next_)]
    assert pieces == due(expected, moments[0], moments[-1])
    assert all(each.since < each.at for each in pieces)


@pytest.mark.parametrize(
    ("version", "run", "path"),
    [
        ("3.3.1", "r 1/2", "dags/a%2Fb/runs/r%201%2F2"),
        ("3.3.1", None, "dags/a%2Fb"),
        ("2.11.2", "r 1", "dags/a%2Fb/grid?dag_run_id=r%201"),
        ("2.11.2", None, "dags/a%2Fb/grid"),
    ],
)
def test_a_link_is_that_of_the_environments_ui(version: str, run: str | None, path: str) -> None:
    facts: EnvironmentFacts = replace(FACTS, airflow_version=version)
    assert link(facts, "a/b", run) == f"https://ui.example/{path}"
    assert link(replace(facts, web_server=None), "a/b", run) is None
