"""Whose a run is, and what that makes of the place in its rate."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from jetway.airflow import DagRun, DagRunRequest
from jetway.dispatch.lanes import Lanes
from jetway.dispatch.limits import Rate
from jetway.dispatch.messages import Message
from jetway.dispatch.rates import Rates
from jetway.dispatch.run import parse_message, plan
from jetway.errors import (
    AnswerLostError,
    DagNotFoundError,
    EnvironmentBusyError,
    EnvironmentUnavailableError,
    TransientError,
)
from jetway.ledger import LedgerUnavailableError
from tests.unit.dispatch.outcomes import (
    CHOSEN,
    DERIVED,
    YOUNG,
    Airflow,
    KilledError,
    again,
    call,
    is_started_told_and_followed,
    row_id,
    tries_of,
)
from tests.unit.dispatching import NOW, World, file_message, message
from tests.unit.sample_events import sample_event


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
            row = world.ledger.get(row_id(world))
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

    @pytest.mark.parametrize("first_is_refused", [True, False])
    def test_two_deliveries_at_once_have_one_place_and_neither_gives_it_away(
        self, world: World, airflow: Airflow, first_is_refused: bool
    ) -> None:
        """One of them makes the run, in the place that both have; the other one is throttled."""
        found, create = file_message("a", trigger=self.HOURLY), airflow.trigger_dag_run

        def meanwhile(request: DagRunRequest) -> DagRun:
            setattr(airflow, "trigger_dag_run", create)  # noqa: B010 - for the one instance
            airflow.errors = [] if first_is_refused else [EnvironmentBusyError("429")]
            with suppress(EnvironmentBusyError):
                world.make_dispatcher().dispatch(again(found))
            if first_is_refused:
                raise EnvironmentBusyError("429")
            return create(request)

        setattr(airflow, "trigger_dag_run", meanwhile)  # noqa: B010 - for the one instance
        with suppress(EnvironmentBusyError):
            world.dispatch(found)
        assert len(airflow.runs) == 1
        other = file_message("b", trigger=self.HOURLY | {"max_event_age": 7200})
        assert world.dispatch(other).decision == "waiting"

    def test_a_call_whose_run_is_another_callers_takes_no_place(self, world: World, airflow: Airflow) -> None:
        limited = json.loads(call().body)
        limited["trigger"] |= self.HOURLY
        airflow.runs["ingest_orders", CHOSEN] = DagRun("ingest_orders", CHOSEN, "running")
        assert world.dispatch(message(2, body=json.dumps(limited))).decision == "duplicate"
        limited["event"]["dag_run_id"] = "by-hand-2"
        assert world.dispatch(message(2, body=json.dumps(limited), message_id="another")).decision == "started"

    def test_a_place_that_was_waited_for_and_given_back_is_another_events(self, world: World, airflow: Airflow) -> None:
        """The message says which window it has waited for, however often it comes."""
        hourly = self.HOURLY | {"max_event_age": 9999}
        assert world.dispatch(file_message("a", trigger=hourly)).decision == "started"
        assert world.dispatch(file_message("b", trigger=hourly)).decision == "waiting"
        world.now = NOW.replace(hour=7, second=0)
        (back,) = world.resume()
        airflow.errors = [EnvironmentBusyError("429")]
        with pytest.raises(EnvironmentBusyError):
            world.dispatch(back)
        assert world.dispatch(file_message("c", trigger=hourly)).decision == "started"
        assert world.dispatch(again(back)).decision == "waiting"
        assert len(airflow.runs) == 2

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


class TestSomebodyHasMadeARunOfADerivedId:
    """In Airflow itself anybody may, who has the right to make runs there; nobody may take an event's place by that."""

    @pytest.mark.parametrize("trigger", [{}, YOUNG], ids=["", "with a rate"])
    def test_a_run_that_was_there_before_the_first_try_is_not_announced(
        self, world: World, airflow: Airflow, trigger: Any
    ) -> None:
        found = file_message(trigger=trigger) if trigger else file_message()
        run_id = plan(parse_message(found.body, sent_at=NOW), major=lambda: 3).request
        assert run_id is not None
        airflow.runs[run_id.dag_id, run_id.dag_run_id] = DagRun(run_id.dag_id, run_id.dag_run_id, "success")
        entry = world.dispatch(found)
        assert (entry.decision, world.told, world.ledger.open_entries(limit=9)) == ("duplicate", [], [])
        assert "belongs to someone else" in (entry.because or "")

    def test_a_run_that_a_killed_first_try_has_made_is_ours(self, world: World, airflow: Airflow) -> None:
        airflow.after = KilledError()
        with pytest.raises(KilledError):
            world.dispatch(file_message())
        airflow.after = None
        world.dispatch(again(file_message()))
        is_started_told_and_followed(world)

    def test_so_is_one_whose_first_try_was_refused_although_it_was_made(self, world: World, airflow: Airflow) -> None:
        airflow.after = EnvironmentBusyError("429")
        with pytest.raises(EnvironmentBusyError):
            world.dispatch(file_message())
        airflow.after = None
        world.dispatch(again(file_message()))
        is_started_told_and_followed(world)
