"""Reports that a DAG run has begun, succeeded or failed, as events on an EventBridge bus.

Jetway itself tells of runs that it started (source `jetway`). This tells of *all* runs, also of those that somebody
started in Airflow's user interface, at the moment Airflow sees them. A trigger file may wait for them:

    on: {event: {source: [airflow], detail-type: [Airflow DagRun success], detail: {dag_id: [orders]}}}

Options, on MWAA in AirflowConfigurationOptions: `jetway.event_bus` (default: the default bus), `jetway.environment`
(the environment's name, for `detail.environment`). The execution role needs events:PutEvents on the bus. The scheduler
calls this: it never waits longer than a few seconds, and trouble is logged, not raised.
"""

from __future__ import annotations

import json
import logging
from functools import lru_cache
from typing import Any

from airflow.configuration import conf
from airflow.listeners import hookimpl

log = logging.getLogger(__name__)


@hookimpl
def on_dag_run_running(dag_run: Any, msg: str) -> None:
    """Airflow has begun a run."""
    report(dag_run, "running", msg)


@hookimpl
def on_dag_run_success(dag_run: Any, msg: str) -> None:
    """All that had to succeed has."""
    report(dag_run, "success", msg)


@hookimpl
def on_dag_run_failed(dag_run: Any, msg: str) -> None:
    """Something that had to succeed has not."""
    report(dag_run, "failed", msg)


def report(dag_run: Any, state: str, msg: str) -> None:
    """Put the event; a run's state is a fact whether or not it can be told."""
    from botocore.exceptions import BotoCoreError, ClientError

    entry = {
        "EventBusName": conf.get("jetway", "event_bus", fallback="default"),
        "Source": "airflow",
        "DetailType": f"Airflow DagRun {state}",
        "Detail": json.dumps(
            {
                "environment": conf.get("jetway", "environment", fallback=""),
                "dag_id": dag_run.dag_id,
                "dag_run_id": dag_run.run_id,
                "run_type": str(getattr(dag_run.run_type, "value", dag_run.run_type)),
                "state": state,
                "start_date": _time(dag_run.start_date),
                "end_date": _time(dag_run.end_date),
                "message": msg or "",
            }
        ),
    }
    try:
        answer = _client().put_events(Entries=[entry])
    except (BotoCoreError, ClientError) as exc:
        log.warning("%s of %s could not be reported: %s", state, dag_run.run_id, exc)
        return
    if answer["FailedEntryCount"]:
        log.warning("%s of %s could not be reported: %s", state, dag_run.run_id, answer["Entries"])


@lru_cache(maxsize=1)
def _client() -> Any:
    import boto3
    from botocore.config import Config

    return boto3.client("events", config=Config(connect_timeout=2, read_timeout=3, retries={"total_max_attempts": 2}))


def _time(moment: Any) -> str | None:
    return None if moment is None else moment.isoformat()
