"""Checks of what EventBridge Scheduler takes as cron, at and time zone.

https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
"""

from __future__ import annotations

import re
from datetime import datetime
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

_MONTHS = "JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC"
_DAYS = "SUN|MON|TUE|WED|THU|FRI|SAT"
_YEARS = (1970, 2199)
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
        return "day-of-month or day-of-week must be '?', and the other one not"
    return None


def parse_at(text: str, timezone: str) -> datetime:
    """Read a moment on the clock of a time zone.

    Raises:
        ValueError: there is no such moment, or no such time zone.
    """
    if timezone not in time_zones():
        raise ValueError(f"no time zone {timezone!r}")
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
