"""Buckets and the keys that encrypt them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from jetway_cli.doctor.asking import Desk, ask
from jetway_cli.doctor.collect.kept_settings import bucket_policy
from jetway_cli.doctor.facts import Asked, BucketSeen, KeySeen
from jetway_cli.errors import error_code

_NO_KEY = frozenset({"ServerSideEncryptionConfigurationNotFoundError"})


def bucket(desk: Desk, name: str, why: str, *, whole: bool) -> BucketSeen:
    """Look at a bucket.

    Args:
        whole: at versions, encryption and policy, too; else at its events only.
    """
    s3 = desk.client("s3")
    there = ask("s3:ListBucket", lambda: _is_there(s3, name))
    if not there.value:
        return BucketSeen(name, why, there)
    events = ask(
        "s3:GetBucketNotification",
        lambda: "EventBridgeConfiguration" in s3.get_bucket_notification_configuration(Bucket=name),
    )
    if not whole:
        return BucketSeen(name, why, there, events=events)
    versioning = ask(
        "s3:GetBucketVersioning", lambda: str(s3.get_bucket_versioning(Bucket=name).get("Status", "Disabled"))
    )
    key = ask("s3:GetEncryptionConfiguration", lambda: _key(s3, name))
    policy = ask("s3:GetBucketPolicy", lambda: bucket_policy(desk, name))
    return BucketSeen(name, why, there, versioning, key, events, policy)


def _is_there(s3: Any, name: str) -> bool:
    from botocore.exceptions import ClientError

    try:
        s3.head_bucket(Bucket=name)
    except ClientError as exc:
        if error_code(exc) in {"404", "NoSuchBucket"}:
            return False
        raise
    return True


def _key(s3: Any, name: str) -> str:
    from botocore.exceptions import ClientError

    try:
        rules = s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"]
    except ClientError as exc:
        if error_code(exc) in _NO_KEY:
            return ""
        raise
    return str(rules[0].get("ApplyServerSideEncryptionByDefault", {}).get("KMSMasterKeyID", "")) if rules else ""


def key(desk: Desk, arn: str, used_for: str, *, ours: bool) -> KeySeen:
    """Look at a key and its policy."""
    kms = desk.client("kms")
    described: Asked[Mapping[str, Any]] = ask("kms:DescribeKey", lambda: kms.describe_key(KeyId=arn)["KeyMetadata"])
    facts = described.value or {}
    policy: Callable[[], Mapping[str, Any]] = lambda: json.loads(  # noqa: E731 - one call, said where it is asked
        kms.get_key_policy(KeyId=arn, PolicyName="default")["Policy"]
    )
    state = Asked(str(facts["KeyState"])) if facts else Asked[str](None, described.denied, described.trouble)
    # Nobody else's policy can be read, and none of AWS's own keys has one that matters.
    account = str(facts.get("AWSAccountId") or (arn.split(":")[4] if arn.count(":") >= 5 else ""))
    if facts.get("KeyManager") == "AWS":
        return KeySeen(arn, used_for, ours, state, account, Asked({}))
    return KeySeen(arn, used_for, ours, state, account, ask("kms:GetKeyPolicy", policy))
