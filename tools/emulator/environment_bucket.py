"""The bucket of the local stack's environment."""

from __future__ import annotations

from typing import Any

from tools.emulator.ministack import service as ministack


def make(s3: Any, kms: Any, name: str) -> str:
    """Make the bucket unless it is there, and return the ARN of its key.

    It is versioned and closed to the public, as MWAA demands, and encrypted with a customer's key, so that whoever
    reads or writes there needs that, too.

    Args:
        s3, kms: clients.
    """
    if name in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]:
        rules = s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"]
        return str(rules[0]["ApplyServerSideEncryptionByDefault"]["KMSMasterKeyID"])
    key = str(kms.create_key(Description=name)["KeyMetadata"]["Arn"])
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": ministack.REGION})
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    rules = [{"ApplyServerSideEncryptionByDefault": default, "BucketKeyEnabled": True}]
    s3.put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration={"Rules": rules})
    closed = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    s3.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=dict.fromkeys(closed, True))
    return key
