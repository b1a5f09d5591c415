"""When an event that waits for its paused DAG is tried again. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from jetway.errors import DagPausedError

if TYPE_CHECKING:
    from jetway.dispatch.limits import WaitingState

# After a tenth of the time that it has waited: a pause of an hour costs an event some twenty tries, one of a week a
# thousand, and the end of the pause is noticed within a quarter of an hour.
SHARE = 0.1
SOONEST = timedelta(seconds=30)
LATEST = timedelta(minutes=15)


def next_try(waits: WaitingState | None, now: datetime) -> datetime:
    """Return when to look again whether the DAG is paused.

    Args:
        waits: how the message has waited aside.
        now: timezone-aware.
    """
    since = waits.since_of(DagPausedError.reason) if waits is not None else None
    return now + min(LATEST, max(SOONEST, (now - since) * SHARE if since is not None else SOONEST))
