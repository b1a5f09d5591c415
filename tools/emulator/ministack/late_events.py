"""A bucket's events begin some minutes after EventBridge was turned on for it, as on AWS; in MiniStack 1.5.33 at once.

"After you enable EventBridge, it takes around five minutes for the changes to take effect." Who wants to see that sets
EVENTS_BEGIN_AFTER to a number of seconds before `make up`; otherwise nobody waits.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/enable-event-notifications-eventbridge.html
"""

from __future__ import annotations

import json
import time
from typing import Any

from ministack.services import eventbridge, s3  # type: ignore[import-not-found]


def install(seconds: float) -> None:
    """Put this in force, outside what eventbridge does by then."""
    put_notification, dispatch_event = s3._put_bucket_notification, eventbridge._dispatch_event
    since: dict[str, float] = {}

    def put_and_note(bucket: str, body: bytes, *more: Any, **named: Any) -> Any:
        answer = put_notification(bucket, body, *more, **named)
        if "EventBridgeConfiguration" in s3._bucket_notifications.get(bucket, ""):
            since.setdefault(bucket, time.monotonic())
        else:
            since.pop(bucket, None)
        return answer

    def dispatch_later(event: dict[str, Any], *more: Any, **named: Any) -> Any:
        if event.get("Source") == "aws.s3":
            bucket = json.loads(event["Detail"])["bucket"]["name"]
            if time.monotonic() < since.get(bucket, 0.0) + seconds:
                return None
        return dispatch_event(event, *more, **named)

    if seconds:
        s3._put_bucket_notification, eventbridge._dispatch_event = put_and_note, dispatch_later
