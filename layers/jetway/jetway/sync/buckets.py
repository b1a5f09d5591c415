"""Whether a bucket sends its events to EventBridge. A bucket is only ever looked at: it is not ours to change."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from jetway.artifacts.findings import Finding

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def bucket_finding(s3: S3Client, bucket: str) -> Finding | None:
    """Return a warning about a bucket that sends no events, with the command that turns them on.

    Raises:
        ClientError, BotoCoreError: S3 is in trouble.
    """
    try:
        answer: dict[str, Any] = dict(s3.get_bucket_notification_configuration(Bucket=bucket))
    except ClientError as exc:
        error = exc.response["Error"]
        if error["Code"] in {"NoSuchBucket", "404"}:
            message = f"Bucket {bucket} does not exist."
        elif error["Code"] in {"AccessDenied", "403", "AllAccessDisabled"}:
            message = f"Jetway does not have permission to see whether bucket {bucket} sends its events to EventBridge."
        else:
            raise
        return _warning(message, f"Check its name, and the output of: {_command('get', bucket)}")
    if "EventBridgeConfiguration" in answer:
        return None
    # The call replaces all that is configured: what is there must be said again.
    there = {name: value for name, value in answer.items() if name != "ResponseMetadata" and value}
    configuration = json.dumps({**there, "EventBridgeConfiguration": {}})
    command = f"{_command('put', bucket)} --notification-configuration {shlex.quote(configuration)}"
    return _warning(f"Bucket {bucket} does not send its events to EventBridge, so nothing starts.", f"Run: {command}")


def _command(verb: str, bucket: str) -> str:
    return f"aws s3api {verb}-bucket-notification-configuration --bucket {bucket}"


def _warning(message: str, remedy: str) -> Finding:
    return Finding("bucket-sends-no-events", "warning", message, None, remedy)
