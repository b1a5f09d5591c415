"""The event engine in every interleaving: the shortest play that breaks an invariant is shown."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import partial

import pytest

from tests.unit.explorer.event_scenes import MEETINGS
from tests.unit.explorer.event_street import FaultyPlay, by_lot, explore, one_disturbance, play_once

# What hardly talks to Airflow, or takes long, is walked over the transport that has more answers; `make test-all` plays
# it by lot over both.
OVER_CLI_ONLY = {"batched", "due", "rated", "rated, unknown", "letter", "waiting", "dead", "ended", "calls", "room"}
OVER_CLI_ONLY |= {"redriven", "deadly", "deadly alone", "deadly, claimed", "crashed"}
WALKED = [
    (name, transport)
    for name in MEETINGS
    for transport in ("rest", "cli")
    if transport == "cli" or name not in OVER_CLI_ONLY
]

# Where Jetway itself finds out how Airflow is reached, that may change between any two calls.
OVER_EITHER = ("file", "late", "chosen call", "call of others")
WALKED += [(name, "auto") for name in OVER_EITHER[::2]]
PLAYED_BY_LOT = [
    *((name, way) for name in MEETINGS for way in ("rest", "cli")),
    *((name, "auto") for name in OVER_EITHER),
]


def others_of(name: str, transport: str) -> list[str]:
    """Return who may come between two calls of the first actor of a meeting."""
    return [*MEETINGS[name].others, *(["reached otherwise"] if transport == "auto" else [])]


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Of a thousand invocations nobody reads the log."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize(("name", "transport"), WALKED)
def test_one_disturbance_breaks_nothing(name: str, transport: str) -> None:
    meeting = MEETINGS[name]
    make = partial(meeting.make, transport)
    found = explore(make, one_disturbance(make, meeting.first, others_of(name, transport)))
    assert found.plays >= 10
    assert not found.broken, str(found)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "transport"), PLAYED_BY_LOT)
def test_no_order_of_many_disturbances_breaks_anything(name: str, transport: str) -> None:
    meeting = MEETINGS[name]
    others = [*others_of(name, transport), meeting.first, meeting.first]
    found = by_lot(partial(meeting.make, transport), meeting.first, others, plays=150, seed=1)
    assert not found.broken, str(found)


def test_a_play_can_be_read_and_played_again() -> None:
    play = FaultyPlay("dispatch", between=((1, FaultyPlay("copy")),), faults=((2, "503 done"),))
    assert str(play) == "dispatch (after 1 calls, copy) [call 2: 503 done]"
    assert play_once(partial(MEETINGS["file"].make, "rest"), play) is None
