"""Looking one run up: as Airflow has it, or what became of the event that asks for it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING

from jetway.dispatch.run_events import because_of, why_queued
from jetway.errors import DagNotFoundError, TransientError
from jetway.http import responses as answers
from jetway.http.event_lookup import event_member, event_of_run
from jetway.http.problems import Problem, ProblemError, problem_of

if TYPE_CHECKING:
    from aws_lambda_powertools.event_handler import Response

    from jetway.airflow import DagRun
    from jetway.http.routes.request import Request

# Seconds that are kept for the ledger when Airflow hangs.
SPARE = 3.0

# So long after its start a queued run is not asked about: most are on their way, and the question costs Airflow a
# command. What `start_dag_run` has learnt is said at once.
YOUNG = timedelta(seconds=10)
LONGEST_QUESTION = 8.0  # seconds

# A run that was started since Airflow was asked for it is there now.
JUST_STARTED = timedelta(minutes=1)


def looked_up(asked: Request, dag_id: str, dag_run_id: str) -> Response[str]:
    """Answer with a run as Airflow has it.

    Raises:
        ProblemError: 404 and 503, with what became of the event; others as Airflow has it.
    """
    try:
        run = asked.ask(lambda airflow: airflow.get_dag_run(dag_id, dag_run_id), spare=SPARE)
    except (DagNotFoundError, TransientError) as exc:
        raise ProblemError.of(_with_event(asked, problem_of(exc), dag_id, dag_run_id)) from exc
    except ProblemError as exc:  # the time was over
        raise ProblemError.of(_with_event(asked, exc.problem, dag_id, dag_run_id)) from exc
    if run is None:
        detail = f"Airflow does not have a run {dag_run_id!r}. An accepted run appears when Jetway dispatches it."
        problem = Problem(HTTPStatus.NOT_FOUND, "run-not-found", detail, answers.RETRY_AFTER)
        raise ProblemError.of(_said_to_be_gone(_with_event(asked, problem, dag_id, dag_run_id)))
    return answers.json_answer(answers.run_shown(run, _because(asked, run)))


def why_it_waits(asked: Request, run: DagRun) -> str | None:
    """Return why a queued run does not start, as far as `start_dag_run` has seen it: nothing is asked of Airflow."""
    if run.state != "queued":
        return None
    with suppress(TransientError, ProblemError):
        entry = asked.in_time(lambda: event_of_run(asked.services.ledger, run.dag_id, run.dag_run_id))
        return why_queued(entry.because) if entry else None
    return None


def _with_event(asked: Request, problem: Problem, dag_id: str, dag_run_id: str) -> Problem:
    """Return the problem with what the ledger knows; without the member when the ledger does not answer."""
    with suppress(TransientError, ProblemError):
        entry = asked.in_time(lambda: event_of_run(asked.services.ledger, dag_id, dag_run_id))
        return replace(problem, members={**problem.members, "event": event_member(entry)})
    return problem


def _said_to_be_gone(problem: Problem) -> Problem:
    """Return the problem of a run that is not there; one that was started some time ago will not come any more."""
    event = problem.members.get("event")
    if not event or event["decision"] != "started":
        return problem
    if datetime.now(UTC) - datetime.fromisoformat(event["decided_at"]) < JUST_STARTED:
        return problem
    detail = f"Airflow no longer has a run with this id. It was started at {event['decided_at']} and later deleted."
    return replace(problem, detail=detail, headers={})


def _because(asked: Request, run: DagRun) -> str | None:
    """Return why a queued run does not start; None when that is not known, or nothing keeps it."""
    if run.state != "queued":
        return None
    known = None
    with suppress(TransientError, ProblemError):
        entry = asked.in_time(lambda: event_of_run(asked.services.ledger, run.dag_id, run.dag_run_id), spare=SPARE)
        if entry is not None and entry.decision == "started":
            known = why_queued(entry.because)
            if datetime.now(UTC) - entry.decided_at < YOUNG:
                # start_dag_run may have looked at the DAG minutes ago; a dry run just before this run looked later.
                return known or why_queued(because_of(asked.services.dag_states.remembered(run.dag_id)))
    # What was known then may be over: the DAG is unpaused, or its file is back.
    with suppress(ProblemError):
        state = asked.in_time(lambda: asked.services.dag_states.get(run.dag_id), longest=LONGEST_QUESTION)
        return why_queued(because_of(state)) if state is not None else known
    return known
