"""The log of pip that MWAA writes to CloudWatch Logs, when installing requirements.txt has failed.

As in its image: https://github.com/aws/amazon-mwaa-docker-images, python/mwaa/utils/user_requirements.py and
python/mwaa/logging/config.py.
"""

from __future__ import annotations

import time
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient

_VERDICT = (
    "[ERROR] - ERROR: pip installation exited with a non-zero error code. This could be the result of package "
    "conflict. Notice that MWAA enforces a list of critical packages, e.g. Airflow, Celery, among others, whose "
    "version cannot be overridden by the customer as that can break our setup. Please double check your "
    "requirements.txt file."
)


def tell_of_failure(logs: CloudWatchLogsClient, group: str, output: str) -> None:
    """Write what the installer said, and MWAA's own line, to a stream as that of a starting scheduler.

    Args:
        group: name of the scheduler's log group; made when missing.
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
