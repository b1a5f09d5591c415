"""MiniStack as Jetway's local stack runs it. Executed by the Python of MiniStack's own virtual environment.

One gap is closed here, so that product code needs no branch for it: EventBridge Scheduler replaces context
attributes in a target's input (<aws.scheduler.scheduled-time> and its like); MiniStack 1.5.33 leaves them as text.
https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

from ministack import app  # type: ignore[import-not-found]
from ministack.services import eventbridge, scheduler  # type: ignore[import-not-found]

_invoke_target = eventbridge._invoke_target


def _with_context_attributes(target: dict[str, Any], event: dict[str, Any], rule: dict[str, Any], *rest: Any) -> Any:
    if event.get("Source") == "aws.scheduler" and "Input" in target:
        scheduled = datetime.fromtimestamp(int(event["Time"]), tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        text = target["Input"]
        for name, value in {
            "schedule-arn": rule.get("Arn", ""),
            "scheduled-time": scheduled,
            "execution-id": uuid.uuid4().hex[:16],
            "attempt-number": "1",
        }.items():
            text = text.replace(f"<aws.scheduler.{name}>", value)
        target = {**target, "Input": text}
    return _invoke_target(target, event, rule, *rest)


eventbridge._invoke_target = _with_context_attributes
scheduler._SCHEDULE_TICK_INTERVAL = 1  # seconds between looks at the schedules; 10 would only slow the tests

if __name__ == "__main__":
    app.main()
