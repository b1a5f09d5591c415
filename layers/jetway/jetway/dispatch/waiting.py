"""Waiting aside: what concerns one trigger or one DAG leaves its lane and comes back later.

Messages of a FIFO queue cannot be delayed one by one, so they wait in a standard queue; `resume_waiting` puts them back
into their lane. A message that has waited has lost its place: order within a lane is kept among those that did not.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from math import ceil
from typing import TYPE_CHECKING, Any

from jetway.dispatch.backoff import wait_before_retry
from jetway.dispatch.limits import WaitingState

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

    from jetway.dispatch.messages import Message

LONGEST_DELAY = 900  # seconds; SQS delays no longer
SOON = 1.0  # seconds: nearer than that is now

# Tries that a first wait aside counts as: 8 to 16 seconds. MWAA needs 30 s and more to see a new file.
FIRST_ASIDE = 4
LONGEST_ASIDE = 120.0  # seconds


def next_waits(
    waits: WaitingState | None,
    *,
    because: str,
    first: datetime,
    now: datetime,
    not_before: datetime | None = None,
    message_id: str | None = None,
) -> WaitingState:
    """Return how a message has waited once it is sent aside again. Pure.

    A new reason counts its time from now; one that it was sent aside for before, from then: reasons that take turns
    would else begin anew for ever.

    Args:
        first: when the message in hand was tried first.
        message_id: of the message in hand.
    """
    if waits is None:
        return WaitingState(now, 1, because, not_before, first, message_id)
    earlier = {reason: since for reason, since in waits.earlier.items() if reason != because}
    if waits.because is not None and waits.because != because:
        earlier[waits.because] = waits.since
    since = waits.since_of(because) or now
    count = waits.count + 1
    return replace(waits, since=since, count=count, because=because, not_before=not_before, earlier=earlier)


def delay_until(moment: datetime, now: datetime) -> int:
    """Return whole seconds to wait for a moment, as many as SQS can; 0 when it is here. Pure."""
    seconds = (moment - now).total_seconds()
    return 0 if seconds < SOON else min(LONGEST_DELAY, -int(-seconds // 1))


class Waiting:
    """The queue of what waits aside."""

    def __init__(
        self, sqs: SQSClient, queue_url: str, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._sqs = sqs
        self._url = queue_url
        self._clock = clock

    def aside(
        self,
        message: Message,
        waits: WaitingState | None,
        *,
        because: str,
        not_before: datetime | None = None,
        by: datetime | None = None,
    ) -> None:
        """Send a message aside, once more or for the first time, and for longer each time.

        Args:
            waits: how it has waited before.
            because: the reason: its stable word, then a colon, and what there is to say of it.
            not_before: when it may be tried again, if that is known.
            by: when it is to be tried again at the latest.
        """
        now = self._clock()
        waits = next_waits(
            waits,
            because=because.partition(":")[0],
            first=message.first_tried_at,
            now=now,
            not_before=not_before,
            message_id=message.message_id,
        )
        delay = wait_before_retry(waits.count - 1 + FIRST_ASIDE, longest=LONGEST_ASIDE)
        if by is not None:
            delay = min(delay, max(1, ceil((by - now).total_seconds())))
        self.send(message, waits, delay=delay)

    def send(self, message: Message, waits: WaitingState, *, delay: int) -> None:
        """Send a message aside.

        Args:
            waits: what is written into it.
            delay: seconds, when `waits` names no moment.
        """
        body = {**json.loads(message.body), "waits": waits.to_json()}
        if waits.not_before is not None:
            delay = max(1, delay_until(waits.not_before, self._clock()))
        # The same try of the same message, sent aside twice, is one message when it comes back within five minutes.
        self._send(json.dumps(body), lane=message.group, resume_id=f"{message.message_id}-{waits.count}", delay=delay)

    def resume(self, body: str, *, lane: str, resume_id: str, dispatch_url: str) -> bool:
        """Put a message that has waited back into its lane, or let it wait on; return whether it went back.

        A delay is at most 15 minutes, so the message may have to wait more than once for its moment.
        """
        waits = WaitingState.parse(json.loads(body)["waits"])
        delay = 0 if waits.not_before is None else delay_until(waits.not_before, self._clock())
        if delay:
            self._send(body, lane=lane, resume_id=resume_id, delay=delay)
            return False
        self._sqs.send_message(
            QueueUrl=dispatch_url, MessageBody=body, MessageGroupId=lane, MessageDeduplicationId=resume_id
        )
        return True

    def _send(self, body: str, *, lane: str, resume_id: str, delay: int) -> None:
        self._sqs.send_message(
            QueueUrl=self._url,
            MessageBody=body,
            DelaySeconds=min(LONGEST_DELAY, delay),
            MessageAttributes=_attributes({"lane": lane, "resume_id": resume_id}),
        )


def _attributes(values: Mapping[str, str]) -> dict[str, Any]:
    return {name: {"DataType": "String", "StringValue": value} for name, value in values.items()}
