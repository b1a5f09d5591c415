"""Runs that are queued and will not start: their DAG is paused, stale or deleted since. In few calls, as in `watch`.

rest  GET /dags/{dag_id} for each DAG; then one list call over those that hold their runs back
cli   the list of DAGs that is known; then one command for each that holds its runs back
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from jetway.errors import DagNotFoundError

if TYPE_CHECKING:
    from jetway.airflow import AirflowLists, DagRun, DagState
    from jetway.airflow.rest import RestClient

BlockedBy = Literal["paused", "stale", "deleted"]

_MOST_LISTED = 1000  # queued runs of one DAG


@dataclass(frozen=True, slots=True)
class Blocked:
    """One run that will not start, and what its DAG is."""

    dag_id: str
    dag_run_id: str
    by: BlockedBy


def blocked_over_rest(client: RestClient, wanted: Mapping[str, Sequence[str]]) -> Iterator[Blocked]:
    """Yield the runs that will not start.

    Args:
        client: of the REST API.
        wanted: run ids by dag_id.

    Raises:
        TransientError: as `AirflowClient.trigger_dag_run`.
    """
    held: dict[str, BlockedBy] = {}
    for dag_id in wanted:
        try:
            state = client.get_dag_state(dag_id)
        except DagNotFoundError:
            yield from (Blocked(dag_id, run_id, "deleted") for run_id in wanted[dag_id])  # its runs went with it
            continue
        if state != "active":
            held[dag_id] = state
    if held:
        yield from _among(client.list_queued_runs(list(held)), wanted, held)


def blocked_by_commands(
    client: AirflowLists, state_of: Callable[[str], DagState | None], wanted: Mapping[str, Sequence[str]]
) -> Iterator[Blocked]:
    """Yield the runs that will not start.

    Args:
        client: of the command line.
        state_of: tells a DAG's state; None when it is not in the list of DAGs: on Airflow 2 for want of a file, too.
        wanted: run ids by dag_id.

    Raises:
        TransientError: as `AirflowClient.trigger_dag_run`.
    """
    for dag_id, run_ids in wanted.items():
        state = state_of(dag_id)
        if state == "active":
            continue
        try:
            runs, _ = client.list_dag_runs(dag_id, limit=_MOST_LISTED, state="queued")
        except DagNotFoundError:
            yield from (Blocked(dag_id, run_id, "deleted") for run_id in run_ids)
            continue
        if state is not None:
            yield from _among(runs, wanted, {dag_id: state})


def _among(
    runs: Iterable[DagRun], wanted: Mapping[str, Sequence[str]], held: Mapping[str, BlockedBy]
) -> Iterator[Blocked]:
    for run in runs:
        if run.state == "queued" and run.dag_id in held and run.dag_run_id in wanted[run.dag_id]:
            yield Blocked(run.dag_id, run.dag_run_id, held[run.dag_id])
