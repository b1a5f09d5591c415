"""A message that is held with its lane: what its row says meanwhile, of any event that is still to be started."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

from jetway.errors import CommandRejectedError, EnvironmentUnavailableError
from tests.unit.dispatch.outcomes import Airflow, call
from tests.unit.dispatching import NOW, World, file_message

UPDATING = EnvironmentUnavailableError("UPDATING")
HOUR = timedelta(hours=1)  # MaxEventAgeHours of this world


def test_a_call_that_is_held_says_when_it_was_made_and_until_when_it_may_start(world: World) -> None:
    """Where a call tells no time of its own, SQS does."""
    made, body = NOW - timedelta(minutes=3), json.loads(call().body)
    del body["event"]["time"]
    held = world.dispatcher.held(replace(call(), body=json.dumps(body), sent_at=made), UPDATING)
    assert (held.occurred_at, held.until) == (made, made + HOUR)


def test_a_redriven_dead_letter_that_is_held_is_no_dead_letter_any_more(world: World, airflow: Airflow) -> None:
    """Else whoever has redriven it reads that nothing has come of that, and does so again."""
    airflow.error = CommandRejectedError("no")
    dead = world.dispatch(file_message())
    redriven = file_message(redriven_at=(world.now + timedelta(minutes=1)).isoformat())
    assert world.dispatcher.held(file_message(), UPDATING).decision == "held"
    row = world.ledger.get(dead.id)
    assert row is not None
    assert row.decision == "dead-lettered", "of a late copy that is held, the row says nothing"
    world.dispatcher.held(redriven, UPDATING)
    row = world.ledger.get(dead.id)
    assert row is not None
    assert (row.decision, row.because) == ("held", "environment-unavailable: UPDATING")
