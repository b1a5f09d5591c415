"""The world that events are dispatched in."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from moto import mock_aws

from tests.unit.dispatch.outcomes import Airflow
from tests.unit.dispatching import World


@pytest.fixture
def world() -> Iterator[World]:
    with mock_aws():
        world = World()
        world.airflow = Airflow()
        world.dispatcher = world.make_dispatcher()
        yield world


@pytest.fixture
def airflow(world: World) -> Airflow:
    assert isinstance(world.airflow, Airflow)
    return world.airflow
