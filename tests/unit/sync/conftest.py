from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from jetway.sync.reconcile import Clients
from tests.unit.sync.world import DROP, REGION, World


def make() -> World:
    """Make what trigger files meet: buckets, a bus, a group of schedules. moto must be active."""
    s3: Any = boto3.client("s3", region_name=REGION)
    for bucket in (DROP, "acme-landing"):
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        s3.put_bucket_notification_configuration(
            Bucket=bucket, NotificationConfiguration={"EventBridgeConfiguration": {}}
        )
    s3.put_bucket_versioning(Bucket=DROP, VersioningConfiguration={"Status": "Enabled"})
    events = boto3.client("events", region_name=REGION)
    events.create_event_bus(Name="acme")
    scheduler = boto3.client("scheduler", region_name=REGION)
    scheduler.create_schedule_group(Name="jetway")
    return World(Clients(s3, events, scheduler, boto3.client("cloudwatch", region_name=REGION)))


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with mock_aws():
        yield make()
