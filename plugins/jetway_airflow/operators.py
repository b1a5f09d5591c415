"""Starts a DAG run through Jetway, in this environment or another one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

try:
    from airflow.sdk import BaseOperator
except ImportError:  # Airflow 2
    from airflow.models import BaseOperator

from jetway_airflow.client import DEFAULT_CONNECTION, JetwayClient


class StartDagRunOperator(BaseOperator):
    """Starts one run of a DAG of any environment that has Jetway, and returns the run's id.

    Tries of one task, a worker that was lost and a scheduler that asks twice start the run once: the call's
    Idempotency-Key is made of the task instance. So a task that is cleared finds its run again; with another conf than
    before it is refused (422). Unlike TriggerDagRunOperator it works across environments, accounts and Airflow
    versions; the run waits in Jetway's queue while that environment is updating.

    Args:
        dag_id_to_start: DAG of that environment.
        conf: the run's conf.
        jetway_conn_id: connection whose host is that stack's HttpApiUrl.
    """

    template_fields: Sequence[str] = ("dag_id_to_start", "conf")
    ui_color = "#d8ecf3"

    def __init__(
        self,
        *,
        dag_id_to_start: str,
        conf: dict[str, Any] | None = None,
        jetway_conn_id: str = DEFAULT_CONNECTION,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.dag_id_to_start = dag_id_to_start
        self.conf = conf
        self.jetway_conn_id = jetway_conn_id

    def execute(self, context: Any) -> str:
        """Start it."""
        ti = context["ti"]
        key = f"{ti.dag_id}/{ti.run_id}/{ti.task_id}/{ti.map_index}"
        run_id = JetwayClient.of_connection(self.jetway_conn_id).start(
            self.dag_id_to_start, {"conf": self.conf or {}}, key
        )
        self.log.info("%s of %s is queued.", run_id, self.dag_id_to_start)
        return run_id
