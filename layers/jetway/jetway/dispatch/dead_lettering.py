"""Deciding that an event is a dead letter, and sending it: in this order, so that no run follows it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from jetway.dispatch.dead_letters import send_dead_letter
from jetway.ledger import LedgerUnavailableError, OpenEntry

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

    from jetway.dispatch.messages import Message
    from jetway.dispatch.outcomes import Case
    from jetway.ledger import Entry, Ledger


class Letters:
    """The dead letters of the dispatcher."""

    def __init__(self, sqs: SQSClient, url: str, ledger: Ledger, tell: Callable[[Entry], bool]) -> None:
        """Take the parts; nothing is called.

        Args:
            url: of the queue.
            tell: tells the bus; returns whether it has taken it.
        """
        self._sqs = sqs
        self._url = url
        self._ledger = ledger
        self._tell = tell

    def decide(self, case: Case, entry: Entry, exc: Exception) -> Entry:
        """Write that the event is a dead letter, and send it; return what counts.

        Whoever comes after that, this very message included, starts nothing any more.

        Args:
            entry: the decision.
            exc: why.

        Raises:
            AnswerLostError: another delivery has begun meanwhile; it may start the run.
            LedgerUnavailableError: DynamoDB does not do its part.
        """
        alone = case.before.number or None
        decision = self._ledger.record(
            entry, untold=True, settled=case.attempt, alone=alone, redriven_at=case.redriven_at
        )
        if decision != "dead-lettered":
            return replace(entry, decision=decision, because="another delivery of the event has started its run")
        return self.send(case.message, entry, exc)

    def send(self, message: Message, entry: Entry, exc: Exception | None = None) -> Entry:
        """Send the letter, and tell the bus.

        Args:
            exc: why; None when an earlier try has decided, and the entry has it.
        """
        send_dead_letter(self._sqs, self._url, message, exc, entry=entry)
        if self._tell(entry):
            with suppress(LedgerUnavailableError):  # else it is told once more
                self._ledger.close(OpenEntry(entry, entry.decided_at, untold=True))
        return entry
