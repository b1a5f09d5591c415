"""Putting events into batches, and closing batches by count, by deadline and by the sweep."""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

from botocore.exceptions import BotoCoreError, ClientError

from jetway.batches.closing import Finisher, ForeignManifestError
from jetway.batches.table import LARGEST_BATCH, LARGEST_PAGE, MOST_CLAIMS, BatchTable, ContendedError, Open, Owner
from jetway.formats import MEMBER, MESSAGE
from jetway.observability import logger

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

    from jetway.batches.model import BatchMember, Closed, Stream

MOST_TRIES = 30  # of one claim against other collectors
LONGEST_PAUSE = 0.5  # seconds between them
LONGEST_DELAY = 900  # seconds that SQS delays a message

# A batch that was closed just now is being finished by whoever closed it.
LEFT_ALONE = timedelta(seconds=60)

NOT_NOW = (ClientError, BotoCoreError, ForeignManifestError, ContendedError)


@dataclass(frozen=True, slots=True)
class Collected:
    """What became of an event: it is in a batch now, or was in one before, or is a dead letter.

    Attributes:
        batch_id: the batch; empty when it is a dead letter.
        letter: id of the message that is the dead letter.
    """

    digest: str
    decision: Literal["batched", "duplicate"]
    batch_id: str
    letter: str = ""


