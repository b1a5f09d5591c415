"""The place that an event has in a window of its trigger's rate: taken, kept for its next try, or given back."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING

from jetway.dispatch.rates import is_now
from jetway.ledger import LedgerUnavailableError

if TYPE_CHECKING:
    from jetway.dispatch.outcomes import Case
    from jetway.dispatch.rates import Rates
    from jetway.ledger import Ledger


class RateSlots:
    """The places of events. One event has one at a time, however often it is tried."""

    def __init__(self, ledger: Ledger, rates: Rates) -> None:
        self._ledger = ledger
        self._rates = rates

    def of(self, case: Case, now: datetime, latest: datetime) -> int | None:
        """Return when the window begins in which the event has a place, in seconds since 1970; None without a rate.

        Args:
            latest: a place after it is of no use.

        Raises:
            EventTooOldError: the next place is after `latest`; none is taken.
            LedgerUnavailableError: DynamoDB does not do its part.
        """
        rate, place = case.rate, case.before.place
        if rate is None:
            return None
        if place is not None and (place > now.timestamp() or is_now(place, rate, now)):
            return place
        place = self._rates.take(case.known.trigger.name, rate, latest=latest).start
        if place > now.timestamp():
            # Not only in the message, which says so for ever: who waits for a place may have given it back since.
            self._ledger.keep_place(case.id, place)
        return place

    def give_back(self, case: Case, begins: int | None) -> None:
        """Note that this try has made no run, and never will; let others have its place.

        The row forgets the place before others can have it. The event keeps it for its next try when it cannot be given
        back, since others have places in later windows; and when another delivery of the event may have started the run
        in it. Trouble costs the place, never the rate.

        Args:
            begins: the place's window; None when there is none.
        """
        if begins is None and case.attempt is None:
            return
        with suppress(LedgerUnavailableError):  # then the next try takes this one for one that may have made the run
            if begins is None or case.rate is None:
                self._ledger.settle(case.id, case.attempt)
            elif _is_shared(case, begins) or not self._ledger.settle(case.id, case.attempt, alone=case.before.number):
                self._ledger.settle(case.id, case.attempt, keep_place=True)
            elif not self._rates.give_back(case.known.trigger.name, case.rate, begins):
                self._ledger.keep_place(case.id, begins)


def _is_shared(case: Case, begins: int) -> bool:
    """Whether another try of the event that may make the run has the same place."""
    return any(attempt.at.timestamp() >= begins for attempt in case.before.attempts)
