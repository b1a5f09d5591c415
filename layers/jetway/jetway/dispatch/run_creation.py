"""Asking Airflow for a run: not of a stale DAG, and with another date where another run has the derived one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jetway.airflow.cli_errors import dag_stale
from jetway.dispatch.dates import dates_to_try
from jetway.errors import LogicalDateTakenError, RunCollisionError

if TYPE_CHECKING:
    from jetway.airflow import AirflowClient, DagRun, DagRunRequest
    from jetway.airflow.watch import Dags
    from jetway.dispatch.limits import WaitingState


def ask_for_run(airflow: AirflowClient, dags: Dags, request: DagRunRequest, waits: WaitingState | None) -> DagRun:
    """Create a run.

    A date that is taken proves that no run was made: the look-up by run id comes before that verdict. So the next date
    may be tried at once, and a function that is killed between two of them leaves nothing but a try, as after one.

    Args:
        airflow: creates it.
        dags: tells whether its DAG is stale.
        request: the run.
        waits: how its message has waited aside.

    Raises:
        RunCollisionError: the dates of this go are all taken; the next go tries others.
        JetwayError: as `AirflowClient.trigger_dag_run`.
    """
    if dags.is_stale(request.dag_id):
        raise dag_stale(request.dag_id)  # Airflow would take the run, and never start it
    passed = waits.count if waits is not None and waits.since_of(RunCollisionError.reason) else 0
    taken: LogicalDateTakenError | None = None
    for dated in dates_to_try(request, passed=passed):
        try:
            return airflow.trigger_dag_run(dated)
        except LogicalDateTakenError as exc:
            if not request.is_date_derived:
                raise
            taken = exc
    raise RunCollisionError(
        f"{taken} The other dates of its second that were tried are also taken. Jetway tries more later."
    )
