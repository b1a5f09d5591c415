"""EventBridge Scheduler schedules of the stack's triggers, in the stack's group."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from jetway.sync.refusals import covers, refusal

if TYPE_CHECKING:
    from mypy_boto3_scheduler import EventBridgeSchedulerClient

    from jetway.triggers.rules import ScheduleSpec


@dataclass(slots=True)
class Schedules:
    """The schedules of one group whose names begin with the stack's prefix; no other is ever touched.

    Attributes:
        found: ours by name, as GetSchedule gives them.
    """

    client: EventBridgeSchedulerClient
    group: str
    prefix: str
    found: dict[str, Any]

    @classmethod
    def load(cls, client: EventBridgeSchedulerClient, group: str, prefix: str) -> Schedules:
        """Look at the group.

        Raises:
            ClientError, BotoCoreError: Scheduler is in trouble.
        """
        found: dict[str, Any] = {}
        for page in client.get_paginator("list_schedules").paginate(GroupName=group, NamePrefix=prefix):
            for summary in page["Schedules"]:
                name = summary["Name"]
                if name.startswith(prefix) and (there := _get(client, group, name)) is not None:
                    found[name] = there
        return cls(client, group, prefix, found)

    def put(self, spec: ScheduleSpec, now: datetime) -> str | None:
        """Make a schedule what it should be; return what was done, or None when it was so.

        One that fires once is left alone from its moment on: it fires, and is deleted by Scheduler.

        Raises:
            ResourceRefusedError: AWS refuses it for what it is.
            ClientError, BotoCoreError: Scheduler is in trouble.
        """
        there = self.found.get(spec.name)
        wanted: Any = dict(spec.request)
        if spec.at is not None and spec.at <= now:
            if there is None or there["ScheduleExpression"] == wanted["ScheduleExpression"]:
                return None
            self.delete(spec.name)
            return "deleted"
        if there is not None and covers(there, wanted):
            return None
        try:
            if there is None:
                self.client.create_schedule(Name=spec.name, **wanted)
            else:
                self.client.update_schedule(Name=spec.name, **wanted)
        except ClientError as exc:
            raise refusal(exc, f"schedule {spec.name}") from exc
        self.found[spec.name] = wanted
        return "changed" if there else "created"

    def delete(self, name: str) -> None:
        """Delete a schedule of ours.

        Raises:
            ClientError, BotoCoreError: Scheduler is in trouble.
        """
        if not name.startswith(self.prefix):
            raise ValueError(f"schedule {name!r} is not ours.")
        try:
            self.client.delete_schedule(GroupName=self.group, Name=name)
        except ClientError as exc:
            if exc.response["Error"]["Code"] != "ResourceNotFoundException":
                raise
        del self.found[name]


def _get(client: EventBridgeSchedulerClient, group: str, name: str) -> Any:
    try:
        return client.get_schedule(GroupName=group, Name=name)
    except ClientError as exc:
        if exc.response["Error"]["Code"] == "ResourceNotFoundException":
            return None  # fired and deleted since it was listed
        raise
