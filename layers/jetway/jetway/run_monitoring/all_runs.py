"""The runs of all DAGs of one environment, looked at as alarms.yaml and the transport have it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from jetway.airflow.auto import AutoClient
from jetway.airflow.finished_runs import NEEDS_REST, all_dags, rest_of
from jetway.airflow.rest_responses import NoRestApiError
from jetway.run_monitoring.alarms_file import absent, not_watched
from jetway.run_monitoring.monitor import MonitoredEnvironment

if TYPE_CHECKING:
    from jetway.airflow import AirflowQuestions
    from jetway.airflow.environment import Environment
    from jetway.airflow.rest import RestClient
    from jetway.artifacts.findings import Finding
    from jetway.configuration.last_good import LastGoodFile
    from jetway.run_monitoring.alarms_file import RunAlarms
    from jetway.run_monitoring.monitor import MonitorSummary, RunMonitor

DISABLED = "The stack's parameter FollowAllRuns is disabled."


class AllRuns:
    """What is done of all DAGs every minute."""

    def __init__(
        self,
        look: RunMonitor,
        file: LastGoodFile[RunAlarms],
        airflow: AirflowQuestions,
        environment: Environment,
        *,
        enabled: bool,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Take the parts; nothing is called.

        Args:
            enabled: without it alarms.yaml is refused, and nothing else is done.
        """
        self._look = look
        self._file = file
        self._airflow = airflow
        self._environment = environment
        self._enabled = enabled
        self._clock = clock

    def look(self) -> MonitorSummary | None:
        """Look once; None where that is not to be done, or only commands reach Airflow.

        Raises:
            TransientError: Airflow, the bus, SNS or DynamoDB did not do its part.
            ClientError, BotoCoreError: S3 did not.
        """
        try:
            return self._look_over(rest_of(self._airflow) if self._enabled else None)
        except NoRestApiError as exc:  # it was thought to be there
            if not isinstance(self._airflow, AutoClient):
                raise
            self._airflow.chooser.without_rest(exc)
            return self._look_over(None)

    def _look_over(self, client: RestClient | None) -> MonitorSummary | None:
        alarms = self._file.read(self._clock(), also=lambda found: self._findings(found, client)).value
        return (
            None if client is None else self._look.look(MonitoredEnvironment(client, self._environment.facts(), alarms))
        )

    def _findings(self, alarms: RunAlarms, client: RestClient | None) -> list[Finding]:
        if client is None:
            return [not_watched(NEEDS_REST if self._enabled else DISABLED)]
        return absent(alarms, (dag.dag_id for dag in all_dags(client)))
