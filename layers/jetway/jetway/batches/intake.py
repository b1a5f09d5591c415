"""The records of the collect queue: which go into which batch, which are dead letters, which come back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
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
    from jetway.dispatch.messages import Message
    from jetway.ledger import Ledger

# Some claims, a closing and a manifest: with less time left than this, the rest is better left to another invocation.
SECONDS_FOR_MORE = 20.0


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

    def take(self, records: Sequence[SQSRecord], seconds_left: Callable[[], float]) -> tuple[list[Entry], list[str]]:
        """Put the records' events into batches.

        Args:
            seconds_left: of the invocation.

        Returns:
            What became of the deliveries that are settled, and the ids of the messages that must come back.
        """
        done: list[Entry] = []
        failed: list[str] = []
        streams: dict[str, Stream] = {}
        deliveries: dict[str, list[tuple[str, Member]]] = {}  # message ids and events by stream
        for record in records:
            try:
                if self._is_about_a_batch(record.body):
                    continue
                message = read_message(record)
                stream, member = parse_member(record.body, sent_at=message.sent_at)
            except PermanentError as exc:
                try:
                    done.append(self._dead_letter(message, exc))
                except (TransientError, *NOT_NOW) as trouble:
                    logger.warning("message comes back", extra={"error": str(trouble)})
                    failed.append(record.message_id)
                continue
            except NOT_NOW as exc:
                logger.warning("message comes back", extra={"error": str(exc)})
                failed.append(record.message_id)
                continue
            streams[stream.id] = stream
            deliveries.setdefault(stream.id, []).append((record.message_id, member))
        for stream_id, pairs in deliveries.items():
            settled: dict[str, Settled] = {}
            try:
                for one in self._collector.collect(streams[stream_id], [member for _, member in pairs]):
                    settled[one.digest] = one
                    if seconds_left() < SECONDS_FOR_MORE:
                        break
            except (TransientError, *NOT_NOW) as exc:
                logger.warning("events come back", extra={"stream": stream_id, "error": str(exc)})
            failed += [message_id for message_id, member in pairs if member.digest not in settled]
            for message_id, entry in self._entries(streams[stream_id], pairs, settled):
                if self._record(entry):
                    done.append(entry)
                else:
                    failed.append(message_id)
        return done, failed

    def _is_about_a_batch(self, body: str) -> bool:
        """Whether the message is no event, but a call back of the collector; then it is answered."""
        try:
            message = json.loads(body)
        except (ValueError, RecursionError):
            return False
        if not isinstance(message, dict) or not isinstance(message.get("look_at"), dict):
            return False
        self._collector.look_at(str(message["look_at"].get("stream")), str(message["look_at"].get("batch")))
        return True

    def _entries(
        self, stream: Stream, pairs: Iterable[tuple[str, Member]], settled: Mapping[str, Settled]
    ) -> Iterator[tuple[str, Entry]]:
        """Yield what became of each settled delivery; of several of one event, all but the first are duplicates."""
        trigger = json.loads(stream.trigger)
        told: set[str] = set()
        for message_id, member in pairs:
            one = settled.get(member.digest)
            if one is None:
                continue
            first = one.decision == "batched" and member.digest not in told
            told.add(member.digest)
            yield (
                message_id,
                Entry(
                    id=entry_id(stream.name, member.digest),
                    trigger=stream.name,
                    kind=trigger["kind"],
                    identity=member.identity,
                    decision="batched" if first else "duplicate",
                    decided_at=self._clock(),
                    because=f"batched into {one.batch_id}"
                    if first
                    else f"duplicate of an event in batch {one.batch_id}",
                    dag_id=trigger["dag"],
                    dag_run_id=run_id_of_batch(stream.name, one.batch_id),
                    batch_id=one.batch_id,
                    occurred_at=member.occurred_at,
                    message_id=message_id,
                ),
            )

    def _record(self, entry: Entry) -> bool:
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
        send_dead_letter(self._sqs, self._dead_letters_url, message, exc, entry=entry)
        self._ledger.record(entry, untold=True)  # `follow_runs` tells the bus
        return entry
