"""Fixtures of the tests of functions."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .airflow_rest import Airflow
from .edge import Edge, edges


@pytest.fixture
def edge(monkeypatch: pytest.MonkeyPatch) -> Iterator[Edge]:
    """AWS, and MWAA's control plane with an environment that is AVAILABLE."""
    with edges(monkeypatch) as edge:
        yield edge


@pytest.fixture
def airflow(edge: Edge) -> Airflow:
    """The environment's Airflow, over REST."""
    airflow = Airflow()
    edge.aws.mwaa.answer = airflow
    return airflow
