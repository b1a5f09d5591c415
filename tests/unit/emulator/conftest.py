"""A real gateway on loopback, over TLS, with everything but Airflow: commands are answered by a fake runner."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests
from botocore.config import Config

from tools.emulator import certificates, processes
from tools.emulator.airflow import Airflow
from tools.emulator.certificates import Certificates
from tools.emulator.gateway.callers import Ask, nobody_asks
from tools.emulator.gateway.compose import Parts, compose
from tools.emulator.gateway.config import GatewayConfig
from tools.emulator.gateway.environment import Applier, keep
from tools.emulator.gateway.runner import CommandResult
from tools.emulator.gateway.server import Server

NAME = "my-environment"


class Clock:
    """A clock that stands still until it is told."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class FakeRunner:
    """Answers commands; holds them while `go` is not set."""

    def __init__(self) -> None:
        self.commands: list[list[str]] = []
        self.result: CommandResult | Exception = CommandResult(0, b"out", b"err")
        self.go = threading.Event()
        self.go.set()
        self.finished = threading.Semaphore(0)

    def run(self, arguments: Sequence[str], seconds: float) -> CommandResult:
        self.commands.append(list(arguments))
        assert self.go.wait(30)
        self.finished.release()
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


@dataclass
class FakeAirflow:
    """A REST API on loopback that records what it was asked and gives the same answer to all."""

    port: int = 0
    status: int = 200
    body: bytes = b'{"total_entries": 0}'
    asked: list[dict[str, Any]] = field(default_factory=list)
    go: threading.Event = field(default_factory=threading.Event)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates.ensure(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def boto_session() -> boto3.Session:
    """One session for all tests: it reads the service models once."""
    return boto3.Session(region_name="us-east-1", aws_access_key_id="AKIAEXAMPLE", aws_secret_access_key="secret")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def runner() -> FakeRunner:
    return FakeRunner()


@pytest.fixture
def airflow_api() -> Iterator[FakeAirflow]:
    fake = FakeAirflow()
    fake.go.set()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length", "0"))
            fake.asked.append(
                {
                    "method": self.command,
                    "target": self.path,
                    "authorization": self.headers.get("Authorization"),
                    "body": json.loads(self.rfile.read(length)) if length else None,
                }
            )
            fake.go.wait(30)
            self.send_response(fake.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(fake.body)))
            self.end_headers()
            try:
                self.wfile.write(fake.body)
            except OSError:
                return  # whoever asked has stopped waiting

        do_POST = do_PATCH = do_PUT = do_DELETE = do_GET  # noqa: N815 - http.server's names

        def log_message(self, *args: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        fake.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield fake
        fake.go.set()
        server.shutdown()
        thread.join()


@dataclass
class Running:
    """A gateway that listens."""

    config: GatewayConfig
    parts: Parts
    airflow: Airflow
    mwaa: Any
    http: requests.Session

    @property
    def url(self) -> str:
        return self.config.url

    def cli(self, command: str | bytes, *, token: str | None = None, path: str = "/aws_mwaa/cli/") -> requests.Response:
        """Post a command, with a fresh token unless one is given."""
        if token is None:
            token = self.mwaa.create_cli_token(Name=NAME)["CliToken"]
        return self.http.post(
            self.url + path,
            data=command,
            headers={"Authorization": f"Bearer {token}", "Content-Type": "text/plain"},
            allow_redirects=False,
            timeout=30,
        )

    def counters(self) -> dict[str, int]:
        found: dict[str, int] = self.http.get(f"{self.url}/_local/counters", timeout=30).json()
        return found


Launch = Callable[..., Running]


@pytest.fixture
def launch(
    tmp_path: Path,
    certificate: Certificates,
    clock: Clock,
    runner: FakeRunner,
    airflow_api: FakeAirflow,
    boto_session: boto3.Session,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Launch]:
    """Start a gateway: `launch(airflow_version="3.3.1", faults=True, …settings of GatewayConfig)`."""
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    closing: list[Callable[[], Any]] = []

    def start(
        airflow_version: str = "3.3.1",
        *,
        applier: Applier = keep,
        rest_seconds: float = 10.0,
        ask: Ask = nobody_asks,
        **settings: Any,
    ) -> Running:
        state = tmp_path / "gateway"
        state.mkdir(exist_ok=True)
        airflow = Airflow(
            home=tmp_path / "airflow",
            python=Path("python"),
            version=airflow_version,
            port=airflow_api.port,
            username="admin",
            password="of-airflow",
            fernet_key="",
            secret="",
        )
        config = GatewayConfig(
            environment=NAME,
            bucket="environment-bucket",
            port=processes.free_port(),
            state=state,
            airflow=airflow.file,
            certificate=certificate.certificate,
            key=certificate.key,
            endpoint="http://127.0.0.1:1",
            **{"faults": True, "update_seconds": 0.0, **settings},
        )
        seconds = rest_seconds
        parts = compose(config, airflow, runner=runner, applier=applier, clock=clock, rest_seconds=seconds, ask=ask)
        server = Server(config.port, config.certificate, config.key, parts.app)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        http = requests.Session()
        http.verify, http.trust_env = str(certificate.bundle), False
        mwaa = boto_session.client(
            "mwaa",
            endpoint_url=config.url,
            verify=str(certificate.bundle),
            config=Config(inject_host_prefix=False, retries={"total_max_attempts": 1}, read_timeout=30),
        )
        closing.extend((mwaa.close, http.close, server.shutdown, thread.join, server.server_close))
        closing.append(parts.environment.close)
        return Running(config, parts, airflow, mwaa, http)

    yield start
    runner.go.set()
    for close in closing:
        close()


@pytest.fixture
def gateway(launch: Launch) -> Running:
    """A gateway in front of Airflow 3, with faults."""
    return launch()
