"""The ends of the runs of all DAGs, whoever has started them: over REST only, which alone can list them.

A page begins where the one before has ended, by the end date and not by a number of rows: a run that is cleared while
pages are read shifts the rows behind it, and would hide another one between two pages.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from jetway.airflow.auto import AutoClient
from jetway.airflow.rest import RestClient

if TYPE_CHECKING:
    from jetway.airflow import AirflowQuestions, Dag, DagRun

_DAGS_PER_PAGE = 100

# Why nothing is told of a run that Jetway has not started, where only commands reach Airflow.
NEEDS_REST = (
    "Airflow's command line cannot list runs that have ended. To follow the ends of all DAGs' runs, use "
    "Airflow's REST API: Transport auto, rest or direct, Airflow 2.4.3 or later, and the AirflowRole "
    "User, Op or Admin."
)


def rest_of(airflow: AirflowQuestions) -> RestClient | None:
    """Return the client of the REST API; None where only commands reach Airflow.

    Raises:
        TransientError: neither does now.
    """
    client = airflow.chosen() if isinstance(airflow, AutoClient) else airflow
    return client if isinstance(client, RestClient) else None


def pages_of_ends(client: RestClient, since: datetime) -> Iterator[Sequence[DagRun]]:
    """Yield what ended then or later, the first to end first. A run may come twice.

    Raises:
        TransientError: not now; what was yielded before counts.
    """
    offset = 0
    while True:
        page, total = client.list_ends(since=since, offset=offset)
        if page:
            yield page
        if not page or offset + len(page) >= total:
            return
        last = datetime.fromisoformat(page[-1].end_date or since.isoformat())
        # So many of one moment that they fill a page: behind them is only to be come by their number.
        offset = offset + len(page) if last <= since else 0
        since = max(since, last)


def all_dags(client: RestClient) -> list[Dag]:
    """Return all DAGs that have a file, a page at a time.

    Raises:
        TransientError: not now.
    """
    found: list[Dag] = []
    while True:
        page, total = client.list_dags(limit=_DAGS_PER_PAGE, offset=len(found))
        found += page
        if not page or len(found) >= total:
            return found
