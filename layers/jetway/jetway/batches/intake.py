"""The records of the collect queue: which go into which batch, which are dead letters, which come back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from jetway.batches.collector import NOT_NOW
from jetway.batches.model import Member, Stream, parse_member, run_id_of_batch
from jetway.dispatch.dead_letters import send_dead_letter
from jetway.dispatch.lanes import read_message
from jetway.dispatch.unread import unread_entry
from jetway.errors import PermanentError, TransientError
from jetway.ledger import Entry, LedgerUnavailableError, entry_id
from jetway.observability import logger

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
    from mypy_boto3_sqs import SQSClient

    from jetway.batches.collector import Collector, Settled
    from jetway.batches.model import Closed
    from jetway.dispatch.messages import Message
    from jetway.ledger import Decision, Ledger

# Some claims, a closing and a manifest: with less time left than this, the rest is better left to another invocation.
SECONDS_FOR_MORE = 20.0


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message with an event for a batch; several can be of one event."""

    message_id: str
    stream: Stream
    member: Member

    @property
    def id(self) -> str:
        """The key of the event's row in the ledger."""
        return entry_id(self.stream.name, self.member.digest)


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of the records of one invocation.

    Attributes:
        entries: what became of the deliveries that are settled.
        failed: ids of the messages that must come back.
    """

    entries: list[Entry] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


class Intake:
    """Takes the records of one invocation in."""

    def __init__(
        self,
        collector: Collector,
        sqs: SQSClient,
        ledger: Ledger,
        *,
        dead_letters_url: str,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._collector = collector
        self._sqs = sqs
        self._ledger = ledger
        self._dead_letters_url = dead_letters_url
        self._clock = clock

    def take(
        self,
        records: Iterable[SQSRecord],
        seconds_left: Callable[[], float],
        *,
        on_dispatched: Callable[[Closed], None],
    ) -> Taken:
        """Put the records' events into batches. One that fails does not keep the others.

        Args:
            seconds_left: of the invocation.
            on_dispatched: is given each batch that was sent out.
        """
        taken = Taken()
        streams: dict[str, list[Delivery]] = {}
        for record in records:
            try:
                found = self._read(record, on_dispatched)
            except (TransientError, *NOT_NOW) as exc:
                logger.warning("message comes back", extra={"error": str(exc)})
                taken.failed.append(record.message_id)
                continue
            if isinstance(found, Delivery):
                streams.setdefault(found.stream.id, []).append(found)
            elif found is not None:
                taken.entries.append(found)
        for deliveries in streams.values():
            settled = self._collect(deliveries, lambda: seconds_left() < SECONDS_FOR_MORE, on_dispatched)
            self._record(deliveries, settled, taken)
        return taken

    def _read(self, record: SQSRecord, on_dispatched: Callable[[Closed], None]) -> Delivery | Entry | None:
        """Return the event in a message, or what became of one that has none; a call back is answered."""
        if self._is_about_a_batch(record.body, on_dispatched):
            return None
        message = read_message(record)
        try:
            stream, member = parse_member(record.body, sent_at=message.sent_at)
        except PermanentError as exc:
            return self._dead_letter(message, exc)
        return self._unless_by_itself(Delivery(record.message_id, stream, member))

    def _unless_by_itself(self, delivery: Delivery) -> Delivery | Entry:
        """Return the delivery, or a duplicate when its event is dispatched by itself: its trigger had no batch then.

        The row is written before the event is claimed, as the dispatcher writes it before it asks for a run: whoever
        comes second sees that the other one has the event.
        """
        before = self._ledger.begin(delivery.id, "collect")
        if before.way != "dispatch":
            return delivery
        self._ledger.count(delivery.id)
        run_id = before.entry.dag_run_id if before.entry else None
        because = f"duplicate of run {run_id}" if run_id else "duplicate of an event that is dispatched by itself"
        entry = self._blank(delivery, "duplicate", because)
        return replace(entry, dag_run_id=run_id, state=before.entry.state if before.entry else None)

    def _collect(
        self,
        deliveries: Sequence[Delivery],
        should_stop: Callable[[], bool],
        on_dispatched: Callable[[Closed], None],
    ) -> Mapping[str, Settled]:
        """Put the events of one stream into batches; return those that are settled, by digest."""
        stream = deliveries[0].stream
        settled: list[Settled] = []
        try:
            self._collector.collect(
                stream,
                [delivery.member for delivery in deliveries],
                on_settled=settled.append,
                on_dispatched=on_dispatched,
                should_stop=should_stop,
            )
        except (TransientError, *NOT_NOW) as exc:
            logger.warning("events come back", extra={"stream": stream.id, "error": str(exc)})
        return {one.digest: one for one in settled}

    def _record(self, deliveries: Iterable[Delivery], settled: Mapping[str, Settled], taken: Taken) -> None:
        """Write the rows of what is settled; of several deliveries of one event, all but the first are duplicates."""
        recorded: set[str] = set()
        for delivery in deliveries:
            digest = delivery.member.digest
            one = settled.get(digest)
            if one is None:
                taken.failed.append(delivery.message_id)
                continue
            entry = self._entry(delivery, one, first=one.decision == "batched" and digest not in recorded)
            recorded.add(digest)
            if self._write(entry):
                taken.entries.append(entry)
            else:
                taken.failed.append(delivery.message_id)

    def _is_about_a_batch(self, body: str, on_dispatched: Callable[[Closed], None]) -> bool:
        """Whether the message is no event, but a call back of the collector; then it is answered."""
        try:
            message = json.loads(body)
        except (ValueError, RecursionError):
            return False
        if not isinstance(message, dict) or not isinstance(message.get("look_at"), dict):
            return False
        stream_id, batch_id = str(message["look_at"].get("stream")), str(message["look_at"].get("batch"))
        self._collector.look_at(stream_id, batch_id, on_dispatched=on_dispatched)
        return True

    def _entry(self, delivery: Delivery, settled: Settled, *, first: bool) -> Entry:
        batch_id = settled.batch_id
        entry = (
            self._blank(delivery, "batched", f"batched into {batch_id}")
            if first
            else self._blank(delivery, "duplicate", f"duplicate of an event in batch {batch_id}")
        )
        return replace(entry, dag_run_id=run_id_of_batch(delivery.stream.name, batch_id), batch_id=batch_id)

    def _blank(self, delivery: Delivery, decision: Decision, because: str) -> Entry:
        stream, member = delivery.stream, delivery.member
        trigger = json.loads(stream.trigger)
        return Entry(
            id=delivery.id,
            trigger=stream.name,
            kind=trigger["kind"],
            identity=member.identity,
            decision=decision,
            decided_at=self._clock(),
            because=because,
            dag_id=trigger["dag"],
            occurred_at=member.occurred_at,
            message_id=delivery.message_id,
        )

    def _write(self, entry: Entry) -> bool:
        """Write the event's row; when the ledger does not take it, the message comes back for that.

        The row of a duplicate says that the event is in its batch, and counts one delivery more.
        """
        because = f"batched into batch {entry.batch_id}"
        try:
            self._ledger.record(replace(entry, decision="batched", because=because))
        except LedgerUnavailableError as exc:
            logger.warning("message comes back", extra={"error": str(exc)})
            return False
        return True

    def _dead_letter(self, message: Message, exc: PermanentError) -> Entry:
        """Keep a message that is no event of a batch, with the reason, beside the dispatcher's dead letters."""
        because = f"{exc.reason}: {exc}"
        entry = unread_entry(message, "dead-lettered", because=because, now=self._clock())
        self._ledger.record(entry, untold=True)  # `follow_runs` tells the bus
        send_dead_letter(self._sqs, self._dead_letters_url, message, exc, entry=entry)
        return entry
