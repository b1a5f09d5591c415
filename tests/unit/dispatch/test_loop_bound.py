"""Loops through runs that Jetway has not started: after runs of one DAG a trigger starts so many an hour, no more."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from moto import mock_aws

from jetway.dispatch.loop_bound import dag_of_others
from jetway.dispatch.messages import Message
from tests.unit.dispatch.test_crashes import again
from tests.unit.dispatching import STARTS, World, message


@pytest.fixture
def world() -> Iterator[World]:
    with mock_aws():
        yield World()


def end_of(run_id: str, *, dag_id: str = "theirs", trigger: str | None = None, name: str = "after") -> Message:
    """The message on the end of a run."""
    detail: dict[str, Any] = {"id": f"run#{dag_id}#{run_id}#success", "trigger": trigger, "dag_id": dag_id}
    event = {
        "id": f"copy-{run_id}",
        "source": "jetway",
        "detail-type": "DagRunSucceeded",
        "time": "2026-11-22T06:00:00Z",
        "detail": detail,
    }
    body = {"trigger": {"name": name, "kind": "event", "dag": "ours"}, "event": event}
    return message(body=json.dumps(body), message_id=f"m-{name}-{dag_id}-{run_id}")


def test_a_loop_through_a_run_of_others_ends(world: World) -> None:
    decisions = [world.dispatch(end_of(f"r{number}")).decision for number in range(STARTS + 2)]
    assert decisions == ["started"] * STARTS + ["dead-lettered"] * 2
    letters = world.letters()
    assert {letter["reason"] for letter in letters} == {"loop"}
    assert "MaxStartsAfterOneDagPerHour" in letters[0]["error"]


def test_an_event_that_comes_again_is_counted_once(world: World) -> None:
    for _ in range(STARTS + 2):
        world.dispatch(end_of("r0"))
        world.dispatcher = world.make_dispatcher()
    assert [world.dispatch(end_of(f"r{number}")).decision for number in (1, 2)] == ["started"] * 2


def test_a_try_that_was_killed_after_it_was_counted_takes_no_second_place(world: World) -> None:
    first = end_of("r0")
    world.airflow.errors = [SystemExit()]  # type: ignore[list-item]  # the function is gone
    with pytest.raises(SystemExit):
        world.dispatch(first)
    world.dispatcher = world.make_dispatcher()
    decisions = [world.dispatch(each).decision for each in (again(first), end_of("r1"), end_of("r2"), end_of("r3"))]
    assert decisions == ["started"] * STARTS + ["dead-lettered"]


@pytest.mark.parametrize(
    "others",
    [{"dag_id": "another"}, {"trigger": "orders"}, {"name": "other_trigger"}],
    ids=["another DAG", "a run of ours, which has a chain", "another trigger"],
)
def test_what_is_no_loop_is_not_bounded_with_it(world: World, others: dict[str, str]) -> None:
    for number in range(STARTS + 1):
        world.dispatch(end_of(f"r{number}"))
    assert world.dispatch(end_of("x", **others)).decision == "started"


def test_the_next_hour_has_places_again(world: World) -> None:
    for number in range(STARTS + 1):
        world.dispatch(end_of(f"r{number}"))
    world.now += timedelta(minutes=59, seconds=50)
    assert world.dispatch(end_of("next")).decision == "started"


def test_what_tells_of_a_loop_that_was_ended_does_not_begin_it_anew(world: World) -> None:
    """A trigger on dead letters may start the DAG that starts the other one."""
    for number in range(STARTS + 1):
        world.dispatch(end_of(f"r{number}"))
    told = world.told[-1]
    event = {"id": "1", "source": "jetway", "detail-type": told.detail_type, "time": "2026-11-22T06:00:00Z"}
    detail = {"id": told.id, **told.detail}
    body = {"trigger": {"name": "letters", "kind": "event", "dag": "ours"}, "event": {**event, "detail": detail}}
    row = world.dispatch(message(body=json.dumps(body), message_id="m-letter"))
    assert (row.decision, (row.because or "").partition(":")[0]) == ("skipped", "loop")


@pytest.mark.parametrize(
    ("changes", "dag_id"),
    [
        ({}, "theirs"),
        ({"source": "acme"}, None),
        ({"detail-type": "DagRunStarted"}, None),
        ({"detail": "theirs"}, None),
        ({"detail": {"trigger": "orders", "dag_id": "theirs"}}, None),
        ({"detail": {"dag_id": 5}}, None),
    ],
)
def test_only_the_end_of_a_run_that_jetway_had_not_started_names_its_dag(
    changes: dict[str, Any], dag_id: str | None
) -> None:
    event = {"source": "jetway", "detail-type": "DagRunSucceeded", "detail": {"trigger": None, "dag_id": "theirs"}}
    assert dag_of_others(event | changes) == dag_id
