"""The tag `jetway:verdict` on the dropped object: what became of it, seen in the console and by lifecycle rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from jetway.aws.s3 import NULL, find, is_gone, is_null, version_id_of
from jetway.errors import TransientError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import TagTypeDef

TAG = "jetway:verdict"
_MOST_TAGS = 10  # https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html


class OverwrittenError(TransientError):
    """Where versioning is suspended, an upload has taken the place of what was tagged: it is to be settled itself."""

    reason = "overwritten"


def tag_verdict(s3: S3Client, bucket: str, key: str, label: str, verdict: str) -> bool:
    """Tag one version; other tags stay.

    Args:
        label: names the version (`ObjectVersion.label`).

    Returns:
        False when the version is gone or has ten tags already.

    Raises:
        OverwrittenError: another upload has taken its place meanwhile, and has lost the tag again.
        ClientError, BotoCoreError: S3 is in trouble.
    """
    before = _tags(s3, bucket, key, label)
    if before is None:
        return False
    wanted: TagTypeDef = {"Key": TAG, "Value": verdict}
    if wanted in before:
        return True
    tags = [tag for tag in before if tag["Key"] != TAG]
    if len(tags) >= _MOST_TAGS:
        return False
    if not _put(s3, bucket, key, label, [*tags, wanted]):
        return False
    if is_null(label) and find(s3, bucket, key, label) is None:
        # S3 tags whatever has the id "null", and knows no condition for it.
        _take_back(s3, bucket, key, wanted)
        raise OverwrittenError(f"{key!r} was overwritten while it was tagged.")
    return True


def verdict_tag(s3: S3Client, bucket: str, key: str, label: str) -> str | None:
    """Return what the tag of one version says; None when it has none, or is gone.

    Raises:
        ClientError, BotoCoreError: S3 is in trouble.
    """
    tags = _tags(s3, bucket, key, label) or []
    return next((tag["Value"] for tag in tags if tag["Key"] == TAG), None)


def _tags(s3: S3Client, bucket: str, key: str, label: str) -> list[TagTypeDef] | None:
    """The tags of a version; None when it is gone, or was overwritten."""
    try:
        tags = s3.get_object_tagging(Bucket=bucket, Key=key, VersionId=version_id_of(label))["TagSet"]
    except ClientError as exc:
        if is_gone(exc):
            return None
        raise
    return None if is_null(label) and find(s3, bucket, key, label) is None else tags


def _put(s3: S3Client, bucket: str, key: str, label: str, tags: list[TagTypeDef]) -> bool:
    """Replace the tags of a version; False when it is gone."""
    version: Any = {"Bucket": bucket, "Key": key, "VersionId": version_id_of(label)}
    try:
        s3.put_object_tagging(Tagging={"TagSet": tags}, **version)
    except ClientError as exc:
        if is_gone(exc):
            return False
        raise
    return True


def _take_back(s3: S3Client, bucket: str, key: str, tag: TagTypeDef) -> None:
    """Take a tag off what has been put in the place of what it was for."""
    version: Any = {"Bucket": bucket, "Key": key, "VersionId": NULL}
    try:
        tags = s3.get_object_tagging(**version)["TagSet"]
        if tag in tags:
            s3.put_object_tagging(Tagging={"TagSet": [each for each in tags if each != tag]}, **version)
    except ClientError as exc:
        if not is_gone(exc):
            raise
