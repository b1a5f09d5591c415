"""The tag `jetway:verdict` on the dropped object: what became of it, seen in the console and by lifecycle rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from jetway.aws.s3 import is_gone

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import TagTypeDef

TAG = "jetway:verdict"
_MOST_TAGS = 10  # https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html


def tag_verdict(s3: S3Client, bucket: str, key: str, version_id: str | None, verdict: str) -> bool:
    """Tag one version; other tags stay.

    Returns:
        False when the version is gone or has ten tags already.

    Raises:
        ClientError, BotoCoreError: S3 is in trouble.
    """
    version: Any = {"VersionId": version_id} if version_id else {}
    try:
        before = s3.get_object_tagging(Bucket=bucket, Key=key, **version)["TagSet"]
        wanted: TagTypeDef = {"Key": TAG, "Value": verdict}
        if wanted in before:
            return True
        tags = [tag for tag in before if tag["Key"] != TAG]
        if len(tags) >= _MOST_TAGS:
            return False
        s3.put_object_tagging(Bucket=bucket, Key=key, Tagging={"TagSet": [*tags, wanted]}, **version)
    except ClientError as exc:
        if is_gone(exc):
            return False
        raise
    return True


def verdict_tag(s3: S3Client, bucket: str, key: str, version_id: str | None) -> str | None:
    """Return what the tag of one version says; None when it has none, or is gone.

    Raises:
        ClientError, BotoCoreError: S3 is in trouble.
    """
    version: Any = {"VersionId": version_id} if version_id else {}
    try:
        tags = s3.get_object_tagging(Bucket=bucket, Key=key, **version)["TagSet"]
    except ClientError as exc:
        if is_gone(exc):
            return None
        raise
    return next((tag["Value"] for tag in tags if tag["Key"] == TAG), None)