class Collector:
    """Collects events into batches. Several may work at once, in different processes.

    Its methods do their work when they are called, and give each thing to a callback as soon as it is done: so an
    error loses nothing of what was done before it, and no caller can leave a step half done.
    """

    def __init__(
        self,
        table: BatchTable,
        finisher: Finisher,
        sqs: SQSClient,
        *,
        collect_url: str,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._table = table
        self._finisher = finisher
        self._sqs = sqs
        self._collect_url = collect_url
        self._clock = clock
        self._sleep = sleep

    def collect(
        self,
        stream: Stream,
        members: Iterable[BatchMember],
        *,
        on_settled: Callable[[Collected], None],
        on_dispatched: Callable[[Closed], None],
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        """Put members into the stream's open batch, and close each batch that is full or whose time has come.

        Args:
            on_settled: is given each member as soon as it is safe; what it was not given is to be tried again.
            on_dispatched: is given each batch that was sent out.
            should_stop: is asked before each claim. Never after it: a batch that is full is closed at once.

        Raises:
            ContendedError, ClientError, BotoCoreError: what was settled before stays so.
        """
        waiting = {member.digest: member for member in members}
        tries = 0
        batch = self._close_if_due(self._table.find_open(stream.id), on_dispatched)
        while waiting and not should_stop():
            try:
                settled = self._claim(stream, batch, _chunk(waiting.values(), batch, stream))
            except ContendedError:
                tries += 1
                if tries == MOST_TRIES:
                    raise
                self._pause(tries)
            else:
                tries = 0
                for one in settled:
                    del waiting[one.digest]
                    on_settled(one)
            batch = self._close_if_due(self._table.find_open(stream.id), on_dispatched)

    def bury(self, stream: Stream, member: BatchMember, message_id: str) -> Collected:
        """Let an event be a dead letter, unless it is in a batch, or is one already; return what it is.

        Args:
            message_id: of the message that is the dead letter.

        Raises:
            ClientError, BotoCoreError: not now.
        """
        return _owned(member.digest, self._table.bury(stream, member, message_id, now=self._clock()))

    def look_at(self, stream_id: str, batch_id: str, *, on_dispatched: Callable[[Closed], None]) -> None:
        """Close a batch whose time has come; come back later to one whose time has not."""
        batch = self._table.find_open(stream_id)
        if batch is None or batch.batch_id != batch_id:
            return
        still_open = self._close_if_due(batch, on_dispatched)
        if still_open is not None and still_open.batch_id == batch_id:
            self._call_back(stream_id, batch_id, batch.deadline - self._clock())

    def sweep(self, *, on_dispatched: Callable[[Closed], None]) -> None:
        """Close every batch whose time has come, and finish those that somebody began to send out and did not.

        Raises:
            ClientError, BotoCoreError, ForeignManifestError: the first trouble, after all batches were tried.
        """
        troubles: list[Exception] = []
        for batch in self._table.list_open():
            try:
                self._close_if_due(batch, on_dispatched)
            except NOT_NOW as exc:
                troubles.append(exc)
        for batch_id, closed_at in self._table.list_closed():
            if self._clock() - closed_at >= LEFT_ALONE:
                try:
                    self._finish(batch_id, on_dispatched)
                except NOT_NOW as exc:
                    troubles.append(exc)
        if troubles:
            raise troubles[0]

    def _claim(self, stream: Stream, batch: Open | None, chunk: Sequence[BatchMember]) -> list[Collected]:
        """Claim a chunk, or learn which of it were claimed before; then nothing else of it is settled."""
        claim = self._table.claim(stream, batch, chunk, now=self._clock())
        if claim.duplicates:
            return [_owned(digest, owner) for digest, owner in claim.duplicates.items()]
        if batch is None:
            self._call_back(stream.id, claim.batch_id, stream.within)
        return [Collected(member.digest, "batched", claim.batch_id) for member in chunk]

    def _close_if_due(self, batch: Open | None, on_dispatched: Callable[[Closed], None]) -> Open | None:
        """Return the stream's open batch, when it still takes events."""
        tries = 0
        while batch is not None and batch.is_due(self._clock()):
            if tries == MOST_TRIES:
                raise ContendedError(f"batch {batch.batch_id} cannot be closed now")
            if tries:
                self._pause(tries)
            tries += 1
            if self._table.close(batch, self._clock()):
                try:
                    self._finish(batch.batch_id, on_dispatched)
                except NOT_NOW as exc:
                    # The events are safe, and the batch is closed: the sweep sends it out.
                    logger.warning("batch left to the sweep", extra={"batch_id": batch.batch_id, "error": str(exc)})
            batch = self._table.find_open(batch.stream_id)
        return batch

    def _pause(self, tries: int) -> None:
        self._sleep(random.uniform(0, min(LONGEST_PAUSE, 0.01 * 2**tries)))  # noqa: S311 - no secret

    def _finish(self, batch_id: str, on_dispatched: Callable[[Closed], None]) -> None:
        batch = self._finisher.finish(batch_id)
        if batch:
            on_dispatched(batch)

    def _call_back(self, stream_id: str, batch_id: str, after: timedelta) -> None:
        """Have `look_at` called at the batch's deadline. Only punctuality hangs on it: the sweep comes anyway."""
        delay = min(LONGEST_DELAY, max(1, math.ceil(after.total_seconds())))
        body = json.dumps({MEMBER: MESSAGE, "look_at": {"stream": stream_id, "batch": batch_id}})
        try:
            self._sqs.send_message(QueueUrl=self._collect_url, MessageBody=body, DelaySeconds=delay)
        except (ClientError, BotoCoreError) as exc:
            logger.warning(
                "the callback at the deadline could not be sent", extra={"batch_id": batch_id, "error": str(exc)}
            )


def _owned(digest: str, owner: Owner) -> Collected:
    return Collected(digest, "duplicate", owner.batch_id, owner.letter)


def _chunk(members: Iterable[BatchMember], batch: Open | None, stream: Stream) -> list[BatchMember]:
    """Return the first members that fit into one page and into the batch; at least one."""
    room = min(MOST_CLAIMS, stream.max_events - (batch.count if batch else 0))
    space = min(LARGEST_PAGE, LARGEST_BATCH - (batch.size if batch else 0))
    chunk: list[BatchMember] = []
    for member in members:
        space -= member.size
        if len(chunk) == room or space < 0:
            break
        chunk.append(member)
    return chunk
