"""When a schedule fired before, as Airflow 2.11.2 and 3.3.1 have it (recorded), and what Airflow's cron cannot say.

tests/integration/test_dates.py compares more of them, with the timetables themselves.
"""

from __future__ import annotations

import doctest
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetway.dispatch import firings
from jetway.dispatch.firings import Cron, firing_before
from jetway.triggers.schedule_text import cron_fault

# Planned time and start of the interval of CronDataIntervalTimetable, around both clock changes of Europe/Berlin.
OF_AIRFLOW = {
    "30 2 * * ? *": [
        ("2026-03-28T01:30", "2026-03-27T01:30"),
        ("2026-03-29T01:30", "2026-03-28T01:30"),
        ("2026-03-30T00:30", "2026-03-29T01:30"),
        ("2026-10-24T00:30", "2026-10-23T00:30"),
        ("2026-10-25T01:30", "2026-10-24T00:30"),
        ("2026-10-26T01:30", "2026-10-25T01:30"),
    ],
    "0 6 ? * MON-FRI *": [
        ("2026-03-30T04:00", "2026-03-27T05:00"),
        ("2026-10-26T05:00", "2026-10-23T04:00"),
    ],
    "0 * * * ? *": [
        ("2026-03-29T00:00", "2026-03-28T23:00"),
        ("2026-03-29T01:00", "2026-03-29T00:00"),
        ("2026-03-29T02:00", "2026-03-29T01:00"),
        ("2026-10-25T00:00", "2026-10-24T23:00"),
        ("2026-10-25T01:00", "2026-10-25T00:00"),
        ("2026-10-25T02:00", "2026-10-25T01:00"),
    ],
    "15 1,2,3 ? * SUN *": [
        ("2026-03-29T01:15", "2026-03-29T00:15"),
        ("2026-10-25T01:15", "2026-10-24T23:15"),
        ("2026-10-25T02:15", "2026-10-25T01:15"),
    ],
}
BERLIN = ZoneInfo("Europe/Berlin")
SPAN = (datetime(2020, 1, 1), datetime(2040, 1, 1))  # noqa: DTZ001 - the strategy adds the zone


@pytest.fixture(autouse=True)
def _read_anew() -> None:
    """Have each test read its expressions: the ones before it leave what they read."""
    Cron.parse.cache_clear()


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def before(cron: str, planned: str) -> str | None:
    found = firing_before(f"cron({cron})", "UTC", utc(planned))
    return None if found is None else found.isoformat(timespec="minutes").removesuffix("+00:00")


def test_examples_in_docstrings() -> None:
    assert doctest.testmod(firings).failed == 0


@pytest.mark.parametrize(
    ("cron", "planned", "start"), [(cron, *each) for cron, runs in OF_AIRFLOW.items() for each in runs]
)
def test_a_clock_change_is_taken_as_airflow_takes_it(cron: str, planned: str, start: str) -> None:
    for zone in (UTC, BERLIN):
        assert firing_before(f"cron({cron})", "Europe/Berlin", utc(planned).astimezone(zone)) == utc(start)


@pytest.mark.parametrize(
    ("cron", "planned", "expected"),
    [
        ("0 6 L * ? *", "2026-03-31T06:00", "2026-02-28T06:00"),
        ("0 6 LW * ? *", "2026-03-31T06:00", "2026-02-27T06:00"),  # the 28th is a Saturday
        ("0 6 15W * ? *", "2026-09-15T06:00", "2026-08-14T06:00"),  # the 15th is a Saturday
        ("0 6 1W * ? *", "2026-09-01T06:00", "2026-08-03T06:00"),  # the 1st is a Saturday: in the same month
        ("0 6 31W * ? *", "2026-07-31T06:00", "2026-05-29T06:00"),  # June has no 31st; that of May is a Sunday
        ("0 6 ? * 6L *", "2026-11-27T06:00", "2026-10-30T06:00"),
        ("0 6 ? * FRIL *", "2026-11-27T06:00", "2026-10-30T06:00"),
        ("0 6 ? * L *", "2026-11-28T06:00", "2026-11-21T06:00"),
        ("0 6 ? * MON#2 *", "2026-11-09T06:00", "2026-10-12T06:00"),
        ("0 6 ? * 2#1 *", "2026-12-07T06:00", "2026-11-02T06:00"),
        ("0 6 ? * FRI-MON *", "2026-11-30T06:00", "2026-11-29T06:00"),
        ("0 6 ? * FRI-MON *", "2026-11-27T06:00", "2026-11-23T06:00"),
        ("0/20 6 * * ? *", "2026-11-30T06:00", "2026-11-29T06:40"),
        ("5 8-18/4 * * ? *", "2026-11-30T08:05", "2026-11-29T16:05"),
        ("0 6 29 2 ? *", "2028-02-29T06:00", "2024-02-29T06:00"),
        ("0 6 1 JAN,JUL ? 2026", "2026-07-01T06:00", "2026-01-01T06:00"),
        ("0 6 1 JAN,JUL ? 2026", "2026-01-01T06:00", None),
    ],
)
def test_what_schedulers_cron_can_say(cron: str, planned: str, expected: str | None) -> None:
    assert cron_fault(cron) is None
    assert before(cron, planned) == expected


@pytest.mark.parametrize(
    "expression", ["at(2026-11-30T06:00:00)", "cron(0 6)", "cron(a b c d e f)", "rate(x)", "never", ""]
)
def test_what_has_none_before(expression: str) -> None:
    assert firing_before(expression, "UTC", utc("2026-11-30T06:00")) is None


def test_a_time_zone_that_there_is_not() -> None:
    assert firing_before("cron(0 6 * * ? *)", "Europe/Viena", utc("2026-11-30T06:00")) is None


@pytest.mark.parametrize(("rate", "time"), [("1 hour", 60), ("15 minutes", 15), ("1 day", 1440), ("5 days", 7200)])
def test_a_rate_counts_elapsed_time(rate: str, time: int) -> None:
    """24 hours are a day, also where the clock is changed: so does Scheduler."""
    planned = utc("2026-03-29T12:00")
    assert firing_before(f"rate({rate})", "Europe/Berlin", planned) == planned - timedelta(minutes=time)


@given(st.datetimes(*SPAN), st.integers(0, 23), st.integers(0, 59))
def test_it_is_before_and_not_more_than_two_days(moment: datetime, hour: int, minute: int) -> None:
    planned = moment.replace(second=0, microsecond=0, tzinfo=UTC)
    found = firing_before(f"cron({minute} {hour} * * ? *)", "Europe/Berlin", planned)
    assert found is not None
    assert timedelta() < planned - found <= timedelta(hours=49)
