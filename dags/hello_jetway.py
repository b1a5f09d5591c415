"""The smallest useful DAG: it logs what started it. Runs on Airflow 2 and 3."""

from __future__ import annotations

from datetime import datetime
from typing import Any

try:
    from airflow.sdk import dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task


@dag(
    schedule=None,  # events start it
    start_date=datetime(2026, 1, 1),
    catchup=False,
    tags=["jetway", "example"],
)
def hello_jetway() -> None:
    """Greets the event that started the run."""

    @task
    def read_conf(**context: Any) -> dict[str, Any]:
        return dict(context["dag_run"].conf or {})

    @task
    def greet(facts: dict[str, Any]) -> str:
        cause = facts.get("key") or facts.get("scheduled_time") or "a call"
        return f"Hello from {cause}"

    greet(read_conf())


hello_jetway()
