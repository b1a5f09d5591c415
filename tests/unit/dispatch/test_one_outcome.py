"""An event has one outcome, whatever is lost, killed, refused or delivered twice around it, and whoever meets it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from moto import mock_aws

from jetway.airflow import DagRun, DagRunRequest
from jetway.batches.intake import Intake
from jetway.dispatch.lanes import Lanes
from jetway.dispatch.limits import Rate
from jetway.dispatch.messages import Message
from jetway.dispatch.rates import Rates
from jetway.dispatch.run import parse_message
from jetway.errors import (
    AnswerLostError,
    CommandRejectedError,
    DagNotFoundError,
    EnvironmentBusyError,
    EnvironmentUnavailableError,
    TransientError,
)
from jetway.ledger import LedgerUnavailableError, entry_id
from tests.unit.dispatching import NOW, FakeAirflow, World, file_message, message
from tests.unit.sample_events import sample_event

YOUNG = {"max_event_age": 300}
CHOSEN = "by-hand-1"  # of the call in dispatch_batch.json
DERIVED = "jetway__http__neao5nwq7jut2lxa4mqj"


class KilledError(BaseException):
    """The function is gone."""


class Airflow(FakeAirflow):
    """Airflow that makes the run, and then answers what `after` says; `blind` look-ups get no answer."""

    after: Exception | BaseException | None = None
    blind: Exception | None = None
    looks: int = 0

    def trigger_dag_run(self, request: DagRunRequest) -> DagRun:
        run = super().trigger_dag_run(request)
        after, self.after = self.after, None
        if after is not None:
            raise after
        return run

    def get_dag_run(self, dag_id: str, dag_run_id: str) -> DagRun | None:
        self.looks += 1
        if self.blind is not None:
            raise self.blind
        return super().get_dag_run(dag_id, dag_run_id)


@pytest.fixture
def world() -> Iterator[World]:
    with mock_aws():
        world = World()
        world.airflow = Airflow()
        world.dispatcher = world.make_dispatcher()
        yield world


@pytest.fixture
def airflow(world: World) -> Airflow:
    assert isinstance(world.airflow, Airflow)
    return world.airflow


def call(run_id: str = CHOSEN, **changes: Any) -> Message:
    body = json.loads(message(2).body)
    body["event"]["dag_run_id"] = run_id
    return message(2, body=json.dumps(body), **changes)


def again(of: Message, **changes: Any) -> Message:
    """Return a message as SQS delivers it once more."""
    return replace(of, tries=of.tries + 1, **changes)


def _id(world: World) -> str:
    """Return the key of the row of `file_message()`."""
    read = parse_message(file_message().body, sent_at=world.now)
    return entry_id(read.trigger.name, read.digest)


def tries_of(world: World) -> list[str]:
    """Return the tries in the row of `file_message()` whose end is not known."""
    item: Any = world.ledger.table.get_item(Key={"id": _id(world)})["Item"]
    return sorted(item["attempts"])


def is_started_told_and_followed(world: World) -> None:
    """One run, in the ledger as started, announced, in the open rows; no dead letter."""
    (row,) = world.ledger.list_events(since=NOW - timedelta(days=1))
    assert (row.decision, len(world.airflow.runs)) == ("started", 1)
    assert {event.id for event in world.told} == {f"{row.id}#started"}
    assert [found.entry.id for found in world.ledger.open_entries(limit=9)] == [row.id]
    assert world.letters() == []


class TestBeforeItIsADeadLetter:
    """Kind 1: an earlier try's run is looked for before an event is too old, unknown or refused."""

    def killed_after_the_run_was_made(self, world: World, airflow: Airflow, found: Message) -> None:
        airflow.after = KilledError()
        with pytest.raises(KilledError):
            world.dispatch(found)
        world.dispatcher = world.make_dispatcher()

    def test_too_old(self, world: World, airflow: Airflow) -> None:
        found = file_message(trigger=YOUNG)
        self.killed_after_the_run_was_made(world, airflow, found)
        world.now += timedelta(minutes=8)
        entry = world.dispatch(again(found))
        assert entry.decision == "started"
        is_started_told_and_followed(world)
        assert world.ledger.open_entries(limit=9)[0].since <= NOW

    @pytest.mark.parametrize("error", [CommandRejectedError("no"), DagNotFoundError("stale")])
    def test_refused(self, world: World, airflow: Airflow, error: Exception) -> None:
        found = file_message(waits={"since": "2026-11-22T05:00:00+00:00", "count": 9, "because": "dag-not-found"})
        self.killed_after_the_run_was_made(world, airflow, found)
        airflow.error = error
        world.dispatch(again(found))
        is_started_told_and_followed(world)

    def test_nothing_is_said_while_airflow_does_not_say_whether_it_is_there(
        self, world: World, airflow: Airflow
    ) -> None:
        found = file_message(trigger=YOUNG)
        self.killed_after_the_run_was_made(world, airflow, found)
        world.now += timedelta(minutes=8)
        airflow.blind = EnvironmentUnavailableError("503")
        with pytest.raises(TransientError):
            world.dispatch(again(found))
        airflow.blind = None
        world.dispatch(again(again(found)))
        is_started_told_and_followed(world)

    def test_a_dag_whose_questions_are_never_answered_does_not_hold_its_lane(
        self, world: World, airflow: Airflow
    ) -> None:
        found = file_message(trigger=YOUNG)
        self.killed_after_the_run_was_made(world, airflow, found)
        world.now += timedelta(minutes=8)
        airflow.blind = AnswerLostError("too long a history")
        assert world.dispatch(replace(found, tries=3)).decision == "waiting"
        assert world.letters() == []

    def test_a_backlog_that_is_too_old_costs_no_question(self, world: World, airflow: Airflow) -> None:
        world.now += timedelta(hours=2)
        assert world.dispatch(file_message()).decision == "dead-lettered"
        assert airflow.looks == 0

    def test_a_command_that_died_of_what_nobody_knows_may_have_made_it(self, world: World, airflow: Airflow) -> None:
        airflow.after = CommandRejectedError("BrokenPipeError")
        world.dispatch(file_message())
        is_started_told_and_followed(world)

    def test_a_try_that_may_still_be_at_work_is_waited_for(self, world: World, airflow: Airflow) -> None:
        found = file_message(trigger=YOUNG)
        airflow.errors = [KilledError()]  # type: ignore[list-item] # before it has done anything
        with pytest.raises(KilledError):
            world.dispatch(found)
        airflow.error = CommandRejectedError("no")
        assert world.dispatch(again(found)).decision == "waiting"
        world.now += timedelta(minutes=6)
        (back,) = world.resume()
        assert world.dispatch(back).decision == "dead-lettered"


