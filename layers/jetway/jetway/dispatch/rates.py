"""The rate of a trigger: how many of its runs may start in a window of time.

One item per trigger in the ledger's table points at the newest window that has given out places. An event that finds
the present window full gets a place in the next one that has room, at once: it then waits for exactly that moment,
instead of coming back with all others to ask again.

A place is good in its own window only: what comes too late for it takes another one, so that no window has more runs
than places, whatever failed before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from secrets import token_hex
from typing import TYPE_CHECKING

from boto3.dynamodb.conditions import Attr
from botocore.exceptions import BotoCoreError, ClientError

from jetway.aws.dynamodb import write_if
from jetway.errors import EventTooOldError
from jetway.ledger import LedgerUnavailableError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

    from jetway.dispatch.limits import Rate

TRIES = 10  # a trigger is in one lane, and a lane has one reader: even a second try is rare


@dataclass(frozen=True, slots=True)
class Window:
    """Places given out.

    Attributes:
        start: of the window, in seconds since 1970.
        taken: places in it.
        per: its length in seconds; 0 where that is not known.
        token: of the write that it was last changed by.
    """

    start: int
    taken: int
    per: int = field(default=0, compare=False)
    token: str = field(default="", compare=False)

    @property
    def begins(self) -> datetime:
        """The window's start as a time."""
        return datetime.fromtimestamp(self.start, tz=UTC)


def next_place(last: Window | None, rate: Rate, now: datetime) -> Window:
    """Return the window with the next place taken in it. Pure.

    Windows of a changed length begin after the last one of the old length: those who wait in it keep their places, and
    they count.

    Args:
        last: as the last call returned it; None at first.
        now: timezone-aware.
    """
    present = int(now.timestamp()) // rate.per * rate.per
    if last is not None and last.per not in {0, rate.per}:
        over = -(-(last.start + last.per) // rate.per) * rate.per
        return Window(max(present, over), 1, rate.per)
    if last is None or last.start < present:
        return Window(present, 1, rate.per)
    if last.taken < rate.count:
        return Window(last.start, last.taken + 1, rate.per)
    return Window(last.start + rate.per, 1, rate.per)


def is_now(start: float, rate: Rate, now: datetime) -> bool:
    """Whether the window that begins then, in seconds since 1970, is the present one. Pure."""
    return start <= now.timestamp() < start + rate.per


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
                    f"the rate of trigger {trigger!r} ({rate}) has no place before {place.begins.isoformat()}, when "
                    "the event is too old. Redrive it later, or raise limits.rate or limits.max_event_age."
                )
            if self._write(trigger, rate, last, place):
                return place
        raise LedgerUnavailableError(f"the rate of trigger {trigger!r} changed {TRIES} times while a place was taken.")

    def give_back(self, trigger: str, rate: Rate, start: int) -> bool:
        """Give a place back that no run was made in; False when its window is not the newest any more.

        Args:
            start: of its window.
        """
        for _ in range(TRIES):
            last = self._read(trigger, rate)
            if last is None or last.start != start or last.taken == 0:
                return False
            if self._write(trigger, rate, last, replace(last, taken=last.taken - 1)):
                return True
        return False

    def _read(self, trigger: str, rate: Rate) -> Window | None:  # noqa: ARG002 - all rates of a trigger share one item
        try:
            item = self._table.get_item(Key={"id": _key(trigger)}, ConsistentRead=True).get("Item")
        except (ClientError, BotoCoreError) as exc:
            raise LedgerUnavailableError(f"the rate of trigger {trigger!r} could not be read: {exc}") from exc
        if not item:
            return None
        start, taken, per = (int(str(item[name])) for name in ("start", "taken", "per"))
        return Window(start, taken, per, str(item["token"]))

    def _write(self, trigger: str, rate: Rate, last: Window | None, place: Window) -> bool:
        # The token, and not the numbers: boto3 may repeat a write that was made, and others have taken and given back
        # places meanwhile.
        condition = Attr("id").not_exists() if last is None else Attr("token").eq(last.token)
        token = token_hex(8)
        item: dict[str, int | str] = {
            "id": _key(trigger),
            "start": place.start,
            "taken": place.taken,
            "per": rate.per,
            "token": token,
            "ttl": place.start + 2 * rate.per,
        }
        try:
            if write_if(self._table.put_item, Item=item, ConditionExpression=condition):
                return True
        except (ClientError, BotoCoreError) as exc:
            raise LedgerUnavailableError(f"the rate of trigger {trigger!r} could not be counted: {exc}") from exc
        there = self._read(trigger, rate)
        return there is not None and there.token == token


def _key(trigger: str) -> str:
    # `/` is in no trigger's name and no row of an event has it.
    return f"rate/{trigger}"
