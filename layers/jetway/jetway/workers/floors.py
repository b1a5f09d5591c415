"""floors.yaml: hours in which the environment is to have at least so many workers.

    timezone: Europe/Vienna            # IANA name; UTC when left out
    floors:
      - days: weekdays                 # weekdays, weekend, daily, or a list: [mon, wed]
        from: "05:30"
        to: "08:00"                    # "24:00" is midnight; earlier than `from` means on the next day
        min: 6

Dropped as `floors.yaml` in the drop bucket and read by scale_workers (`worker_floors_file`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from jetway.artifacts.findings import Finding, Judgement, internal_error, judgement
from jetway.documents.yaml_document import YamlError, load
from jetway.errors import InvalidRequestError

if TYPE_CHECKING:
    from jetway.documents.json_schema import DocumentPath
    from jetway.documents.yaml_document import Document

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
    """floors.yaml is not as it should be.

    Attributes:
        finding: the same for the report.
    """

    def __init__(self, message: str, line: int, remedy: str) -> None:
        super().__init__(f"{KEY}:{line}: {message} {remedy}")
        self.finding = Finding("floors", "error", message, line, remedy)


def read_floors(content: bytes, *, parser: Callable[[str], tuple[Floor, ...]] | None = None) -> tuple[Floor, ...]:
    """Read the file's bytes, of which no more than `MOST_BYTES` + 1 are needed.

    Raises:
        FloorsError: it is no YAML in UTF-8, too large, or holds what no floor can be; or reading it fails for a fault
            of ours, which must not keep the workers from being scaled.
    """
    if len(content) > MOST_BYTES:
        raise FloorsError(f"The file is larger than {MOST_BYTES // 1024} KiB.", 1, "Use fewer floors.")
    try:
        text = content.decode()
    except UnicodeDecodeError as exc:
        line = content[: exc.start].count(b"\n") + 1
        raise FloorsError("The file is not UTF-8.", line, "Save it as UTF-8.") from exc
    try:
        return (parser or parse_floors)(text)
    except FloorsError:
        raise
    except Exception as exc:  # whatever it is, it is this file's
        fault = internal_error(exc)
        raise FloorsError(fault.message, 1, fault.remedy) from exc


def check_floors(content: bytes) -> Judgement:
    """Judge the file as an artifact."""
    try:
        read_floors(content)
    except FloorsError as exc:
        return judgement("floors", [exc.finding])
    return judgement("floors")


def parse_floors(text: str) -> tuple[Floor, ...]:
    """Read floors.yaml.

    Raises:
        FloorsError: it is no YAML, or holds what no floor can be.
    """
    if not any(line.partition("#")[0].strip() for line in text.splitlines()):
        return ()
    try:
        document = load(text)
    except YamlError as exc:
        raise FloorsError(str(exc), exc.line, exc.remedy) from exc
    _check_keys(document, (), required={"floors"}, allowed={"floors", "timezone"})
    name = document.value.get("timezone", "UTC")
    try:
        zone = ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError) as exc:
        line = document.line(("timezone",))
        raise FloorsError(f"{name!r} is not a time zone.", line, "Use an IANA name such as Europe/Vienna.") from exc
    floors = document.value["floors"] or []
    if not isinstance(floors, list):
        raise FloorsError("floors must be a list.", document.line(("floors",)), "Begin each floor with a dash.")
    return tuple(_floor(document, number, zone) for number in range(len(floors)))


def highest_floor(floors: Sequence[Floor], begin: datetime, end: datetime) -> Floor | None:
    """Return the floor with the most workers that holds at any moment of [begin, end]."""
    holding = [floor for floor in floors if floor.overlaps(begin, end)]
    return max(holding, key=lambda floor: floor.workers, default=None)


def _floor(document: Document, number: int, zone: ZoneInfo) -> Floor:
    path: DocumentPath = ("floors", number)
    _check_keys(document, path, required={"from", "to", "min"}, allowed={"days", "from", "to", "min"})
    given = document.value["floors"][number]
    workers = given["min"]
    if not isinstance(workers, int) or isinstance(workers, bool) or not 1 <= workers <= _MOST_WORKERS:
        remedy = f"Write a whole number from 1 to {_MOST_WORKERS}."
        raise FloorsError(f"min is {workers!r}.", document.line((*path, "min")), remedy)
    begin, end = (_minutes(document, (*path, name), given[name]) for name in ("from", "to"))
    if begin in {end, 24 * 60}:
        line = document.line((*path, "to"))
        raise FloorsError(f"{given['from']} to {given['to']} is an empty time range.", line, "Write another end.")
    days = _days(document, (*path, "days"), given.get("days", "daily"))
    return Floor(days, begin, end if end > begin else end + 1440, workers, zone)


def _days(document: Document, path: DocumentPath, value: Any) -> frozenset[int]:
    remedy = f"Valid values: {', '.join((*_NAMED, *_DAYS))}; one, or a list."
    names = value if isinstance(value, list) else [value]
    days: set[int] = set()
    for name in names:
        word = str(name).lower()
        found = _NAMED.get(word) or ((word,) if word in _DAYS else None)
        if found is None:
            raise FloorsError(f"days has {name!r}.", document.line(path), remedy)
        days |= {_DAYS.index(day) for day in found}
    if not days:
        raise FloorsError("days is an empty list.", document.line(path), remedy)
    return frozenset(days)


def _minutes(document: Document, path: DocumentPath, value: Any) -> int:
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        remedy = 'Write a time of day in quotes, as "05:30".'
        raise FloorsError(f"{path[-1]} is {value!r}.", document.line(path), remedy)
    hours, minutes = value.split(":")
    return int(hours) * 60 + int(minutes)


def _check_keys(document: Document, path: DocumentPath, *, required: set[str], allowed: set[str]) -> None:
    value = document.value
    for part in path:
        value = value[part]
    where = f"floor {int(path[-1]) + 1}" if path else "the file"
    if not isinstance(value, dict):
        remedy = f"Write the keys {', '.join(sorted(required))}, each with a colon."
        raise FloorsError(f"{where} is {type(value).__name__}, not a mapping.", document.line(path), remedy)
    unknown = sorted(str(key) for key in value if key not in allowed)
    if unknown:
        line = document.line((*path, unknown[0]))
        raise FloorsError(
            f"{where} has an unknown key {unknown[0]!r}.", line, f"Valid keys: {', '.join(sorted(allowed))}."
        )
    missing = sorted(required - value.keys())
    if missing:
        raise FloorsError(f"{where} has no {missing[0]!r}.", document.line(path), "Add it.")


def _clock(minutes: int) -> str:
    return f"{minutes // 60 % 24:02}:{minutes % 60:02}"
