"""What "already exists" and a lost answer mean, once a look-up has been made. The same for both transports.

Airflow's words are no proof. On Airflow 2 two runs of one DAG cannot have one date, and the refusal then
names the run id that was *not* created; on every version a date that was asked for can be taken.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from jetway.airflow import RunAlreadyExistsError
from jetway.errors import (
    AnswerLostError,
    EnvironmentBusyError,
    EnvironmentUnavailableError,
    JetwayError,
    LogicalDateTakenError,
    OutOfTurnError,
    PermissionMissingError,
    RunCollisionError,
    TokenRefusedError,
)

if TYPE_CHECKING:
    from jetway.airflow import DagRun, DagRunRequest


_OF_THE_ENVIRONMENT = (
    EnvironmentBusyError,
    EnvironmentUnavailableError,
    OutOfTurnError,
    PermissionMissingError,
    TokenRefusedError,
)


def after_a_lost_answer(
    request: DagRunRequest, lost: JetwayError, look_up: Callable[[str, str], DagRun | None]
) -> DagRun:
    """Return the run that was asked for, when it is there after all.

    Args:
        request: the run.
        lost: why it is not known whether it was made.
        look_up: looks for a run.

    Raises:
        AnswerLostError: it is not to be seen, or could not be looked for.
    """
    run_id, dag_id = request.dag_run_id, request.dag_id
    try:
        found = look_up(dag_id, run_id)
    except JetwayError as exc:
        raise still_lost(request, lost, exc) from exc
    if found is None:
        raise AnswerLostError(f"{lost} Run {run_id!r} of DAG {dag_id!r} is not visible yet.") from lost
    return found


def still_lost(request: DagRunRequest, lost: JetwayError, exc: JetwayError) -> AnswerLostError:
    """Return the error of a run that may have been made, and could not be looked for.

    Args:
        request: the run.
        lost: why it is not known whether it was made.
        exc: why it could not be looked for.
    """
    text = f"{lost} Run {request.dag_run_id!r} of DAG {request.dag_id!r} is not visible yet: {exc}"
    return AnswerLostError(text, unreachable=isinstance(exc, _OF_THE_ENVIRONMENT))


def verdict(request: DagRunRequest, found: DagRun | None) -> JetwayError:
    """Return what to raise for a refused duplicate.

    Args:
        request: the run that Airflow refused to create.
        found: what the look-up by run id has seen.

    Returns:
        RunAlreadyExistsError: the run is there.
        LogicalDateTakenError: it is not, and a logical_date was asked for that another run has.
        RunCollisionError: it is not, and only the moment of the call can have collided.
    """
    if found is not None:
        return RunAlreadyExistsError(
            f"DAG {request.dag_id!r} already has a run {request.dag_run_id!r} ({found.state}).", run=found
        )
    if request.logical_date is not None:
        return LogicalDateTakenError(
            f"DAG {request.dag_id!r} has another run with the logical date {request.logical_date.isoformat()}, so "
            f"{request.dag_run_id!r} was not created: Airflow allows one run per date. Choose another "
            "logical_date, or none."
        )
    return RunCollisionError(
        f"Run {request.dag_run_id!r} of DAG {request.dag_id!r} was not created, because another run began at "
        "the same moment. Jetway tries again later."
    )
