"""Puts the parts of the gateway together that answer requests."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tools.emulator.gateway.app import Gateway
from tools.emulator.gateway.callers import Ask, nobody_asks
from tools.emulator.gateway.cli import CliEndpoint
from tools.emulator.gateway.control import ControlPlane
from tools.emulator.gateway.description import describe_new
from tools.emulator.gateway.environment import Applier, Environment, keep
from tools.emulator.gateway.faults import Faults
from tools.emulator.gateway.rest import RestApi, WebServer
from tools.emulator.gateway.throttle import Throttle
from tools.emulator.gateway.tokens import Tokens, load_key

if TYPE_CHECKING:
    from tools.emulator.airflow import Airflow
    from tools.emulator.gateway.config import GatewayConfig
    from tools.emulator.gateway.runner import Runner


@dataclass(frozen=True, slots=True)
class Parts:
    """What answers requests (`app`), and what else of the gateway needs to be at hand."""

    app: Gateway
    control: ControlPlane
    environment: Environment
    faults: Faults


def compose(
    config: GatewayConfig,
    airflow: Airflow,
    *,
    runner: Runner,
    ready: Callable[[], bool] = lambda: True,
    applier: Applier = keep,
    clock: Callable[[], float] = time.time,
    rest_seconds: float = 10.0,
    ask: Ask = nobody_asks,
) -> Parts:
    """Put the parts together.

    Args:
        ready: whether commands can be run.
        clock: seconds since the epoch.
        rest_seconds: how long InvokeRestApi waits for Airflow.
        ask: whether IAM lets the caller do something.
    """
    faults = Faults()
    throttle = Throttle(
        {
            "InvokeRestApi": config.rest_calls_per_second,
            "CreateCliToken": config.cli_tokens_per_second,
            "CreateWebLoginToken": config.web_login_tokens_per_second,
        },
        clock=clock,
    )
    tokens = Tokens(load_key(config.state / "token.key"), config.environment, clock)
    environment = Environment(
        config.state / "environment.json",
        describe_new(config, airflow_version=airflow.version, now=clock()),
        applier=applier,
        update_seconds=config.update_seconds,
        clock=clock,
    )
    rest = RestApi(airflow, seconds=rest_seconds)
    control = ControlPlane(
        environment=environment,
        tokens=tokens,
        rest=rest,
        faults=faults,
        throttle=throttle,
        hostname=config.hostname,
        token_seconds=config.token_seconds,
        ask=ask,
    )
    app = Gateway(
        control=control,
        cli=CliEndpoint(
            airflow_major=airflow.major,
            tokens=tokens,
            runner=runner,
            faults=faults,
            concurrency=config.cli_concurrency,
            seconds=config.cli_timeout,
        ),
        web=WebServer(airflow_major=airflow.major, tokens=tokens, rest=rest),
        faults=faults,
        throttle=throttle,
        web_url=airflow.url,
        ready=ready,
        injection=config.faults,
    )
    return Parts(app, control, environment, faults)
