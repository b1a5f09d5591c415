"""floors.yaml: what it means by the clock on the wall, and what it says of mistakes."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetway.workers.floors import Floor, FloorsError, highest_floor, parse_floors, read_floors

NIGHTLY = """
timezone: Europe/Vienna
floors:
  - {days: weekdays, from: "05:30", to: "08:00", min: 6}
  - {days: [fri], from: "22:00", to: "02:00", min: 3}
  - {from: 7:00, to: "24:00", min: 2}
"""
FLOORS = parse_floors(NIGHTLY)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def workers(moment: str, minutes: float = 0) -> int:
    floor = highest_floor(FLOORS, at(moment), at(moment) + timedelta(minutes=minutes))
    return floor.workers if floor else 0


@pytest.mark.parametrize(
    ("moment", "minimum"),
    [
        ("2026-11-23T05:29:59+01:00", 0),
        ("2026-11-23T05:30:00+01:00", 6),
        ("2026-11-23T04:30:00+00:00", 6),  # the same moment
        ("2026-11-23T07:59:59+01:00", 6),
        ("2026-11-23T08:00:00+01:00", 2),
        ("2026-11-22T06:00:00+01:00", 0),  # a Sunday
        ("2026-11-22T23:59:59+01:00", 2),
        ("2026-11-28T00:30:00+01:00", 3),  # Friday's, after midnight
        ("2026-11-28T02:00:00+01:00", 0),
        ("2026-07-20T05:30:00+02:00", 6),  # summer time
        ("2026-07-20T04:30:00+01:00", 6),
    ],
)
def test_a_floor_holds_from_its_beginning_to_its_end(moment: str, minimum: int) -> None:
    assert workers(moment) == minimum


def test_a_floor_is_seen_ahead_of_time() -> None:
    assert workers("2026-11-23T04:59:00+01:00", 30) == 0
    assert workers("2026-11-23T05:00:00+01:00", 30) == 6
    assert workers("2026-11-21T00:00:00+01:00", 3 * 1440) == 6


def test_a_floor_says_what_it_is() -> None:
    assert str(FLOORS[0]) == "mon,tue,wed,thu,fri 05:30-08:00 Europe/Vienna: at least 6"


def test_no_floors_are_floors_too() -> None:
    assert (
        parse_floors("")
        == parse_floors("# none yet\n\n")
        == parse_floors("floors: []")
        == parse_floors("floors:")
        == ()
    )
    assert highest_floor((), at("2026-11-23T05:00:00+00:00"), at("2026-11-23T05:00:00+00:00")) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("floors: [", "floors.yaml:1: This is not YAML"),
        ("- a", "1: the file is list, not a mapping. Write the keys floors, each with a colon."),
        ("flors: []", "1: the file has an unknown key 'flors'. Valid keys: floors, timezone."),
        ("timezone: UTC", "1: the file has no 'floors'. Add it."),
        (
            "floors: []\ntimezone: Mars/Base",
            "2: 'Mars/Base' is not a time zone. Use an IANA name such as Europe/Vienna.",
        ),
        ("timezone: 3\nfloors: []", "1: 3 is not a time zone"),
        ("timezone: ../etc/passwd\nfloors: []", "is not a time zone"),
        ("floors: {}", None),
        ("floors: {a: 1}", "floors must be a list. Begin each floor with a dash."),
        ("floors:\n  - 3", "2: floor 1 is int, not a mapping."),
        ('floors: [{from: "1:00", to: "2:00"}]', "floor 1 has no 'min'. Add it."),
        ('floors: [{from: "1:00", to: "2:00", min: 0}]', "min is 0. Write a whole number from 1 to 50."),
        ('floors: [{from: "1:00", to: "2:00", min: 51}]', "whole number from 1 to 50"),
        ('floors: [{from: "1:00", to: "2:00", min: yes}]', "whole number"),
        ('floors: [{from: "1:00", to: "2:00", min: true}]', "whole number"),
        ('floors:\n- from: 5\n  to: "2:00"\n  min: 1', '2: from is 5. Write a time of day in quotes, as "05:30".'),
        ('floors: [{from: "25:00", to: "2:00", min: 1}]', "in quotes"),
        ('floors: [{from: "1:60", to: "2:00", min: 1}]', "in quotes"),
        ('floors: [{from: "2:00", to: "02:00", min: 1}]', "an empty time range"),
        ('floors: [{from: "24:00", to: "02:00", min: 1}]', "an empty time range"),
        ('floors: [{days: [], from: "1:00", to: "2:00", min: 1}]', "empty list"),
        (
            'floors: [{days: montag, from: "1:00", to: "2:00", min: 1}]',
            "days has 'montag'. Valid values: weekdays, weekend,",
        ),
        ('floors: [{day: mon, from: "1:00", to: "2:00", min: 1}]', "floor 1 has an unknown key 'day'"),
        ('floors: [{min: 1, min: 2, from: "1:00", to: "2:00"}]', "twice"),
        ('floors: &a [{min: 1, from: "1:00", to: "2:00"}]', "anchor"),
    ],
)
def test_mistakes_are_named(text: str, said: str | None) -> None:
    if said is None:
        assert parse_floors(text) == ()
        return
    with pytest.raises(FloorsError, match=re.escape(said)):
        parse_floors(text)


@given(st.text(max_size=200) | st.binary(max_size=100).map(lambda data: data.decode("latin-1")))
def test_any_text_is_floors_or_a_mistake(text: str) -> None:
    try:
        floors = parse_floors(text)
    except FloorsError:
        return
    assert all(isinstance(floor, Floor) for floor in floors)


@given(
    st.sampled_from(["UTC", "Europe/Vienna", "America/New_York", "Pacific/Apia"]),
    st.integers(0, 1439),
    st.integers(1, 1440),
    st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)),  # noqa: DTZ001 - the zone is added below
)
def test_a_daily_floor_holds_exactly_in_its_hours(zone: str, begin: int, length: int, moment: datetime) -> None:
    end = (begin + length) % 1440
    if end == begin:
        return
    hours = [f'"{time // 60}:{time % 60:02}"' for time in (begin, end)]
    text = f"timezone: {zone}\nfloors: [{{from: {hours[0]}, to: {hours[1]}, min: 4}}]"
    (floor,) = parse_floors(text)
    local = moment.replace(tzinfo=UTC).astimezone(floor.zone)
    minute = local.hour * 60 + local.minute
    inside = begin <= minute < end if begin < end else minute >= begin or minute < end
    near_a_clock_change = (local - timedelta(days=1)).utcoffset() != (local + timedelta(days=1)).utcoffset()
    assert near_a_clock_change or floor.overlaps(local, local) == inside


def test_a_fault_of_ours_in_reading_is_that_files() -> None:
    def broken(_text: str) -> tuple[Floor, ...]:
        raise RuntimeError("a bug")

    with pytest.raises(FloorsError) as caught:
        read_floors(b"floors: []\n", parser=broken)
    assert caught.value.finding.severity == "error"
    assert caught.value.finding.line == 1