class TestWhoseTheRunIs:
    """Kind 2: known, and not guessed from a count of deliveries."""

    @pytest.mark.parametrize(
        ("run_id", "error"),
        [
            (DERIVED, AnswerLostError("504")),
            (CHOSEN, AnswerLostError("504")),
            (DERIVED, EnvironmentUnavailableError("503")),  # nobody else can have it, whatever the answer was
        ],
    )
    def test_ours_when_it_was_made_and_the_answer_was_lost(
        self, world: World, airflow: Airflow, run_id: str, error: Exception
    ) -> None:
        airflow.after = error
        record = SQSRecord(sample_event("dispatch_batch")["Records"][2] | {"body": call(run_id).body})
        lanes = Lanes(world.dispatch, seconds_left=lambda: 200.0, sleep=lambda _seconds: None)
        with_trouble: list[Exception] = []
        for _ in range(2):
            try:
                lanes.handle(record)
            except TransientError as exc:
                with_trouble.append(exc)
        assert len(with_trouble) < 2
        is_started_told_and_followed(world)

    def test_ours_when_it_is_redriven(self, world: World, airflow: Airflow) -> None:
        """A message of its own, with one try: as a redrive is."""
        airflow.after = AnswerLostError("lost")
        with pytest.raises(AnswerLostError):
            world.dispatch(call())
        body = json.loads(call().body) | {"redriven_at": (NOW + timedelta(minutes=1)).isoformat()}
        world.now += timedelta(minutes=2)
        world.dispatch(message(2, body=json.dumps(body), message_id="redriven"))
        is_started_told_and_followed(world)

    def test_theirs_when_it_was_there_before_whatever_came_of_the_first_tries(
        self, world: World, airflow: Airflow
    ) -> None:
        airflow.runs["ingest_orders", CHOSEN] = DagRun("ingest_orders", CHOSEN, "running")
        airflow.blind = EnvironmentBusyError("503")
        found = call()
        for _ in range(3):
            with pytest.raises(EnvironmentBusyError):
                world.dispatch(found)
            found = again(found)
        airflow.blind = None
        assert world.dispatch(found).decision == "duplicate"
        assert (airflow.calls, world.told, world.ledger.open_entries(limit=9)) == (0, [], [])

    def test_theirs_when_it_is_another_events(self, world: World, airflow: Airflow) -> None:
        """A call that asks for the run id that Jetway derived of a file."""
        world.dispatch(file_message(dag="ingest_orders"))
        (run_id,) = [run.dag_run_id for run in airflow.runs.values()]
        assert world.dispatch(call(run_id)).decision == "duplicate"
        assert len(world.told) == 1

    def test_theirs_when_it_comes_between_the_look_and_the_call(self, world: World, airflow: Airflow) -> None:
        look = airflow.get_dag_run

        def and_then_it_is_made(dag_id: str, dag_run_id: str) -> DagRun | None:
            found = look(dag_id, dag_run_id)
            airflow.runs[dag_id, dag_run_id] = DagRun(dag_id, dag_run_id, "running")
            return found

        setattr(airflow, "get_dag_run", and_then_it_is_made)  # noqa: B010 - for the one instance
        assert world.dispatch(call()).decision == "duplicate"
        assert world.told == []

    def test_a_refusal_that_proves_that_nothing_was_done_is_forgotten(self, world: World, airflow: Airflow) -> None:
        airflow.errors = [EnvironmentBusyError("429")]
        with pytest.raises(EnvironmentBusyError):
            world.dispatch(call())
        airflow.runs["ingest_orders", CHOSEN] = DagRun("ingest_orders", CHOSEN, "running")
        assert world.dispatch(again(call())).decision == "duplicate"

    def test_a_row_keeps_a_bounded_number_of_tries(self, world: World, airflow: Airflow) -> None:
        """Airflow answers nothing for days, and each try may have made the run."""
        airflow.error = AnswerLostError("502", unreachable=True)
        found = file_message()
        for minutes in range(60):
            world.now = NOW + timedelta(seconds=minutes)
            with pytest.raises(AnswerLostError):
                world.dispatch(found)
            found = again(found)
        attempts = tries_of(world)
        assert len(attempts) == 20
        assert attempts[0].startswith(NOW.isoformat(timespec="microseconds")), "the first says since when"
        airflow.error = None
        world.dispatch(found)
        is_started_told_and_followed(world)

    def test_a_look_that_is_not_answered_leaves_no_try_behind(self, world: World, airflow: Airflow) -> None:
        airflow.after = KilledError()
        found = file_message(trigger=YOUNG)
        with pytest.raises(KilledError):
            world.dispatch(found)
        world.now += timedelta(minutes=8)
        airflow.blind = EnvironmentUnavailableError("503")
        for _ in range(3):
            found = again(found)
            with pytest.raises(EnvironmentUnavailableError):
                world.dispatch(found)
        assert len(tries_of(world)) == 1


