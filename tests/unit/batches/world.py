"""A small world for the collector: moto for AWS, clients that can be killed, and a judge of what came out."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import moto.backends
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from jetway.batches.closing import Finisher
from jetway.batches.collector import Collected, Collector
from jetway.batches.hands import Hands
from jetway.batches.intake import Intake
from jetway.batches.model import BatchMember, Closed, Stream
from jetway.batches.table import BatchTable
from jetway.ledger import Entry, Ledger
from tests.unit.dispatching import parse_dispatch
from tests.unit.ledger_table import make_ledger_table
from tests.unit.moto_clients import client

REGION: Final = "eu-central-1"
START = datetime(2026, 11, 22, 6, 0, tzinfo=UTC)


class KilledError(BaseException):
    """The function's process has ended; nothing in it may catch this."""


class Kill:
    """Ends the process after so many AWS calls: `calls` of them are done, and of the last one no answer is seen."""

    def __init__(self, after: int | None = None) -> None:
        self.after = after
        self.calls: list[str] = []

    def wrap(self, client: Any) -> Any:
        return _Killable(client, self)

    def count(self, name: str) -> None:
        self.calls.append(name)
        if self.after is not None and len(self.calls) >= self.after:
            raise KilledError(name)


class Meddling(Kill):
    """Lets somebody else do something between two AWS calls: after so many of them, once."""

    def __init__(self, after: int, meddle: Callable[[], object]) -> None:
        super().__init__()
        self._when = after
        self._meddle = meddle

    def count(self, name: str) -> None:
        super().count(name)
        if len(self.calls) == self._when:
            self._meddle()


class _Killable:
    def __init__(self, client: Any, kill: Kill) -> None:
        self._client = client
        self._kill = kill

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        if name == "get_paginator":
            return lambda operation: _KillablePaginator(found(operation), operation, self._kill)
        if name == "exceptions" or not callable(found):
            return found

        def call(**arguments: Any) -> Any:
            try:
                return found(**arguments)
            finally:
                self._kill.count(name)

        return call


class _KillablePaginator:
    def __init__(self, paginator: Any, operation: str, kill: Kill) -> None:
        self._paginator, self._operation, self._kill = paginator, operation, kill

    def paginate(self, **arguments: Any) -> Iterable[Any]:
        for page in self._paginator.paginate(**arguments):
            self._kill.count(self._operation)
            yield page


class _Sqs:
    """SQS, but for the delayed messages: moto would deliver them by the clock on the wall."""

    def __init__(self, world: World) -> None:
        self._world = world

    def send_message(self, **arguments: Any) -> Any:
        if arguments["QueueUrl"] == self._world.collect:
            assert 0 < arguments["DelaySeconds"] <= 900
            self._world.called_back.append(arguments["MessageBody"])
            return {}
        return self._world.sqs.send_message(**arguments)


