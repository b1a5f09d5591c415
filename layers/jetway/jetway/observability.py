"""The one logger and the one set of metrics.

Both read POWERTOOLS_SERVICE_NAME, POWERTOOLS_LOG_LEVEL and POWERTOOLS_METRICS_NAMESPACE, which
template.yaml sets for every function.
"""

from __future__ import annotations

from aws_lambda_powertools import Logger, Metrics

logger = Logger()
# No dimension `service`: a metric is found by all of its dimensions, and alarms and dashboards know the Environment.
metrics = Metrics(service="")
