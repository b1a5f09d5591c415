"""AWS's clients, made here and nowhere else, and how long each service is waited for.

botocore instead of boto3, which loads the S3 transfer manager: a fifth less to import in a cold start. Both are those
of the Lambda runtime: the layer's own would be 30 MB more for every cold start to fetch.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, overload

import botocore
from botocore.config import Config

from jetway.wiring.variables import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from boto3.session import Session
    from botocore.session import Session as BotocoreSession
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.service_resource import Table
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_mwaa import MWAAClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_scheduler import EventBridgeSchedulerClient
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient

# CopyObject takes IfMatch and IfNoneMatch since then: an older one refuses the request, and nothing would be promoted.
OLDEST_BOTOCORE = (1, 40, 61)
CONNECT_TIMEOUT = 3.0


def bounded(*, read_timeout: float = 5.0, attempts: int = 3) -> Config:
    """Return a client's configuration: waits that end before the function does, and tries with jitter between them.

    botocore's own timeouts are 60 s, and its retries of the first kind (legacy) make up to ten tries of them.
    https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html

    Args:
        read_timeout: seconds until the next byte of an answer.
        attempts: tries in all, the first one included.
    """
    return Config(
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=read_timeout,
        retries={"mode": "standard", "total_max_attempts": attempts},
    )


# What answers in milliseconds when it is well; all tries end within the 29 s of an HTTP call.
QUICK = bounded()
# A count that is a courtesy: nobody is to wait for it when DynamoDB is not well.
COUNTING = bounded(read_timeout=1.5, attempts=1)
# Artifacts: objects have megabytes, and nobody waits for the function's answer.
PATIENT = bounded(read_timeout=15)
# MWAA, whose InvokeRestApi itself ends after 10 s, and what functions ask that come again in some minutes anyway.
COMES_AGAIN = bounded(read_timeout=15, attempts=2)
# UpdateEnvironment: a second try is refused for the sake of the first one, whose answer was lost.
ASKED_ONCE = bounded(read_timeout=30, attempts=1)
# Runs are created with one call each: of a call that was repeated, no error says what became of the first one.
ONCE = bounded(read_timeout=15, attempts=1)
# Rules, schedules and alarms are written one by one, at rates that EventBridge throttles.
THROTTLED = bounded(read_timeout=15, attempts=5)
# A batch's manifest may have megabytes, and its messages come back if it is not written in time.
MANIFEST = bounded(read_timeout=10)
# Functions that are waited for are given more than their own timeouts, and are asked once: what fails comes back by
# its message, and a second try would do the same work again, beside the first one's.
RESOLVING = bounded(read_timeout=70, attempts=1)  # resolve_requirements has 60 s
LOADING = bounded(read_timeout=130, attempts=1)  # import_dag has 120 s


@overload
def client(service: Literal["cloudwatch"], wait: Config = QUICK) -> CloudWatchClient: ...
@overload
def client(service: Literal["dynamodb"], wait: Config = QUICK) -> DynamoDBClient: ...
@overload
def client(service: Literal["events"], wait: Config = QUICK) -> EventBridgeClient: ...
@overload
def client(service: Literal["lambda"], wait: Config = QUICK) -> LambdaClient: ...
@overload
def client(service: Literal["logs"], wait: Config = QUICK) -> CloudWatchLogsClient: ...
@overload
def client(service: Literal["mwaa"], wait: Config = QUICK) -> MWAAClient: ...
@overload
def client(service: Literal["s3"], wait: Config = QUICK) -> S3Client: ...
@overload
def client(service: Literal["scheduler"], wait: Config = QUICK) -> EventBridgeSchedulerClient: ...
@overload
def client(service: Literal["secretsmanager"], wait: Config = QUICK) -> SecretsManagerClient: ...
@overload
def client(service: Literal["sns"], wait: Config = QUICK) -> SNSClient: ...
@overload
def client(service: Literal["sqs"], wait: Config = QUICK) -> SQSClient: ...
def client(service: str, wait: Config = QUICK) -> Any:
    """Return a new client. Nothing is sent.

    Args:
        service: botocore's name of it.
        wait: how long it is waited for, and how often it is tried: one of the constants above.
    """
    return _session().create_client(service, config=wait)


def tag_what_is_made(made_by: Any, operation: str, tags: Iterable[tuple[str, str]]) -> None:
    """Have a client send tags with every call of an operation; AWS ignores them for what is there already.

    Args:
        made_by: the client.
        operation: as AWS writes it, such as PutRule.
        tags: keys and values.
    """
    sent = [{"Key": key, "Value": value} for key, value in tags]
    service = made_by.meta.service_model.service_id.hyphenize()

    def add(params: dict[str, Any], **_: Any) -> None:
        params["Tags"] = sent

    made_by.meta.events.register(f"provide-client-params.{service}.{operation}", add)


def table(name: str) -> Table:
    """Return a table of DynamoDB, in boto3's words."""
    return _boto3().resource("dynamodb", config=QUICK).Table(name)


@cache
def _boto3() -> Session:
    from boto3.session import Session  # late: only the ledger and the rates are written for it

    return Session(botocore_session=_session())  # once only: it adds its own words to what that one makes


def check_botocore(version: str) -> None:
    """Refuse a botocore that does not know all that the functions ask of AWS.

    Args:
        version: of botocore, as it says it.

    Raises:
        ConfigError: it is too old; the text says what to do.
    """
    if tuple(map(int, re.findall(r"\d+", version)[:3])) < OLDEST_BOTOCORE:
        oldest = ".".join(map(str, OLDEST_BOTOCORE))
        raise ConfigError(
            f"botocore {version} of this Lambda runtime is too old; Jetway requires {oldest} or later. Deploy "
            "with a newer PythonRuntime, or let Lambda update the functions' runtime (runtime management: Auto)."
        )


@cache
def _session() -> BotocoreSession:
    from botocore.session import get_session

    check_botocore(botocore.__version__)
    return get_session()  # one for all: it keeps what each client would else load anew, most of a client's making
