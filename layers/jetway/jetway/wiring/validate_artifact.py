"""What validate_artifact is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING

from botocore.config import Config as ClientConfig

from jetway.airflow.environment import Environment
from jetway.artifacts.judging import read_apart
from jetway.artifacts.requirements.resolver_client import ResolverResponse, ask_function
from jetway.artifacts.resolution_check import Resolver
from jetway.aws.crashes import Crashes
from jetway.aws.s3 import head
from jetway.gate.crash_guard import WatchedGate
from jetway.gate.gate import as_read, hold_nothing
from jetway.gate.recorder import PromotionRecorder
from jetway.observability import metrics
from jetway.promotion.state_table import ArtifactStateTable
from jetway.wiring.airflow import mwaa_client
from jetway.wiring.clients import LOADING, PATIENT, RESOLVING, client
from jetway.wiring.parts import AUTOMATIC, WORKER_REPLACEMENT, ArtifactConfig, denials_of, now, teller_of
from jetway.wiring.variables import ConfigError, Env, number, optional, seconds, variable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

    from jetway.artifacts.requirements.uv_resolve import ResolutionRequest
    from jetway.events.denials import Denials
    from jetway.loading.loader import DagLoader, Provided
    from jetway.updates.record import WorkerReplacement


def _kilobytes(env: Env, name: str) -> int:
    return number(env, name) * 1024


def _functions(env: Env, name: str) -> Mapping[int, str]:
    """Read "2=arn:…,3=arn:…": Airflow's major version and the function that has it."""
    functions = {}
    for part in env.get(name, "").split(","):
        major, _, function = part.strip().partition("=")
        if part.strip() and not (major.isdecimal() and function):
            raise ConfigError(f"environment variable {name} has {part.strip()!r}; write major=function.")
        if function:
            functions[int(major)] = function
    return functions


@dataclass(frozen=True, slots=True)
class Config(ArtifactConfig):
    """Configuration of validate_artifact.

    Attributes:
        import_dag: major version of Airflow → ARN of the function that loads DAG files with it.
        sibling_grace: how long a DAG file that fails to load waits for files that may be on their way.
        quiet: how long an update of the environment waits for more that may go along.
    """

    quiet: timedelta = variable("UPDATE_QUIET_SECONDS", seconds)
    automatic: bool = variable("APPLY_UPDATES", AUTOMATIC)
    worker_replacement: WorkerReplacement = variable("WORKER_REPLACEMENT_STRATEGY", WORKER_REPLACEMENT)
    max_dag_file_bytes: int = variable("MAX_DAG_FILE_KILOBYTES", _kilobytes)
    resolve_requirements: str | None = variable("RESOLVE_REQUIREMENTS", optional)
    package_index_url: str | None = variable("PACKAGE_INDEX_URL", optional)
    artifact_queue_url: str = variable("ARTIFACT_QUEUE_URL")
    import_dag: Mapping[int, str] = variable("IMPORT_DAG", _functions)
    sibling_grace: timedelta = variable("SIBLING_GRACE_SECONDS", seconds)


@dataclass(frozen=True, slots=True)
class Parts:
    """Parts of validate_artifact."""

    config: Config
    gate: WatchedGate
    sqs: SQSClient
    denials: Denials


@cache
def wired() -> Parts:
    """Return the parts. Nothing is sent before the first arrival."""
    config = Config.from_env()
    metrics.set_default_dimensions(Environment=config.environment_name)
    # KMS-encrypted objects are signed for with version 4 only, which is not every Region's default.
    s3 = client("s3", PATIENT.merge(ClientConfig(signature_version="s3v4")))
    dynamodb = client("dynamodb", PATIENT)
    book = PromotionRecorder(
        s3,
        ArtifactStateTable(dynamodb, config.artifact_table),
        teller_of(config).tell,
        config.environment_name,
        config.verify_after,
        config.automatic,
        config.worker_replacement,
        config.quiet,
    )
    resolver = _resolver(config, s3)
    loader = _loader(config, s3, dynamodb, resolver.provided, book.table) if config.import_dag else None
    gate = WatchedGate(
        s3,
        Environment(mwaa_client(), config.environment_name),
        config.drop_bucket,
        book,
        max_dag_file_bytes=config.max_dag_file_bytes,
        resolve=resolver.judge,
        load=loader or as_read,
        reader=read_apart,
        release=loader.release if loader else hold_nothing,
        crashes=Crashes(dynamodb, config.artifact_table, key="pk", ttl="expires_at"),
    )
    return Parts(config, gate, client("sqs"), denials_of(config, "validate_artifact"))


def _resolver(config: Config, s3: S3Client) -> Resolver:
    function = config.resolve_requirements
    functions = cache(lambda: client("lambda", RESOLVING))  # late: a requirements.txt is rare

    def ask(question: ResolutionRequest, known: frozenset[str]) -> ResolverResponse:
        return ask_function(functions(), str(function), question, known)

    return Resolver(s3, config.drop_bucket, ask if function else None, index_url=config.package_index_url)


def _loader(
    config: Config, s3: S3Client, dynamodb: DynamoDBClient, provided: Provided, standings: ArtifactStateTable
) -> DagLoader:
    from jetway.loading.advice import ruff_command
    from jetway.loading.claims import DagClaims
    from jetway.loading.data_file_readers import Readers
    from jetway.loading.folder import DagsFolder
    from jetway.loading.import_dag_client import LoadFunctions
    from jetway.loading.loader import DagLoader, adviser
    from jetway.loading.plugins import Plugins

    def live_dags(key: str) -> tuple[tuple[str, ...], bool] | None:
        standing = standings.get(key)
        return None if standing is None or standing.live is None else (standing.live.dags, standing.live.guessed)

    return DagLoader(
        DagsFolder(s3, config.drop_bucket, now=now),
        LoadFunctions(client("lambda", LOADING), s3, config.drop_bucket, config.import_dag),
        DagClaims(dynamodb, config.artifact_table, lambda key: head(s3, config.drop_bucket, key) is not None),
        Plugins(s3, config.drop_bucket, now=now),
        readers=Readers(dynamodb, config.artifact_table),
        live_dags=live_dags,
        grace=config.sibling_grace,
        provided=provided,
        advise=adviser(ruff_command()),
    )
