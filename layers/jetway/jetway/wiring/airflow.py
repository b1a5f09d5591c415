"""Airflow's client: the one place that knows which parts a transport needs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Literal

from jetway.airflow.environment import Environment
from jetway.observability import count_now
from jetway.wiring.clients import COMES_AGAIN, COUNTING, ONCE, client
from jetway.wiring.variables import Env, FromEnv, number, one_of, variable

if TYPE_CHECKING:
    from mypy_boto3_mwaa import MWAAClient

    from jetway.airflow import AirflowQuestions
    from jetway.airflow.auto import Chooser
    from jetway.airflow.budget import Budget, Share
    from jetway.airflow.import_errors import ImportErrors

Transport = Literal["auto", "rest", "cli", "direct"]
TRANSPORTS = one_of("auto", "rest", "cli", "direct")


def is_cli(env: Env, name: str) -> bool:
    """Read whether Airflow is told one thing at a time: then all triggers share one bulk lane."""
    return TRANSPORTS(env, name) == "cli"


# Seconds that a call waits for its turn in the budget. Where somebody waits, or others could be served: not long.
TURN_SOON = 2.0
TURN_LATER = 10.0


@dataclass(frozen=True, slots=True)
class BudgetConfig(FromEnv):
    """Where calls of InvokeRestApi are counted, and how many a second there may be."""

    table: str = variable("BUDGET_TABLE")
    calls_per_second: int = variable("REST_CALLS_PER_SECOND", number)


def budget_of(config: BudgetConfig, *, longest: float, share: Share = "bulk") -> Budget:
    """Return the function's hand in the stack's budget.

    Args:
        longest: seconds that a call waits for its turn at most.
        share: whose calls they are.
    """
    from jetway.airflow.budget import Budget

    dynamodb = client("dynamodb", COUNTING)
    return Budget(dynamodb, config.table, calls_per_second=config.calls_per_second, longest=longest, share=share)


def mwaa_client() -> MWAAClient:
    """Return a client of MWAA's control plane."""
    return client("mwaa", COMES_AGAIN)


def import_errors_of(
    environment_name: str,
    transport: Transport,
    *,
    mwaa: MWAAClient,
    environment: Environment,
    budget: Budget,
    read_timeout: float = 60.0,
) -> ImportErrors:
    """Return what reads import errors: over REST, whatever the transport. Nothing is sent."""
    from jetway.airflow.import_errors import ImportErrors

    @cache
    def over(way: Transport) -> AirflowQuestions:
        return connect(
            environment_name, way, mwaa=mwaa, environment=environment, read_timeout=read_timeout, budget=budget
        )

    if transport == "direct":  # Airflow's REST API too, and there is no right to anything else
        return ImportErrors(environment, rest=lambda: over("direct"), cli=lambda: over("direct"))
    return ImportErrors(environment, rest=lambda: over("rest"), cli=lambda: over("cli"))


def connect(
    environment_name: str,
    transport: Transport = "auto",
    *,
    mwaa: MWAAClient | None = None,
    environment: Environment | None = None,
    read_timeout: float = 60.0,
    creates: bool = False,
    budget: Budget | None = None,
    chooser: Chooser | None = None,
) -> AirflowQuestions:
    """Return the client of one environment. Nothing is sent before its first request.

    Args:
        environment_name: name of the MWAA environment.
        transport: "auto", "rest", "cli" or "direct".
        mwaa: of MWAA's control plane; made when not given.
        environment: shared with others who ask for it; made when not given.
        read_timeout: seconds that a CLI command may take.
        creates: runs will be created with it.
        budget: of calls of InvokeRestApi, and of commands beside them; None: they are not counted.
        chooser: of another client with "auto", which then choose together.
    """
    mwaa = mwaa or mwaa_client()
    environment = environment or Environment(mwaa, environment_name)

    @cache
    def cli() -> AirflowQuestions:
        from jetway.airflow.cli import CliClient
        from jetway.airflow.endpoint import CliEndpoint

        # Where there is one bulk lane, its commands come one after the other by themselves.
        spend = budget.spend_command if budget and transport != "cli" else lambda: None
        return CliClient(CliEndpoint(mwaa, environment, read_timeout=read_timeout, spend=spend), environment)

    @cache
    def rest() -> AirflowQuestions:
        from jetway.airflow.invoke import InvokeRestApi
        from jetway.airflow.rest import RestClient

        api = InvokeRestApi(
            mwaa,
            environment,
            creator=client("mwaa", ONCE) if creates else None,
            spend=budget.spend if budget else lambda: None,
            throttled=partial(count_now, "RestCallsThrottled", environment_name) if budget else lambda: None,
        )
        return RestClient(api, environment, fallback=cli)

    if transport == "cli":
        return cli()
    if transport == "rest":
        return rest()
    if transport == "direct":
        from jetway.airflow.direct import WebServerApi
        from jetway.airflow.rest import RestClient

        return RestClient(WebServerApi(mwaa, environment, read_timeout=read_timeout), environment, fallback=cli)
    if transport == "auto":
        from jetway.airflow.auto import AutoClient, Chooser

        return AutoClient(chooser or Chooser(environment, rest=rest, cli=cli), rest=rest, cli=cli)
    raise ValueError(f"Transport must be 'auto', 'rest', 'cli' or 'direct', not {transport!r}.")
