"""The worlds that scenes begin with."""

from __future__ import annotations

import pytest

from .update_stage import with_a_broken_update
from .update_world import UpdateWorld


@pytest.fixture
def world() -> UpdateWorld:
    return UpdateWorld()


@pytest.fixture
def broken(world: UpdateWorld) -> tuple[UpdateWorld, str]:
    """v1 is in force, and the next look finds what it has broken."""
    return world, with_a_broken_update(world)