class TestOfTheRate:
    """Kinds 5 and 6: never more than the rate, and no place burnt by what could not start."""

    HOURLY: dict[str, Any] = {"rate": {"count": 1, "per": 3600}}  # noqa: RUF012 - a constant

    def test_a_run_whose_row_was_not_answered_for_keeps_its_place(self, world: World) -> None:
        hooks = world.ledger.table.meta.client.meta.events
        minutely = {"rate": {"count": 1, "per": 60}}

        def lose(**_call: object) -> None:
            row = world.ledger.get(_id(world))
            if row is not None and row.decision == "started":
                hooks.unregister("after-call.dynamodb.UpdateItem", lose)
                raise LedgerUnavailableError("the answer was lost")

        hooks.register("after-call.dynamodb.UpdateItem", lose)
        with suppress(LedgerUnavailableError):
            world.dispatch(file_message(trigger=minutely))
        assert world.dispatch(again(file_message(trigger=minutely))).decision == "duplicate"
        world.now += timedelta(seconds=5)
        assert world.dispatch(file_message("b", trigger=minutely)).decision == "waiting"
        assert len(world.airflow.runs) == 1

    def test_a_lost_answer_keeps_the_place_for_its_own_event_only(self, world: World, airflow: Airflow) -> None:
        airflow.errors = [AnswerLostError("lost")]
        found = file_message("a", trigger=self.HOURLY)
        with pytest.raises(AnswerLostError):
            world.dispatch(found)
        assert world.dispatch(file_message("b", trigger=self.HOURLY | {"max_event_age": 7200})).decision == "waiting"
        assert world.dispatch(again(found)).decision == "started"
        assert len(world.airflow.runs) == 1

    @pytest.mark.parametrize("error", [DagNotFoundError("not yet"), EnvironmentBusyError("429")])
    def test_an_event_that_could_not_start_burns_no_place(
        self, world: World, airflow: Airflow, error: Exception
    ) -> None:
        airflow.errors = [error]
        found = file_message("a", trigger=self.HOURLY)
        try:
            world.dispatch(found)
        except EnvironmentBusyError:
            back = again(found)
        else:
            world.now += timedelta(seconds=20)
            (back,) = world.resume()
        assert world.dispatch(back).decision == "started"
        assert world.dispatch(file_message("b", trigger=self.HOURLY | {"max_event_age": 7200})).decision == "waiting"

    def test_the_grace_goes_on_while_other_reasons_come_between(self, world: World, airflow: Airflow) -> None:
        airflow.error = DagNotFoundError("never")
        trigger = {"rate": {"count": 1, "per": 900}}
        found, decisions = file_message("a", trigger=trigger), list[str]()
        while world.now - NOW < timedelta(minutes=40):
            # Somebody else takes each window's place first, so that the rate is the reason every other time.
            Rates(world.ledger.table, clock=world.clock).take("orders", Rate(1, 900), latest=NOW + timedelta(days=1))
            world.dispatcher = world.make_dispatcher()
            decisions.append(world.dispatch(found).decision)
            if decisions[-1] != "waiting":
                break
            back: list[Message] = []
            while not back:
                world.now += timedelta(seconds=60)
                back = [each for each in world.resume() if '"a"' in each.body]
            found = back[0]
        assert decisions[-1] == "dead-lettered"
        assert world.letters()[-1]["reason"] == "dag-not-found"

    def test_a_rate_that_is_changed_while_messages_wait_lets_the_waiting_go_first(self, world: World) -> None:
        """The window of the new rate begins when the last window of the old one ends."""
        for number in range(30):
            world.dispatch(file_message(f"old-{number}", trigger={"rate": {"count": 10, "per": 60}}))
        assert len(world.airflow.runs) == 10
        new = world.dispatch(file_message("new", trigger={"rate": {"count": 1, "per": 120}}))
        assert new.decision == "waiting"
        assert new.because is not None
        assert "its turn is 2026-11-22T06:04:00+00:00" in new.because

    def test_a_window_has_no_more_runs_than_places_after_an_outage(self, world: World) -> None:
        minutely = {"rate": {"count": 1, "per": 60}}
        for key in "abc":
            world.dispatch(file_message(key, trigger=minutely))
        world.now = NOW + timedelta(seconds=170)  # b and c were to start a minute and two ago
        back = world.resume()
        decisions = [world.dispatch(each).decision for each in back]
        assert sorted(decisions) == ["started", "waiting"]


