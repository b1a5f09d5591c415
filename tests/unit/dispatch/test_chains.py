"""Chains of runs: each carries its place, a loop ends as a dead letter, and what tells of that starts nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws

from jetway.batches.model import Closed, dispatch_message, parse_member
from jetway.dispatch.run_events import announcement, completion
from jetway.events.incoming import chain_of
from jetway.events.outgoing import OutEvent
from jetway.ledger import Entry
from tests.unit.batches.world import START
from tests.unit.batches.world import World as Batches
from tests.unit.dispatching import NOW, World, message

LONGEST = 3
BATCH = {"batch": {"max_events": 2, "within": 60}}


def delivered(event: OutEvent) -> dict[str, Any]:
    """An event of Jetway's as EventBridge delivers it."""
    return {
        "version": "0",
        "id": f"copy-of-{event.id}",
        "source": "jetway",
        "detail-type": event.detail_type,
        "time": event.time.isoformat(),
        "detail": json.loads(json.dumps({"id": event.id, **event.detail})),
    }


def body_of(event: dict[str, Any], **trigger: Any) -> str:
    return json.dumps({"trigger": {"name": "again", "kind": "event", "dag": "ingest", **trigger}, "event": event})


def starts(world: World, event: dict[str, Any]) -> Entry:
    number = len(world.told)
    return world.dispatch(message(body=body_of(event), message_id=f"m{number}", group="bulk/again", tries=1))


def test_a_trigger_on_its_own_runs_ends_and_says_why(world: World) -> None:
    world.limits = replace(world.limits, longest_chain=LONGEST)
    world.dispatcher = world.make_dispatcher()
    entry = world.dispatch(message(0))
    assert entry.chain == 1, "an upload begins a chain"
    decisions = []
    for _ in range(LONGEST + 2):
        entry = starts(world, delivered(world.told[-1]))
        decisions.append((entry.decision, entry.chain))
    assert decisions == [
        ("started", 2),
        ("started", 3),
        ("dead-lettered", 4),
        ("skipped", 5),
        ("skipped", 5),
    ], "and the event on the dead letter goes no further"
    (letter,) = world.letters()
    assert letter["reason"] == "loop"
    assert "MaxChainedRuns" in letter["error"]
    assert [event.detail["chain"] for event in world.told] == [1, 2, 3, 4]
    assert world.told[-1].detail["reason"] == "loop"
    assert len(world.airflow.runs) == LONGEST


def test_the_row_keeps_the_place_for_the_end_of_the_run(world: World) -> None:
    world.dispatch(message(0))
    entry = starts(world, delivered(world.told[-1]))
    row = world.ledger.get(entry.id)
    assert row is not None
    ended = completion("env", row, state="success", start=NOW, end=NOW, now=NOW)
    assert (ended.detail["chain"], chain_of(delivered(ended))) == (2, 2)
    blank = announcement("env", replace(row, chain=None))
    assert (blank.detail["chain"], chain_of(delivered(blank))) == (None, 0), "of a row that is older than this"


def test_with_a_higher_bound_the_letter_is_redriven_and_starts(world: World) -> None:
    world.limits = replace(world.limits, longest_chain=1)
    world.dispatcher = world.make_dispatcher()
    world.dispatch(message(0))
    event = delivered(world.told[-1])
    assert starts(world, event).decision == "dead-lettered"
    (letter,) = world.letters()
    world.limits = replace(world.limits, longest_chain=2)
    world.dispatcher = world.make_dispatcher()
    redriven = {**letter["message"], "redriven_at": (NOW + timedelta(seconds=1)).isoformat()}
    entry = world.dispatch(message(body=json.dumps(redriven), message_id="again"))
    assert (entry.decision, entry.chain) == ("started", 2)


@pytest.mark.parametrize("chain", [None, "3", 2.5, True, -1, 0, 10**9, [1], {"n": 1}], ids=str)
def test_what_is_no_number_of_runs_counts_as_none(chain: object) -> None:
    assert chain_of({"source": "jetway", "detail": {"chain": chain}}) == 0


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda one: st.dictionaries(st.text(), one)))
def test_nothing_that_an_event_holds_is_trouble(detail: object) -> None:
    assert chain_of({"source": "jetway", "detail": detail}) >= 0
    assert chain_of({"source": "acme", "detail": {"chain": 5}}) == 0, "others may say what they like"


def jetways(number: int, chain: int, **more: Any) -> dict[str, Any]:
    detail = {"id": f"run-{number}", "dag_id": "ingest", "chain": chain, **more}
    kind = "EventDeadLettered" if "reason" in more else "DagRunSucceeded"
    return {"id": str(number), "source": "jetway", "detail-type": kind, "time": START.isoformat(), "detail": detail}


def test_a_batch_goes_on_from_the_longest_chain_of_its_events() -> None:
    members = [parse_member(body_of(jetways(number, number), **BATCH), sent_at=START)[1] for number in (1, 7, 2)]
    stream, _ = parse_member(body_of(jetways(1, 1), **BATCH), sent_at=START)
    closed = closed_of(stream.trigger, members)
    event = json.loads(dispatch_message(closed, "drop"))["event"]
    assert event["chain"] == 7
    others = [parse_member(body_of({**jetways(1, 1), "source": "acme"}, **BATCH), sent_at=START)[1]]
    assert "chain" not in json.loads(dispatch_message(closed_of(stream.trigger, others), "drop"))["event"]


def closed_of(trigger: str, members: list[Any]) -> Any:
    return Closed("b", "again", trigger, START.isoformat(), START.isoformat(), tuple(members))


def test_the_run_of_a_batch_has_its_place_and_no_trace_of_it_in_its_conf(world: World) -> None:
    stream, member = parse_member(body_of(jetways(1, 2), **BATCH), sent_at=START)
    body = dispatch_message(closed_of(stream.trigger, [member]), "drop")
    entry = world.dispatch(message(body=body, group="bulk/again"))
    assert (entry.decision, entry.chain) == ("started", 3)
    assert "chain" not in json.loads(json.dumps(next(iter(world.airflow.runs))))


def test_in_a_batch_the_one_event_is_refused_and_the_others_have_their_run() -> None:
    with mock_aws():
        world = Batches()
        bodies = [body_of(jetways(number, chain), **BATCH) for number, chain in ((1, 1), (2, 16), (3, 15))]
        bodies.append(body_of(jetways(4, 17, reason="loop"), **BATCH))
        bodies.append(bodies[1])
        entries, failed = world.take(bodies)
        assert failed == []
        assert sorted(entry.decision for entry in entries) == [
            "batched",
            "batched",
            "dead-lettered",
            "duplicate",
            "skipped",
        ]
        (letter,) = world.letters()
        assert (letter["reason"], letter["message"]["event"]["detail"]["id"]) == ("loop", "run-2")
        (sent,) = world.dispatched()
        assert (sent["event"]["count"], sent["event"]["chain"]) == (2, 15)
