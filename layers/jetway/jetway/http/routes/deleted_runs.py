"""A call that is repeated, and whose run was started and is gone since: it starts no other one, and is told so."""

from __future__ import annotations

from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING

from jetway.dispatch.not_found import run_in
from jetway.errors import TransientError
from jetway.http.problems import ProblemError

if TYPE_CHECKING:
    from jetway.airflow import DagRun
    from jetway.http.routes.request import Request
    from jetway.ledger import Entry

# Seconds that a question may take, and that are kept for accepting the call.
LONGEST_QUESTION = 8.0
SPARE = 5.0


def refuse_deleted(asked: Request, event_id: str) -> None:
    """Refuse a call whose run the ledger knows as started and Airflow has not any more.

    Where one of the two does not answer, nothing is refused: the call is then a repetition like any other.

    Args:
        asked: the HTTP request.
        event_id: of its event, in the ledger.

    Raises:
        ProblemError: 410, with the way to another run.
    """
    entry = None
    with suppress(TransientError, ProblemError):
        entry = _started_and_gone(asked, event_id)
    if entry is not None:
        at = entry.decided_at.isoformat(timespec="seconds")
        raise ProblemError(
            HTTPStatus.GONE,
            "run-deleted",
            (
                f"The run {entry.dag_run_id!r} of DAG {entry.dag_id!r} that this call refers to was started at {at} "
                "and was later deleted from Airflow. The call started nothing. To start another run, use another "
                "Idempotency-Key or dag_run_id."
            ),
        )


def _started_and_gone(asked: Request, event_id: str) -> Entry | None:
    # The row first: a run that is started between the two questions is there in the second.
    entry = asked.in_time(lambda: asked.services.ledger.get(event_id), longest=LONGEST_QUESTION)
    if entry is None or entry.decision != "started":
        return None
    dag_id, run_id = entry.dag_id or "", entry.dag_run_id or ""

    def look() -> DagRun | None:
        return run_in(asked.services.airflow, dag_id, run_id)

    return None if asked.in_time(look, spare=SPARE, longest=LONGEST_QUESTION) else entry
