"""By when a DAG is to have run: the moments that `expect` of alarms.yaml means. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

_DAY = timedelta(days=1)
_WEEK = 7


@dataclass(frozen=True, slots=True)
class Expectation:
    """A run of a DAG is to have succeeded at this time of these days.

    Attributes:
        by: time of day.
        days: 0 is Monday.
    """

    dag_id: str
    by: time
    days: frozenset[int]
    zone: ZoneInfo

    def deadlines(self, after: datetime, until: datetime) -> Iterator[Deadline]:
        """Yield the deadlines in (after, until], the first one first."""
        day = after.astimezone(self.zone).date() - _DAY
        while day <= until.astimezone(self.zone).date() + _DAY:
            if day.weekday() in self.days and after < (at := self._on(day)) <= until:
                yield Deadline(self, at, self._before(day))
            day += _DAY

    def _before(self, day: date) -> datetime:
        """The deadline before that of a day."""
        earlier = (day - n * _DAY for n in range(1, _WEEK + 1))
        return self._on(next(each for each in earlier if each.weekday() in self.days))

    def _on(self, day: date) -> datetime:
        # What the clock on the wall says; a time that a change of clocks leaves out is the moment after it.
        return datetime.combine(day, self.by, self.zone)


@dataclass(frozen=True, slots=True)
class Deadline:
    """One moment by which a run of a DAG is to have succeeded.

    Attributes:
        since: the deadline before: what succeeded until then was for that one.
    """

    expectation: Expectation
    at: datetime
    since: datetime

    @property
    def dag_id(self) -> str:
        """Whose run."""
        return self.expectation.dag_id

    @property
    def mark(self) -> str:
        """The id of the event that tells that it was missed: one for each deadline."""
        return f"missing#{self.dag_id}#{self.at.isoformat()}"


def due(expected: Iterable[Expectation], after: datetime, until: datetime) -> list[Deadline]:
    """Return the deadlines of all DAGs in (after, until], the first one first."""
    found = [each for expectation in expected for each in expectation.deadlines(after, until)]
    return sorted(found, key=lambda each: (each.at, each.dag_id))
