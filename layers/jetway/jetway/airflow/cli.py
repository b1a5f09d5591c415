"""The Airflow client over MWAA's CLI endpoint."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from jetway.airflow import cli_responses, commands, duplicates, names
from jetway.airflow.cli_errors import DuplicateError, RunNotFoundError, dag_not_found
from jetway.errors import AnswerLostError, CommandRejectedError, InvalidRequestError, PermanentError

if TYPE_CHECKING:
    from jetway.airflow import Dag, DagRun, DagRunRequest, DagState, ImportProblem

    from .endpoint import CliEndpoint
    from .environment import Environment

# Airflow 2 before 2.6 cuts dates to seconds; more than one must pass until a run can have another.
COLLISION_TRIES = 3
COLLISION_PAUSE = 1.1

# No run has this date: list-runs then only says whether the DAG is known.
_DATE_WITHOUT_RUNS = "1970-01-01T00:00:00+00:00"

# Airflow reads a run id that it does not know as a date, leniently: "t1", "10" and "monday" are dates to it.
# These two characters are in none.
_NO_DATE = re.compile(r"[_~]")


class CliClient:
    """`jetway.airflow.AirflowQuestions` over the CLI endpoint.

    One command at a time, as AWS advises: https://docs.aws.amazon.com/mwaa/latest/userguide/call-mwaa-apis-cli.html
    """

    def __init__(
        self,
        endpoint: CliEndpoint,
        environment: Environment,
        *,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Take the parts; nothing is called before the first request.

        Args:
            endpoint: runs the commands.
            environment: tells version and status.
            sleep: waits between tries after a same-second collision.
            jitter: 0 to 1 second on top, so that two callers do not collide again.
        """
        self._endpoint = endpoint
        self._environment = environment
        self._sleep = sleep
        self._jitter = jitter

    def trigger_dag_run(self, request: DagRunRequest) -> DagRun:
        """Create the run; see `jetway.airflow.AirflowClient`.

        `note` is not sent: the command line has no place for it. Nor has it one for a data interval.
        """
        conf = names.check_request(request)
        if request.data_interval is not None and not request.is_interval_derived:
            raise InvalidRequestError(
                "data_interval cannot be sent over Airflow's command line: it needs the REST API (Transport: rest or "
                "direct), and there a dag_id that fits into its path."
            )
        version = self._environment.serving_facts(self.ping).version
        request = commands.with_date_that_fits(version, request)
        argv = commands.trigger(version, request, conf)
        attempt = 1
        while True:
            try:
                return self._trigger_once(request, argv)
            except DuplicateError as exc:
                error = duplicates.verdict(request, self._look_up(request.dag_id, request.dag_run_id))
                if isinstance(error, PermanentError) or attempt == COLLISION_TRIES:
                    raise error from exc
            attempt += 1
            self._sleep(COLLISION_PAUSE + self._jitter())

    def get_dag_run(self, dag_id: str, dag_run_id: str) -> DagRun | None:
        """Look one run up; see `jetway.airflow.AirflowClient`."""
        names.check_dag_id(dag_id)
        names.check_run_id(dag_run_id)
        run = self._look_up(dag_id, dag_run_id)
        if run is None and self._environment.facts().major < 3:
            # The command of the look-up does not tell an unknown DAG from an unknown run; this one does.
            version = self._environment.facts().version
            probe = self._endpoint.run(commands.list_runs(version, dag_id, date=_DATE_WITHOUT_RUNS))
            cli_responses.listed_run(probe, dag_id, dag_run_id)
        return run

    def list_dags(self, *, limit: int, offset: int = 0) -> tuple[list[Dag], int]:
        """List DAGs; see `jetway.airflow.AirflowLists`."""
        dags = cli_responses.listed_dags(self._list_dags())
        return dags[offset : offset + limit], len(dags)

    def get_dag_state(self, dag_id: str) -> DagState:
        """Tell one DAG's state; see `jetway.airflow.AirflowQuestions`."""
        names.check_dag_id(dag_id)
        state = self.dag_states().get(dag_id)
        if state is None:
            raise dag_not_found(dag_id)
        return state

    def dag_states(self) -> dict[str, DagState]:
        """Return the state of every DAG: the command that tells one tells all.

        Raises:
            TransientError: as in `trigger_dag_run`.
        """
        return cli_responses.listed_states(self._list_dags())

    def ping(self) -> None:
        """Run `airflow version`, which asks no database; see `jetway.airflow.AirflowQuestions`."""
        output = self._endpoint.run(commands.version())
        if output.failed:
            raise cli_responses.failure(output)

    def list_dag_runs(self, dag_id: str, *, limit: int, state: str | None = None) -> tuple[list[DagRun], int]:
        """List runs; see `jetway.airflow.AirflowLists`. Airflow prints all of them, whatever the limit."""
        names.check_dag_id(dag_id)
        version = self._environment.facts().version
        runs = cli_responses.listed_runs(self._endpoint.run(commands.list_runs(version, dag_id, state=state)), dag_id)
        return runs[:limit], len(runs)

    def list_import_errors(self) -> list[ImportProblem]:
        """List import errors; see `jetway.airflow.AirflowLists`."""
        return cli_responses.listed_import_errors(self._endpoint.run(commands.list_import_errors()))

    def keeps_note(self, _dag_id: str) -> bool:
        """See `jetway.airflow.AirflowQuestions`; the command line has no place for it."""
        return False

    def _list_dags(self) -> cli_responses.CliOutput:
        return self._endpoint.run(commands.list_dags(self._environment.facts().version))

    def _trigger_once(self, request: DagRunRequest, argv: list[str]) -> DagRun:
        try:
            output = self._endpoint.run(argv, creates=True)
            run = cli_responses.created_run(output, request.dag_id, request.dag_run_id)
            if run is not None:
                return run
            raise cli_responses.failure(output, creates=True)
        except AnswerLostError as exc:
            return duplicates.after_a_lost_answer(request, exc, self._look_up)

    def _look_up(self, dag_id: str, run_id: str) -> DagRun | None:
        """Find one run by its id, exactly, and in a time that does not grow with the DAG's history.

        `dags list-runs` alone would do, but it loads and prints every run of the DAG: about 190 bytes each,
        20 MB for a DAG with 100,000 runs, on a web server with one vCPU. Its only filters are state and
        logical date, and on Airflow 3 a triggered run has no date.

        Airflow 3: `dags state` takes a run id and reads one row. Its weakness: an unknown id is tried as a
        date, and the state of *another* run is printed; or the command dies (an id of 20 digits). So ids
        that could be read as dates are looked for in the whole list.

        Airflow 2: `dags state` takes a date only. `tasks states-for-dag-run` takes a run id and shows the
        run's date (the tasks exist as soon as the run does), which is unique in the DAG; `list-runs` of that
        one date then shows the run itself. A DAG without tasks shows no date: the whole list again.
        """
        version = self._environment.facts().version
        if version >= (3,):
            if _NO_DATE.search(run_id):
                output = self._endpoint.run(commands.dag_state(dag_id, run_id))
                return cli_responses.printed_state(output, dag_id, run_id)
            date = None
        else:
            try:
                date = cli_responses.run_date(self._endpoint.run(commands.task_states(dag_id, run_id)))
            except RunNotFoundError:
                return None
            except CommandRejectedError:  # what Airflow dies of when it reads a strange id as a date
                date = None
        output = self._endpoint.run(commands.list_runs(version, dag_id, date=date))
        return cli_responses.listed_run(output, dag_id, run_id)
