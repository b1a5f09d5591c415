"""Whatever is delivered, in which order, how often, with whatever crashes: every event ends in exactly one run."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from moto import mock_aws

from tests.unit.batches.world import Kill, KilledError, World, event

pytestmark = pytest.mark.slow

EVENTS = st.lists(st.integers(min_value=0, max_value=30), min_size=1, max_size=6)
DEATH = st.none() | st.integers(min_value=1, max_value=20)


class Collecting(RuleBasedStateMachine):
    """Deliveries, duplicates, deaths, call backs, sweeps and time, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.mock = mock_aws()
        self.mock.start()
        self.world = World()
        self.queue: list[int] = []  # what SQS still holds
        self.sent: set[int] = set()
        self.largest = 1

    @initialize(largest=st.integers(min_value=1, max_value=6))
    def choose(self, largest: int) -> None:
        self.largest = largest

    @rule(numbers=EVENTS, death=DEATH)
    def deliver(self, numbers: list[int], death: int | None) -> None:
        self.sent.update(numbers)
        self._take(numbers, death)

    @rule(seed=st.integers(), death=DEATH)
    def deliver_again(self, seed: int, death: int | None) -> None:
        held, self.queue = self.queue, []
        random.Random(seed).shuffle(held)
        self._take(held[:10], death)
        self.queue += held[10:]

    @rule(seconds=st.sampled_from([1, 59, 299, 301, 100_000]))
    def wait(self, seconds: int) -> None:
        self.world.now += timedelta(seconds=seconds)

    @rule(death=DEATH)
    def call_back(self, death: int | None) -> None:
        waiting = self.world.callbacks()
        try:
            self.world.take(waiting, Kill(death))
        except KilledError:
            self.world.called_back += waiting

    @rule(death=DEATH)
    def sweep(self, death: int | None) -> None:
        try:
            self.world.sweep(Kill(death))
        except KilledError:
            return

    @rule()
    def five_minutes_pass_at_the_dispatch_queue(self) -> None:
        self.world.forget_deduplication()

    def teardown(self) -> None:
        try:
            while self.queue:
                self.deliver_again(0, None)
            self.world.settle()
            self.world.judge(self.sent, largest=self.largest)
        finally:
            self.mock.stop()

    def _take(self, numbers: list[int], death: int | None) -> None:
        bodies = [event(number, max_events=self.largest) for number in numbers]
        try:
            _, failed = self.world.take(bodies, Kill(death))
        except KilledError:
            self.queue += numbers
        else:
            self.queue += [numbers[int(position)] for position in failed]


TestCollecting: Any = Collecting.TestCase
TestCollecting.settings = settings(
    max_examples=10, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck)
)
