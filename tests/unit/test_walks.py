"""Pieces of work walk through the library without going back and forth more than they do now. `make walks` prints it.

A bound that can be lower is lowered with the change that makes it so.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from moto import mock_aws

from jetway.gate.s3_notification import Arrival
from jetway.verification.verifier import Verified
from tests.unit.artifacts.buckets import DROP
from tests.unit.batches import world as batching
from tests.unit.dispatching import World as Dispatching
from tests.unit.dispatching import file_message
from tests.unit.http.function import ask, in_process
from tests.unit.promotion import world as promoting
from tests.unit.sync import conftest as syncing
from tests.unit.sync.world import ORDERS
from tools.checks.walks import Walk, walk

# Returns to a module that was left before, at most.
BOUNDS = {"dispatch": 55, "batch": 195, "gate": 112, "verify": 172, "http": 40, "sync": 70}


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[ExitStack]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    with ExitStack() as stack:
        yield stack


def a_file_event_becomes_a_run(stack: ExitStack, _: pytest.MonkeyPatch) -> Walk:
    stack.enter_context(mock_aws())
    world = Dispatching()
    world.dispatch(file_message("first.csv"))  # what is remembered is so
    return walk(lambda: world.dispatch(file_message("second.csv")))


def five_events_fill_a_batch(stack: ExitStack, _: pytest.MonkeyPatch) -> Walk:
    stack.enter_context(mock_aws())
    world = batching.World()
    return walk(lambda: world.take([batching.event(number) for number in range(5)]))


def a_dag_file_is_promoted(_: ExitStack, __: pytest.MonkeyPatch) -> Walk:
    world, key = promoting.World(), "dags/returns.py"
    world.verified("dags/orders.py")
    body = promoting.GOOD.replace(b"orders", b"returns")
    version = world.s3.put_object(Bucket=DROP, Key=key, Body=body)["VersionId"]
    gate = world.gate()
    return walk(lambda: gate.settle(Arrival(DROP, key, version)))


def two_files_are_verified(_: ExitStack, __: pytest.MonkeyPatch) -> Walk:
    world = promoting.World()
    for name in (b"a", b"b"):
        world.drop(f"dags/{name.decode()}.py", promoting.GOOD.replace(b"orders", name))
    world.now += promoting.PARSED
    verifier = world.verifier()
    found: list[Verified] = []
    done = walk(lambda: verifier.look(on_verified=found.append))
    assert len(found) == 2
    return done


def a_call_with_a_key(stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> Walk:
    stack.enter_context(in_process(monkeypatch))
    call: Callable[[str], dict[str, Any]] = lambda key: ask(  # noqa: E731 - said twice
        "POST", "/dags/orders/dagRuns", body={}, headers={"idempotency-key": key}
    )
    call("first")
    found: list[dict[str, Any]] = []
    done = walk(lambda: found.append(call("second")))
    assert found[0]["statusCode"] == 202
    return done


def a_trigger_file_becomes_a_rule(stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> Walk:
    stack.enter_context(mock_aws())
    world = syncing.make()
    found: list[Any] = []
    done = walk(lambda: found.append(world.sync(orders=ORDERS)))
    assert world.rules()
    return done


SCENES = {
    "dispatch": a_file_event_becomes_a_run,
    "batch": five_events_fill_a_batch,
    "gate": a_dag_file_is_promoted,
    "verify": two_files_are_verified,
    "http": a_call_with_a_key,
    "sync": a_trigger_file_becomes_a_rule,
}


@pytest.mark.parametrize("scene", SCENES)
def test_no_walk_goes_back_and_forth_more_than_before(
    scene: str, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = SCENES[scene](stack, monkeypatch)
    if os.environ.get("WALKS"):
        print(f"{scene:10} {found}")
    assert len(found.modules) > 4, "it looked at nothing"
    assert found.returns <= BOUNDS[scene]


def test_a_walk_counts_switches_and_returns() -> None:
    found = Walk([("a", "f"), ("b", "g"), ("b", "h"), ("a", "f"), ("c", "k"), ("b", "g")])
    assert (found.functions, found.modules, found.switches, found.returns) == (4, ("a", "b", "c"), 4, 2)
    assert Walk([]).returns == 0
