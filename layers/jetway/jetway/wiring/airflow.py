"""Puts the clients together: the one place that knows which parts a transport needs."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Literal, cast

from jetway.airflow.environment import Environment

if TYPE_CHECKING:
    from mypy_boto3_mwaa import MWAAClient

    from jetway.airflow import AirflowQuestions

Transport = Literal["cli", "rest"]


def mwaa_client() -> MWAAClient:
    """Return an mwaa client with bounded times: 15 s to answer, one retry.

    15 s because InvokeRestApi itself ends after 10 s.
    """
    # Not boto3: it loads the S3 transfer manager, which costs a cold start about 60 ms and is not needed here.
    from botocore.session import get_session

    from jetway.wiring.clients import bounded

    config = bounded(read_timeout=15, attempts=2)
    return cast("MWAAClient", get_session().create_client("mwaa", config=config))


def connect(
    environment_name: str,
    transport: Transport = "cli",
    *,
    client: MWAAClient | None = None,
    environment: Environment | None = None,
    read_timeout: float = 60.0,
) -> AirflowQuestions:
    """Return the client of one environment. Nothing is sent before its first request.

    Args:
        environment_name: name of the MWAA environment.
        transport: "cli" or "rest".
        client: boto3's mwaa client; made when not given.
        environment: shared with others who ask for it; made when not given.
        read_timeout: seconds that a CLI command may take.
    """
    client = client or mwaa_client()
    environment = environment or Environment(client, environment_name)

    def cli() -> AirflowQuestions:
        from jetway.airflow.cli import CliClient
        from jetway.airflow.endpoint import CliEndpoint

        return CliClient(CliEndpoint(client, environment, read_timeout=read_timeout), environment)

    if transport == "cli":
        return cli()
    if transport == "rest":
        from jetway.airflow.rest import RestClient

        return RestClient(client, environment, fallback=cache(cli))
    raise ValueError(f"Transport must be 'cli' or 'rest', not {transport!r}.")
