"""Absence alarms: a CloudWatch alarm on a trigger's own metric, in which missing data is breaching.

start_dag_run counts the runs that a trigger started in metric DagRunsStarted (dimensions Environment and Trigger). So
the alarm is raised when no event came, and also when events came and none could be started. The clock starts when the
alarm is made: one data point is put then, or a new alarm would be raised at once. It says that 0 runs were started,
which is true: the alarm asks how many points there are, and everybody else for their sum.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from jetway.sync.aws_errors import is_as, refusal

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient

    from jetway.triggers.resources import AlarmSpec

METRIC = "DagRunsStarted"

# An alarm of ours has none of these.
_OF_OTHERS = (
    "ExtendedStatistic",
    "Unit",
    "Metrics",
    "ThresholdMetricId",
    "EvaluateLowSampleCountPercentile",
    "InsufficientDataActions",
)


@dataclass(slots=True)
class Alarms:
    """The alarms whose names begin with the stack's prefix; no other is ever touched.

    Attributes:
        topic: ARN of the SNS topic that is told; None for none.
        found: ours by name, as DescribeAlarms gives them.
    """

    client: CloudWatchClient
    prefix: str
    environment: str
    namespace: str
    topic: str | None
    found: dict[str, Any]

    @classmethod
    def load(
        cls, client: CloudWatchClient, prefix: str, *, environment: str, namespace: str, topic: str | None
    ) -> Alarms:
        """Look at the alarms.

        Raises:
            ClientError, BotoCoreError: CloudWatch is in trouble.
        """
        pages = client.get_paginator("describe_alarms").paginate(AlarmNamePrefix=prefix, AlarmTypes=["MetricAlarm"])
        found = {alarm["AlarmName"]: dict(alarm) for page in pages for alarm in page["MetricAlarms"]}
        found = {name: alarm for name, alarm in found.items() if name.startswith(prefix)}
        return cls(client, prefix, environment, namespace, topic, found)

    def put(self, spec: AlarmSpec) -> str | None:
        """Make an alarm what it should be; return what was done, or None when it was so.

        Raises:
            ResourceRefusedError: AWS refuses it for what it is.
            ClientError, BotoCoreError: CloudWatch is in trouble.
        """
        there, wanted = self.found.get(spec.name), self._request(spec)
        if self.stands(spec):
            return None
        try:
            if there is None:
                self._start_the_clock(wanted["Dimensions"])
            self.client.put_metric_alarm(**wanted)
        except ClientError as exc:
            raise refusal(exc, f"alarm {spec.name}") from exc
        self.found[spec.name] = wanted
        return "changed" if there else "created"

    def stands(self, spec: AlarmSpec) -> bool:
        """Whether an alarm is there and as it should be."""
        there = self.found.get(spec.name)
        return there is not None and is_as(there, self._request(spec), absent=_OF_OTHERS)

    def delete(self, name: str) -> None:
        """Delete an alarm of ours.

        Raises:
            ClientError, BotoCoreError: CloudWatch is in trouble.
        """
        if not name.startswith(self.prefix):
            raise ValueError(f"alarm {name!r} does not belong to this stack.")
        self.client.delete_alarms(AlarmNames=[name])
        del self.found[name]

    def _request(self, spec: AlarmSpec) -> Any:
        actions = [self.topic] if self.topic else []
        minutes = spec.period * spec.periods // 60
        return {
            "AlarmName": spec.name,
            "AlarmDescription": f"Trigger {spec.trigger} started no run for {minutes} minutes.",
            "Namespace": self.namespace,
            "MetricName": METRIC,
            "Dimensions": [
                {"Name": "Environment", "Value": self.environment},
                {"Name": "Trigger", "Value": spec.trigger},
            ],
            "Statistic": "SampleCount",
            "Period": spec.period,
            "EvaluationPeriods": spec.periods,
            "DatapointsToAlarm": spec.periods,
            "Threshold": 1.0,
            "ComparisonOperator": "LessThanThreshold",
            "TreatMissingData": "breaching",
            "ActionsEnabled": True,
            "AlarmActions": actions,
            "OKActions": actions,
        }

    def _start_the_clock(self, dimensions: Any) -> None:
        data: Any = [{"MetricName": METRIC, "Dimensions": dimensions, "Value": 0, "Unit": "Count"}]
        self.client.put_metric_data(Namespace=self.namespace, MetricData=data)
