"""`Transport: auto`: whichever of REST and command line works for the environment, from where the function stands.

What decides, in this order (DECISIONS.md says why):

    Airflow is older than 2.4.3                   command line: InvokeRestApi is not there
    the web server is public                      REST
    it is private, and answers over REST          REST
    it is private, and answers only a command     command line
    MWAA says "Update your environment to use     command line
    InvokeRestApi", to whatever call

Only questions find it out, never the creation of a run; and that last refusal certainly did nothing. So no run is asked
for twice. A public web server costs no call; a private one costs a call in a quarter of an hour.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, TypeVar

from jetway.airflow.environment import not_available
from jetway.airflow.rest_responses import NoRestApiError
from jetway.errors import (
    EnvironmentBusyError,
    EnvironmentUnavailableError,
    JetwayError,
    OutOfTurnError,
    TransientError,
)
from jetway.observability import logger

if TYPE_CHECKING:
    from jetway.airflow import AirflowQuestions, Dag, DagRun, DagRunRequest, DagState, ImportProblem
    from jetway.airflow.environment import Environment

TransportName = Literal["rest", "cli"]
T = TypeVar("T")

# Seconds after which it is found out anew: an environment is updated, a VPC endpoint is made.
REMEMBERED = 900.0

# https://docs.aws.amazon.com/mwaa/latest/userguide/access-mwaa-apache-airflow-rest-api.html
FIRST_WITH_REST = (2, 4, 3)


class Chooser:
    """Finds out which way works, and remembers it while the function is warm."""

    def __init__(
        self,
        environment: Environment,
        *,
        rest: Callable[[], AirflowQuestions],
        cli: Callable[[], AirflowQuestions],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take the parts; nothing is called.

        Args:
            environment: tells version and access mode.
            rest, cli: return the clients that are asked.
            clock: seconds; wall-clock time, for a frozen Lambda's monotonic clock may stand still.
        """
        self._environment = environment
        self._rest = rest
        self._cli = cli
        self._clock = clock
        self._known: tuple[TransportName, float] | None = None
        self._logged: TransportName | None = None

    def way(self) -> TransportName:
        """Return the way that works.

        Raises:
            TransientError: neither does now, or the environment's facts are not to be had.
        """
        return self.known or self._remember(*self._find_out())

    @property
    def known(self) -> TransportName | None:
        """The way that works, as far as that was found out in the last quarter of an hour."""
        if self._known is None or not 0 <= self._clock() - self._known[1] < REMEMBERED:
            return None
        return self._known[0]

    def without_rest(self, exc: NoRestApiError) -> TransportName:
        """Take to the command line, because MWAA says that the environment has no InvokeRestApi."""
        return self._remember("cli", str(exc))

    def _find_out(self) -> tuple[TransportName, str]:
        facts = self._environment.facts()
        if facts.version < FIRST_WITH_REST:
            return "cli", f"InvokeRestApi needs Airflow 2.4.3 or later; the environment has {facts.airflow_version}."
        if facts.webserver_access_mode != "PRIVATE_ONLY":
            return "rest", "The web server is public."
        if not facts.usable:
            raise not_available(facts)  # nothing answers now, and that says nothing
        try:
            self._rest().ping()
        except (EnvironmentBusyError, OutOfTurnError):
            raise  # too many calls at once: that says nothing of the way
        except JetwayError as exc:
            if not self._command_works():
                if isinstance(exc, TransientError):
                    raise
                raise _out_of_reach(exc) from exc
            return "cli", f"InvokeRestApi does not reach the private web server from here, but a command does. {exc}"
        return "rest", "InvokeRestApi reaches the private web server."

    def _command_works(self) -> bool:
        try:
            self._cli().ping()
        except JetwayError:
            return False
        return True

    def _remember(self, way: TransportName, because: str) -> TransportName:
        self._known = (way, self._clock())
        if way != self._logged:
            self._logged = way
            logger.info("transport", extra={"transport": way, "because": because})
        return way


def _out_of_reach(exc: JetwayError) -> EnvironmentUnavailableError:
    """Return the error of a web server that refuses the question: that is none of whoever would ask the next one."""
    return EnvironmentUnavailableError(f"Neither InvokeRestApi nor a command reaches the private web server. {exc}")


class AutoClient:
    """`jetway.airflow.AirflowQuestions` over whichever way works."""

    def __init__(
        self, chooser: Chooser, *, rest: Callable[[], AirflowQuestions], cli: Callable[[], AirflowQuestions]
    ) -> None:
        """Take the parts; nothing is called.

        Args:
            chooser: finds out which way works; may be shared.
            rest, cli: return the clients; called when they are needed.
        """
        self.chooser = chooser
        self._rest = rest
        self._cli = cli

    def trigger_dag_run(self, request: DagRunRequest) -> DagRun:
        """Create the run; see `jetway.airflow.AirflowClient`."""
        return self._ask(lambda airflow: airflow.trigger_dag_run(request))

    def get_dag_run(self, dag_id: str, dag_run_id: str) -> DagRun | None:
        """Look one run up; see `jetway.airflow.AirflowClient`."""
        return self._ask(lambda airflow: airflow.get_dag_run(dag_id, dag_run_id))

    def list_dags(self, *, limit: int, offset: int = 0) -> tuple[list[Dag], int]:
        """List DAGs; see `jetway.airflow.AirflowLists`."""
        return self._ask(lambda airflow: airflow.list_dags(limit=limit, offset=offset))

    def list_dag_runs(self, dag_id: str, *, limit: int, state: str | None = None) -> tuple[list[DagRun], int]:
        """List runs; see `jetway.airflow.AirflowLists`."""
        return self._ask(lambda airflow: airflow.list_dag_runs(dag_id, limit=limit, state=state))

    def list_import_errors(self) -> list[ImportProblem]:
        """List import errors; see `jetway.airflow.AirflowLists`."""
        return self._ask(lambda airflow: airflow.list_import_errors())

    def get_dag_state(self, dag_id: str) -> DagState:
        """Tell one DAG's state; see `jetway.airflow.AirflowQuestions`."""
        return self._ask(lambda airflow: airflow.get_dag_state(dag_id))

    def ping(self) -> None:
        """Ask the cheapest question; see `jetway.airflow.AirflowQuestions`."""
        self._ask(lambda airflow: airflow.ping())

    def keeps_note(self, dag_id: str) -> bool:
        """See `jetway.airflow.AirflowQuestions`; REST where that is not found out yet."""
        return self._of(self.chooser.known or "rest").keeps_note(dag_id)

    def chosen(self) -> AirflowQuestions:
        """Return the client of the way that works.

        Raises:
            TransientError: neither does now.
        """
        return self._of(self.chooser.way())

    def _of(self, way: TransportName) -> AirflowQuestions:
        return self._rest() if way == "rest" else self._cli()

    def _ask(self, ask: Callable[[AirflowQuestions], T]) -> T:
        client = self.chosen()
        try:
            return ask(client)
        except NoRestApiError as exc:
            client = self._of(self.chooser.without_rest(exc))
        return ask(client)
