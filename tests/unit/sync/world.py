"""AWS in process with a drop bucket, and what a user of trigger files does and sees."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf
from typing import Any

from jetway.sync.dags import KnownDags
from jetway.sync.reconcile import Clients, Synced, SyncSettings, sync
from jetway.sync.webhooks import Hooks
from jetway.triggers.resources import Targets

REGION, DROP = "eu-central-1", "acme-drop"
ENVIRONMENT_BUCKET = "acme-environment"
NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)
PLACES = Targets(
    stack="jetway",
    dispatch_queue="arn:aws:sqs:eu-central-1:123456789012:dispatch.fifo",
    collect_queue="arn:aws:sqs:eu-central-1:123456789012:collect",
    undelivered="arn:aws:sqs:eu-central-1:123456789012:undelivered",
    scheduler_role="arn:aws:iam::123456789012:role/scheduler",
    group="jetway",
)
ORDERS = "dag: ingest\non: {s3: {bucket: acme-landing, key: {prefix: in/, suffix: .csv}}}\n"
CLOSED = "dag: close\non: {event: {source: [acme.billing], bus: acme}}\n"
NIGHTLY = "dag: nightly\non: {schedule: {rate: 1h}}\n"
BROKEN = "dag: ingest\non: {s4: {}}\n"


@dataclass
class World:
    """AWS with a drop bucket, and what a user of it does and sees."""

    aws: Clients
    now: datetime = NOW
    most_rules: int = 300
    metrics_by_trigger: bool = True
    hooks: Callable[[], Hooks] | None = None
    dags: Callable[[], KnownDags] | None = None
    event_bus: str = "default"
    seconds_left: Callable[[], float] = lambda: inf

    def drop(self, name: str, text: str | None) -> None:
        key = f"triggers/{name}"
        if text is None:
            self.aws.s3.delete_object(Bucket=DROP, Key=key)
        else:
            self.aws.s3.put_object(Bucket=DROP, Key=key, Body=text.encode())

    def sync(self, **files: str | None) -> Synced:
        for name, text in files.items():
            self.drop(f"{name}.yaml", text)
        settings = SyncSettings(
            DROP,
            "prod",
            "Jetway",
            PLACES,
            None,
            self.most_rules,
            self.metrics_by_trigger,
            self.hooks,
            self.dags,
            ENVIRONMENT_BUCKET,
            self.event_bus,
        )
        return sync(self.aws, settings, now=lambda: self.now, seconds_left=self.seconds_left)

    def rules(self, bus: str = "default") -> dict[str, dict[str, Any]]:
        rules = self.aws.events.list_rules(EventBusName=bus)["Rules"]
        return {
            rule["Name"]: {
                **rule,
                "Targets": self.aws.events.list_targets_by_rule(Rule=rule["Name"], EventBusName=bus)["Targets"],
            }
            for rule in rules
        }

    def schedules(self, group: str = "jetway") -> list[str]:
        return [item["Name"] for item in self.aws.scheduler.list_schedules(GroupName=group)["Schedules"]]

    def alarms(self) -> dict[str, Any]:
        return {alarm["AlarmName"]: alarm for alarm in self.aws.cloudwatch.describe_alarms()["MetricAlarms"]}

    def report(self, name: str) -> dict[str, Any]:
        answer = self.aws.s3.get_object(Bucket=DROP, Key=f"reports/triggers/{name}.yaml/latest.json")
        found: dict[str, Any] = json.loads(answer["Body"].read())
        return found

    def said(self, name: str) -> list[str]:
        return [finding["rule"] for finding in self.report(name)["findings"]]
