"""The CLI client against a real web server on loopback; boto3's client is stubbed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.stub import Stubber
from hypothesis import settings

from jetway.airflow.cli import CliClient
from jetway.airflow.endpoint import CliEndpoint
from jetway.airflow.environment import Environment
from jetway.airflow.web_server import new_session
from tests.unit.airflow.certificates import make_certificate
from tests.unit.airflow.rest_stage import OtherClient, Rest, rest_client
from tests.unit.airflow.webserver import WebServer

if TYPE_CHECKING:
    import requests
    from mypy_boto3_mwaa import MWAAClient

ENVIRONMENT = "acme"

# How long an example takes says more about the machine than about the code.
settings.register_profile("jetway", deadline=None)
settings.load_profile("jetway")


@pytest.fixture(autouse=True)
def _no_machine_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Proxies and certificates of the machine are none of the tests' business."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "AWS_CA_BUNDLE", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_MWAA", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The certificate of a web server on loopback."""
    return make_certificate(tmp_path_factory.mktemp("tls"))


@dataclass
class Clock:
    """Time that stands still until a test moves it."""

    now: float = 1_000_000.0
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@dataclass
class Stage:
    """One environment: the stubbed control plane, its web server, and the client under test."""

    web: WebServer
    mwaa: MWAAClient
    stub: Stubber
    clock: Clock
    session: requests.Session

    def environment(self, version: str = "3.3.1", status: str = "AVAILABLE") -> None:
        self.stub.add_response("get_environment", environment_answer(version, status), {"Name": ENVIRONMENT})

    def token(self, token: str = "t1", host: str | None = None) -> None:
        self.stub.add_response(
            "create_cli_token",
            {"CliToken": token, "WebServerHostname": host or self.web.host},
            {"Name": ENVIRONMENT},
        )

    def ready(self, version: str = "3.3.1", token: str = "t1") -> None:
        """Expect what every first command asks: the environment, then a token."""
        self.environment(version)
        self.token(token)

    def client(self, **bounds: Any) -> CliClient:
        facts = Environment(self.mwaa, ENVIRONMENT, clock=self.clock)
        bounds.setdefault("clock", self.clock)
        endpoint = CliEndpoint(self.mwaa, facts, session=self.session, **bounds)
        return CliClient(endpoint, facts, sleep=self.clock.sleep, jitter=lambda: 0.0)


def environment_answer(version: str, status: str = "AVAILABLE") -> dict[str, Any]:
    return {
        "Environment": {
            "Name": ENVIRONMENT,
            "Status": status,
            "AirflowVersion": version,
            "SourceBucketArn": "arn:aws:s3:::acme-airflow",
            "DagS3Path": "dags/",
        }
    }


@pytest.fixture(scope="session")
def mwaa() -> MWAAClient:
    return boto3.client("mwaa", region_name="eu-central-1", aws_access_key_id="AKIATEST", aws_secret_access_key="test")


@pytest.fixture
def stage(certificate: Path, mwaa: MWAAClient) -> Iterator[Stage]:
    session = new_session()
    session.verify = str(certificate)
    with WebServer(certificate) as web, Stubber(mwaa) as stub, session:
        yield Stage(web, mwaa, stub, Clock(), session)
        stub.assert_no_pending_responses()
        assert not web.script, "the client asked less often than expected"


@pytest.fixture
def rest(mwaa: MWAAClient) -> Iterator[Rest]:
    other = OtherClient()
    with Stubber(mwaa) as stub:
        yield Rest(mwaa, stub, other, rest_client(mwaa, lambda: other))
        stub.assert_no_pending_responses()
