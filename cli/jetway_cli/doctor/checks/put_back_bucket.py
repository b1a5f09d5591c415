"""As `put_back`: the settings of a bucket."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from jetway_cli.doctor.checks.given import as_json

if TYPE_CHECKING:
    from jetway_cli.doctor.facts import PartSeen


def put_public_access_back(part: PartSeen) -> str:
    """Return the command for the block of public access."""
    wanted = ",".join(f"{name}={str(on).lower()}" for name, on in part.wanted["PublicAccessBlockConfiguration"].items())
    return f"aws s3api put-public-access-block --bucket {part.name} --public-access-block-configuration {wanted}"


def put_lifecycle_back(part: PartSeen) -> str:
    """Return the command for the lifecycle rules, in the form that S3 takes."""
    rules = [_lifecycle_rule(one) for one in part.wanted["LifecycleConfiguration"]["Rules"]]
    return (
        f"aws s3api put-bucket-lifecycle-configuration --bucket {part.name} --lifecycle-configuration "
        f"{as_json({'Rules': rules})}"
    )


def _lifecycle_rule(rule: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "ID": rule["Id"],
        "Status": rule["Status"],
        "Filter": {"Prefix": rule.get("Prefix", "")},
    }
    if days := rule.get("ExpirationInDays"):
        found["Expiration"] = {"Days": int(days)}
    for name in ("NoncurrentVersionExpiration", "AbortIncompleteMultipartUpload"):
        if name in rule:
            found[name] = {member: int(days) for member, days in rule[name].items()}
    return found


def put_owner_back(part: PartSeen) -> str:
    """Return the command for who owns what is put into the bucket."""
    wanted = as_json(part.wanted["OwnershipControls"])
    return f"aws s3api put-bucket-ownership-controls --bucket {part.name} --ownership-controls {wanted}"


def put_access_log_back(part: PartSeen) -> str:
    """Return the command for the access log."""
    its = part.wanted.get("LoggingConfiguration") or {}
    where = {"TargetBucket": its.get("DestinationBucketName"), "TargetPrefix": its.get("LogFilePrefix", "")}
    status = as_json({"LoggingEnabled": where})
    return f"aws s3api put-bucket-logging --bucket {part.name} --bucket-logging-status {status}"


def put_encryption_back(bucket: str, key: str) -> str:
    """Return the command for the key that encrypts a bucket by default."""
    default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    rule = {"ApplyServerSideEncryptionByDefault": default, "BucketKeyEnabled": True}
    return (
        f"aws s3api put-bucket-encryption --bucket {bucket} --server-side-encryption-configuration "
        f"{as_json({'Rules': [rule]})}"
    )
