"""What Airflow says when it is asked for an event's run, and does not answer: that is no "there is none"."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from jetway.airflow import DagRun
from jetway.dispatch.messages import Message
from jetway.errors import AnswerLostError, CommandRejectedError, DagNotFoundError, InvalidRequestError, TransientError
from tests.unit.dispatch.outcomes import CHOSEN, YOUNG, Airflow, KilledError, again, call, is_started_told_and_followed
from tests.unit.dispatching import NOW, World, file_message

DIED = CommandRejectedError("Airflow rejected the command: BrokenPipeError")


def killed_with_its_run(world: World, airflow: Airflow) -> Message:
    """A file whose run was made, and which is too old when it comes back."""
    found = file_message(trigger=YOUNG)
    airflow.after = KilledError()
    with pytest.raises(KilledError):
        world.dispatch(found)
    world.dispatcher = world.make_dispatcher()
    world.now += timedelta(minutes=8)
    return again(found)


class TestBeforeAnEventIsGivenUp:
    def test_a_question_that_died_says_nothing(self, world: World, airflow: Airflow) -> None:
        found = killed_with_its_run(world, airflow)
        airflow.blind = DIED
        with pytest.raises(TransientError):
            world.dispatch(found)
        assert world.letters() == []
        airflow.blind = None
        world.dispatch(again(found))
        is_started_told_and_followed(world)

    def test_what_waits_for_an_answer_holds_its_lane_no_second_time(self, world: World, airflow: Airflow) -> None:
        found = replace(killed_with_its_run(world, airflow), tries=3)
        airflow.blind = DIED
        assert world.dispatch(found).decision == "waiting"
        world.now += timedelta(minutes=3)
        (back,) = world.resume()
        assert world.dispatch(back).decision == "waiting"

    def test_a_question_that_dies_for_an_hour_is_asked_no_more(self, world: World, airflow: Airflow) -> None:
        found = replace(killed_with_its_run(world, airflow), tries=3)
        airflow.blind, begun = DIED, world.now
        entry = world.dispatch(found)
        while entry.decision == "waiting" and world.now < begun + timedelta(hours=3):
            world.now += timedelta(minutes=3)
            (back,) = world.resume()
            entry = world.dispatch(back)
        assert entry.decision == "dead-lettered"
        assert timedelta(hours=1) <= world.now - begun <= timedelta(minutes=70)

    def test_lost_answers_are_waited_for_however_long(self, world: World, airflow: Airflow) -> None:
        found = replace(killed_with_its_run(world, airflow), tries=3)
        airflow.blind = AnswerLostError("no answer")
        assert world.dispatch(found).decision == "waiting"
        world.now += timedelta(hours=9)
        (back,) = world.resume()
        assert world.dispatch(back).decision == "waiting"

    def test_a_dag_that_is_gone_has_no_runs(self, world: World, airflow: Airflow) -> None:
        found = killed_with_its_run(world, airflow)
        airflow.blind = DagNotFoundError("gone")
        assert world.dispatch(found).decision == "dead-lettered"

    def test_ids_that_airflow_never_takes_are_not_asked_for(self, world: World, airflow: Airflow) -> None:
        found = file_message(dag="no dag!")
        airflow.errors = [KilledError()]  # type: ignore[list-item] # before it has done anything
        with pytest.raises(KilledError):
            world.dispatch(found)
        airflow.error = InvalidRequestError("dag_id 'no dag!' is not valid")
        world.now += timedelta(minutes=6)
        assert world.make_dispatcher().dispatch(again(found)).decision == "dead-lettered"
        assert airflow.looks == 0


class TestWhoseTheRunOfAChosenIdIs:
    """It is looked for before the first try."""

    def test_nothing_is_asked_for_while_that_is_not_known(self, world: World, airflow: Airflow) -> None:
        airflow.runs["ingest_orders", CHOSEN] = DagRun("ingest_orders", CHOSEN, "running")
        airflow.blind = DIED
        with pytest.raises(TransientError):
            world.dispatch(call())
        airflow.blind = None
        assert world.dispatch(again(call())).decision == "duplicate"
        assert (airflow.calls, world.told) == (0, [])

    @pytest.mark.parametrize("error", [AnswerLostError("too long a history"), DIED])
    def test_a_dag_whose_questions_are_never_answered_does_not_hold_the_lane(
        self, world: World, airflow: Airflow, error: Exception
    ) -> None:
        airflow.blind = error
        with pytest.raises(TransientError):
            world.dispatch(call())
        entry = world.dispatch(call(tries=3))
        assert (entry.decision, airflow.calls) == ("waiting", 0)
        airflow.blind = None
        world.now += timedelta(minutes=3)
        (back,) = world.resume()
        assert world.dispatch(back).decision == "started"
        assert world.ledger.open_entries(limit=9)[0].since <= NOW + timedelta(minutes=3)
