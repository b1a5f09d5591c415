"""What "already exists" means, once a look-up has been made. Pure functions, the same for both transports.

Airflow's words are no proof. On Airflow 2 two runs of one DAG cannot have one date, and the refusal then
names the run id that was *not* created; on every version a date that was asked for can be taken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jetway.airflow import RunAlreadyExistsError
from jetway.errors import CommandRejectedError, JetwayError, RunCollisionError

if TYPE_CHECKING:
    from jetway.airflow import DagRun, DagRunRequest


def verdict(request: DagRunRequest, found: DagRun | None) -> JetwayError:
    """Return what to raise for a refused duplicate.

    Args:
        request: the run that Airflow refused to create.
        found: what the look-up by run id has seen.

    Returns:
        RunAlreadyExistsError: the run is there.
        CommandRejectedError: it is not, and a logical_date was asked for that another run has.
        RunCollisionError: it is not, and only the moment of the call can have collided.
    """
    if found is not None:
        return RunAlreadyExistsError(
            f"DAG {request.dag_id!r} has a run {request.dag_run_id!r} already ({found.state}).", run=found
        )
    if request.logical_date is not None:
        return CommandRejectedError(
            f"DAG {request.dag_id!r} has another run with the logical date "
            f"{request.logical_date.isoformat()}, so {request.dag_run_id!r} was not created: Airflow takes one "
            "run per date. Choose another logical_date or none."
        )
    return RunCollisionError(
        f"Run {request.dag_run_id!r} of DAG {request.dag_id!r} was not created: it collided with another run "
        "that began at the same moment. It is tried again later."
    )
