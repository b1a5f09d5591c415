"""What the routes need of the stack. The function hands it in with each request, so that no route makes a client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient
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


class ApiSettings(Protocol):
    """What the routes are told of the stack."""

    @property
    def environment_name(self) -> str: ...
    @property
    def drop_bucket(self) -> str: ...
    @property
    def dispatch_queue_url(self) -> str: ...
    @property
    def transport(self) -> str: ...
    @property
    def collect_queue_url(self) -> str: ...
    @property
    def waiting_queue_url(self) -> str: ...
    @property
    def dead_letters_url(self) -> str: ...
    @property
    def webhooks_enabled(self) -> bool: ...
    @property
    def webhook_secret_prefix(self) -> str: ...


class Services(Protocol):
    """The parts of the API, each made when it is first asked for and kept while the function is warm.

    Attributes:
        sqs: of the queues.
        s3: of the drop bucket.
        reachability: whether Airflow answered when it was asked last.
        dag_states: why a queued run does not start.
        webhooks: the triggers that calls may start.
    """

    @property
    def settings(self) -> ApiSettings: ...
    @property
    def sqs(self) -> SQSClient: ...
    @property
    def s3(self) -> S3Client: ...
    @property
    def cloudwatch(self) -> CloudWatchClient: ...
    @property
    def ledger(self) -> Ledger: ...
    @property
    def environment(self) -> Environment: ...
    @property
    def airflow(self) -> AirflowQuestions: ...
    @property
    def reachability(self) -> Reachability: ...
    @property
    def dag_states(self) -> DagStates: ...
    @property
    def webhooks(self) -> Webhooks: ...
    @property
    def webhook_secrets(self) -> WebhookSecrets: ...
    @property
    def access_lists(self) -> AccessLists: ...
    @property
    def idempotency_keys(self) -> IdempotencyKeys: ...
    @property
    def replays(self) -> ReplayCache: ...

    def forget(self) -> None:
        """Make all of them anew: a deadline may have left them in the middle of anything."""
        ...
