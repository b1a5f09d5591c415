"""Airflow's client: the one place that knows which parts a transport needs."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Literal

from jetway.airflow.environment import Environment
from jetway.wiring.clients import COMES_AGAIN, ONCE, client
from jetway.wiring.variables import one_of

if TYPE_CHECKING:
    from mypy_boto3_mwaa import MWAAClient

    from jetway.airflow import AirflowQuestions
    from jetway.airflow.import_errors import ImportErrors

Transport = Literal["cli", "rest"]
TRANSPORTS = one_of("cli", "rest")


def mwaa_client() -> MWAAClient:
    """Return a client of MWAA's control plane."""
    return client("mwaa", COMES_AGAIN)


def import_errors_of(
    environment_name: str, *, mwaa: MWAAClient, environment: Environment, read_timeout: float = 60.0
) -> ImportErrors:
    """Return what reads import errors, whatever the transport. Nothing is sent."""
    from jetway.airflow.import_errors import ImportErrors

    def over(transport: Transport) -> AirflowQuestions:
        return connect(environment_name, transport, mwaa=mwaa, environment=environment, read_timeout=read_timeout)

    return ImportErrors(environment, rest=cache(lambda: over("rest")), cli=cache(lambda: over("cli")))


def connect(
    environment_name: str,
    transport: Transport = "cli",
    *,
    mwaa: MWAAClient | None = None,
    environment: Environment | None = None,
    read_timeout: float = 60.0,
    creates: bool = False,
) -> AirflowQuestions:
    """Return the client of one environment. Nothing is sent before its first request.

    Args:
        environment_name: name of the MWAA environment.
        transport: "cli" or "rest".
        mwaa: of MWAA's control plane; made when not given.
        environment: shared with others who ask for it; made when not given.
        read_timeout: seconds that a CLI command may take.
        creates: runs will be created with it.
    """
    mwaa = mwaa or mwaa_client()
    environment = environment or Environment(mwaa, environment_name)

    def cli() -> AirflowQuestions:
        from jetway.airflow.cli import CliClient
        from jetway.airflow.endpoint import CliEndpoint

        return CliClient(CliEndpoint(mwaa, environment, read_timeout=read_timeout), environment)

    if transport == "cli":
        return cli()
    if transport == "rest":
        from jetway.airflow.rest import RestClient

        creator = client("mwaa", ONCE) if creates else None
        return RestClient(mwaa, environment, fallback=cache(cli), creator=creator)
    raise ValueError(f"Transport must be 'cli' or 'rest', not {transport!r}.")
