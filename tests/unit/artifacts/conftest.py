"""Fixtures of the artifact tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .buckets import Buckets, buckets


@pytest.fixture
def world() -> Iterator[Buckets]:
    with buckets() as found:
        yield found


@pytest.fixture
def unversioned() -> Iterator[Buckets]:
    with buckets(versioned=False) as found:
        yield found
