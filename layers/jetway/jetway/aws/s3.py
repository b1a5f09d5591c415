"""S3 objects, by exact version: what they are, and bounded reading."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# HeadObject has no body to put an error code in, so botocore gives the status. 405: that version is a delete
# marker. https://docs.aws.amazon.com/AmazonS3/latest/userguide/DeleteMarker.html
_GONE = frozenset({"404", "405", "NoSuchKey", "NoSuchVersion", "NotFound", "MethodNotAllowed"})
_CHANGED = frozenset({"412", "409", "PreconditionFailed", "ConditionalRequestConflict"})

_MOST_VERSIONS = 1000  # one page; so many versions without a good one mean that there is none

_BY_ETAG = "etag-"
# S3's own name of the version that a bucket without versioning has of each object. By it the roles' permissions are
# those of versions, and what was put on top with a version id of its own is not meant.
NULL = "null"

_CONTENT_HEADERS = ("CacheControl", "ContentDisposition", "ContentEncoding", "ContentLanguage", "ContentType")


@dataclass(frozen=True, slots=True)
class ObjectVersion:
    """One version of one object.

    Attributes:
        version_id: None in a bucket without versioning, or for an object put while it was suspended.
        etag: with its quotes, as S3 gives and takes it.
        size: bytes.
        headers: ContentType and its like, as arguments of PutObject.
        metadata: the user's metadata.
    """

    bucket: str
    key: str
    version_id: str | None
    etag: str
    size: int
    last_modified: datetime
    headers: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Names this version among those of its key: the version id, or the etag where there is none."""
        return self.version_id or _BY_ETAG + self.etag.strip('"')

    @property
    def address(self) -> dict[str, Any]:
        """Arguments that name exactly this version: Bucket, Key and, where there is one, VersionId."""
        address: dict[str, Any] = {"Bucket": self.bucket, "Key": self.key}
        return address | {"VersionId": self.version_id} if self.version_id else address


def head(s3: S3Client, bucket: str, key: str, version_id: str | None = None) -> ObjectVersion | None:
    """Return the newest version, or the one asked for; None when it is gone.

    Raises:
        ClientError: any other trouble. Without s3:ListBucket S3 answers 403 instead of 404.
    """
    arguments: dict[str, Any] = {"Bucket": bucket, "Key": key}
    if version_id:
        arguments["VersionId"] = version_id
    try:
        answer = s3.head_object(**arguments)
    except ClientError as exc:
        if is_gone(exc):
            return None
        raise
    found = answer.get("VersionId")
    return ObjectVersion(
        bucket=bucket,
        key=key,
        version_id=None if found == "null" else found,
        etag=answer["ETag"],
        size=answer["ContentLength"],
        last_modified=answer["LastModified"],
        headers={name: str(answer[name]) for name in _CONTENT_HEADERS if answer.get(name)},  # type: ignore[literal-required]
        metadata=answer.get("Metadata", {}),
    )


def version_id_of(label: str) -> str:
    """The version id by which S3 knows what a label names; of a null version, which may have been overwritten."""
    return NULL if is_null(label) else label


def is_null(label: str) -> bool:
    """Whether a label names a version without an id: the next upload of its key may take its place."""
    return label.startswith(_BY_ETAG)


def find(s3: S3Client, bucket: str, key: str, label: str) -> ObjectVersion | None:
    """Return the version that a label names; None when it is gone, or was overwritten.

    Raises: as `head`.
    """
    found = head(s3, bucket, key, version_id_of(label))
    return found if found is not None and found.label == label else None


def read(s3: S3Client, version: ObjectVersion, limit: int) -> bytes | None:
    """Return the content of exactly this version, cut after `limit` + 1 bytes; None when it is gone."""
    try:
        answer = s3.get_object(**version.address, IfMatch=version.etag)
    except ClientError as exc:
        if is_gone(exc) or is_changed(exc):
            return None
        raise
    with answer["Body"] as body:
        return body.read(limit + 1)


def unchanged(there: ObjectVersion | None) -> dict[str, Any]:
    """Arguments that let a write go ahead only if the key still holds what was seen there."""
    return {"IfMatch": there.etag} if there else {"IfNoneMatch": "*"}


def is_gone(exc: ClientError) -> bool:
    """Whether the answer says that the object or its version is not there."""
    return exc.response["Error"]["Code"] in _GONE


def is_changed(exc: ClientError) -> bool:
    """Whether a condition of a write or read did not hold: somebody else was faster."""
    return exc.response["Error"]["Code"] in _CHANGED


@contextmanager
def suppress_if_changed() -> Iterator[None]:
    """Take it calmly that a conditional write was refused: something else is there than was seen, or nothing at all.

    S3 answers 412 or 409; and 404 where the condition names an object and there is none any more.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
    """
    try:
        yield
    except ClientError as exc:
        if not (is_changed(exc) or is_gone(exc)):
            raise


def deleted_at(s3: S3Client, bucket: str, key: str) -> datetime | None:
    """Return when a key was deleted; None when there is no delete marker on top of it.

    Raises:
        ClientError, BotoCoreError: S3 is in trouble.
    """
    markers = s3.list_object_versions(Bucket=bucket, Prefix=key, MaxKeys=_MOST_VERSIONS).get("DeleteMarkers", [])
    return next((each["LastModified"] for each in markers if each["Key"] == key and each["IsLatest"]), None)


def versions_of(s3: S3Client, bucket: str, key: str) -> list[str | None]:
    """Return the version ids of a key, newest first; None stands for a delete marker, "null" for no version id.

    Raises:
        ClientError, BotoCoreError: S3 is in trouble.
    """
    answer = s3.list_object_versions(Bucket=bucket, Prefix=key, MaxKeys=_MOST_VERSIONS)
    entries: list[tuple[bool, datetime, int, str | None]] = []
    # Both lists are newest first; a time is cut to whole seconds, and a marker of the same second came last.
    for order, version in enumerate(answer.get("Versions", [])):
        if version["Key"] == key:
            entries.append((version["IsLatest"], version["LastModified"], -order, version["VersionId"]))
    markers = (marker for marker in answer.get("DeleteMarkers", []) if marker["Key"] == key)
    entries += ((marker["IsLatest"], marker["LastModified"], 1, None) for marker in markers)
    entries.sort(key=lambda entry: entry[:3], reverse=True)
    return [version_id for *_, version_id in entries]
