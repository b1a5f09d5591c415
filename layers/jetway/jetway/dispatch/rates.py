"""The rate of a trigger: how many of its runs may start in a window of time.

One item per trigger in the ledger's table points at the newest window that has given out places. An event that finds
the present window full gets a place in the next one that has room, at once: it then waits for exactly that moment,
instead of coming back with all others to ask again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from boto3.dynamodb.conditions import Attr
from botocore.exceptions import BotoCoreError, ClientError

from jetway.aws.dynamodb import write_if
from jetway.errors import EventTooOldError
from jetway.ledger import LedgerUnavailableError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

    from jetway.dispatch.limits import Rate, Waits

TRIES = 10  # a trigger is in one lane, and a lane has one reader: even a second try is rare
EARLY = 5.0  # seconds by which clocks may differ


@dataclass(frozen=True, slots=True)
class Window:
    """Places given out.

    Attributes:
        start: of the window, in seconds since 1970.
        taken: places in it.
    """

    start: int
    taken: int

    @property
    def begins(self) -> datetime:
        """The window's start as a time."""
        return datetime.fromtimestamp(self.start, tz=UTC)


def next_place(last: Window | None, rate: Rate, now: datetime) -> Window:
    """Return the window with the next place taken in it. Pure.

    Args:
        last: as the last call returned it; None at first.
        now: timezone-aware.
    """
    present = int(now.timestamp()) // rate.per * rate.per
    if last is None or last.start < present:
        return Window(present, 1)
    if last.taken < rate.count:
        return Window(last.start, last.taken + 1)
    return Window(last.start + rate.per, 1)


def has_place(waits: Waits | None, rate: Rate, now: datetime) -> bool:
    """Whether the message has waited for a place and it is time for it.

    A place is good for two windows: after an outage many places lie in the past, and all at once would be no rate.
    """
    if waits is None or waits.not_before is None:
        return False
    return -EARLY <= (now - waits.not_before).total_seconds() < 2 * rate.per


class Rates:
    """Gives out places. Each method raises LedgerUnavailableError when DynamoDB does not do its part."""

    def __init__(self, table: Table, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._table = table
        self._clock = clock

    def take(self, trigger: str, rate: Rate, *, latest: datetime) -> Window:
        """Take the next place.

        Args:
            latest: a place after it is of no use.

        Raises:
            EventTooOldError: the next place is after `latest`; none is taken.
        """
        for _ in range(TRIES):
            last = self._read(trigger, rate)
            place = next_place(last, rate, self._clock())
            if place.begins > latest:
                raise EventTooOldError(
                    f"the rate of trigger {trigger!r} ({rate}) has no place before {place.begins.isoformat()}, "
                    "when the event is too old; redrive it later, or raise limits.rate or limits.max_event_age."
                )
            if self._write(trigger, rate, last, place):
                return place
        raise LedgerUnavailableError(f"the rate of trigger {trigger!r} changed {TRIES} times while a place was taken.")

    def give_back(self, trigger: str, rate: Rate, place: Window) -> None:
        """Give the last place back, when the run could not be started and nobody has taken one since."""
        self._write(trigger, rate, place, Window(place.start, place.taken - 1))

    def _read(self, trigger: str, rate: Rate) -> Window | None:
        try:
            item = self._table.get_item(Key={"id": _key(trigger, rate)}, ConsistentRead=True).get("Item")
        except (ClientError, BotoCoreError) as exc:
            raise LedgerUnavailableError(f"the rate of trigger {trigger!r} could not be read: {exc}") from exc
        return Window(int(str(item["start"])), int(str(item["taken"]))) if item else None

    def _write(self, trigger: str, rate: Rate, last: Window | None, place: Window) -> bool:
        condition = (
            Attr("id").not_exists() if last is None else Attr("start").eq(last.start) & Attr("taken").eq(last.taken)
        )
        item: dict[str, int | str] = {
            "id": _key(trigger, rate),
            "start": place.start,
            "taken": place.taken,
            "ttl": place.start + 2 * rate.per,
        }
        try:
            return write_if(self._table.put_item, Item=item, ConditionExpression=condition)
        except (ClientError, BotoCoreError) as exc:
            raise LedgerUnavailableError(f"the rate of trigger {trigger!r} could not be counted: {exc}") from exc


def _key(trigger: str, rate: Rate) -> str:
    # A changed rate counts anew: its windows lie elsewhere. `/` is in no trigger's name and no row of an event has it.
    return f"rate/{trigger}/{rate.count}/{rate.per}"