class TestOnTwoWays:
    """Kind 8: a trigger whose file changes between two deliveries sends no event into two runs."""

    def test_an_event_that_is_in_a_batch_is_not_started_by_itself(self, world: World) -> None:
        world.ledger.begin(_id(world), "collect")
        entry = world.dispatch(file_message())
        assert (entry.decision, world.airflow.calls) == ("duplicate", 0)

    def test_an_event_that_is_dispatched_is_put_into_no_batch(self, world: World) -> None:
        class NoCollector:
            def collect(self, *_: object, **__: object) -> None:
                raise AssertionError("nothing is to be collected")

        started = world.dispatch(file_message())
        intake = Intake(NoCollector(), world.sqs, world.ledger, dead_letters_url=world.dead_url)  # type: ignore[arg-type]
        body = json.loads(file_message().body)
        body["trigger"]["batch"] = {"max_events": 5, "within": 60}
        record = SQSRecord(sample_event("dispatch_batch")["Records"][0] | {"body": json.dumps(body)})
        taken = intake.take([record], lambda: 100.0, on_dispatched=lambda _batch: None)
        assert [(each.decision, each.dag_run_id) for each in taken.entries] == [("duplicate", started.dag_run_id)]
        row = world.ledger.get(started.id)
        assert row is not None
        assert (row.decision, row.deliveries, taken.failed) == ("started", 2, [])

    def test_a_run_that_was_made_of_the_old_dag_is_found(self, world: World, airflow: Airflow) -> None:
        airflow.after = KilledError()
        with pytest.raises(KilledError):
            world.dispatch(file_message(dag="one"))
        entry = world.make_dispatcher().dispatch(again(file_message(dag="two")))
        assert (entry.decision, entry.dag_id) == ("started", "one")
        is_started_told_and_followed(world)

    def test_a_run_of_the_old_dag_that_may_be_made_yet_is_waited_for(self, world: World, airflow: Airflow) -> None:
        airflow.errors = [AnswerLostError("lost")]
        with pytest.raises(AnswerLostError):
            world.dispatch(file_message(dag="one"))
        assert world.dispatch(again(file_message(dag="two"))).decision == "waiting"
        world.now += timedelta(minutes=6)
        (back,) = world.resume()
        entry = world.dispatch(back)
        assert (entry.decision, entry.dag_id) == ("started", "two")

    def test_a_webhook_whose_trigger_has_another_dag_by_now_is_the_same_event(self, world: World) -> None:
        run_id = "jetway__push__neao5nwq7jut2lxa4mqj"
        bodies = []
        for dag in ("one", "two"):
            body = json.loads(call(run_id).body)
            body["trigger"] = {"name": "push", "kind": "http", "dag": dag}
            bodies.append(json.dumps(body))
        entries = [world.dispatch(message(2, body=body, message_id=body[-9:])) for body in bodies]
        assert [entry.decision for entry in entries] == ["started", "duplicate"]
        assert len(world.airflow.runs) == 1


