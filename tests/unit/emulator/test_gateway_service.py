"""Starting the gateway as a program."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tools.emulator import processes
from tools.emulator.certificates import Certificates
from tools.emulator.gateway import service
from tools.emulator.gateway.config import GatewayConfig
from tools.emulator.processes import ProcessError


def config(tmp_path: Path, certificate: Certificates, port: int) -> GatewayConfig:
    return GatewayConfig(
        environment="e",
        bucket="b",
        port=port,
        state=tmp_path / "state",
        airflow=tmp_path / "jetway.json",
        certificate=certificate.certificate,
        key=certificate.key,
        endpoint="http://127.0.0.1:1",
    )


def test_a_port_that_is_taken_is_a_clear_error(tmp_path: Path, certificate: Certificates) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ProcessError, match=f"Port {port} of 127.0.0.1 is taken"):
            service.start(config(tmp_path, certificate, port), tmp_path / "config.json", folder=tmp_path / "run")
    assert processes.find(tmp_path / "run", "gateway") is None


def test_a_gateway_without_airflow_says_so(tmp_path: Path, certificate: Certificates) -> None:
    settings = config(tmp_path, certificate, processes.free_port())
    with pytest.raises(ProcessError, match=r"jetway\.json"):
        service.start(settings, tmp_path / "config.json", folder=tmp_path / "run")


def test_nobody_is_ready_where_nobody_listens(tmp_path: Path, certificate: Certificates) -> None:
    assert not service.ready(config(tmp_path, certificate, processes.free_port()))
