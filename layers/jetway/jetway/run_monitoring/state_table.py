"""How far Airflow was looked through for ends of runs, and which were told: one row of the ledger's table.

    {"id": "runs/ended", "begun": "…", "until": "…", "expected_until": "…", "told": "<mark> <mark> …", "token": "…"}

One write says both, so that a kill leaves them in step. `/` is in no id of an event's row, and no index has the row.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Self

from boto3.dynamodb.conditions import Attr
from botocore.exceptions import BotoCoreError, ClientError

from jetway.aws.dynamodb import write_if
from jetway.errors import TransientError
from jetway.ledger import LedgerUnavailableError
from jetway.ledger_rows import read_time, time_text

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

ID = "runs/ended"

# An end is looked for so much earlier than the last look was: clocks differ, and Airflow's scheduler writes an end date
# when it decides, and shows it when its transaction is over.
OVERLAP = timedelta(minutes=10)

# Further back no look goes: who switches this on again after a month does not want the month's failures. An update of
# the environment, which is waited out, takes 12 hours at the most.
LONGEST_BACK = timedelta(days=3)

# A row of DynamoDB holds 400 KB, and a mark takes 30 bytes. More ends in the overlap than that are told again.
MOST_MARKS = 12_000


class OvertakenError(TransientError):
    """Another invocation looks at the same time, and is further on."""

    reason = "overtaken"


def mark_of(*parts: str) -> str:
    """Return what stands for a text in the row: 80 bits of it."""
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:20]


@dataclass(frozen=True, slots=True)
class MonitorState:
    """What the row says.

    Attributes:
        begun: nothing of before is told: when the first look was.
        until: all that has ended until then was seen, but for what Airflow showed late.
        expected_until: deadlines until then were looked at.
        told: marks of what was told, with the moment up to which each is needed, in seconds since 1970.
    """

    begun: datetime
    until: datetime
    expected_until: datetime
    told: Mapping[str, int] = field(default_factory=dict)
    token: str = ""

    @classmethod
    def at(cls, now: datetime) -> Self:
        """Return the row of a first look."""
        return cls(now, now, now)

    @property
    def since(self) -> datetime:
        """From where to look."""
        return max(self.begun, self.until - OVERLAP)

    def not_before(self, earliest: datetime) -> Self:
        """Return the row as if nothing had been before a moment."""
        begun, until, expected = (max(each, earliest) for each in (self.begun, self.until, self.expected_until))
        return replace(self, begun=begun, until=until, expected_until=expected)

    def with_told(self, marks: Mapping[str, datetime]) -> Self:
        """Return the row after these were told."""
        return replace(self, told={**self.told, **{mark: int(at.timestamp()) for mark, at in marks.items()}})

    def without_old(self) -> Self:
        """Return the row without the marks of what will not be met again."""
        oldest = int(min(self.since, self.expected_until).timestamp())
        kept = sorted(((at, mark) for mark, at in self.told.items() if at >= oldest), reverse=True)[:MOST_MARKS]
        return replace(self, told={mark: at for at, mark in kept})


class Memory:
    """The row. Each method raises LedgerUnavailableError when DynamoDB does not do its part."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def recall(self) -> MonitorState | None:
        """Return what the row says; None before the first look."""
        try:
            item = self._table.get_item(Key={"id": ID}, ConsistentRead=True).get("Item")
        except (ClientError, BotoCoreError) as exc:
            raise LedgerUnavailableError(f"the position of the check for ended runs cannot be read: {exc}") from exc
        return _read(item) if item else None

    def keep(self, seen: MonitorState, before: MonitorState | None) -> MonitorState:
        """Write the row; return what it says then.

        Args:
            before: as it was when it was read, or written last.

        Raises:
            OvertakenError: another invocation has written it since.
        """
        after = replace(seen.without_old(), token=token_hex(8))
        condition = Attr("id").not_exists() if before is None else Attr("token").eq(before.token)
        try:
            written = write_if(self._table.put_item, Item=_item(after), ConditionExpression=condition)
        except (ClientError, BotoCoreError) as exc:
            raise LedgerUnavailableError(f"the position of the check for ended runs cannot be written: {exc}") from exc
        if not written and (there := self.recall()) != after:  # boto3 may repeat a write that was made
            raise OvertakenError(f"another check has advanced since then, until {there and there.until}.")
        return after


def _item(seen: MonitorState) -> dict[str, Any]:
    return {
        "id": ID,
        "begun": time_text(seen.begun),
        "until": time_text(seen.until),
        "expected_until": time_text(seen.expected_until),
        "told": " ".join(f"{mark}:{at:x}" for mark, at in seen.told.items()),
        "token": seen.token,
    }


def _read(item: Mapping[str, Any]) -> MonitorState:
    marks = (word.partition(":") for word in str(item["told"]).split())
    return MonitorState(
        begun=read_time(item["begun"]).astimezone(UTC),
        until=read_time(item["until"]).astimezone(UTC),
        expected_until=read_time(item["expected_until"]).astimezone(UTC),
        told={mark: int(at, 16) for mark, _, at in marks},
        token=item["token"],
    )
