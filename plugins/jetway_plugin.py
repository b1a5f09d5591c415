"""The Airflow plugin of Jetway: a listener that reports the states of all DAG runs as EventBridge events.

Operator and sensor need no registration: DAG files import them from `jetway_airflow.operators` and
`jetway_airflow.sensors`.
"""

from __future__ import annotations

from typing import Any, ClassVar

from airflow.plugins_manager import AirflowPlugin

from jetway_airflow import listener


class JetwayPlugin(AirflowPlugin):
    """What Airflow loads."""

    name = "jetway"
    listeners: ClassVar[list[Any]] = [listener]