class TestADeadLetterIsFinal:
    """Kind 12: a run never follows a dead letter, unless somebody redrives it."""

    def test_when_the_function_dies_between_the_two(self, world: World, airflow: Airflow) -> None:
        airflow.error = CommandRejectedError("no")
        send = world.sqs.send_message

        def and_die(**arguments: Any) -> Any:
            send(**arguments)
            raise KilledError

        world.sqs.send_message = and_die  # type: ignore[method-assign]
        with pytest.raises(KilledError):
            world.dispatch(file_message())
        world.sqs.send_message = send  # type: ignore[method-assign]
        airflow.error = None  # Airflow takes it now
        assert world.make_dispatcher().dispatch(again(file_message())).decision == "dead-lettered"
        assert airflow.runs == {}
        assert len(world.letters()) == 1

    def test_when_the_event_comes_once_more(self, world: World, airflow: Airflow) -> None:
        airflow.error = CommandRejectedError("no")
        world.dispatch(file_message())
        airflow.error = None
        copy = replace(file_message(), message_id="another")
        entry = world.dispatch(copy)
        assert entry.decision == "duplicate"
        assert entry.because is not None
        assert entry.because.startswith("duplicate of a dead letter (command-rejected: no)")
        row = world.ledger.get(entry.id)
        assert row is not None
        assert (row.decision, row.deliveries) == ("dead-lettered", 2)
        assert (airflow.runs, len(world.letters())) == ({}, 1)

    def test_a_call_that_is_repeated_is_a_request_of_its_own(self, world: World, airflow: Airflow) -> None:
        airflow.error = CommandRejectedError("no")
        world.dispatch(call())
        airflow.error = None
        assert world.dispatch(call(message_id="another")).decision == "started"

    def test_nobody_starts_a_run_that_another_one_is_about_to_give_up(self, world: World, airflow: Airflow) -> None:
        def meanwhile(_request: DagRunRequest) -> DagRun:
            world.ledger.begin(_id(world))
            raise CommandRejectedError("no")

        setattr(airflow, "trigger_dag_run", meanwhile)  # noqa: B010 - for the one instance
        with pytest.raises(AnswerLostError, match="another delivery"):
            world.dispatch(file_message())
        assert world.letters() == []


class TestStarted:
    """Kind 12: once in the metric, and followed from the first try on."""

    def test_an_update_that_boto3_made_twice_counts_once(self, world: World) -> None:
        """The first answer was lost, and boto3 tries by itself: the condition does not hold any more."""
        update = world.ledger.table.update_item

        def twice(**arguments: Any) -> Any:
            update(**arguments)
            return update(**arguments)

        world.ledger.table.update_item = twice  # type: ignore[method-assign]
        entry = world.dispatch(file_message())
        assert entry.decision == "started"
        row = world.ledger.get(entry.id)
        assert row is not None
        assert row.deliveries == 1

    def test_a_run_that_is_found_after_a_wait_is_followed_from_its_first_try_on(
        self, world: World, airflow: Airflow
    ) -> None:
        airflow.errors = [AnswerLostError("lost")] * 3
        found = file_message()
        for _ in range(2):
            with pytest.raises(AnswerLostError):
                world.dispatch(found)
            found = again(found)
        assert world.dispatch(found).decision == "waiting"
        world.now += timedelta(minutes=4)
        (back,) = world.resume()
        world.dispatch(back)
        (row,) = world.ledger.open_entries(limit=9)
        assert row.since <= NOW
