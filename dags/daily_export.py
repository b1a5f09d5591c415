"""A daily export of a certain day, as schedules have started them since Airflow 1. Runs on Airflow 2 and 3.

The day is `{{ ds }}`. On Airflow 3 a run that is started from outside has no day of its own; Jetway gives it one
(docs/triggers.md, Dates).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from airflow import DAG

try:
    from airflow.providers.standard.operators.bash import BashOperator
    from airflow.providers.standard.operators.python import PythonOperator
except ImportError:  # Airflow 2
    from airflow.operators.bash import BashOperator
    from airflow.operators.python import PythonOperator


def export(ds: str, data_interval_start: datetime, data_interval_end: datetime, **context: Any) -> dict[str, Any]:
    """Say what is exported: the day, and from when to when."""
    return {
        "day": ds,
        "from": data_interval_start.isoformat(),
        "to": data_interval_end.isoformat(),
        "conf": context["dag_run"].conf,
    }


with DAG(
    "daily_export",
    schedule=None,  # a schedule of Jetway's starts it
    start_date=datetime(2026, 1, 1),
    catchup=False,
    is_paused_upon_creation=False,
    tags=["jetway", "example"],
):
    BashOperator(task_id="announce", bash_command="echo exporting {{ ds }}")
    PythonOperator(task_id="export", python_callable=export)
