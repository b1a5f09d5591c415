"""The world for the tests of its signals."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from moto import mock_aws

from jetway.observability import metrics
from tests.unit.airflow.conftest import certificate as certificate  # noqa: PLC0414 - a fixture of ours as well
from tests.unit.mwaa_server import MwaaServer
from tests.unit.signals.airflow import Environment
from tests.unit.signals.world import World


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, certificate: Path) -> Iterator[World]:
    """A stack beside an environment that is AVAILABLE."""
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "JETWAY_API_URL", "JETWAY_STACK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(metrics.provider, "namespace", "Jetway")
    monkeypatch.setattr("jetway.dispatch.lanes.PAUSES", (0.05, 0.15))
    environment = Environment(certificate)
    with mock_aws(), MwaaServer() as mwaa, environment.web:
        mwaa.cli_host = environment.web.host
        world = World(mwaa, environment, monkeypatch)
        yield world
        world.close()
