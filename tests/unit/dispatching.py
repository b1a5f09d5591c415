"""All that surrounds the dispatcher, in moto and in memory: queues, ledger, Airflow, bus, and a clock to be set."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from jetway.airflow import DagRun, DagRunRequest, RunAlreadyExistsError
from jetway.aws.crashes import Crashes
from jetway.dispatch.dispatcher import Dispatcher, Limits
from jetway.dispatch.lanes import read_message
from jetway.dispatch.loop_bound import HourlyStarts
from jetway.dispatch.messages import Message
from jetway.dispatch.rates import Rates
from jetway.dispatch.run import Dispatch, parse_message, plan
from jetway.dispatch.waiting import Waiting
from jetway.errors import LogicalDateTakenError
from jetway.ledger import Entry, Ledger
from tests.unit.ledger_table import make_ledger_table
from tests.unit.sample_events import sample_event

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

    from jetway.airflow import DagState
    from jetway.events.outgoing import OutEvent

NOW = datetime(2026, 11, 22, 6, 0, 10, tzinfo=UTC)
STARTS = 3  # after runs of one DAG that Jetway has not started, in an hour


@dataclass
class FakeAirflow:
    """Airflow as a set of runs; `errors` come first, one for each call, `error` for all that follow."""

    error: Exception | None = None
    errors: list[Exception] = field(default_factory=list)
    runs: dict[tuple[str, str], DagRun] = field(default_factory=dict)
    calls: int = 0
    requests: list[DagRunRequest] = field(default_factory=list)

    def trigger_dag_run(self, request: DagRunRequest) -> DagRun:
        self.calls += 1
        error = self.errors.pop(0) if self.errors else self.error
        if error is not None:
            raise error
        key = (request.dag_id, request.dag_run_id)
        if key in self.runs:
            raise RunAlreadyExistsError("there", self.runs[key])
        self.requests.append(request)
        date = None if request.logical_date is None else request.logical_date.isoformat()
        if date and date in {run.logical_date for run in self.runs.values() if run.dag_id == request.dag_id}:
            raise LogicalDateTakenError(f"another run has the logical date {date}.")
        self.runs[key] = DagRun(*key, state="queued", logical_date=date)
        return self.runs[key]

    def get_dag_run(self, dag_id: str, dag_run_id: str) -> DagRun | None:
        return self.runs.get((dag_id, dag_run_id))


@dataclass
class FakeDags:
    """What is known of all DAGs: `remembered` before a run is created, `state` when Airflow is asked."""

    state: DagState | None = "active"
    remembered: DagState | None = None

    def is_stale(self, dag_id: str) -> bool:
        return self.remembered == "stale" and self.state == "stale"

    def is_paused(self, dag_id: str) -> bool:
        return self.state == "paused"

    def dag_state(self, dag_id: str) -> DagState | None:
        return self.state


class World:
    """What one dispatcher has around it. moto must be active."""

    def __init__(self, **limits: Any) -> None:
        self.now = NOW
        self.major = 3
        self.sqs: SQSClient = boto3.client("sqs", region_name="eu-central-1")
        self.dispatch_url, self.dead_url = (
            self.sqs.create_queue(QueueName=name, Attributes={"FifoQueue": "true"})["QueueUrl"]
            for name in ("dispatch.fifo", "dead.fifo")
        )
        self.waiting_url = self.sqs.create_queue(QueueName="waiting")["QueueUrl"]
        self.delays: list[int] = []
        self.sqs.meta.events.register("provide-client-params.sqs.SendMessage", self._skip_delay)
        self.ledger = Ledger(make_ledger_table(), clock=self.clock)
        self.dynamodb = boto3.client("dynamodb", region_name="eu-central-1")
        self.waiting = Waiting(self.sqs, self.waiting_url, clock=self.clock)
        self.airflow = FakeAirflow()
        self.told: list[OutEvent] = []
        self.dags = FakeDags()
        self.limits = Limits(**{"max_event_age": timedelta(hours=1), "grace": timedelta(minutes=10), **limits})
        self.dispatcher = self.make_dispatcher()

    def clock(self) -> datetime:
        return self.now

    def make_dispatcher(self) -> Dispatcher:
        """Return a dispatcher without memory, as a new sandbox would have."""
        return Dispatcher(
            self.airflow,
            self.sqs,
            ledger=self.ledger,
            waiting=self.waiting,
            rates=Rates(self.ledger.table, clock=self.clock),
            limits=self.limits,
            environment="env",
            dead_letters_url=self.dead_url,
            tell=self.tell,
            dags=self.dags,
            major=lambda: self.major,
            starts=HourlyStarts(self.ledger.table, most=STARTS),
            crashes=Crashes(self.dynamodb, self.ledger.table.name, key="id", ttl="ttl"),
            clock=self.clock,
        )

    def dispatch(self, message: Message) -> Entry:
        return self.dispatcher.dispatch(message)

    def letters(self) -> list[dict[str, Any]]:
        """Return up to ten dead letters, and take them away."""
        return [json.loads(found["Body"]) for found in self.take(self.dead_url)]

    def resume(self) -> list[Message]:
        """Put what waits aside back, and take what has come back from the dispatch queue."""
        for found in self.take(self.waiting_url):
            attributes = {name: value["StringValue"] for name, value in found["MessageAttributes"].items()}
            self.waiting.resume(found["Body"], **attributes, dispatch_url=self.dispatch_url)
            self.sqs.delete_message(QueueUrl=self.waiting_url, ReceiptHandle=found["ReceiptHandle"])
        back = self.take(self.dispatch_url)
        for found in back:  # or its lane would be in flight
            self.sqs.delete_message(QueueUrl=self.dispatch_url, ReceiptHandle=found["ReceiptHandle"])
        return [message(body=found["Body"], message_id=found["MessageId"], first_tried_at=self.now) for found in back]

    def tell(self, event: OutEvent) -> None:
        self.told.append(event)

    def _skip_delay(self, params: dict[str, Any], **_more: object) -> None:
        if "DelaySeconds" in params:
            self.delays.append(params.pop("DelaySeconds"))

    def take(self, url: str) -> list[Any]:
        got = self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"])
        return list(got.get("Messages", []))


def message(number: int = 0, **changes: Any) -> Message:
    """Return a message of events/dispatch_batch.json: 0 a file, 1 a schedule, 2 a call."""
    record = sample_event("dispatch_batch")["Records"][number]
    found = read_message(SQSRecord(record))
    return Message(**{name: getattr(found, name) for name in Message.__slots__} | changes)


def file_message(
    key: str = "a.csv", *, dag: str = "ingest", trigger: dict[str, Any] | None = None, **more: Any
) -> Message:
    """Return the message of a file that matched the trigger `orders`.

    Args:
        trigger: members of the trigger beside name, kind and dag.
        more: members of the message's body beside trigger and event.
    """
    obj = {"key": key, "size": 5, "etag": "e", "version-id": f"v-{key}"}
    body = {
        "trigger": {"name": "orders", "kind": "s3", "dag": dag, **(trigger or {})},
        "event": {"id": "1", "time": "2026-11-22T06:00:00Z", "detail": {"bucket": {"name": "acme"}, "object": obj}},
        **more,
    }
    return message(body=json.dumps(body), message_id=f"m-{key}")


def parse_dispatch(body: str, *, sent_at: datetime) -> Dispatch:
    """Read one message of the dispatch queue and say what run it asks for, as the dispatcher does."""
    return plan(parse_message(body, sent_at=sent_at), major=lambda: 3)
