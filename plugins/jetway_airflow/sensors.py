"""Waits for the end of a DAG run, in this environment or another one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

try:
    from airflow.sdk import BaseSensorOperator
    from airflow.sdk.exceptions import AirflowFailException
except ImportError:  # Airflow 2
    from airflow.exceptions import AirflowFailException
    from airflow.sensors.base import BaseSensorOperator

from jetway_airflow.client import DEFAULT_CONNECTION, JetwayClient


class DagRunEndSensor(BaseSensorOperator):
    """Waits until a run that StartDagRunOperator started has ended, and fails at once when it failed.

    Use `mode="reschedule"` for long waits: the worker's slot is free between two looks. Do not look every few seconds
    then: Airflow takes a task for lost that begins anew before the scheduler has seen its last end.

    Args:
        awaited_dag_id, awaited_run_id: the run; the id is what StartDagRunOperator returned.
        jetway_conn_id: connection whose host is that stack's HttpApiUrl.
    """

    template_fields: Sequence[str] = ("awaited_dag_id", "awaited_run_id")
    ui_color = "#e6f1f2"

    def __init__(
        self,
        *,
        awaited_dag_id: str,
        awaited_run_id: str,
        jetway_conn_id: str = DEFAULT_CONNECTION,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.awaited_dag_id = awaited_dag_id
        self.awaited_run_id = awaited_run_id
        self.jetway_conn_id = jetway_conn_id

    def poke(self, context: Any) -> bool:  # noqa: ARG002 (Airflow passes it by name)
        """Look once."""
        state = JetwayClient.of_connection(self.jetway_conn_id).state(self.awaited_dag_id, self.awaited_run_id)
        self.log.info("%s of %s: %s", self.awaited_run_id, self.awaited_dag_id, state or "not in Airflow yet")
        if state == "failed":
            # Looking again would not help.
            raise AirflowFailException(f"{self.awaited_run_id} of {self.awaited_dag_id} has failed.")
        return state == "success"
