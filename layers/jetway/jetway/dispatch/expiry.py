"""Events that are too old to be started, and whether a right that was missing is why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from jetway.errors import DeniedTooLongError, EventTooOldError, PermissionMissingError

if TYPE_CHECKING:
    from jetway.dispatch.outcomes import Case

# Of a lane the first event is tried alone, every 15 minutes; those behind it are known by it for so long.
_KNOWN_FOR = timedelta(hours=1)


@dataclass(slots=True)
class Denied:
    """The last denial that one sandbox knows of."""

    _because: str = ""
    _at: datetime | None = None

    def note(self, exc: Exception, now: datetime) -> None:
        """Remember a denial; any other error says nothing of rights."""
        if isinstance(exc, PermissionMissingError):
            self._because, self._at = str(exc), now

    def over(self) -> None:
        """Forget it: Airflow has answered."""
        self._at = None

    def too_old(self, case: Case, latest: datetime, now: datetime) -> EventTooOldError:
        """Return why an event is a dead letter that could not be started by `latest`."""
        of, by = case.known.event.occurred_at.isoformat(), latest.isoformat()
        because = f"{by} could not start the event of {of}. Redrive it if you still need it."
        row = case.before.entry
        if row is not None and row.decision == "held":
            reason, _, text = (row.because or "").partition(": ")
            if reason == PermissionMissingError.reason:
                self._because, self._at = text, now
            else:
                return EventTooOldError(because)
        if self._at is None or now - self._at > _KNOWN_FOR:
            return EventTooOldError(because)
        return DeniedTooLongError(f"{because} {self._because}")
