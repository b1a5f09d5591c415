"""The events out on decisions are made of rows alone, however late the bus takes them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from jetway.dispatch.run_events import announcement
from jetway.errors import CommandRejectedError
from tests.unit.dispatch.outcomes import Airflow
from tests.unit.dispatching import NOW, World, file_message


@pytest.mark.parametrize("error", [None, CommandRejectedError("no")])
def test_an_event_that_is_sent_late_has_the_time_of_its_decision(
    world: World, airflow: Airflow, error: Exception | None
) -> None:
    """Without it the bus would take the time of the sending, hours after a run has started or was given up."""
    airflow.error = error
    row = world.ledger.get(world.dispatch(file_message()).id)
    world.now += timedelta(hours=3)
    assert row is not None
    event = announcement("env", row)
    assert (event.time, event) == (NOW, world.told[0])
