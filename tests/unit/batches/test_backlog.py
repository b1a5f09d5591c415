"""What scale_workers foresees a burst by: events wherever they wait for their run."""

from __future__ import annotations

from datetime import timedelta

import pytest
from botocore.exceptions import ClientError

from jetway.workers.backlog import Backlog
from tests.unit.batches.world import Kill, KilledError, World, event


def backlog(world: World) -> Backlog:
    waiting = world.sqs.create_queue(QueueName="waiting")["QueueUrl"]
    return Backlog(world.sqs, [world.dispatch, world.collect, waiting], world.table)


def test_events_count_wherever_they_wait(world: World) -> None:
    found = backlog(world)
    assert found.count() == 0
    for number in range(3):
        world.sqs.send_message(QueueUrl=world.collect, MessageBody=event(number))
    for number in range(2):
        world.sqs.send_message(QueueUrl=found.queues[2], MessageBody=str(number))
    world.sqs.send_message(QueueUrl=world.dispatch, MessageBody="x", MessageGroupId="bulk")
    assert found.count() == 6


def test_what_sqs_delays_is_no_event_that_comes_now(world: World) -> None:
    found = backlog(world)
    world.sqs.send_message(QueueUrl=world.collect, MessageBody="callback at the deadline", DelaySeconds=900)
    world.sqs.send_message(QueueUrl=found.queues[2], MessageBody="a trigger's rate", DelaySeconds=900)
    assert found.count() == 0


def test_an_open_batch_counts_with_all_of_its_events_until_it_is_dispatched(world: World) -> None:
    found = backlog(world)
    world.take([event(number, max_events=200) for number in range(12)])
    world.take([event(number, max_events=200, dag="other") for number in range(200, 203)])
    assert found.count() == 15
    world.now += timedelta(minutes=6)
    world.sweep()
    assert found.count() == 2  # two messages on the dispatch queue, each to become a run


def test_a_batch_whose_finisher_died_still_counts(world: World) -> None:
    found = backlog(world)
    world.take([event(number) for number in range(4)])
    world.now += timedelta(minutes=6)
    kill = Kill(after=2)  # the list of the open batches, and the closing of the one there is
    with pytest.raises(KilledError):
        world.sweep(kill)
    assert (world.table.list_open(), len(world.table.list_closed())) == ([], 1)
    assert found.count() == 4


def test_a_queue_that_is_gone_is_an_error_and_no_zero(world: World) -> None:
    with pytest.raises(ClientError):
        Backlog(world.sqs, [f"{world.collect}-gone"], world.table).count()
