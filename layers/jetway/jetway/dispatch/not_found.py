"""What Airflow has not: DAGs that it did not know a moment ago, and runs of DAGs that it does not know."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from jetway.airflow import names
from jetway.errors import AnswerLostError, DagNotFoundError, InvalidRequestError, PermanentError

if TYPE_CHECKING:
    from jetway.airflow import AirflowClient, DagRun

# Ten thousand files for a DAG that is not there must not cost ten thousand commands of three seconds each. Shorter than
# the first wait aside.
MISSING_FOR = timedelta(seconds=7)


@dataclass(slots=True)
class MissingDags:
    """What one sandbox remembers of them."""

    _known: dict[str, tuple[DagNotFoundError, datetime]] = field(default_factory=dict)

    def remember(self, dag_id: str, exc: DagNotFoundError, now: datetime) -> None:
        """Remember that a DAG is not there, and why."""
        self._known[dag_id] = (exc, now + MISSING_FOR)

    def recall(self, dag_id: str, now: datetime) -> DagNotFoundError | None:
        """Return why a DAG was not there a moment ago; None when it is to be asked for."""
        exc, until = self._known.get(dag_id, (None, now))
        return exc if until > now else None


class QuestionRefusedError(AnswerLostError):
    """Airflow was asked for a run, and refused the question or died of it: whether the run is there is not known."""


def run_in(airflow: AirflowClient, dag_id: str, run_id: str) -> DagRun | None:
    """Return a run; None when there is none, be it for want of its DAG.

    Raises:
        QuestionRefusedError, TransientError: Airflow does not say.
    """
    try:
        names.check_dag_id(dag_id)
        names.check_run_id(run_id)
    except InvalidRequestError:
        return None  # Airflow could never have it
    try:
        return airflow.get_dag_run(dag_id, run_id)
    except DagNotFoundError:
        return None
    except PermanentError as exc:
        raise QuestionRefusedError(
            f"Airflow does not report whether it has run {run_id!r} of {dag_id!r}: {exc}"
        ) from exc
