"""Puts verify_promotion and apply_updates together from their configuration. Nothing is sent before the first look."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import boto3

from jetway.airflow.environment import Environment
from jetway.live.news import Teller
from jetway.live.table import StandingTable
from jetway.live.update_record import UpdateTable
from jetway.wiring.airflow import connect as connect_airflow
from jetway.wiring.airflow import mwaa_client
from jetway.wiring.clients import bounded

if TYPE_CHECKING:
    from jetway.airflow import ImportProblem
    from jetway.live.undo import Undo
    from jetway.live.verifier import Verifier
    from jetway.updates import Updates
    from jetway.wiring.variables import ApplyUpdatesConfig, VerifyPromotionConfig

_PATIENT = bounded(read_timeout=15)


def connect_verifier(config: VerifyPromotionConfig, seconds_left: Callable[[], float]) -> Verifier:
    """Return the verifier of one environment.

    Args:
        seconds_left: until the invocation must end.
    """
    from jetway.live.in_force import say
    from jetway.live.install_log import why_pip_failed
    from jetway.live.update_verifier import UpdateVerifier
    from jetway.live.verifier import Verifier

    mwaa, dynamodb = mwaa_client(), boto3.client("dynamodb", config=_PATIENT)
    environment = Environment(mwaa, config.environment_name, max_age=10.0)
    s3 = boto3.client("s3", config=_PATIENT)
    standings, records = StandingTable(dynamodb, config.artifact_table), UpdateTable(dynamodb, config.artifact_table)

    def why(group: str | None, since: datetime) -> str | None:
        return why_pip_failed(boto3.client("logs", config=bounded(read_timeout=15, attempts=2)), group, since)

    return Verifier(
        standings,
        UpdateVerifier(records, standings, why, partial(say, s3, config.drop_bucket)),
        s3,
        connect_airflow(config.environment_name, config.transport, client=mwaa, environment=environment),
        environment,
        drop_bucket=config.drop_bucket,
        tell=_teller(config).tell,
        verify_after=config.verify_after,
        clock=_now,
        seconds_left=seconds_left,
    )


def connect_updates(config: ApplyUpdatesConfig) -> tuple[Updates, Undo, Callable[[], Sequence[ImportProblem]]]:
    """Return what `Updates.advance` needs, of one environment."""
    from jetway.live.undo import Undo
    from jetway.updates import Updates

    mwaa, dynamodb = mwaa_client(), boto3.client("dynamodb", config=_PATIENT)
    environment = Environment(mwaa, config.environment_name, max_age=0, max_age_unusable=0)
    standings = StandingTable(dynamodb, config.artifact_table)
    airflow = connect_airflow(config.environment_name, config.transport, client=mwaa)
    undo = Undo(
        s3=boto3.client("s3", config=_PATIENT),
        standings=standings,
        tell=_teller(config).tell,
        environment=config.environment_name,
        drop_bucket=config.drop_bucket,
        automatic=config.automatic,
        worker_replacement=config.worker_replacement,
        clock=_now,
    )
    records = UpdateTable(dynamodb, config.artifact_table)
    updates = Updates(
        mwaa,
        environment,
        records,
        standings,
        automatic=config.automatic,
        worker_replacement=config.worker_replacement,
        clock=_now,
    )
    return updates, undo, airflow.list_import_errors


def _teller(config: ApplyUpdatesConfig | VerifyPromotionConfig) -> Teller:
    events, sns = boto3.client("events", config=_PATIENT), boto3.client("sns", config=_PATIENT)
    return Teller(events, config.event_bus, sns, config.topic_arn)


def _now() -> datetime:
    return datetime.now(UTC)
