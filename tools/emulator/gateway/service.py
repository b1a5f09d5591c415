"""The gateway as a program: run (`python -m tools.emulator.gateway`), and started and asked from another program."""

from __future__ import annotations

import http.client
import logging
import os
import signal
import ssl
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

from tools import venvs
from tools.emulator import processes
from tools.emulator.airflow import Airflow
from tools.emulator.gateway.applying import AirflowUpdater
from tools.emulator.gateway.callers import ask_local_aws
from tools.emulator.gateway.compose import compose
from tools.emulator.gateway.loads import LoadMeter
from tools.emulator.gateway.metrics import MetricsPublisher
from tools.emulator.gateway.runner import ForkServerRunner
from tools.emulator.gateway.server import Server
from tools.emulator.gateway.sync import DagSync

if TYPE_CHECKING:
    from tools.emulator.gateway.config import GatewayConfig

log = logging.getLogger(__name__)

_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE")
_REPOSITORY = Path(__file__).resolve().parents[3]


def start(config: GatewayConfig, config_file: Path, *, folder: Path, seconds: float = 60.0) -> processes.Process:
    """Write the configuration, start the gateway, and wait until it takes CLI commands.

    A gateway that runs already is left alone, whatever its configuration.

    Args:
        folder: for its log and pid file; its name there is "gateway".

    Raises:
        processes.ProcessError: it ended early or the time is over; the text ends with its log.
    """
    config.state.mkdir(parents=True, exist_ok=True)
    config.write(config_file)
    names = ("HOME", "LANG", "LC_ALL", "PATH", "TMPDIR", "TZ", "USER")
    env = {name: os.environ[name] for name in names if name in os.environ}
    # An update installs packages: from where the caller's uv does.
    env |= {name: value for name, value in os.environ.items() if name.startswith(("UV_", "PIP_")) or name in _PROXIES}
    # The browser tests start the stack from a virtual environment that has no Jetway.
    path = os.pathsep.join((str(_REPOSITORY), str(_REPOSITORY / "layers" / "jetway")))
    env |= {"PYTHONPATH": path, "AWS_EC2_METADATA_DISABLED": "true", "PYTHONUNBUFFERED": "1"}
    process = processes.start(
        "gateway",
        [sys.executable, "-m", "tools.emulator.gateway", "--config", str(config_file)],
        folder=folder,
        env=env,
        cwd=_REPOSITORY,
    )
    processes.wait_until(lambda: ready(config), seconds=seconds, what="the MWAA gateway", processes=[process])
    if not processes.alive(process):  # what answers is another one, on the same port
        raise processes.ProcessError(f"the MWAA gateway ended.\n{processes.tail(process.log)}")
    return process


def ready(config: GatewayConfig) -> bool:
    """Whether the gateway listens and takes commands."""
    context = ssl.create_default_context(cafile=str(config.certificate.with_name("ca.pem")))
    connection = http.client.HTTPSConnection("127.0.0.1", config.port, timeout=5, context=context)
    try:
        connection.request("GET", "/_local/health")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def run(config: GatewayConfig) -> None:
    """Run the gateway until SIGTERM or SIGINT.

    Raises:
        SystemExit: the port is taken.
    """
    if not processes.port_is_free(config.port):
        raise SystemExit(f"Port {config.port} of 127.0.0.1 is taken: stop what listens there, or choose another.")
    airflow = Airflow.read(config.airflow)
    config.state.mkdir(parents=True, exist_ok=True)
    runner = ForkServerRunner(airflow.python, airflow.environment(log_level="INFO"), cwd=airflow.home)
    updater = AirflowUpdater(
        _client(config, "s3"),
        _client(config, "logs"),
        config.bucket,
        airflow,
        restart_commands=lambda updated: runner.restart(updated.environment(log_level="INFO")),
        uv=venvs.uv,
        images=config.images,
    )
    ask = ask_local_aws(config.endpoint, config.region)
    parts = compose(config, airflow, runner=runner, ready=runner.is_ready, applier=updater, ask=ask)
    sync = DagSync(
        _client(config, "s3"),
        config.bucket,
        lambda: parts.environment.describe()["DagS3Path"],
        airflow.dags,
        config.state / "dags.json",
    )
    metrics = MetricsPublisher(
        _client(config, "cloudwatch"),
        airflow.database,
        parts.control.description,
        LoadMeter(airflow).measure,
        config.state / "metrics.json",
    )
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with Server(config.port, config.certificate, config.key, parts.app) as server:
        _begin("server", server.serve_forever, stop)
        _begin("sync", lambda: sync.run(config.sync_seconds, stop), stop)
        if config.metrics_seconds:
            _begin("metrics", lambda: metrics.run(config.metrics_seconds, stop), stop)
        log.info("gateway of environment %s listens on %s", config.environment, config.url)
        stop.wait()
        parts.environment.close()
        server.shutdown()
        runner.close()


def _begin(name: str, work: Callable[[], None], stop: threading.Event) -> None:
    """Work in a thread; if it fails in a way that nobody foresaw, the gateway ends rather than limps."""

    def guarded() -> None:
        try:
            work()
        except Exception:
            log.exception("%s failed; the gateway ends", name)
            stop.set()
            raise

    threading.Thread(target=guarded, name=name, daemon=True).start()


def _client(config: GatewayConfig, service: str):  # type: ignore[no-untyped-def]
    return boto3.client(  # type: ignore[call-overload]
        service,
        endpoint_url=config.endpoint,
        region_name=config.region,
        aws_access_key_id=config.access_key_id,
        aws_secret_access_key=config.secret_access_key,
        config=Config(connect_timeout=2, read_timeout=10, retries={"total_max_attempts": 1}),
    )
