"""The parts of a dispatch message that bound when its run may start: rate, age, and how long it has waited."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Self

from jetway.events.incoming import parse_time

# Longer than chains of DAGs are, and short enough that a loop is over soon. The template's default is the same.
LONGEST_CHAIN = 16


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds all dispatching.

    Attributes:
        max_event_age: an event must have its run by then; triggers may have a limit of their own.
        grace: an unknown DAG may become known for so long.
        longest_chain: so many runs in a row may each be started by the event of the one before.
    """

    max_event_age: timedelta
    grace: timedelta = timedelta(0)
    longest_chain: int = LONGEST_CHAIN


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `count` runs in `per` seconds."""

    count: int
    per: int

    @classmethod
    def parse(cls, value: Mapping[str, Any]) -> Self:
        """Read {"count": int, "per": seconds}.

        Raises:
            ValueError, KeyError, TypeError: not of that shape.
        """
        return cls(_positive(value["count"], "rate.count"), _positive(value["per"], "rate.per"))

    def __str__(self) -> str:
        return f"{self.count} in {self.per} s"


@dataclass(frozen=True, slots=True)
class WaitingState:
    """How a message has waited aside of its lane; written by `jetway.dispatch.waiting`.

    Attributes:
        since: when it was sent aside for this reason first.
        count: how often it was sent aside, for any reason.
        because: the reason's stable word.
        not_before: when it may be tried again: the start of the rate window that has a place for it.
        first: when it was tried first of all.
        message_id: SQS's id of the message that it first came as.
        earlier: for every other reason, when it was sent aside for that one first.
    """

    since: datetime
    count: int
    because: str | None = None
    not_before: datetime | None = None
    first: datetime | None = None
    message_id: str | None = None
    earlier: Mapping[str, datetime] = field(default_factory=dict, compare=False)

    def since_of(self, reason: str) -> datetime | None:
        """Return when it was sent aside for a reason first; None when it never was."""
        return self.since if self.because == reason else self.earlier.get(reason)

    @classmethod
    def parse(cls, value: Mapping[str, Any]) -> Self:
        """Read the member `waits`.

        Raises:
            ValueError, KeyError, TypeError: not of its shape.
        """
        not_before, first = value.get("not_before"), value.get("first")
        return cls(
            since=parse_time(value["since"]),
            count=_positive(value["count"], "waits.count"),
            because=value.get("because"),
            not_before=parse_time(not_before) if not_before else None,
            first=parse_time(first) if first else None,
            message_id=value.get("message_id"),
            earlier={reason: parse_time(since) for reason, since in value.get("earlier", {}).items()},
        )

    def to_json(self) -> dict[str, Any]:
        """Return the member as it stands in a message."""
        value: dict[str, Any] = {"since": self.since.isoformat(), "count": self.count, "because": self.because}
        if self.not_before is not None:
            value["not_before"] = self.not_before.isoformat()
        if self.first is not None:
            value["first"] = self.first.isoformat()
        if self.message_id is not None:
            value["message_id"] = self.message_id
        if self.earlier:
            value["earlier"] = {reason: since.isoformat() for reason, since in self.earlier.items()}
        return value


def parse_age(value: object) -> timedelta | None:
    """Read `max_event_age`, seconds; None stays None.

    Raises:
        ValueError, TypeError: no number above 0.
    """
    return None if value is None else timedelta(seconds=_positive(value, "max_event_age"))


def limits_in_message(max_event_age: timedelta | None, rate: Rate | None) -> dict[str, Any]:
    """Return a trigger's limits as they stand in a dispatch message's `trigger`; nothing for those it has not."""
    found: dict[str, Any] = {}
    if max_event_age is not None:
        found["max_event_age"] = int(max_event_age.total_seconds())
    if rate is not None:
        found["rate"] = {"count": rate.count, "per": rate.per}
    return found


def _positive(value: object, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} is {value!r}, not a whole number")
    if not 0 < value <= 10**9:
        raise ValueError(f"{name} is {value}, not between 1 and 10^9")
    return value
