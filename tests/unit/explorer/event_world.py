"""The event engine whole, in memory: queues, ledger, batches, bus, Airflow behind the real clients, and a clock.

An actor is one invocation of a function, in a sandbox without memory. `rest` lets everything come to its end without
trouble; `judge` (`event_invariants`) then says what is broken.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from jetway.airflow.auto import AutoClient, Chooser
from jetway.airflow.cli import CliClient
from jetway.airflow.endpoint import CliEndpoint
from jetway.airflow.environment import Environment
from jetway.airflow.invoke import InvokeRestApi
from jetway.airflow.rest import RestClient
from jetway.airflow.watch import AutoWatch, CliWatch, RestWatch, Watch
from jetway.batches.closing import Finisher
from jetway.batches.collector import Collector
from jetway.batches.hands import Hands
from jetway.batches.intake import Intake
from jetway.batches.table import BatchTable
from jetway.dispatch.dispatcher import Dispatcher, Limits
from jetway.dispatch.following import RunFollower
from jetway.dispatch.lanes import Lanes
from jetway.dispatch.rates import Rates
from jetway.dispatch.waiting import Waiting
from jetway.errors import TransientError
from jetway.events import outgoing as events_out
from jetway.ledger import Entry, Ledger
from jetway_cli.letters import matches
from jetway_cli.redrive import Goals, LetterQueue, has_run, redrive_letters
from tests.unit.explorer import event_tables
from tests.unit.explorer.event_airflow import Airflow, CommandLine, Mwaa
from tests.unit.explorer.event_aws import S3, Bus, Message, Sqs, record_of
from tests.unit.explorer.event_street import FaultyStreet
from tests.unit.explorer.walker import KilledError, Street

START = datetime(2026, 11, 22, 6, 0, 10, tzinfo=UTC)
INDEXES = {"by_day": ("day", "decided_at"), "by_trigger": ("trigger", "decided_at"), "open_runs": ("open", "look_at")}
MINUTE = timedelta(minutes=1)
IN_HAND = timedelta(seconds=30)  # until a message whose function was killed is delivered again
DAY = timedelta(days=1)
NOT_NOW = (TransientError, ClientError, BotoCoreError)


class EventWorld:
    """Everything around the engine.

    Args:
        transport: rest, cli or auto: then the web server is private, and reached over rest until that changes.
        dags: that Airflow knows.
        grace, max_event_age: of the stack.
        killed_for: how long a message stays away whose function was killed.
        attempts: that boto3 makes of a call to MWAA.
    """

    def __init__(
        self,
        transport: str = "rest",
        *,
        dags: tuple[str, ...] = ("etl", "other"),
        grace: timedelta = timedelta(minutes=10),
        max_event_age: timedelta = DAY,
        killed_for: timedelta = IN_HAND,
    ) -> None:
        self.faulty = FaultyStreet(transport)
        self.street: Street = self.faulty
        self.now = START
        self.sqs, self.bus, self.s3 = Sqs(self.clock), Bus(), S3()
        self.table, self.batches = event_tables.Ledger(INDEXES), event_tables.Batches()
        self.airflow = Airflow(self.clock, set(dags))
        self.actors: Mapping[str, Callable[[], object]] = {}
        self.sent: dict[str, dict[str, Any]] = {}  # by the event's name
        self.started: Counter[str] = Counter()  # as the metric counts, by the row's id
        self.trouble: list[str] = []
        self.was_redriven = False
        self.paused: set[str] = set()
        self.most = 0  # events that a batch may have
        self._limits = Limits(max_event_age=max_event_age, grace=grace)
        self._killed_for = killed_for
        self._sends = 0

    def clock(self) -> datetime:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    # What comes from outside

    def send(self, name: str, trigger: Mapping[str, Any] | None = None, *, group: str = "bulk") -> None:
        """Deliver an event once more: the file of that name, or the call for the run of that id."""
        self._sends += 1
        definition = {"name": "orders", "kind": "s3", "dag": "etl", **(trigger or {})}
        body = json.dumps({"trigger": definition, "event": event_of(definition["kind"], name, START)})
        self.sent.setdefault(name, definition)
        if "batch" in definition:
            self.most = max(self.most, definition["batch"]["max_events"])
            self.sqs.send_message(QueueUrl="collect", MessageBody=body)
            return
        id_ = f"delivery-{self._sends}"
        self.sqs.send_message(
            QueueUrl="dispatch.fifo", MessageBody=body, MessageGroupId=group, MessageDeduplicationId=id_
        )

    # The functions

    def client(self) -> RestClient | CliClient | AutoClient:
        mwaa = Mwaa(self.airflow, self.faulty.cross, private=self.faulty.transport == "auto")
        environment = Environment(mwaa, "acme", clock=self._seconds)  # type: ignore[arg-type]
        session = CommandLine(self.airflow, self.faulty.cross)
        endpoint = CliEndpoint(mwaa, environment, session=session, clock=self._seconds)  # type: ignore[arg-type]
        cli = CliClient(endpoint, environment, sleep=self.sleep, jitter=lambda: 0.0)
        if self.faulty.transport == "cli":
            return cli
        rest = RestClient(InvokeRestApi(mwaa, environment), environment, fallback=lambda: cli)  # type: ignore[arg-type]
        if self.faulty.transport == "rest":
            return rest
        chooser = Chooser(environment, rest=lambda: rest, cli=lambda: cli, clock=self._seconds)
        return AutoClient(chooser, rest=lambda: rest, cli=lambda: cli)

    def watch(self, client: Any) -> Watch:
        if isinstance(client, AutoClient):
            return AutoWatch(client, self.watch)
        return RestWatch(client) if isinstance(client, RestClient) else CliWatch(client, clock=self._seconds)

    def ledger(self) -> Ledger:
        return Ledger(self.street.client(self.table, "ledger"), clock=self.clock)

    def dispatcher(self) -> Dispatcher:
        ledger, sqs, events = self.ledger(), self.street.client(self.sqs, "sqs"), self.street.client(self.bus, "events")
        return Dispatcher(
            self.client(),
            sqs,
            ledger=ledger,
            waiting=Waiting(sqs, "waiting", clock=self.clock),
            rates=Rates(self.street.client(self.table, "rates"), clock=self.clock),
            limits=self._limits,
            environment="acme",
            dead_letters_url="dead.fifo",
            tell=lambda event: events_out.put(events, "bus", [event]),
            dags=_Dags(self.paused),
            major=lambda: 3,
            clock=self.clock,
        )

    def dispatch(self, *, though_in_hand: bool = False) -> None:
        """start_dag_run with the next message.

        Args:
            though_in_hand: SQS delivers one that another invocation has in hand.
        """
        message = self._take("dispatch.fifo", though_in_hand=though_in_hand)
        if message is None:
            return
        dispatcher = self.dispatcher()
        lanes = Lanes(
            dispatcher.dispatch,
            seconds_left=lambda: 200.0,
            on_held=lambda held, exc, _wait: _ignore(dispatcher.held(held, exc)),
            sleep=self.sleep,
        )
        try:
            entry = lanes.handle(record_of(message))
        except KilledError:
            self._hide("dispatch.fifo", message, self._killed_for)
            raise
        except NOT_NOW:
            self._hide("dispatch.fifo", message, timedelta(seconds=lanes.waits.get(message.group, 1)))
            return
        self.started[entry.id] += entry.decision == "started"
        self._done("dispatch.fifo", message)

    def collect(self, *, most: int = 10, newest: bool = False) -> None:
        """collect_batch with what the collect queue hands out.

        Args:
            newest: only what was sent last.
        """
        if newest:
            queue = self.sqs.queues["collect"].messages
            queue.insert(0, queue.pop())
            most = 1
        messages = [found for _ in range(most) if (found := self._take("collect")) is not None]
        intake = Intake(
            self._collector(),
            self.street.client(self.sqs, "sqs"),
            self.ledger(),
            dead_letters_url="dead.fifo",
            hands=Hands(self.street.client(self.batches, "batches"), "b", clock=self.clock),
            clock=self.clock,
        )
        taken = intake.take([record_of(each) for each in messages], lambda: 200.0, on_dispatched=lambda _batch: None)
        for each in messages:
            if each.id in taken.failed:
                self._hide("collect", each, timedelta(seconds=1))
            else:
                self._done("collect", each)

    def sweep(self) -> None:
        """collect_batch as its schedule invokes it."""
        with _Quiet():
            self._collector().sweep(on_dispatched=lambda _batch: None)

    def resume(self) -> None:
        """resume_waiting with the next message."""
        message = self._take("waiting")
        if message is None:
            return
        waiting = Waiting(self.street.client(self.sqs, "sqs"), "waiting", clock=self.clock)
        attributes = {name: value["StringValue"] for name, value in message.attributes.items()}
        try:
            waiting.resume(message.body, **attributes, dispatch_url="dispatch.fifo")
        except NOT_NOW:
            self._hide("waiting", message, IN_HAND)
            return
        self._done("waiting", message)

    def follow(self) -> None:
        """follow_runs, once."""
        events = self.street.client(self.bus, "events")
        follower = RunFollower(
            self.ledger(),
            self.watch(self.client()),
            environment="acme",
            tell=lambda found: events_out.put(events, "bus", found),
            clock=self.clock,
        )
        with _Quiet():
            follower.follow()

    def redrive(self) -> None:
        """`jetway redrive`, of all letters."""
        self.was_redriven = True
        sqs, ledger = self.street.client(self.sqs, "sqs"), self.ledger()
        with _Quiet():
            redrive_letters(
                sqs,
                sources=(LetterQueue("dead.fifo"),),
                goals=Goals(dispatch="dispatch.fifo", collect="collect"),
                wanted=lambda letter: matches(letter, trigger=None, reasons=(), since=None),
                dry_run=False,
                clock=self.clock,
                is_over=lambda letter: has_run(ledger, letter),
            )

    # Rest

    def rest(self, until: timedelta = timedelta(hours=4)) -> bool:
        """Let everything come to its end; False when something never does."""
        end = self.now + until
        while self.now < end:
            self._work()
            self.sweep()
            self.follow()
            if not self._is_busy():
                return True
            self.now += MINUTE
        return False

    def _work(self) -> None:
        for _ in range(200):
            for queue, work in (("dispatch.fifo", self.dispatch), ("waiting", self.resume), ("collect", self.collect)):
                if any(each.visible_at <= self.now for each in self.sqs.queues[queue].messages):
                    with suppress(KilledError):  # its messages come back
                        work()
                    break
            else:
                return
        self.trouble.append("a message goes round and round")

    def _is_busy(self) -> bool:
        waiting = any(self.sqs.queues[name].messages for name in ("dispatch.fifo", "waiting", "collect"))
        rows = any("open" in item for item in self.table.items.values())
        return waiting or rows or any(key[0] in {"open", "closed"} for key in self.batches.items)

    # Odds and ends

    def _collector(self) -> Collector:
        sqs, table = self.street.client(self.sqs, "sqs"), BatchTable(self.street.client(self.batches, "batches"), "b")
        finisher = Finisher(
            table, self.street.client(self.s3, "s3"), sqs, bucket="drop", dispatch_url="dispatch.fifo", clock=self.clock
        )
        return Collector(table, finisher, sqs, collect_url="collect", clock=self.clock, sleep=self.sleep)

    def _take(self, queue: str, *, though_in_hand: bool = False) -> Message | None:
        if though_in_hand:
            for each in self.sqs.queues[queue].messages[:1]:
                each.visible_at = self.now
        message = self.sqs.due(queue)
        if message is not None:
            self._hide(queue, message, self._killed_for)
        return message

    def _hide(self, queue: str, message: Message, time: timedelta) -> None:
        for each in self.sqs.queues[queue].messages:
            if each.id == message.id:
                each.visible_at = self.now + time

    def _done(self, queue: str, message: Message) -> None:
        """Lambda deletes what its function has done; where that fails it is delivered again."""
        with _Quiet():
            self.faulty.cross("sqs.delete_message", partial(self._delete, queue, message))

    def _delete(self, queue: str, message: Message) -> None:
        self.sqs.delete_message(QueueUrl=queue, ReceiptHandle=message.id)

    def _seconds(self) -> float:
        return self.now.timestamp()


class _Dags:
    """What is known of DAGs: which are paused."""

    def __init__(self, paused: set[str]) -> None:
        self._paused = paused

    def is_stale(self, _dag_id: str) -> bool:
        return False

    def is_paused(self, dag_id: str) -> bool:
        return dag_id in self._paused

    def dag_state(self, _dag_id: str) -> None:
        return None


class _Quiet:
    """An invocation that fails is invoked again by its schedule."""

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, kind: object, exc: BaseException | None, _traceback: object) -> bool:
        return isinstance(exc, NOT_NOW)


def in_turn(*acts: Callable[[], object]) -> Callable[[], None]:
    """Return an actor that does one thing after the other."""

    def act() -> None:
        for each in acts:
            each()

    return act


def _ignore(_entry: Entry) -> None:
    """What is held is in its row."""


def event_of(kind: str, name: str, at: datetime) -> dict[str, Any]:
    """Return an event as its source writes it."""
    if kind == "http":
        facts: dict[str, Any] = {"conf": {}, "logical_date": None, "note": None}
        return {"dag_run_id": name, "time": at.isoformat(), "request_id": name, "caller": "me", **facts}
    obj = {"key": name, "size": 1, "etag": "e", "version-id": f"v-{name}"}
    return {"id": name, "time": at.isoformat(), "detail": {"bucket": {"name": "landing"}, "object": obj}}
