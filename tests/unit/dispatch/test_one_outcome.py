"""An event has one outcome, whatever is lost, killed, refused or delivered twice around it, and whoever meets it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from botocore.exceptions import ClientError

from jetway.airflow import DagRun, DagRunRequest
from jetway.batches.hands import Hands
from jetway.batches.intake import Intake
from jetway.dispatch.limits import Limits
from jetway.dispatch.messages import Message
from jetway.dispatch.outcomes import LONGEST_TRY
from jetway.errors import (
    AnswerLostError,
    CommandRejectedError,
    DagNotFoundError,
    EnvironmentUnavailableError,
    TransientError,
)
from tests.unit.dispatch.outcomes import YOUNG, Airflow, KilledError, again, call, is_started_told_and_followed, row_id
from tests.unit.dispatching import NOW, World, file_message, message
from tests.unit.sample_events import sample_event


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


class TestOnTwoWays:
    """Kind 8: a trigger whose file changes between two deliveries sends no event into two runs."""

    def test_an_event_that_is_in_a_batch_is_not_started_by_itself(self, world: World) -> None:
        world.ledger.begin(row_id(world), "collect")
        entry = world.dispatch(file_message())
        assert (entry.decision, world.airflow.calls) == ("duplicate", 0)

    def test_of_one_that_is_a_dead_letter_of_its_batch_it_is_said_what_to_do(self, world: World) -> None:
        world.ledger.begin(row_id(world), "collect")
        row = replace(world.dispatch(file_message()), decision="dead-lettered", because="crashed: three times")
        world.ledger.record(row)
        entry = world.dispatch(again(file_message()))
        assert entry.because == "duplicate of a dead letter (crashed: three times); redrive that one"
        assert (entry.decision, world.airflow.calls, world.letters()) == ("duplicate", 0, [])

    def test_an_event_that_is_dispatched_is_put_into_no_batch(self, world: World) -> None:
        class NoCollector:
            def collect(self, *_: object, **__: object) -> None:
                raise AssertionError("nothing is to be collected")

        started = world.dispatch(file_message())
        hands = Hands(world.dynamodb, "batches")
        intake = Intake(NoCollector(), world.sqs, world.ledger, dead_letters_url=world.dead_url, hands=hands)  # type: ignore[arg-type]
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
            world.ledger.begin(row_id(world))
            raise CommandRejectedError("no")

        setattr(airflow, "trigger_dag_run", meanwhile)  # noqa: B010 - for the one instance
        with pytest.raises(AnswerLostError, match="another delivery"):
            world.dispatch(file_message())
        assert world.letters() == []

    def test_who_gives_up_what_another_one_has_started_meanwhile_says_so_and_sends_no_letter(
        self, world: World, airflow: Airflow
    ) -> None:
        """The DAG has become known between the answers to the two."""
        found = file_message(waits={"since": "2026-11-22T05:00:00+00:00", "count": 9, "because": "dag-not-found"})

        def meanwhile(_request: DagRunRequest) -> DagRun:
            delattr(airflow, "trigger_dag_run")
            assert world.make_dispatcher().dispatch(found).decision == "started"
            raise DagNotFoundError("not yet")

        setattr(airflow, "trigger_dag_run", meanwhile)  # noqa: B010 - for the one instance
        entry = world.dispatch(found)
        assert (entry.decision, entry.because) == ("duplicate", "another delivery of the event has started its run")
        is_started_told_and_followed(world)

    def test_one_whose_row_was_throttled_is_tried_at_once_when_it_is_redriven(
        self, world: World, airflow: Airflow
    ) -> None:
        """Its try is over, whichever of the writes says so first: nobody waits for what it may do yet."""
        update, calls = world.ledger.table.update_item, list[Any]()

        def throttled(**arguments: Any) -> Any:
            calls.append(arguments)
            if len(calls) == 2:  # after that which says that a try begins: that it has made no run
                raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "Too many."}}, "UpdateItem")
            return update(**arguments)

        world.ledger.table.update_item = throttled  # type: ignore[method-assign]
        airflow.error = CommandRejectedError("no")
        assert world.dispatch(file_message()).decision == "dead-lettered"
        world.now += timedelta(minutes=1)
        redriven = file_message(redriven_at=world.now.isoformat())
        assert world.dispatch(replace(redriven, message_id="redriven")).decision == "dead-lettered"


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


class TestOfAnUnknownDagWhoseAnswerWasLost:
    """Airflow may make the run of a lost try for five minutes; then the event is given up, and not a minute later."""

    def test_it_is_a_dead_letter_when_its_grace_is_over_and_no_try_can_make_its_run(self, world: World) -> None:
        world.limits = Limits(max_event_age=timedelta(hours=1), grace=timedelta(minutes=1))
        world.airflow.error = AnswerLostError("no answer")
        begun = world.now
        with pytest.raises(AnswerLostError):
            world.make_dispatcher().dispatch(file_message())
        world.airflow.error = DagNotFoundError("no such DAG")
        world.now += timedelta(seconds=2)
        entry, said = world.make_dispatcher().dispatch(again(file_message())), set()
        while entry.decision == "waiting":
            said.add(entry.until)
            world.now += timedelta(seconds=world.delays[-1])
            (back,) = world.resume()
            entry = world.make_dispatcher().dispatch(back)
        assert (entry.decision, (entry.because or "").partition(":")[0]) == ("dead-lettered", "dag-not-found")
        assert world.now - begun == LONGEST_TRY, "the minute of its grace lies within"
        assert said == {begun + LONGEST_TRY}, "and its row has said so all the time"

    def test_without_a_lost_answer_it_is_one_when_its_grace_is_over(self, world: World) -> None:
        world.limits = Limits(max_event_age=timedelta(hours=1), grace=timedelta(minutes=3))
        world.airflow.error = DagNotFoundError("no such DAG")
        begun = world.now
        entry = world.make_dispatcher().dispatch(file_message())
        while entry.decision == "waiting":
            assert entry.until == begun + world.limits.grace
            world.now += timedelta(seconds=world.delays[-1])
            (back,) = world.resume()
            entry = world.make_dispatcher().dispatch(back)
        assert (entry.decision, world.now - begun) == ("dead-lettered", world.limits.grace)
