"""What http_api is made of: each part when it is first needed, so that a cold start pays for what its call needs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING

from jetway.observability import metrics
from jetway.wiring.clients import client, table
from jetway.wiring.variables import FromEnv, either, number, one_of, variable

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_mwaa import MWAAClient
    from mypy_boto3_s3 import S3Client
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
    from jetway.wiring.airflow import Transport


@dataclass(frozen=True, slots=True)
class Config(FromEnv):
    """Configuration of http_api."""

    environment_name: str = variable("ENVIRONMENT_NAME")
    transport: Transport = variable("TRANSPORT", one_of("auto", "rest", "cli", "direct"))
    budget_table: str = variable("BUDGET_TABLE")
    rest_calls_per_second: int = variable("REST_CALLS_PER_SECOND", number)
    dispatch_queue_url: str = variable("DISPATCH_QUEUE_URL")
    collect_queue_url: str = variable("COLLECT_QUEUE_URL")
    waiting_queue_url: str = variable("WAITING_QUEUE_URL")
    dead_letters_url: str = variable("DEAD_LETTERS_URL")
    drop_bucket: str = variable("DROP_BUCKET")
    ledger_table: str = variable("LEDGER_TABLE")
    replay_table: str = variable("REPLAY_TABLE")
    idempotency_table: str = variable("IDEMPOTENCY_TABLE")
    webhooks_enabled: bool = variable("WEBHOOKS", either("enabled", "disabled"))
    webhook_secret_prefix: str = variable("WEBHOOK_SECRET_PREFIX")


class Parts:
    """Parts of http_api: `jetway.http.services.Services`, and what those are made of."""

    @cached_property
    def settings(self) -> Config:
        """Return the function's configuration."""
        return Config.from_env()

    @cached_property
    def sqs(self) -> SQSClient:
        """Return the client of the queues."""
        return client("sqs")

    @cached_property
    def s3(self) -> S3Client:
        """Return the client of the drop bucket."""
        return client("s3")

    @cached_property
    def cloudwatch(self) -> CloudWatchClient:
        """Return the client of the metrics."""
        return client("cloudwatch")

    @cached_property
    def dynamodb(self) -> DynamoDBClient:
        """Return the client of the tables that remember calls."""
        return client("dynamodb")

    @cached_property
    def mwaa(self) -> MWAAClient:
        """Return the client of MWAA's control plane."""
        from jetway.wiring.airflow import mwaa_client

        return mwaa_client()

    @cached_property
    def ledger(self) -> Ledger:
        """Return the ledger."""
        from jetway.ledger import Ledger

        return Ledger(table(self.settings.ledger_table))

    @cached_property
    def environment(self) -> Environment:
        """Return the environment."""
        from jetway.airflow.environment import Environment

        return Environment(self.mwaa, self.settings.environment_name)

    @cached_property
    def airflow(self) -> AirflowQuestions:
        """Return the client of Airflow."""
        from jetway.wiring.airflow import TURN_SOON, BudgetConfig, budget_of, connect  # late: what few calls need

        settings = self.settings
        budget = BudgetConfig(settings.budget_table, settings.rest_calls_per_second)
        return connect(
            settings.environment_name,
            settings.transport,
            mwaa=self.mwaa,
            environment=self.environment,
            read_timeout=20.0,
            budget=budget_of(budget, longest=TURN_SOON, share="interactive"),
        )

    @cached_property
    def reachability(self) -> Reachability:
        """Return whether Airflow answered when it was asked last."""
        from jetway.http.health import Reachability

        return Reachability()

    @cached_property
    def dag_states(self) -> DagStates:
        """Return the states of DAGs: why a queued run does not start, asked for at most every half minute."""
        from jetway.airflow.watch import DagStates

        return DagStates(lambda dag_id: {dag_id: self.airflow.get_dag_state(dag_id)}, max_age=30.0, after_failure=30.0)

    @cached_property
    def webhooks(self) -> Webhooks:
        """Return the triggers that calls may start."""
        from jetway.http.webhooks import Webhooks

        return Webhooks(self.s3, self.settings.drop_bucket)

    @cached_property
    def webhook_secrets(self) -> WebhookSecrets:
        """Return the secrets of webhooks."""
        from jetway.http.webhook_secrets import WebhookSecrets

        return WebhookSecrets(client("secretsmanager"))

    @cached_property
    def access_lists(self) -> AccessLists:
        """Return the access list in force."""
        from jetway.http.access_lists import AccessLists

        return AccessLists(self.s3, self.settings.drop_bucket)

    @cached_property
    def idempotency_keys(self) -> IdempotencyKeys:
        """Return the idempotency keys."""
        from jetway.http.idempotency_keys import IdempotencyKeys

        return IdempotencyKeys(self.dynamodb, self.settings.idempotency_table)

    @cached_property
    def replays(self) -> ReplayCache:
        """Return the replay cache."""
        from jetway.http.replays import ReplayCache

        return ReplayCache(self.dynamodb, self.settings.replay_table)

    def flush_metrics(self) -> None:
        """Write the metrics of this call."""
        metrics.set_default_dimensions(Environment=self.settings.environment_name)
        metrics.flush_metrics()

    def warm_up(self) -> None:
        """Make what nearly every call needs."""
        _ = self.sqs, self.access_lists, self.idempotency_keys

    def forget(self) -> None:
        """Make all parts anew: a deadline may have left them in the middle of anything."""
        vars(self).clear()


@cache
def wired() -> Parts:
    """Return the parts. Nothing is made or sent before it is needed."""
    return Parts()
