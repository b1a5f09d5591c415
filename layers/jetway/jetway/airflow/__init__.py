"""The only code that talks to MWAA and Airflow: one protocol, several transports.

`AirflowClient` is what the rest of Jetway sees. `cli` speaks to MWAA's CLI endpoint, `rest` to Airflow's REST API
through InvokeRestApi or on the web server itself; all give the same facts and raise the same errors.

    names                        what is refused before anything is sent
    cli   endpoint commands      the command line: client, HTTPS, argument lists
          answers refusals       ... and what its output means
    rest  rest_answers           Airflow's REST API: client, and what its answers mean
          invoke budget          ... through InvokeRestApi, and how often
          direct                 ... on the web server itself, with a session of our own
    web_server                   an exchange with the web server, for cli and direct
    auto                         whichever of them works
    duplicates                   what "already exists" means, for all
    environment                  version and status of the environment
    import_errors                over REST whatever the transport, and whether they prove anything
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

from jetway.errors import PermanentError

# active: runs that are created start. paused: they are queued until the DAG is unpaused. stale: Airflow still knows the
# DAG, but no file makes it any more, and they are queued until one does.
DagState = Literal["active", "paused", "stale"]


@dataclass(frozen=True, slots=True)
class DagRunRequest:
    """A run to be created.

    Attributes:
        dag_id: Airflow's id of the DAG.
        dag_run_id: the run's id, derived from the event and never random (DECISIONS.md, identity).
        conf: the run's conf, a JSON object.
        logical_date: timezone-aware, or None to let Airflow decide (null on Airflow 3).
        data_interval: start and end, timezone-aware; None to let Airflow make it of the date. Only Airflow's REST API
            can set it, from 2.9 on.
        is_date_derived: nobody has asked for this very date: where another run has it, another one does as well.
        is_interval_derived: nobody has asked for this very interval: where Airflow cannot be given one, none does too.
        note: free text; only Airflow's REST API can set it.
    """

    dag_id: str
    dag_run_id: str
    conf: Mapping[str, Any] = field(default_factory=dict)
    logical_date: datetime | None = None
    data_interval: tuple[datetime, datetime] | None = None
    is_date_derived: bool = False
    is_interval_derived: bool = False
    note: str | None = None


@dataclass(frozen=True, slots=True)
class DagRun:
    """A run that Airflow has. Dates are ISO 8601 text as Airflow gave them, or None."""

    dag_id: str
    dag_run_id: str
    state: str
    logical_date: str | None = None
    start_date: str | None = None
    end_date: str | None = None


class RunAlreadyExistsError(PermanentError):
    """The run is there already; a look-up has seen it."""

    reason = "run-already-exists"

    def __init__(self, message: str, run: DagRun) -> None:
        super().__init__(message)
        self.run = run


@dataclass(frozen=True, slots=True)
class Dag:
    """A DAG that Airflow knows.

    Attributes:
        is_paused: None where Airflow does not say (a file that is not in its database yet).
        fileloc: path of its file on Airflow's machines.
        last_parsed_time: when Airflow last loaded its file and found it there; None where the transport does not say.
    """

    dag_id: str
    is_paused: bool | None = None
    owners: tuple[str, ...] = ()
    fileloc: str | None = None
    last_parsed_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class ImportProblem:
    """An import error that Airflow shows.

    Attributes:
        path: the file: absolute up to Airflow 3.0, relative to the dags folder from 3.1.
        error: the traceback; "REDACTED…" for a user who may not see all DAGs of the file.
        at: when Airflow met it last, at a parsing of the file; None where the transport does not say.
    """

    path: str
    error: str
    at: datetime | None = None

    @property
    def redacted(self) -> bool:
        """Whether Airflow does not say what the error is."""
        return self.error.startswith("REDACTED")


class AirflowClient(Protocol):
    """What Jetway asks of Airflow."""

    def trigger_dag_run(self, request: DagRunRequest) -> DagRun:
        """Create the run and return it as Airflow answered.

        Raises:
            RunAlreadyExistsError: a look-up has seen a run of that id, made earlier.
            LogicalDateTakenError: there is no run of that id, and another one has its date.
            DagNotFoundError, InvalidRequestError, InvalidConfError, CommandRejectedError: permanent.
            EnvironmentBusyError, EnvironmentUnavailableError, TokenRefusedError, AnswerLostError: transient.
        """
        ...

    def get_dag_run(self, dag_id: str, dag_run_id: str) -> DagRun | None:
        """Return the run, or None when Airflow has the DAG but not the run.

        The command line of Airflow 3 tells the state only; the dates are None then.

        Raises:
            DagNotFoundError: Airflow has no such DAG.
            TransientError: as in `trigger_dag_run`.
        """
        ...


class AirflowLists(AirflowClient, Protocol):
    """What people ask of Airflow beside: lists, a page at a time. All transports have them."""

    def list_dags(self, *, limit: int, offset: int = 0) -> tuple[list[Dag], int]:
        """Return a page of the DAGs by dag_id, and how many there are in all.

        Raises:
            TransientError: as in `trigger_dag_run`.
        """
        ...

    def list_dag_runs(self, dag_id: str, *, limit: int, state: str | None = None) -> tuple[list[DagRun], int]:
        """Return the newest runs of a DAG, newest first, and how many there are in all.

        Args:
            dag_id: the DAG.
            limit: so many runs at most.
            state: only runs in this state: queued, running, success or failed.

        Raises:
            DagNotFoundError: Airflow has no such DAG.
            TransientError: as in `trigger_dag_run`.
        """
        ...

    def list_import_errors(self) -> list[ImportProblem]:
        """Return the files that Airflow could not load.

        Raises:
            TransientError: as in `trigger_dag_run`.
        """
        ...


class AirflowQuestions(AirflowLists, Protocol):
    """All that can be asked of Airflow. All transports have it."""

    def get_dag_state(self, dag_id: str) -> DagState:
        """Return whether runs of the DAG would start.

        Raises:
            DagNotFoundError: Airflow has no such DAG.
            TransientError: as in `trigger_dag_run`.
        """
        ...

    def ping(self) -> None:
        """Ask Airflow the cheapest question there is, to know that it answers.

        Raises:
            TransientError: as in `trigger_dag_run`; it says why a run could not be created now.
        """
        ...

    def keeps_note(self, dag_id: str) -> bool:
        """Return whether the note of a run of the DAG would be set, as far as that is known. Asks nothing."""
        ...
