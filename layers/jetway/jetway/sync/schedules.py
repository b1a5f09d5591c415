"""EventBridge Scheduler schedules of the stack's triggers, in the stack's group."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from jetway.errors import TransientError
from jetway.sync.aws_errors import is_as, is_missing, refusal

if TYPE_CHECKING:
    from mypy_boto3_scheduler import EventBridgeSchedulerClient

    from jetway.triggers.resources import ScheduleSpec

# A schedule of ours has none of these: with an end in the past it would never fire again.
_OF_OTHERS = ("StartDate", "EndDate", "KmsKeyArn")

# Scheduler tries a target for a day at most; what fires once and is still there after that will not fire any more.
_LEFT_OVER = timedelta(days=2)


@dataclass(slots=True)
class Schedules:
    """The schedules of one group whose names begin with the stack's prefix; no other is ever touched.

    Attributes:
        found: ours by name, as GetSchedule gives them.
        group_there: whether the group is; it is the stack's, and only deploying the stack makes it.
    """

    client: EventBridgeSchedulerClient
    group: str
    prefix: str
    found: dict[str, Any]
    group_there: bool = True

    @classmethod
    def load(cls, client: EventBridgeSchedulerClient, group: str, prefix: str) -> Schedules:
        """Look at the group.

        Raises:
            ClientError, BotoCoreError: Scheduler is in trouble.
        """
        found: dict[str, Any] = {}
        try:
            for page in client.get_paginator("list_schedules").paginate(GroupName=group, NamePrefix=prefix):
                for summary in page["Schedules"]:
                    name = summary["Name"]
                    if name.startswith(prefix) and (there := _get(client, group, name)) is not None:
                        found[name] = there
        except ClientError as exc:
            if not is_missing(exc):
                raise
            return cls(client, group, prefix, {}, group_there=False)  # rules and webhooks do not need it
        return cls(client, group, prefix, found)

    def put(self, spec: ScheduleSpec, clock: Callable[[], datetime]) -> str | None:
        """Make a schedule what it should be; return what was done, or None when it was so.

        One that fires once is left alone from its moment on: it fires, and is deleted by Scheduler.

        Args:
            clock: tells now, not when the run began: it may have fired and be gone since then.

        Raises:
            ResourceRefusedError: AWS refuses it for what it is.
            TransientError: the group is not there.
            ClientError, BotoCoreError: Scheduler is in trouble.
        """
        there, now = self.found.get(spec.name), clock()
        wanted: Any = dict(spec.request)
        if spec.at is not None and spec.at <= now:
            is_its_own = there is not None and there["ScheduleExpression"] == wanted["ScheduleExpression"]
            if there is None or (is_its_own and now < spec.at + _LEFT_OVER):
                return None
            self.delete(spec.name)
            return "deleted"
        if self.stands(spec):
            return None
        if not self.group_there:
            raise TransientError(f"schedule group {self.group!r} does not exist. Deploy the stack again to create it.")
        try:
            if there is None:
                self.client.create_schedule(Name=spec.name, **wanted)
            else:
                self.client.update_schedule(Name=spec.name, **wanted)
        except ClientError as exc:
            raise refusal(exc, f"schedule {spec.name}") from exc
        self.found[spec.name] = wanted
        return "changed" if there else "created"

    def stands(self, spec: ScheduleSpec) -> bool:
        """Whether a schedule is there and as it should be."""
        there = self.found.get(spec.name)
        return there is not None and is_as(there, dict(spec.request), absent=_OF_OTHERS)

    def delete(self, name: str) -> None:
        """Delete a schedule of ours.

        Raises:
            ClientError, BotoCoreError: Scheduler is in trouble.
        """
        if not name.startswith(self.prefix):
            raise ValueError(f"schedule {name!r} does not belong to this stack.")
        try:
            self.client.delete_schedule(GroupName=self.group, Name=name)
        except ClientError as exc:
            if not is_missing(exc):
                raise
        del self.found[name]


def _get(client: EventBridgeSchedulerClient, group: str, name: str) -> Any:
    try:
        return client.get_schedule(GroupName=group, Name=name)
    except ClientError as exc:
        if is_missing(exc):
            return None  # fired and deleted since it was listed
        raise
