"""Airflow's command line as argument lists, per version. Pure functions.

Every list starts after the word `airflow`, as MWAA wants it, and becomes one line by `to_line`.
Flags differ between Airflow 2 and 3: recorded answers of both are in tests/data/airflow_cli_records.json.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jetway.airflow import DagRunRequest

AirflowVersion = tuple[int, ...]

_JSON = ("--output", "json")

# In `airflow dags trigger --help` of 2.6.3 and all later versions, not of 2.4.3.
_FIRST_WITH_MICROSECONDS = (2, 6)


def to_line(argv: Sequence[str]) -> str:
    """Return the list as one line that a shell-like tokeniser takes apart into the same list."""
    return shlex.join(argv)


def trigger(version: AirflowVersion, request: DagRunRequest, conf: str) -> list[str]:
    """Return the command that creates the run.

    Args:
        version: of Airflow, for example (3, 3, 1).
        request: checked by `names.check_request`.
        conf: the request's conf as JSON.
    """
    argv = ["dags", "trigger", *_JSON, f"--run-id={request.dag_run_id}", "--conf", conf]
    if version >= _FIRST_WITH_MICROSECONDS:
        # Airflow cuts dates to whole seconds otherwise. On Airflow 2 every run has a date and (dag_id, date)
        # is unique: the second of two runs in one second would be refused, whatever its run id.
        argv.append("--no-replace-microseconds")
    if request.logical_date is not None:
        flag = "--logical-date" if version >= (3,) else "--exec-date"
        argv.append(f"{flag}={request.logical_date.isoformat()}")
    return argv + _positional(request.dag_id)


def with_date_that_fits(version: AirflowVersion, request: DagRunRequest) -> DagRunRequest:
    """Return a request whose date the command can carry.

    Before 2.6 it cuts dates to whole seconds, and many dates that Jetway derives are in one second: the run then has
    the date that Airflow gives it, as one that asks for none.
    """
    date = request.logical_date
    if version >= _FIRST_WITH_MICROSECONDS or not request.is_date_derived or (date and not date.microsecond):
        return request
    return replace(request, logical_date=None, data_interval=None)


def dag_state(dag_id: str, run_id: str) -> list[str]:
    """Return the Airflow 3 command that prints the state of one run."""
    return ["dags", "state", *_positional(dag_id, run_id)]


def task_states(dag_id: str, run_id: str) -> list[str]:
    """Return the command that lists the tasks of one run, with the run's date in each row."""
    return ["tasks", "states-for-dag-run", *_JSON, *_positional(dag_id, run_id)]


def list_dags(version: AirflowVersion) -> list[str]:
    """Return the command that lists all DAGs. Airflow 2 parses the whole DAGs folder for it.

    Airflow 3 reads its database, where DAGs that no file makes any more are still listed: is_stale tells them.
    """
    argv = ["dags", "list", *_JSON]
    return [*argv, "--columns=dag_id,fileloc,owners,is_paused,is_stale"] if version >= (3,) else argv


def version() -> list[str]:
    """Return the cheapest command that there is."""
    return ["version"]


def list_import_errors() -> list[str]:
    """Return the command that lists import errors. Airflow 2 parses the whole DAGs folder for it, 3 does not."""
    return ["dags", "list-import-errors", *_JSON]


def list_runs(version: AirflowVersion, dag_id: str, *, date: str | None = None, state: str | None = None) -> list[str]:
    """Return the command that lists the runs of a DAG.

    Args:
        version: of Airflow.
        dag_id: the DAG.
        date: with it only runs of exactly this logical date (execution date on Airflow 2), ISO 8601.
        state: with it only runs in this state.
    """
    argv = ["dags", "list-runs", *_JSON]
    if date is not None:
        argv += [f"--start-date={date}", f"--end-date={date}"]
    if state is not None:
        argv.append(f"--state={state}")
    if version >= (3,):
        return argv + _positional(dag_id)
    return [*argv, f"--dag-id={dag_id}"]


def _positional(*values: str) -> list[str]:
    # An id may begin with a hyphen; `--` tells argparse that no option follows.
    return ["--", *values] if any(value.startswith("-") for value in values) else list(values)
