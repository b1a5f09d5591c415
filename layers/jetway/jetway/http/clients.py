"""What the HTTP API talks to: its configuration and clients, each made when it is first needed and kept while warm.

botocore instead of boto3, which loads the S3 transfer manager: a third less to import for the call that counts most.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, cast

from jetway.observability import logger
from jetway.wiring.clients import bounded
from jetway.wiring.variables import HttpApiConfig

if TYPE_CHECKING:
    from botocore.session import Session
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_mwaa import MWAAClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient

    from jetway.airflow import AirflowQuestions
    from jetway.airflow.environment import Environment
    from jetway.airflow.watch import DagStates
    from jetway.http.access_lists import AccessLists
    from jetway.http.health import Reachability
    from jetway.http.idempotency_keys import IdempotencyKeys
    from jetway.http.replays import ReplayCache
    from jetway.http.webhook_secrets import WebhookSecrets
    from jetway.http.webhooks import Webhooks
    from jetway.ledger import Ledger


@cache
def _session() -> Session:
    from botocore.session import get_session

    return get_session()  # one for all: it keeps what each client would else load anew, most of a client's making


def _client(service: str) -> object:
    return _session().create_client(service, config=bounded())  # within the 29 s of one call, whatever hangs


@cache
def config() -> HttpApiConfig:
    """Return the function's configuration."""
    return HttpApiConfig.from_env()


@cache
def sqs() -> SQSClient:
    """Return the client of the dispatch queue."""
    return cast("SQSClient", _client("sqs"))


@cache
def s3() -> S3Client:
    """Return the client of the drop bucket."""
    return cast("S3Client", _client("s3"))


@cache
def cloudwatch() -> CloudWatchClient:
    """Return the client of the metrics."""
    return cast("CloudWatchClient", _client("cloudwatch"))


@cache
def ledger() -> Ledger:
    """Return the ledger."""
    import boto3  # late: the ledger's module is written for its resources

    from jetway.ledger import Ledger

    resource = boto3.resource("dynamodb", config=bounded())
    return Ledger(resource.Table(config().ledger_table))


@cache
def mwaa() -> MWAAClient:
    """Return the client of MWAA's control plane."""
    from jetway.wiring.airflow import mwaa_client

    return mwaa_client()


@cache
def environment() -> Environment:
    """Return the environment."""
    from jetway.airflow.environment import Environment

    return Environment(mwaa(), config().environment_name)


@cache
def airflow() -> AirflowQuestions:
    """Return the client of Airflow."""
    from jetway.wiring.airflow import connect  # late: `requests` is slow to import

    return connect(
        config().environment_name, config().transport, client=mwaa(), environment=environment(), read_timeout=20.0
    )


@cache
def reachability() -> Reachability:
    """Return whether Airflow answered when it was asked last."""
    from jetway.http.health import Reachability

    return Reachability()


@cache
def dag_states() -> DagStates:
    """Return the states of DAGs: why a queued run does not start, asked for at most every half minute."""
    from jetway.airflow.watch import DagStates

    return DagStates(lambda dag_id: {dag_id: airflow().get_dag_state(dag_id)}, max_age=30.0, after_failure=30.0)


@cache
def webhooks() -> Webhooks:
    """Return the triggers that calls may start."""
    from jetway.http.webhooks import Webhooks

    return Webhooks(s3(), config().drop_bucket)


@cache
def webhook_secrets() -> WebhookSecrets:
    """Return the secrets of webhooks."""
    from jetway.http.webhook_secrets import WebhookSecrets

    return WebhookSecrets(cast("SecretsManagerClient", _client("secretsmanager")))


def secrets_of_webhook(trigger: str, *, fresh: bool = False) -> tuple[str, ...]:
    """Return the valid secrets of a trigger's webhook, current one first; with `fresh` as they are now."""
    name = config().webhook_secret_prefix + trigger
    found = webhook_secrets().get(name, fresh=fresh)
    if not found:
        logger.warning("this webhook has no secret, so that nobody can sign", extra={"secret": name})
    return found


@cache
def access_lists() -> AccessLists:
    """Return the access list in force."""
    from jetway.http.access_lists import AccessLists

    return AccessLists(s3(), config().drop_bucket)


@cache
def dynamodb() -> DynamoDBClient:
    """Return the client of the tables that remember calls."""
    return cast("DynamoDBClient", _client("dynamodb"))


@cache
def idempotency_keys() -> IdempotencyKeys:
    """Return the idempotency keys."""
    from jetway.http.idempotency_keys import IdempotencyKeys

    return IdempotencyKeys(dynamodb(), config().idempotency_table)


@cache
def replays() -> ReplayCache:
    """Return the replay cache."""
    from jetway.http.replays import ReplayCache

    return ReplayCache(dynamodb(), config().replay_table)


def forget() -> None:
    """Make all clients anew: a deadline may have left them in the middle of anything."""
    for client in (
        *(access_lists, airflow, cloudwatch, dag_states, dynamodb, environment, idempotency_keys, ledger, mwaa),
        *(reachability, replays, s3, sqs, webhook_secrets, webhooks),
    ):
        client.cache_clear()
