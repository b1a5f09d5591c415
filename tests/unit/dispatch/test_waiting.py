"""What concerns one trigger or one DAG steps aside and comes back; its lane goes on meanwhile."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws

from jetway.dispatch.limits import Rate, WaitingState
from jetway.dispatch.rates import Rates, Window, next_place
from jetway.dispatch.waiting import delay_until, next_waits
from jetway.errors import AnswerLostError, DagNotFoundError, RunCollisionError, UnknownEventError
from tests.unit.dispatching import NOW, World, file_message, message

RATE = {"rate": {"count": 2, "per": 60}}
TIMES = st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds are naive


@pytest.fixture
def world() -> Iterator[World]:
    with mock_aws():
        yield World()


def test_an_event_for_a_dag_that_is_not_parsed_yet_starts_when_it_is(world: World) -> None:
    world.airflow.errors = [DagNotFoundError("no 'ingest' yet")]
    waiting = world.dispatch(file_message())
    assert (waiting.decision, waiting.because) == ("waiting", "dag-not-found: no 'ingest' yet")
    assert 8 <= world.delays[0] <= 16
    world.now += timedelta(seconds=world.delays[0])
    (back,) = world.resume()
    assert back.group == "bulk"
    assert world.dispatch(back).decision == "started"
    row = world.ledger.get(waiting.id)
    assert row is not None
    assert (row.decision, row.because, row.deliveries) == ("started", None, 1)


def test_after_its_grace_an_unknown_dag_is_a_dead_letter_that_knows_its_first_try(world: World) -> None:
    world.airflow.error = DagNotFoundError("no 'ingest'")
    in_hand = file_message(key="late.csv")
    first_tried_at = in_hand.first_tried_at
    decisions = []
    while True:
        decisions.append(world.dispatch(in_hand).decision)
        if decisions[-1] != "waiting":
            break
        world.now += timedelta(seconds=world.delays[-1])
        (in_hand,) = world.resume()
    assert decisions[-1] == "dead-lettered"
    assert timedelta(minutes=10) <= world.now - NOW < timedelta(minutes=12)
    assert 5 < len(decisions) < 20
    (letter,) = world.letters()
    assert letter["reason"] == "dag-not-found"
    assert letter["first_try"] == first_tried_at.isoformat()


def test_a_redriven_event_has_its_grace_anew(world: World) -> None:
    world.airflow.error = DagNotFoundError("no")
    waits = {"since": "2026-11-22T05:00:00+00:00", "count": 9, "because": "dag-not-found"}
    assert world.dispatch(file_message(waits=waits)).decision == "dead-lettered"
    again = file_message(waits=waits, redriven_at=NOW.isoformat())
    assert world.make_dispatcher().dispatch(again).decision == "waiting"


def test_many_files_for_an_unknown_dag_cost_one_command_and_hold_up_nobody(world: World) -> None:
    world.airflow.errors = [DagNotFoundError("no")]
    decisions = {world.dispatch(file_message(f"{number}.csv", dag="unknown")).decision for number in range(50)}
    assert (decisions, world.airflow.calls) == ({"waiting"}, 1)
    assert world.dispatch(file_message("x.csv", dag="known")).decision == "started"
    call = message(2, body=message(2).body.replace("ingest_orders", "unknown"))
    assert world.dispatch(call).decision == "started"  # somebody waits for it: it is worth the asking
    world.now += timedelta(seconds=11)
    assert world.dispatch(file_message("y.csv", dag="unknown")).decision == "started"


def test_a_collision_and_a_dag_that_never_answers_step_aside(world: World) -> None:
    world.airflow.errors = [RunCollisionError("same moment")]
    assert world.dispatch(file_message("a")).decision == "waiting"
    world.airflow.error = AnswerLostError("no answer")
    for tries in (1, 2):
        with pytest.raises(AnswerLostError):
            world.dispatch(message(body=file_message("b").body, tries=tries))
    assert world.dispatch(message(body=file_message("b").body, tries=3)).decision == "waiting"


def test_a_rate_lets_so_many_start_and_gives_each_other_event_its_moment(world: World) -> None:
    decisions = [world.dispatch(file_message(f"{number}", trigger=RATE)).decision for number in range(5)]
    assert decisions == ["started", "started", "waiting", "waiting", "waiting"]
    assert world.delays == [50, 50, 110]  # 06:00:10 now; windows begin at full minutes
    assert world.dispatch(file_message("other", trigger={"name": "others"})).decision == "started"

    assert world.resume() == []  # too early: they wait on
    world.now = NOW + timedelta(seconds=50)
    back = world.resume()
    assert [world.dispatch(found).decision for found in back] == ["started", "started"]
    world.now = NOW + timedelta(seconds=110)
    (last,) = world.resume()
    assert world.dispatch(last).decision == "started"
    assert len(world.airflow.runs) == 6


def test_a_delivery_that_is_a_duplicate_takes_no_place(world: World) -> None:
    for _ in range(3):
        world.dispatch(file_message("a", trigger=RATE))
    assert world.dispatch(file_message("b", trigger=RATE)).decision == "started"


def test_a_try_that_failed_gives_its_place_back(world: World) -> None:
    world.airflow.errors = [AnswerLostError("lost"), AnswerLostError("lost")]
    for tries in (1, 2):
        with pytest.raises(AnswerLostError):
            world.dispatch(message(body=file_message("a", trigger=RATE).body, tries=tries))
    assert [world.dispatch(file_message(key, trigger=RATE)).decision for key in ("a", "b")] == ["started", "started"]


def test_an_event_whose_turn_comes_too_late_is_a_dead_letter_at_once(world: World) -> None:
    limits = {"rate": {"count": 1, "per": 3600}, "max_event_age": 1800}
    assert world.dispatch(file_message("a", trigger=limits)).decision == "started"
    late = world.dispatch(file_message("b", trigger=limits))
    assert late.decision == "dead-lettered"
    assert late.because is not None
    assert "1 in 3600 s" in late.because
    assert world.delays == []


def test_a_far_moment_is_waited_for_in_steps(world: World) -> None:
    limits = {"rate": {"count": 1, "per": 1800}}
    world.dispatch(file_message("a", trigger=limits))
    world.dispatch(file_message("b", trigger=limits))
    assert world.resume() == []
    world.now += timedelta(seconds=900)
    assert world.resume() == []
    world.now += timedelta(seconds=890)
    (back,) = world.resume()
    assert world.dispatch(back).decision == "started"
    assert world.delays == [900, 900, 890]


def test_a_message_that_comes_back_twice_is_one(world: World) -> None:
    world.airflow.errors = [DagNotFoundError("no")]
    world.dispatch(file_message())
    (found,) = world.take(world.waiting_url)
    for _ in range(2):  # resume_waiting died after it had sent, and SQS delivers again
        world.waiting.resume(found["Body"], lane="bulk", resume_id="m-1", dispatch_url=world.dispatch_url)
    assert len(world.take(world.dispatch_url)) == 1


@pytest.mark.parametrize(
    "trigger",
    [
        {"rate": {"count": 0, "per": 60}},
        {"rate": {"count": 1}},
        {"rate": {"count": True, "per": 1}},
        {"rate": 3},
        {"max_event_age": "1h"},
        {"max_event_age": -1},
    ],
)
def test_limits_of_another_shape_are_refused(world: World, trigger: dict[str, object]) -> None:
    assert world.dispatch(file_message(trigger=trigger)).because is not None
    assert world.letters()[0]["reason"] == UnknownEventError.reason


@given(st.lists(st.floats(0, 100), min_size=1, max_size=60), st.integers(1, 5), st.integers(1, 90))
def test_no_window_gives_out_more_places_than_the_rate_has(gaps: list[float], count: int, per: int) -> None:
    rate, last, now = Rate(count, per), None, NOW
    given_out: dict[int, int] = {}
    for gap in gaps:
        now += timedelta(seconds=gap)
        last = next_place(last, rate, now)
        given_out[last.start] = given_out.get(last.start, 0) + 1
        assert last.begins + timedelta(seconds=per) > now
    assert max(given_out.values()) <= count


@given(TIMES, st.integers(0, 5000))
def test_a_delay_ends_at_the_moment_or_after_a_quarter_of_an_hour(now: datetime, seconds: int) -> None:
    delay = delay_until(now + timedelta(seconds=seconds), now)
    assert delay == min(900, seconds)


@given(TIMES, st.sampled_from(["dag-not-found", "rate"]), st.none() | TIMES)
def test_how_a_message_has_waited_survives_its_way_through_json(now: datetime, because: str, moment: datetime) -> None:
    waits = next_waits(None, because=because, first=now, now=now, not_before=moment)
    waits = next_waits(waits, because="rate", first=NOW, now=now + timedelta(seconds=5), not_before=moment)
    assert WaitingState.parse(json.loads(json.dumps(waits.to_json()))) == waits
    assert (waits.count, waits.first) == (2, now)
    assert waits.since == (now if because == "rate" else now + timedelta(seconds=5))


def test_two_who_take_a_place_at_once_get_two_places(world: World) -> None:
    rate, table = Rate(1, 60), world.ledger.table
    latest = NOW + timedelta(hours=1)
    first, second = Rates(table, clock=world.clock), Rates(table, clock=world.clock)

    class Late(Rates):
        """Reads, and is overtaken before it writes."""

        def _read(self, trigger: str, rate: Rate) -> Window | None:
            found = super()._read(trigger, rate)
            if found is None:
                first.take(trigger, rate, latest=latest)
            return found

    place = Late(table, clock=world.clock).take("t", rate, latest=latest)
    assert place.begins == datetime(2026, 11, 22, 6, 1, tzinfo=UTC)
    assert second.take("t", rate, latest=latest).begins == datetime(2026, 11, 22, 6, 2, tzinfo=UTC)
