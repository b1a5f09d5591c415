"""What is rolled back without an answer from Airflow: airflow_local_settings.py, which may be why there is none. Pure.

MWAA runs it in every process, so that a bad one ends the web server and the command line that would tell.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from jetway.artifacts.kinds import kind_of
from jetway.diagnosis.attribution import SYNC
from jetway.errors import EnvironmentBusyError, PermissionMissingError
from jetway.promotion.artifact_state import Defect

if TYPE_CHECKING:
    from jetway.promotion.artifact_state import ArtifactState

PATIENCE = timedelta(minutes=5)  # a web server may restart, or be slow


def suspects(standings: Iterable[ArtifactState], error: Exception, now: datetime) -> list[ArtifactState]:
    """Versions that are rolled back because Airflow has given no answer since they are live.

    Args:
        standings: those that are open.
        error: what came instead of an answer.
        now: the moment of the question.
    """
    if isinstance(error, EnvironmentBusyError | PermissionMissingError):
        return []  # Airflow is there
    return [
        standing
        for standing in standings
        if kind_of(standing.key).name == "local-settings"
        and standing.stage == "verifying"
        and standing.live is not None
        and now - standing.live.at >= SYNC + PATIENCE
    ]


def problem(standing: ArtifactState, error: Exception) -> Defect:
    """Why such a version is rolled back."""
    return Defect(standing.key, f"no-answer: Airflow has not responded since this version went live ({error}).")
