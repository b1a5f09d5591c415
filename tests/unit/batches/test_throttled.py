"""A partition that takes no more just now: pages of large events are hundreds of write units on one stream."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from jetway.batches.collector import LONGEST_PAUSE, MOST_TRIES

from .world import Kill, World, event


class Throttling(Kill):
    """DynamoDB cancels so many transactions for throttling, beginning with the one of that number."""

    def __init__(self, times: int, first: int = 1) -> None:
        super().__init__()
        self._refused = range(first, first + times)
        self.transactions = 0

    def wrap(self, client: Any) -> Any:
        wrapped, refuse = super().wrap(client), self._refuse

        class Client:
            def __getattr__(self, name: str) -> Any:
                found: Callable[..., Any] = getattr(wrapped, name)
                if name != "transact_write_items":
                    return found
                return lambda **request: refuse(len(request["TransactItems"])) or found(**request)

        return Client()

    def _refuse(self, steps: int) -> None:
        self.transactions += 1
        if self.transactions in self._refused:
            reasons = [{"Code": "None"}] * (steps - 1) + [{"Code": "ThrottlingError"}]
            said: Any = {"Error": {"Code": "TransactionCanceledException"}, "CancellationReasons": reasons}
            raise ClientError(said, "TransactWriteItems")


def test_a_throttled_claim_is_made_again_after_pauses(world: World) -> None:
    done, failed = world.take([event(number) for number in range(3)], Throttling(4))
    assert (len(done), failed) == (3, [])
    assert len(world.pauses) == 4
    assert all(0 <= pause <= LONGEST_PAUSE for pause in world.pauses)
    world.settle()
    world.judge(range(3), largest=5)


def test_a_throttled_closing_is_made_again_after_pauses(world: World) -> None:
    world.take([event(number) for number in range(3)])
    world.now += timedelta(minutes=6)
    world.sweep(Throttling(3))
    assert len(world.pauses) == 3
    world.judge(range(3), largest=5)


@pytest.mark.parametrize("first", [1, 2])
def test_throttling_without_an_end_ends_the_tries_and_loses_nothing(world: World, first: int) -> None:
    """The claim is throttled, or the closing of the batch that it filled."""
    bodies = [event(number) for number in range(5)]
    done, failed = world.take(bodies, Throttling(10_000, first))
    assert len(world.pauses) < MOST_TRIES
    assert len(done) + len(failed) == len(bodies)
    world.take([bodies[int(number)] for number in failed])
    world.settle()
    world.judge(range(5), largest=5)


def test_a_batch_that_cannot_be_closed_does_not_keep_the_sweep_from_the_others(world: World) -> None:
    world.take([event(number) for number in range(2)])
    world.take([event(number, name="others") for number in range(2, 4)])
    assert len(world.table.list_open()) == 2
    world.now += timedelta(minutes=6)
    with pytest.raises(Exception, match="cannot be closed now"):
        world.sweep(Throttling(MOST_TRIES))
    assert len(world.table.list_open()) == 1
    world.settle()
