"""A nightly export on a schedule of Airflow's own, which Jetway does not start. Runs on Airflow 2 and 3.

Jetway still publishes its end, and raises an alarm if it fails, or has not run by six:
see docs/samples/alarms.yaml and docs/alarms.md. Set the Variable `export_fails` to make it fail and see the alarm.
"""

from __future__ import annotations

from datetime import datetime

from airflow import DAG

try:
    from airflow.providers.standard.operators.python import PythonOperator
    from airflow.sdk import Variable
except ImportError:  # Airflow 2
    from airflow.models import Variable
    from airflow.operators.python import PythonOperator


def export() -> str:
    """Say what was exported, or fail as an export does whose source is away."""
    if Variable.get("export_fails", "no") == "yes":
        raise ConnectionError("the source of the export does not answer")
    return "exported"


with DAG(
    "nightly_export",
    schedule="0 2 * * *",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    is_paused_upon_creation=False,
    tags=["jetway", "example"],
):
    PythonOperator(task_id="export", python_callable=export)
