"""Starts a DAG in any environment that has Jetway, and waits for its end. Runs on Airflow 2 and 3.

Needs Jetway's own plugin in plugins.zip (`make plugins`) and the connection `jetway_default`, whose host is the other
stack's HttpApiUrl. The execution role needs execute-api:Invoke on that API.

conf: asked; the other DAG gets it too.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from jetway_airflow.operators import StartDagRunOperator
from jetway_airflow.sensors import DagRunEndSensor

try:
    from airflow.sdk import dag
except ImportError:  # Airflow 2
    from airflow.decorators import dag


@dag(
    schedule=None,  # calls start it
    start_date=datetime(2026, 1, 1),
    catchup=False,
    default_args={"retries": 2, "retry_delay": timedelta(seconds=2)},
    tags=["jetway", "example"],
)
def other_environment() -> None:
    """Runs hello_jetway where the connection points to."""
    started = StartDagRunOperator(
        task_id="start",
        dag_id_to_start="hello_jetway",
        conf={"key": "{{ run_id }}", "asked": "{{ dag_run.conf['asked'] }}"},
    )
    DagRunEndSensor(
        task_id="wait",
        awaited_dag_id="hello_jetway",
        awaited_run_id=started.output,
        mode="reschedule",
        poke_interval=10,
        timeout=600,
    )


other_environment()
