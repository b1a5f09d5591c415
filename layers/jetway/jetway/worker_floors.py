"""floors.yaml: hours in which the environment is to have at least so many workers.

    timezone: Europe/Vienna            # IANA name; UTC when left out
    floors:
      - days: weekdays                 # weekdays, weekend, daily, or a list: [mon, wed]
        from: "05:30"
        to: "08:00"                    # "24:00" is midnight; earlier than `from` means on the next day
        min: 6

Dropped as `floors.yaml` in the drop bucket and read by scale_workers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from jetway.errors import InvalidRequestError

KEY = "floors.yaml"
MOST_BYTES = 64 * 1024

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_NAMED = {"weekdays": _DAYS[:5], "weekend": _DAYS[5:], "daily": _DAYS}
_TIME = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])|24:00", re.ASCII)
_MOST_WORKERS = 50  # MWAA's quota after an increase: https://docs.aws.amazon.com/mwaa/latest/userguide/mwaa-quotas.html


@dataclass(frozen=True, slots=True)
class Floor:
    """At least `workers` workers on these days, from `begin` to `end` (minutes after midnight; `end` may be next day).

    Attributes:
        days: 0 is Monday.
    """

    days: frozenset[int]
    begin: int
    end: int
    workers: int
    zone: ZoneInfo

    def __str__(self) -> str:
        days = ",".join(_DAYS[day] for day in sorted(self.days))
        return f"{days} {_clock(self.begin)}-{_clock(self.end)} {self.zone.key}: at least {self.workers}"

    def overlaps(self, begin: datetime, end: datetime) -> bool:
        """Whether any moment of [begin, end] lies in one of the floor's windows."""
        day = begin.astimezone(self.zone).date() - timedelta(days=2)
        last = end.astimezone(self.zone).date()
        while day <= last:
            if day.weekday() in self.days and self._at(day, self.begin) <= end and begin < self._at(day, self.end):
                return True
            day += timedelta(days=1)
        return False

    def _at(self, day: date, minutes: int) -> datetime:
        """A wall-clock moment: on the day of a clock change, too, it is what the clock on the wall says."""
        day += timedelta(days=minutes // 1440)
        return datetime.combine(day, time(minutes % 1440 // 60, minutes % 60), self.zone)


class FloorsError(InvalidRequestError):
    """floors.yaml is not as it should be; the text says where and what to do."""


def parse_floors(text: str) -> tuple[Floor, ...]:
    """Read floors.yaml.

    Raises:
        FloorsError: it is no YAML, or holds what no floor can be.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        content = YAML(typ="safe", pure=True).load(text)
    except (YAMLError, ValueError, RecursionError) as exc:
        raise FloorsError(f"{KEY} is no YAML: {str(exc)[:500]}") from exc
    if content is None:
        return ()
    top = _mapping(content, KEY, required={"floors"}, allowed={"floors", "timezone"})
    name = top.get("timezone", "UTC")
    try:
        zone = ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError) as exc:
        raise FloorsError(f"{KEY}: timezone {name!r} is no IANA time zone, as Europe/Vienna is.") from exc
    floors = top["floors"] or []
    if not isinstance(floors, list):
        raise FloorsError(f"{KEY}: floors must be a list; begin each with a dash.")
    return tuple(_floor(item, f"{KEY}: floor {number}", zone) for number, item in enumerate(floors, 1))


def highest_floor(floors: Sequence[Floor], begin: datetime, end: datetime) -> Floor | None:
    """Return the floor with the most workers that holds at any moment of [begin, end]."""
    holding = [floor for floor in floors if floor.overlaps(begin, end)]
    return max(holding, key=lambda floor: floor.workers, default=None)


def _floor(item: Any, where: str, zone: ZoneInfo) -> Floor:
    names = {"days", "from", "to", "min"}
    given = _mapping(item, where, required={"from", "to", "min"}, allowed=names)
    workers = given["min"]
    if not isinstance(workers, int) or isinstance(workers, bool) or not 1 <= workers <= _MOST_WORKERS:
        raise FloorsError(f"{where}: min is {workers!r}; it must be a whole number from 1 to {_MOST_WORKERS}.")
    begin, end = _minutes(given["from"], f"{where}: from"), _minutes(given["to"], f"{where}: to")
    if begin in {end, 24 * 60}:
        raise FloorsError(f"{where}: from {given['from']!r} to {given['to']!r} is no time at all.")
    return Floor(_days(given.get("days", "daily"), where), begin, end if end > begin else end + 1440, workers, zone)


def _days(value: Any, where: str) -> frozenset[int]:
    names = value if isinstance(value, list) else [value]
    days: set[int] = set()
    for name in names:
        word = str(name).lower()
        found = _NAMED.get(word) or ((word,) if word in _DAYS else None)
        if found is None:
            allowed = ", ".join((*_NAMED, *_DAYS))
            raise FloorsError(f"{where}: days has {name!r}; it takes {allowed}, one or a list.")
        days |= {_DAYS.index(day) for day in found}
    if not days:
        raise FloorsError(f"{where}: days is an empty list.")
    return frozenset(days)


def _minutes(value: Any, where: str) -> int:
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        raise FloorsError(f'{where} is {value!r}; write a time of day in quotes, as "05:30".')
    hours, minutes = value.split(":")
    return int(hours) * 60 + int(minutes)


def _mapping(value: Any, where: str, *, required: set[str], allowed: set[str]) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise FloorsError(f"{where}: it must have the keys {', '.join(sorted(required))}.")
    unknown = sorted(str(key) for key in value if key not in allowed)
    if unknown:
        raise FloorsError(f"{where}: unknown key {unknown[0]!r}; it takes {', '.join(sorted(allowed))}.")
    missing = sorted(required - value.keys())
    if missing:
        raise FloorsError(f"{where}: {missing[0]} is missing.")
    return value


def _clock(minutes: int) -> str:
    return f"{minutes // 60 % 24:02}:{minutes % 60:02}"
