"""The records of the collect queue: which go into which batch, which are dead letters, which come back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from jetway.aws.crashes import CrashedError
from jetway.batches.collector import NOT_NOW
from jetway.batches.hands import Hands, crashes_alone, has_crashed, was_in
from jetway.batches.model import BatchMember, Stream, parse_member, run_id_of_batch
from jetway.dispatch.chains import OVER, is_over, too_long
from jetway.dispatch.dead_letters import send_dead_letter
from jetway.dispatch.lanes import read_message
from jetway.dispatch.limits import LONGEST_CHAIN
from jetway.dispatch.unreadable import unread_entry
from jetway.errors import NewerFormatError, PermanentError, TransientError
from jetway.ledger import Entry, LedgerUnavailableError, entry_id
from jetway.observability import logger

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
    from mypy_boto3_sqs import SQSClient

    from jetway.batches.collector import Collected, Collector
    from jetway.batches.model import Closed
    from jetway.dispatch.messages import Message
    from jetway.ledger import Decision, Ledger

# Some claims, a closing and a manifest: with less time left than this, the rest is better left to another invocation.
SECONDS_FOR_MORE = 20.0

# So many messages that come again are taken one by one at once, which costs half a second. More cost less together.
FEW = 10


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message with an event for a batch; several can be of one event."""

    message: Message
    stream: Stream
    member: BatchMember

    @property
    def message_id(self) -> str:
        """SQS's id of the message."""
        return self.message.message_id

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
        hands: Hands,
        longest_chain: int = LONGEST_CHAIN,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Take the parts; nothing is called.

        Args:
            hands: knows which messages were in hand at a crash.
            longest_chain: as in `jetway.dispatch.limits.Limits`.
        """
        self._collector = collector
        self._sqs = sqs
        self._ledger = ledger
        self._dead_letters_url = dead_letters_url
        self._hands = hands
        self._longest_chain = longest_chain
        self._clock = clock

    def take(
        self,
        records: Iterable[SQSRecord],
        seconds_left: Callable[[], float],
        *,
        on_dispatched: Callable[[Closed], None],
    ) -> Taken:
        """Put the records' events into batches. One that fails, or ends the function, does not keep the others.

        What may have ended the function is taken by itself, after all others; what has too often is a dead letter.

        Args:
            seconds_left: of the invocation.
            on_dispatched: is given each batch that was sent out.
        """
        taken = Taken()
        all_records = list(records)
        again = [record for record in all_records if receives(record) > 1]
        hands = self._hands.left_behind() if again else []
        suspects: list[SQSRecord] = []
        others: list[SQSRecord] = []
        for record in again:
            alone = len(again) <= FEW or was_in(record.message_id, hands)
            (suspects if alone else others).append(record)
        self._take([record for record in all_records if receives(record) <= 1], seconds_left, taken, on_dispatched)
        if others:
            with self._hands.holding(record.message_id for record in others):
                self._take(others, seconds_left, taken, on_dispatched)
        for record in sorted(suspects, key=lambda record: crashes_alone(record.message_id, hands)):
            if seconds_left() < SECONDS_FOR_MORE:
                taken.failed.append(record.message_id)
                continue
            with self._hands.holding([record.message_id]):
                if has_crashed(record.message_id, receives(record), hands):
                    self._bury(record, taken)
                else:
                    self._take([record], seconds_left, taken, on_dispatched)
        return taken

    def _take(
        self,
        records: Iterable[SQSRecord],
        seconds_left: Callable[[], float],
        taken: Taken,
        on_dispatched: Callable[[Closed], None],
    ) -> None:
        streams: dict[str, list[Delivery]] = {}
        for record in records:
            try:
                found = self._read(record, on_dispatched)
            except (TransientError, *NOT_NOW) as exc:
                logger.warning("the message returns to the queue", extra={"error": str(exc)})
                taken.failed.append(record.message_id)
                continue
            if isinstance(found, Delivery):
                streams.setdefault(found.stream.id, []).append(found)
            elif found is not None:
                taken.entries.append(found)
        for deliveries in streams.values():
            settled = self._collect(deliveries, lambda: seconds_left() < SECONDS_FOR_MORE, on_dispatched)
            self._record(deliveries, settled, taken)

    def _bury(self, record: SQSRecord, taken: Taken) -> None:
        """Make a message that has crashed too often a dead letter, unless its event has an outcome."""
        message, crashed = read_message(record), CrashedError()
        try:
            if read_call_back(record.body) is not None:
                taken.entries.append(self._dead_letter(message, crashed))
                return
            found = self._read_event(message)
            if isinstance(found, Delivery):
                settled = self._collector.bury(found.stream, found.member, found.message_id)
                self._record([found], {settled.digest: settled}, taken)
            else:
                taken.entries.append(found)
        except (TransientError, *NOT_NOW) as exc:
            logger.warning("the message returns to the queue", extra={"error": str(exc)})
            taken.failed.append(record.message_id)

    def _read(self, record: SQSRecord, on_dispatched: Callable[[Closed], None]) -> Delivery | Entry | None:
        """Return the event in a message, or what became of one that has none; a call back is answered."""
        if (batch := read_call_back(record.body)) is not None:
            self._collector.look_at(*batch, on_dispatched=on_dispatched)
            return None
        return self._read_event(read_message(record))

    def _read_event(self, message: Message) -> Delivery | Entry:
        """Return the event in a message, or what became of one that has none."""
        try:
            stream, member = parse_member(message.body, sent_at=message.sent_at)
            return self._unless_by_itself(Delivery(message, stream, member))
        except PermanentError as exc:
            return self._dead_letter(message, exc)

    def _unless_by_itself(self, delivery: Delivery) -> Delivery | Entry:
        """Return the delivery, or a duplicate when its event is dispatched by itself: its trigger had no batch then.

        The row is written before the event is claimed, as the dispatcher writes it before it asks for a run: whoever
        comes second sees that the other one has the event.
        """
        before = self._ledger.begin(delivery.id, "collect")
        if before.way != "dispatch":
            return self._unless_in_a_loop(delivery)
        self._ledger.count(delivery.id)
        run_id = before.entry.dag_run_id if before.entry else None
        because = f"duplicate of run {run_id}" if run_id else "duplicate of an event that is dispatched on its own"
        entry = self._blank(delivery, "duplicate", because)
        return replace(entry, dag_run_id=run_id, state=before.entry.state if before.entry else None)

    def _unless_in_a_loop(self, delivery: Delivery) -> Delivery | Entry:
        """Return the delivery, unless its chain is too long: it would take the other events of its batch with it."""
        member, longest = delivery.member, self._longest_chain
        if is_over(json.loads(member.facts)):
            entry = self._blank(delivery, "skipped", OVER)
            self._ledger.record(entry)
            return entry
        if member.chain < longest:
            return delivery
        exc = too_long(member.chain, longest, delivery.stream.name)
        settled = self._collector.bury(delivery.stream, member, delivery.message_id)
        return self._settled(delivery, settled, first=False, exc=exc)

    def _collect(
        self,
        deliveries: Sequence[Delivery],
        should_stop: Callable[[], bool],
        on_dispatched: Callable[[Closed], None],
    ) -> Mapping[str, Collected]:
        """Put the events of one stream into batches; return those that are settled, by digest."""
        stream = deliveries[0].stream
        settled: list[Collected] = []
        try:
            self._collector.collect(
                stream,
                [delivery.member for delivery in deliveries],
                on_settled=settled.append,
                on_dispatched=on_dispatched,
                should_stop=should_stop,
            )
        except (TransientError, NewerFormatError, *NOT_NOW) as exc:
            logger.warning("events return to the queue", extra={"stream": stream.id, "error": str(exc)})
        return {one.digest: one for one in settled}

    def _record(self, deliveries: Iterable[Delivery], settled: Mapping[str, Collected], taken: Taken) -> None:
        """Write the rows of what is settled; of several deliveries of one event, all but the first are duplicates."""
        recorded: set[str] = set()
        for delivery in deliveries:
            digest = delivery.member.digest
            one = settled.get(digest)
            if one is None:
                taken.failed.append(delivery.message_id)
                continue
            first = one.decision == "batched" and digest not in recorded
            recorded.add(digest)
            try:
                taken.entries.append(self._settled(delivery, one, first=first))
            except (LedgerUnavailableError, *NOT_NOW) as exc:
                logger.warning("the message returns to the queue", extra={"error": str(exc)})
                taken.failed.append(delivery.message_id)

    def _settled(self, delivery: Delivery, one: Collected, *, first: bool, exc: PermanentError | None = None) -> Entry:
        """Write the row of an event that is settled, and send it when this very message is its dead letter.

        The row of a duplicate says that the event is in its batch, and counts one delivery more.

        Args:
            exc: why it is a dead letter, if it is one; it has crashed when that is not said.

        Raises:
            LedgerUnavailableError, ClientError, BotoCoreError: not now; the message comes back for that.
        """
        if one.letter == delivery.message_id:
            exc = exc or CrashedError()
            entry = self._blank(delivery, "dead-lettered", f"{exc.reason}: {exc}")
            return self._send(delivery.message, exc, entry)
        if one.letter:
            self._ledger.count(delivery.id)
            return self._blank(
                delivery, "duplicate", f"duplicate of a dead letter ({(exc or CrashedError).reason}); redrive it"
            )
        entry = self._entry(delivery, one, first=first)
        because = f"batched into batch {entry.batch_id}"
        self._ledger.record(replace(entry, decision="batched", because=because))
        return entry

    def _entry(self, delivery: Delivery, settled: Collected, *, first: bool) -> Entry:
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
            chain=member.chain + 1,
            by=member.by,
        )

    def _dead_letter(self, message: Message, exc: PermanentError) -> Entry:
        """Keep a message that is no event of a batch, with the reason, beside the dispatcher's dead letters."""
        because = f"{exc.reason}: {exc}"
        return self._send(message, exc, unread_entry(message, "dead-lettered", because=because, now=self._clock()))

    def _send(self, message: Message, exc: PermanentError, entry: Entry) -> Entry:
        """Write that a message is a dead letter, and send it."""
        self._ledger.record(entry, untold=True)  # `follow_runs` tells the bus
        send_dead_letter(self._sqs, self._dead_letters_url, message, exc, entry=entry)
        return entry


def receives(record: SQSRecord) -> int:
    """Return how often a message was received, this time included."""
    return int(record.attributes.approximate_receive_count or 1)


def read_call_back(body: str) -> tuple[str, str] | None:
    """Return the stream and the batch that a message of the collector itself is about; None of any other message."""
    try:
        about = json.loads(body)["look_at"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return (str(about.get("stream")), str(about.get("batch"))) if isinstance(about, dict) else None
