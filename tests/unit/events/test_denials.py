"""A denial is said each time, and told to the bus once for as long as it lasts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from moto import mock_aws

from jetway.errors import JetwayError, PermissionMissingError
from jetway.events.denials import OVER_AFTER, Denials, denial_in
from jetway.events.outgoing import EventsOutError, OutEvent
from jetway.observability import metrics
from tests.unit.artifacts.buckets import TABLE, make_artifact_table

DENIED = PermissionMissingError("no", action="airflow:GetEnvironment", resource="arn:x")
NOW = datetime(2026, 11, 29, 6, 0, tzinfo=UTC)


class Bus:
    """Takes events, or not."""

    def __init__(self) -> None:
        self.events: list[OutEvent] = []
        self.full = False

    def __call__(self, event: OutEvent) -> None:
        if self.full:
            raise EventsOutError("throttled")
        self.events.append(event)


class World:
    """A table, a bus, and a clock to be set."""

    def __init__(self, table: str = TABLE) -> None:
        self.now, self.bus, self.table = NOW, Bus(), table

    def report(self, exc: PermissionMissingError = DENIED, *, function: str = "follow_runs") -> list[str]:
        """Report in a new sandbox; return what has been told so far."""
        Denials(
            boto3.client("dynamodb", region_name="eu-central-1"),
            self.table,
            key="pk",
            ttl="expires_at",
            environment="acme",
            function=function,
            tell=self.bus,
            clock=lambda: self.now,
        ).report(exc)
        return [str(event.detail["action"]) for event in self.bus.events]


@pytest.fixture
def world() -> Iterator[World]:
    metrics.clear_metrics()
    with mock_aws():
        make_artifact_table(boto3.client("dynamodb", region_name="eu-central-1"))
        yield World()


def test_it_is_told_once_for_as_long_as_it_lasts(world: World, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(60):  # 15 hours, at a try every 15 minutes
        assert world.report() == ["airflow:GetEnvironment"]
        world.now += timedelta(minutes=15)
    lines = [line for line in caplog.records if line.levelname == "ERROR"]
    assert len(lines) == 60, "every denial is a line"
    assert vars(lines[0])["resource"] == "arn:x"
    world.now += OVER_AFTER
    assert len(world.report()) == 2, "it was given meanwhile, and is missing again"
    first, second = world.bus.events
    assert first.id != second.id
    assert (first.detail_type, first.detail["function"]) == ("PermissionMissing", "follow_runs")


def test_each_function_and_each_action_is_told(world: World) -> None:
    world.report()
    world.report(PermissionMissingError("no", action="airflow:CreateCliToken"))
    assert len(world.report(function="start_dag_run")) == 3


def test_what_the_bus_does_not_take_is_told_by_the_next_denial(world: World) -> None:
    world.bus.full = True
    assert world.report() == []
    world.bus.full = False
    assert len(world.report()) == 1


def test_without_its_table_it_is_told_rather_twice_than_never() -> None:
    with mock_aws():
        world = World("gone")
        world.report()
        assert len(world.report()) == 2


def test_a_denial_is_found_behind_what_came_of_it() -> None:
    between, held, other = ValueError("x"), JetwayError("held"), JetwayError("held")
    held.__cause__, between.__cause__, other.__cause__ = between, DENIED, ValueError("x")
    assert denial_in(held) is denial_in(DENIED) is DENIED
    assert denial_in(other) is None
    assert denial_in(None) is None
