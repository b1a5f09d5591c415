"""Clients of moto's for what tests do themselves: one for all tests, for to make one takes longer than its calls."""

from __future__ import annotations

import functools
from typing import Any

import boto3
from moto import mock_aws as mock_aws  # noqa: PLC0414 - it hooks into the sessions that are made after its import

# Made at import, so that a test's hooks on the sessions that are made from then on are not in them.
_SESSIONS: dict[str, Any] = {
    region: boto3.Session(region_name=region, aws_access_key_id="test", aws_secret_access_key="test")
    for region in ("eu-central-1", "us-east-1")
}


@functools.cache
def client(service: str, region: str = "eu-central-1") -> Any:
    """Return a client, which reaches what `mock_aws` has at the time of each call."""
    return _SESSIONS[region].client(service)


@functools.cache
def dynamodb(region: str = "eu-central-1") -> Any:
    """Return DynamoDB as boto3's resource."""
    return _SESSIONS[region].resource("dynamodb")
