"""The log of pip that MWAA writes to CloudWatch Logs, when installing requirements.txt has failed.

As in its image: https://github.com/aws/amazon-mwaa-docker-images, python/mwaa/utils/user_requirements.py and
python/mwaa/logging/config.py.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient

_VERDICT = (
    "[ERROR] - ERROR: pip installation exited with a non-zero error code. This could be the result of package "
    "conflict. Notice that MWAA enforces a list of critical packages, e.g. Airflow, Celery, among others, whose "
    "version cannot be overridden by the customer as that can break our setup. Please double check your "
    "requirements.txt file."
)


def group_of(environment: Mapping[str, Any]) -> str:
    """Return the name of the log group that pip's log goes to.

    "For hybrid worker/scheduler containers we publish the requirement install logs to the worker CloudWatch log group":
    scheduler and worker are one container in mw1.micro.
    """
    logs = "WorkerLogs" if environment["EnvironmentClass"] == "mw1.micro" else "SchedulerLogs"
    arn: str = environment["LoggingConfiguration"][logs]["CloudWatchLogGroupArn"]
    return arn.rpartition(":")[2]


def tell_of_failure(logs: CloudWatchLogsClient, group: str, output: str) -> None:
    """Write what the installer said, and MWAA's own line, to a stream as that of a starting scheduler.

    Args:
        group: as `group_of` gives it; made when missing.
        output: of uv, whose lines become errors as pip would mark them.

    Raises:
        ClientError, BotoCoreError: the local AWS is in trouble.
    """
    stream = f"requirements_install_ip-127-0-0-1.ec2.internal_{uuid.uuid4().hex}"
    with suppress(logs.exceptions.ResourceAlreadyExistsException):
        logs.create_log_group(logGroupName=group)
    logs.create_log_stream(logGroupName=group, logStreamName=stream)
    at = int(time.time() * 1000)
    lines = [f"[INFO] - ERROR: {line.strip()}" for line in output.splitlines() if line.strip()]
    events = [{"timestamp": at, "message": line} for line in (*lines, _VERDICT)]
    logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)  # type: ignore[arg-type]
