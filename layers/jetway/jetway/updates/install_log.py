"""What MWAA logs of installing requirements.txt: when pip fails, the log is all that says so, and the update succeeds.

The image goes on starting and writes one line of its own after pip's:
https://github.com/aws/amazon-mwaa-docker-images, python/mwaa/utils/user_requirements.py. It does so at every log level,
as long as the scheduler's logs are enabled; or the worker's, where both are one container, as in mw1.micro.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError, ConnectTimeoutError, EndpointConnectionError

from jetway.observability import logger

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient

_STREAMS = "requirements_install"  # python/mwaa/logging/config.py of the same image
_FAILED = "pip installation exited with a non-zero error code"
_MOST_LINES = 10
_MOST_PAGES = 10


def why_pip_failed(logs: CloudWatchLogsClient, groups: Sequence[str], since: datetime) -> str | None:
    """Return the errors that pip told when it failed; None when it did not, or when that cannot be known.

    Args:
        groups: names of the log groups it may be in; of logs that are not enabled there is none.
        since: the beginning of the update.

    Raises:
        ClientError, BotoCoreError: CloudWatch Logs throttles or is in trouble.
    """
    found = (_errors(logs, group, since) for group in groups)
    return next((errors for errors in found if errors), None)


def _errors(logs: CloudWatchLogsClient, group: str, since: datetime) -> str | None:
    lines: dict[str, None] = {}  # each container tells the same
    failed = False
    pages = logs.get_paginator("filter_log_events").paginate(
        logGroupName=group,
        logStreamNamePrefix=_STREAMS,
        startTime=int(since.timestamp() * 1000),
        filterPattern="ERROR",
        PaginationConfig={"MaxItems": _MOST_PAGES * 1000},
    )
    try:
        for page in pages:
            for event in page["events"]:
                message = event["message"].strip()
                failed = failed or _FAILED in message
                lines[message] = None
    except ClientError as exc:
        if exc.response["Error"]["Code"] == "ResourceNotFoundException":
            return None  # nothing was ever logged
        raise
    except (ConnectTimeoutError, EndpointConnectionError) as exc:
        # In a VPC without an endpoint of CloudWatch Logs. Import errors tell most of it.
        logger.warning("the log of pip cannot be read", extra={"group": group, "because": str(exc)})
        return None
    return "\n".join(list(lines)[-_MOST_LINES:]) if failed else None
