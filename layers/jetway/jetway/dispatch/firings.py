"""When a schedule fired before: what Airflow calls the start of the interval that ends with a firing. Pure functions.

Schedules are those of EventBridge Scheduler (cron of six fields, rate, at). Clock changes are taken as Airflow's own
cron timetables take them, so that a cron that becomes a schedule keeps its dates: a time that there is not is as much
later as the clock is put forward; one that there is twice is the second; an expression that fires in every hour counts
elapsed time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import cache
from zoneinfo import ZoneInfo

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_FIRST_YEAR, _LAST_YEAR = 1970, 2199
_EVERY_HOUR = frozenset(range(24))

_EXPRESSION = re.compile(r"(cron|rate|at)\((.+)\)")
_UNITS = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1)}

# February 29th comes once in eight years around 2100; no day that comes at all comes more seldom.
_LONGEST = 9 * 366  # days


def firing_before(expression: str, timezone: str, planned: datetime) -> datetime | None:
    """Return when a schedule fired before a firing; None when it did not, or its expression is none that is known.

    >>> firing_before("cron(0 6 ? * MON-FRI *)", "Europe/Vienna", datetime(2026, 11, 30, 5, tzinfo=UTC)).isoformat()
    '2026-11-27T05:00:00+00:00'

    Args:
        expression: as EventBridge Scheduler has it: cron(…), rate(…) or at(…).
        timezone: IANA name.
        planned: of the firing, timezone-aware.

    Returns:
        a moment in UTC.
    """
    match = _EXPRESSION.fullmatch(expression)
    if match is None:
        return None
    kind, text = match.groups()
    try:
        if kind == "cron":
            return _before(Cron.parse(text), planned.astimezone(ZoneInfo(timezone)))
        if kind == "rate":
            count, unit = text.split(" ")
            return planned.astimezone(UTC) - int(count) * _UNITS[unit.removesuffix("s")]
    except (ValueError, KeyError):
        pass
    return None


def _before(cron: Cron, planned: datetime) -> datetime | None:
    wall = planned.replace(tzinfo=None, fold=0)
    found = cron.last_before(wall)
    if found is None:
        return None
    if cron.hours == _EVERY_HOUR:
        return planned.astimezone(UTC) - (wall - found)
    moment = _moment(found, planned.tzinfo).astimezone(UTC)
    if moment < planned:
        return moment
    # The planned time stands for one that the clock skipped, and which is the one before by the clock.
    earlier = cron.last_before(found)
    return None if earlier is None else _moment(earlier, planned.tzinfo).astimezone(UTC)


def _moment(wall: datetime, zone: tzinfo | None) -> datetime:
    """Return the moment at which a clock shows this."""
    second = wall.replace(tzinfo=zone, fold=1)
    is_there = second.astimezone(UTC).astimezone(zone).replace(tzinfo=None, fold=0) == wall
    return second if is_there else wall.replace(tzinfo=zone, fold=0)


class Cron:
    """The six fields of EventBridge Scheduler: minutes hours day-of-month month day-of-week year.

    https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html#cron-based
    """

    def __init__(
        self,
        minutes: frozenset[int],
        hours: frozenset[int],
        months: frozenset[int],
        years: frozenset[int],
        is_day: Callable[[date], bool],
    ) -> None:
        self.hours = hours
        self._times = sorted(time(hour, minute) for hour in hours for minute in minutes)
        self._months = months
        self._years = years
        self._is_day = is_day

    @classmethod
    @cache
    def parse(cls, text: str) -> Cron:
        """Read the six fields.

        Raises:
            ValueError: they are none.
        """
        minutes, hours, days, months, weekdays, years = text.split(" ")
        return cls(
            _numbers(minutes, 0, 59),
            _numbers(hours, 0, 23),
            _numbers(months, 1, 12, _MONTHS),
            _numbers(years, _FIRST_YEAR, _LAST_YEAR),
            _day_of_month(days) if weekdays == "?" else _day_of_week(weekdays),
        )

    def last_before(self, wall: datetime) -> datetime | None:
        """Return what the clock showed at the last firing before it showed this; without time zone, both."""
        for day in _days_back(wall.date()):
            if day.year < min(self._years, default=_LAST_YEAR):
                return None
            if day.year not in self._years or day.month not in self._months or not self._is_day(day):
                continue
            for at in reversed(self._times):
                if (found := datetime.combine(day, at)) < wall:
                    return found
        return None


def _days_back(day: date) -> Iterator[date]:
    for back in range(_LONGEST):
        yield day - timedelta(days=back)


def _day_of_month(text: str) -> Callable[[date], bool]:
    if text == "L":
        return lambda day: day == _last_of(day)
    if text == "LW":
        return lambda day: day == _weekday_near(_last_of(day))
    if text.endswith("W"):
        number = int(text[:-1])
        return lambda day: number <= _last_of(day).day and day == _weekday_near(day.replace(day=number))
    numbers = _numbers(text, 1, 31)
    return lambda day: day.day in numbers


def _day_of_week(text: str) -> Callable[[date], bool]:
    if "#" in text:
        name, _, nth = text.partition("#")
        return lambda day: _weekday(day) == _number(name, _DAYS) and (day.day - 1) // 7 + 1 == int(nth)
    if text == "L":
        return lambda day: _weekday(day) == 7
    if text.endswith("L"):
        last = _number(text[:-1], _DAYS)
        return lambda day: _weekday(day) == last and (day + timedelta(days=7)).month != day.month
    numbers = _numbers(text, 1, 7, _DAYS)
    return lambda day: _weekday(day) in numbers


def _weekday(day: date) -> int:
    return day.isoweekday() % 7 + 1  # Sunday is 1


def _last_of(day: date) -> date:
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1) - timedelta(days=1)


def _weekday_near(day: date) -> date:
    """Return the day of Monday to Friday that is nearest, in the same month."""
    back = {6: 1, 7: -1}.get(day.isoweekday(), 0)  # of Saturday the day before, of Sunday the day after
    near = day - timedelta(days=back)
    if near.month != day.month:
        near = day + timedelta(days=2 * back)
    return near


def _numbers(text: str, least: int, most: int, names: tuple[str, ...] = ()) -> frozenset[int]:
    """The numbers that a field stands for. A range that runs backwards goes round."""
    found: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        begin = least if first in {"*", "?"} else _number(first, names)
        end = _number(last, names) if last else most if step or first in {"*", "?"} else begin
        if not least <= begin <= most or not least <= end <= most:
            raise ValueError(f"{part!r} is not within {least} and {most}")
        if end < begin:
            end += most - least + 1
        found.update((number - least) % (most - least + 1) + least for number in range(begin, end + 1, int(step or 1)))
    return frozenset(found)


def _number(text: str, names: tuple[str, ...]) -> int:
    return int(text) if text.isdecimal() else names.index(text) + 1
