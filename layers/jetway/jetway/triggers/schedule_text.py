"""Checks of what EventBridge Scheduler takes as cron, at and time zone.

https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable
from datetime import date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

_MONTHS = "JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC"
_DAYS = "SUN|MON|TUE|WED|THU|FRI|SAT"
_YEARS = (1970, 2199)
_CYCLE = 28  # years
_STEPS = re.compile(r"/([0-9]+)")

# Field, least and greatest number, names, and what else it may be.
_FIELDS = (
    ("minutes", 0, 59, "", ""),
    ("hours", 0, 23, "", ""),
    ("day-of-month", 1, 31, "", r"\?|L|LW|(?:[1-9]|[12][0-9]|3[01])W"),
    ("month", 1, 12, _MONTHS, ""),
    ("day-of-week", 1, 7, _DAYS, rf"\?|L|(?:[1-7]|{_DAYS})L|(?:[1-7]|{_DAYS})#[1-5]"),
    ("year", *_YEARS, "", ""),
)


def cron_fault(cron: str) -> str | None:
    """Say what is wrong with the six fields of a cron expression; None when nothing is."""
    fields = cron.split(" ")
    for text, (name, least, most, names, other) in zip(fields, _FIELDS, strict=True):
        if not _field_fits(text, least, most, names, other):
            return f"the {name} field is {text!r}"
        if any(int(step) == 0 for step in _STEPS.findall(text)):
            return f"the {name} field is {text!r}, and a step is at least 1"
    if (fields[2] == "?") == (fields[4] == "?"):
        return "day-of-month or day-of-week must be '?', but not both"
    return None


def ever_comes(cron: str, since: date) -> bool:
    """Whether a day fits an expression that `cron_fault` finds no fault with; what is not understood fits.

    >>> ever_comes("0 9 31 2 ? *", date(2026, 11, 29)), ever_comes("0 9 29 2 ? *", date(2026, 11, 29))
    (False, True)

    Args:
        cron: the six fields.
        since: the first day that counts.
    """
    _, _, days, months, weekdays, years = cron.split(" ")
    in_month = _numbers(months, 1, 12, _MONTHS)
    in_year = sorted(year for year in _numbers(years, *_YEARS, "") if year >= since.year)
    fits = _day_fits(days, weekdays)
    # Days of the week and leap years are the same again after 28 years, but for a year such as 2100.
    return any(
        fits(day) for year in in_year[:_CYCLE] for month in in_month for day in _days(year, month) if day >= since
    )


def _days(year: int, month: int) -> list[date]:
    return [date(year, month, 1) + timedelta(days=number) for number in range(monthrange(year, month)[1])]


def _day_fits(days: str, weekdays: str) -> Callable[[date], bool]:
    """The test of a day; of a field with letters only what tells days apart that never come."""
    if days == "?":
        name, mark, number = weekdays.partition("#")
        if mark:
            of_week, nth = _number(name, _DAYS), int(number)
            return lambda day: _weekday(day) == of_week and (day.day - 1) // 7 + 1 == nth
        if weekdays.endswith("L"):
            return lambda _day: True
        of_weeks = _numbers(weekdays, 1, 7, _DAYS)
        return lambda day: _weekday(day) in of_weeks
    if days.endswith("W") and days != "LW":
        return lambda day: day.day == int(days[:-1])
    if "L" in days:
        return lambda _day: True
    of_month = _numbers(days, 1, 31, "")
    return lambda day: day.day in of_month


def _weekday(day: date) -> int:
    return day.isoweekday() % 7 + 1  # Sunday is 1


def _numbers(text: str, least: int, most: int, names: str) -> frozenset[int]:
    """The numbers that a field stands for; all of them where its range runs backwards."""
    found: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        begin = least if first in {"*", "?"} else _number(first, names)
        end = _number(last, names) if last else most if step or first in {"*", "?"} else begin
        if end < begin:
            return frozenset(range(least, most + 1))
        found.update(range(begin, end + 1, int(step or 1)))
    return frozenset(found)


def _number(text: str, names: str) -> int:
    return int(text) if text.isdecimal() else names.split("|").index(text) + 1


def parse_at(text: str, timezone: str) -> datetime:
    """Read a moment on the clock of a time zone.

    Raises:
        ValueError: there is no such moment, or no such time zone.
    """
    if timezone not in time_zones():
        raise ValueError(f"unknown time zone {timezone!r}")
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(timezone))


@cache
def time_zones() -> frozenset[str]:
    """Return the names of all time zones."""
    return frozenset(available_timezones())


def _field_fits(text: str, least: int, most: int, names: str, other: str) -> bool:
    if text == "*" or (other and re.fullmatch(other, text)):
        return True
    one = rf"[0-9]{{1,4}}{'|' + names if names else ''}"
    item = re.compile(rf"(?P<first>{one}|\*)(?:-(?P<last>{one}))?(?:/(?P<step>[0-9]{{1,4}}))?")
    for part in text.split(","):
        found = item.fullmatch(part)
        if found is None or (found["first"] == "*" and (found["last"] or not found["step"])):
            return False
        numbers = [int(value) for value in (found["first"], found["last"]) if value and value.isdecimal()]
        if any(not least <= number <= most for number in numbers):
            return False
    return True
