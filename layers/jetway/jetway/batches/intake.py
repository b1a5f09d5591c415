"""The records of the collect queue: which go into which batch, which are dead letters, which come back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from jetway.batches.collector import NOT_NOW
from jetway.batches.model import Member, Stream, parse_member, run_id_of_batch
from jetway.errors import PermanentError, TransientError
from jetway.observability import logger

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
    from mypy_boto3_sqs import SQSClient

    from jetway.batches.collector import Collector, Settled

# Some claims, a closing and a manifest: with less time left than this, the rest is better left to another invocation.
SECONDS_FOR_MORE = 20.0

LONGEST_LETTER = 1024 * 1024 - 1024  # bytes; SQS takes 1 MiB with the attributes
LONGEST_CUT = 100_000  # characters, any of which may take six bytes


@dataclass(frozen=True, slots=True)
class Collected:
    """What became of one delivery; its fields are those of the log line."""

    decision: Literal["batched", "duplicate", "dead-lettered"]
    trigger: str | None = None
    batch_id: str | None = None
    dag_run_id: str | None = None
    because: str | None = None


class Intake:
    """Takes the records of one invocation in."""

    def __init__(
        self,
        collector: Collector,
        sqs: SQSClient,
        *,
        dead_letters_url: str,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._collector = collector
        self._sqs = sqs
        self._dead_letters_url = dead_letters_url
        self._clock = clock

    def take(
        self, records: Sequence[SQSRecord], seconds_left: Callable[[], float]
    ) -> tuple[list[Collected], list[str]]:
        """Put the records' events into batches.

        Args:
            seconds_left: of the invocation.

        Returns:
            What became of the deliveries that are settled, and the ids of the messages that must come back.
        """
        done: list[Collected] = []
        failed: list[str] = []
        streams: dict[str, Stream] = {}
        deliveries: dict[str, list[tuple[str, Member]]] = {}  # message ids and events by stream
        for record in records:
            try:
                if self._is_about_a_batch(record.body):
                    continue
                stream, member = parse_member(record.body, sent_at=_sent_at(record))
            except PermanentError as exc:
                done.append(self._dead_letter(record, exc))
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
            done += _tell(streams[stream_id].name, pairs, settled)
            failed += [message_id for message_id, member in pairs if member.digest not in settled]
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

    def _dead_letter(self, record: SQSRecord, exc: PermanentError) -> Collected:
        """Keep a message that is no event of a batch, with the reason, beside the dispatcher's dead letters."""
        attributes = record.attributes
        letter: dict[str, Any] = {
            "reason": exc.reason,
            "error": f"{type(exc).__name__}: {exc}"[:4096],
            "trigger": None,
            "dag_id": None,
            "dag_run_id": None,
            "first_try": _time(attributes.approximate_first_receive_timestamp).isoformat(),
            "last_try": self._clock().isoformat(),
            "tries": int(attributes.approximate_receive_count),
            "message": _parsed(record.body),
        }
        body = json.dumps(letter)
        if len(body) > LONGEST_LETTER:
            body = json.dumps(letter | {"message": record.body[:LONGEST_CUT], "message_cut_at": LONGEST_CUT})
        self._sqs.send_message(
            QueueUrl=self._dead_letters_url,
            MessageBody=body,
            MessageGroupId=record.message_id,
            MessageDeduplicationId=record.message_id,
            MessageAttributes={"reason": {"DataType": "String", "StringValue": exc.reason}},
        )
        return Collected("dead-lettered", because=f"{exc.reason}: {exc}")


def _tell(name: str, pairs: Iterable[tuple[str, Member]], settled: Mapping[str, Settled]) -> Iterator[Collected]:
    """Yield what became of each settled delivery; of several of one event, all but the first are duplicates."""
    told: set[str] = set()
    for _, member in pairs:
        one = settled.get(member.digest)
        if one is None:
            continue
        run_id = run_id_of_batch(name, one.batch_id)
        if one.decision == "batched" and member.digest not in told:
            yield Collected("batched", name, one.batch_id, run_id)
        else:
            because = f"duplicate of an event in batch {one.batch_id}"
            yield Collected("duplicate", name, one.batch_id, run_id, because)
        told.add(member.digest)


def _parsed(body: str) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return body


def _sent_at(record: SQSRecord) -> datetime:
    return _time(record.attributes.sent_timestamp)


def _time(milliseconds: str) -> datetime:
    return datetime.fromtimestamp(int(milliseconds) / 1000, tz=UTC)
