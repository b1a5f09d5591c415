"""The one logger and the one set of metrics.

Both read POWERTOOLS_SERVICE_NAME, POWERTOOLS_LOG_LEVEL and POWERTOOLS_METRICS_NAMESPACE, which
template.yaml sets for every function.
"""

from __future__ import annotations

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit, single_metric

logger = Logger()
# No dimension `service`: a metric is found by all of its dimensions, and alarms and dashboards know the Environment.
metrics = Metrics(service="")


def count_now(name: str, environment: str) -> None:
    """Count one of something at once, whatever else the invocation counts.

    Args:
        environment: name of the MWAA environment.
    """
    with single_metric(name, MetricUnit.Count, 1, default_dimensions={"Environment": environment}) as metric:
        metric.service = ""  # would be one more dimension
