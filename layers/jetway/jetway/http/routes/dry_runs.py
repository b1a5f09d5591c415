"""`?dry_run=true`: what a call would start, and whether that run would begin. Nothing is started."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jetway.airflow import RunAlreadyExistsError
from jetway.airflow.cli_errors import dag_stale
from jetway.errors import DagNotFoundError
from jetway.http import responses as answers
from jetway.http.problems import ProblemError, problem_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aws_lambda_powertools.event_handler import Response

    from jetway.airflow import AirflowQuestions, DagRunRequest, DagState
    from jetway.http.access import Reach
    from jetway.http.routes.request import Request

MOST_NEAR = 3
PAUSED = "DAG {dag_id!r} is paused: the run would be queued until the DAG is unpaused."


def dry_run_of(asked: Request, request: DagRunRequest, reach: Reach | None, warnings: Sequence[str]) -> Response[str]:
    """Say what a call would do: the DAG is there and the run is not.

    Args:
        asked: the HTTP request.
        request: the run.
        reach: of the caller, who is told no other DAGs' names; None for a webhook, which is told none.
        warnings: what is known already.

    Raises:
        ProblemError: 404, Airflow has no such DAG, or no file makes it any more; with near names.
        RunAlreadyExistsError: the run is there.
        TransientError: Airflow cannot be asked.
    """
    try:
        state = asked.ask(lambda airflow: _check(airflow, request))
    except DagNotFoundError as exc:
        near = asked.ask(lambda airflow: _near(airflow, request.dag_id, reach)) if reach is not None else []
        raise ProblemError.of(problem_of(exc).with_near(near)) from exc
    if state == "stale":
        raise ProblemError.of(problem_of(dag_stale(request.dag_id)).with_near([]))  # it is the one that was meant
    asked.services.dag_states.learn(request.dag_id, state)  # the caller may look at a run of it in a moment
    paused = [PAUSED.format(dag_id=request.dag_id)] if state == "paused" else []
    return answers.dry_run_answer(request, [*warnings, *paused])


def _check(airflow: AirflowQuestions, request: DagRunRequest) -> DagState:
    state = airflow.get_dag_state(request.dag_id)
    if state == "stale":
        return state
    found = airflow.get_dag_run(request.dag_id, request.dag_run_id)
    if found is not None:
        raise RunAlreadyExistsError(
            f"DAG {request.dag_id!r} already has a run {request.dag_run_id!r} ({found.state}).", run=found
        )
    return state


def _near(airflow: AirflowQuestions, dag_id: str, reach: Reach) -> list[str]:
    """Return the DAGs that the caller may have meant."""
    import difflib

    from jetway.http.access_lists import MOST_DAGS, all_visible

    ids = [dag.dag_id for dag in all_visible(airflow, reach, most=MOST_DAGS)]
    return difflib.get_close_matches(dag_id, ids, n=MOST_NEAR)