class World:
    """Queues, table and bucket, a clock that is moved by hand, and functions as many as are wanted.

    Call within `moto.mock_aws`. `fresh` gives another one.
    """

    def __init__(self) -> None:
        self.now = START
        self.dynamodb, self.s3, self.sqs = (client(service, REGION) for service in ("dynamodb", "s3", "sqs"))
        self.called_back: list[str] = []
        self.dynamodb.create_table(
            TableName="batches",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[
                {"AttributeName": "pk", "AttributeType": "S"},
                {"AttributeName": "sk", "AttributeType": "S"},
            ],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        )
        self.s3.create_bucket(Bucket="drop", CreateBucketConfiguration={"LocationConstraint": REGION})
        self.s3.put_bucket_versioning(Bucket="drop", VersioningConfiguration={"Status": "Enabled"})
        fifo: Any = {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
        self.collect = self.sqs.create_queue(QueueName="collect")["QueueUrl"]
        self.dispatch = self.sqs.create_queue(QueueName="dispatch.fifo", Attributes=fifo)["QueueUrl"]
        self.dead = self.sqs.create_queue(QueueName="dead.fifo", Attributes=fifo)["QueueUrl"]
        self.table = BatchTable(self.dynamodb, "batches")
        self.ledger = Ledger(make_ledger_table(), clock=lambda: self.now)
        self.pauses: list[float] = []
        self.sent: list[Closed] = []  # what collectors said that they sent out
        self._dispatched: list[dict[str, Any]] = []

    def fresh(self) -> World:
        """Forget everything and return a new world."""
        for backend in ("dynamodb", "s3", "sqs"):
            moto.backends.get_backend(backend).reset()
        return World()

    def collector(self, kill: Kill | None = None) -> Collector:
        kill = kill or Kill()
        sqs = kill.wrap(_Sqs(self))
        table = BatchTable(kill.wrap(self.dynamodb), "batches")
        finisher = Finisher(
            table, kill.wrap(self.s3), sqs, bucket="drop", dispatch_url=self.dispatch, clock=lambda: self.now
        )
        return Collector(
            table, finisher, sqs, collect_url=self.collect, clock=lambda: self.now, sleep=self.pauses.append
        )

    def take(
        self,
        bodies: Iterable[str],
        kill: Kill | None = None,
        *,
        seconds: float | Sequence[float] = 100.0,
        receives: int = 1,
        ids: Sequence[str] | None = None,
    ) -> tuple[list[Entry], list[str]]:
        """Run one invocation on these messages.

        Args:
            receives: how often they were received.
            ids: of the messages; their positions by default.
            seconds: that are left, or what one look at the clock after the other says; the last one stays.
        """
        left = [seconds] if isinstance(seconds, float | int) else list(seconds)
        kill = kill or Kill()
        sqs, clock = kill.wrap(self.sqs), lambda: self.now
        ledger = Ledger(kill.wrap(self.ledger.table), clock=clock)
        hands = Hands(kill.wrap(self.dynamodb), "batches", clock=clock)
        intake = Intake(self.collector(kill), sqs, ledger, dead_letters_url=self.dead, hands=hands, clock=clock)
        taken = intake.take(
            records(list(bodies), self.now, receives=receives, ids=ids),
            lambda: left.pop(0) if left[1:] else left[0],
            on_dispatched=self.sent.append,
        )
        return taken.entries, taken.failed

    def settled(self, stream: Stream, members: Iterable[BatchMember]) -> list[Collected]:
        """Collect members, and return what became of them."""
        found: list[Collected] = []
        self.collector().collect(stream, members, on_settled=found.append, on_dispatched=self.sent.append)
        return found

    def sweep(self, kill: Kill | None = None) -> None:
        self.collector(kill).sweep(on_dispatched=self.sent.append)

    def callbacks(self) -> list[str]:
        """Take the collector's own messages, without waiting until they are due."""
        taken, self.called_back = self.called_back, []
        return taken

    def dispatched(self) -> list[dict[str, Any]]:
        """Return every message that ever came to the dispatch queue."""
        self._dispatched += [json.loads(message["Body"]) for message in self._receive(self.dispatch)]
        return self._dispatched

    def letters(self) -> list[dict[str, Any]]:
        return [json.loads(message["Body"]) for message in self._receive(self.dead)]

    def forget_deduplication(self) -> None:
        """Let the dispatch queue's five minutes pass: a second copy of a message then comes through."""
        self.dispatched()
        fifo: Any = {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
        self.sqs.delete_queue(QueueUrl=self.dispatch)
        self.dispatch = self.sqs.create_queue(QueueName="dispatch.fifo", Attributes=fifo)["QueueUrl"]

    def runs(self) -> dict[str, dict[str, Any]]:
        """Return conf by run id, as Airflow would have it: a run id that is there is not made again."""
        runs: dict[str, dict[str, Any]] = {}
        for message in self.dispatched():
            request = parse_dispatch(json.dumps(message), sent_at=self.now).request
            assert request is not None
            assert runs.setdefault(request.dag_run_id, dict(request.conf)) == request.conf
        return runs

    def manifest(self, uri: str) -> dict[str, Any]:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        versions = self.s3.list_object_versions(Bucket=bucket, Prefix=key)["Versions"]
        assert len(versions) == 1, "a manifest is written once"
        found: dict[str, Any] = json.loads(self.s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        return found

    def judge(self, numbers: Iterable[int], *, largest: int) -> list[list[int]]:
        """Check that every event is in exactly one run, and return the runs' events."""
        batches = []
        for run_id, conf in self.runs().items():
            manifest = self.manifest(conf["manifest"])
            assert manifest["dag_run_id"] == run_id
            assert manifest["count"] == conf["count"] == len(manifest["events"]) <= largest
            assert conf.get("events", manifest["events"]) == manifest["events"]
            batches.append([int(event["key"]) for event in manifest["events"]])
        assert Counter(number for batch in batches for number in batch) == Counter(set(numbers))
        assert len(self.s3.list_objects_v2(Bucket="drop").get("Contents", [])) == len(batches)
        return batches

    def settle(self, within: timedelta = timedelta(minutes=5)) -> None:
        """Let all deadlines pass and sweep until nothing is left."""
        self.now += within + timedelta(minutes=2)
        self.sweep()
        assert self.table.list_open() == []
        assert self.table.list_closed() == []

    def _receive(self, url: str) -> list[Any]:
        found: list[Any] = []
        while got := self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
            for message in got:
                self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            found += got
        return found


def event(number: int, *, max_events: int = 5, within: int = 300, **trigger: object) -> str:
    """Return a message of the collect queue for the file of that number."""
    body = {
        "id": f"delivery-{number}",
        "time": (START + timedelta(seconds=number % 7)).isoformat(),
        "detail": {"bucket": {"name": "landing"}, "object": {"key": str(number), "version-id": f"v{number}"}},
    }
    definition = {
        "name": "orders",
        "kind": "s3",
        "dag": "load",
        "batch": {"max_events": max_events, "within": within},
        **trigger,
    }
    return json.dumps({"trigger": definition, "event": body})


def records(
    bodies: Sequence[str], now: datetime, *, receives: int = 1, ids: Sequence[str] | None = None
) -> list[SQSRecord]:
    sent = str(int(now.timestamp() * 1000))
    attributes = {
        "ApproximateReceiveCount": str(receives),
        "SentTimestamp": sent,
        "ApproximateFirstReceiveTimestamp": sent,
        "SenderId": "x",
    }
    return [
        SQSRecord({"messageId": id_, "receiptHandle": "r", "body": body, "attributes": attributes})
        for id_, body in zip(ids or map(str, range(len(bodies))), bodies, strict=True)
    ]
