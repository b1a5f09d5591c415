"""Fixtures of the tests of what is live."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from moto import mock_aws

from tests.unit.promotion.world import World


@pytest.fixture
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """In memory; on moto where a test is parametrised so."""
    if getattr(request, "param", "memory") == "moto":
        with mock_aws():
            yield World(moto=True)
    else:
        yield World()
