"""A small S3 in memory, at least as strict as the real one: an argument, a key or a condition it does not know fails.

What it does as AWS documents it:
conditions   If-Match and If-None-Match of PutObject, CopyObject and DeleteObject compare ETags, so content, and never
             versions: 412 PreconditionFailed. Two writes at once: 409 ConditionalRequestConflict, on demand.
             https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
ETags        the content's MD5, or opaque as under SSE-KMS: then the same bytes never have the same ETag.
times        LastModified is by the clock that is passed in, cut to whole seconds.

AWS does not say for every operation what If-Match answers when nothing is there: `if_match_on_nothing` is 404 or 412,
and the product has to be right under both.
"""

# ruff: noqa: N803 - arguments have the names that AWS gives them

from __future__ import annotations

import hashlib
import io
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from botocore.exceptions import ClientError

_HEADERS = ("CacheControl", "ContentDisposition", "ContentEncoding", "ContentLanguage", "ContentType")
_LONGEST_KEY = 1024  # bytes. https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
_MOST_METADATA = 2048  # bytes. https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html
_CODES = {
    400: "MetadataTooLarge",
    404: "NoSuchKey",
    405: "MethodNotAllowed",
    409: "ConditionalRequestConflict",
    412: "PreconditionFailed",
    416: "InvalidRange",
}


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a key, or a delete marker.

    Attributes:
        id: "null" in a bucket without versioning.
        body: None for a delete marker.
    """

    key: str
    id: str
    at: datetime
    body: bytes | None = None
    etag: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Bucket:
    """A bucket: the versions of each key, oldest first.

    Attributes:
        suspended: what is written takes the place of the version "null", and what had an id before stays.
    """

    name: str
    versioned: bool
    kms: bool
    suspended: bool = False
    keys: dict[str, list[Version]] = field(default_factory=dict)

    def newest(self, key: str) -> Version | None:
        """The object as a plain GET sees it; None where there is none, or a delete marker on top."""
        versions = self.keys.get(key)
        return versions[-1] if versions and versions[-1].body is not None else None

    def exactly(self, key: str, version_id: str) -> Version | None:
        """That version or delete marker."""
        return next((found for found in self.keys.get(key, ()) if found.id == version_id), None)


class S3:
    """Stands in for boto3's client.

    Args:
        clock: tells LastModified.
        on_event: is told of each object that is put in a bucket or deleted from it: bucket, key, version id, deleted.
        tags_of_versions: as the functions' roles have it, tags are denied without a version id.
    """

    def __init__(
        self,
        clock: Callable[[], datetime],
        on_event: Callable[[str, str, str, bool], None] = lambda *_: None,
        *,
        tags_of_versions: bool = False,
    ) -> None:
        self.buckets: dict[str, Bucket] = {}
        self.if_match_on_nothing: Literal[404, 412] = 404
        self.conflicts: Counter[str] = Counter()  # so many of the next conditional calls of an operation answer 409
        self._clock, self._on_event = clock, on_event
        self._ids, self._tags_of_versions = 0, tags_of_versions

    def make(self, name: str, *, versioned: bool = True, kms: bool = False) -> Bucket:
        """Make a bucket."""
        self.buckets[name] = Bucket(name, versioned, kms)
        return self.buckets[name]

    def as_in(self, other: S3) -> None:
        """Hold what another one holds."""
        self._ids = other._ids
        for name, bucket in other.buckets.items():
            self.make(name, versioned=bucket.versioned, kms=bucket.kms)
            self.buckets[name].suspended = bucket.suspended
            self.buckets[name].keys = {key: list(versions) for key, versions in bucket.keys.items()}

    # ------------------------------------------------------------------------------------------------- reading
    def head_object(self, *, Bucket: str, Key: str, VersionId: str | None = None) -> dict[str, Any]:
        return _described(self._found("HeadObject", Bucket, Key, VersionId))

    def get_object(
        self,
        *,
        Bucket: str,
        Key: str,
        VersionId: str | None = None,
        IfMatch: str | None = None,
        Range: str | None = None,
    ) -> dict[str, Any]:
        found = self._found("GetObject", Bucket, Key, VersionId)
        if IfMatch is not None and IfMatch != found.etag:
            raise _error("GetObject", 412)
        body, told = found.body or b"", {}
        if Range is not None:
            start, _, end = Range.removeprefix("bytes=").partition("-")
            if int(start) >= len(body):
                raise _error("GetObject", 416)
            told = {"ContentRange": f"bytes {start}-{end or len(body) - 1}/{len(body)}"}
            body = body[int(start) : int(end) + 1 if end else None]
        return {**_described(found), **told, "ContentLength": len(body), "Body": io.BytesIO(body)}

    def get_bucket_versioning(self, *, Bucket: str) -> dict[str, Any]:
        if self.buckets[Bucket].suspended:
            return {"Status": "Suspended"}
        return {"Status": "Enabled"} if self.buckets[Bucket].versioned else {}

    def list_object_versions(self, *, Bucket: str, Prefix: str, MaxKeys: int = 1000) -> dict[str, Any]:
        found = self.buckets[Bucket]
        entries = [
            (each, each is versions[-1])
            for key, versions in sorted(found.keys.items())
            if key.startswith(Prefix)
            for each in reversed(versions)
        ][:MaxKeys]
        listed: dict[str, list[dict[str, Any]]] = {"Versions": [], "DeleteMarkers": []}
        for each, newest in entries:
            entry = {"Key": each.key, "VersionId": each.id, "LastModified": each.at, "IsLatest": newest}
            if each.body is None:
                listed["DeleteMarkers"].append(entry)
            else:
                listed["Versions"].append({**entry, "ETag": each.etag, "Size": len(each.body)})
        return {name: entries for name, entries in listed.items() if entries}

    def list_objects_v2(self, *, Bucket: str, Prefix: str = "", MaxKeys: int = 1000) -> dict[str, Any]:
        there = self.buckets[Bucket]
        found = [each for key in sorted(there.keys) if key.startswith(Prefix) and (each := there.newest(key))]
        contents = [
            {"Key": each.key, "ETag": each.etag, "Size": len(each.body or b""), "LastModified": each.at}
            for each in found[:MaxKeys]
        ]
        return {"Contents": contents} if contents else {}

    def get_object_tagging(self, *, Bucket: str, Key: str, VersionId: str | None = None) -> dict[str, Any]:
        self._of_version(VersionId)
        found = self._found("GetObjectTagging", Bucket, Key, VersionId)
        return _version(found) | {"TagSet": [{"Key": name, "Value": value} for name, value in found.tags.items()]}

    # ------------------------------------------------------------------------------------------------- writing
    def put_object(
        self,
        *,
        Bucket: str,
        Key: str,
        Body: bytes,
        Metadata: Mapping[str, str] | None = None,
        IfMatch: str | None = None,
        IfNoneMatch: str | None = None,
        **headers: str,
    ) -> dict[str, Any]:
        self._check("PutObject", Bucket, Key, IfMatch, IfNoneMatch)
        return self._write("PutObject", Bucket, Key, Body, headers, Metadata or {})

    def copy_object(
        self,
        *,
        Bucket: str,
        Key: str,
        CopySource: Mapping[str, str],
        MetadataDirective: Literal["REPLACE"],
        TaggingDirective: Literal["REPLACE"],
        Metadata: Mapping[str, str],
        CopySourceIfMatch: str | None = None,
        IfMatch: str | None = None,
        IfNoneMatch: str | None = None,
        **headers: str,
    ) -> dict[str, Any]:
        source = self._found("CopyObject", CopySource["Bucket"], CopySource["Key"], CopySource.get("VersionId"))
        if CopySourceIfMatch is not None and CopySourceIfMatch != source.etag:
            raise _error("CopyObject", 412)
        self._check("CopyObject", Bucket, Key, IfMatch, IfNoneMatch)
        return self._write("CopyObject", Bucket, Key, source.body or b"", headers, Metadata)

    def delete_object(
        self,
        *,
        Bucket: str,
        Key: str,
        VersionId: str | None = None,
        IfMatch: str | None = None,
    ) -> dict[str, Any]:
        bucket = self.buckets[Bucket]
        versions = bucket.keys.setdefault(Key, [])
        if VersionId is not None:
            bucket.keys[Key] = [each for each in versions if each.id != VersionId]
            self._on_event(Bucket, Key, VersionId, True)
            return {"VersionId": VersionId}
        self._check("DeleteObject", Bucket, Key, IfMatch, None)
        if not bucket.versioned:
            del bucket.keys[Key]
            self._on_event(Bucket, Key, "null", True)
            return {}
        marker = Version(Key, self._next_id(bucket), self._now())
        _append(bucket, Key, marker)
        self._on_event(Bucket, Key, marker.id, True)
        return {"DeleteMarker": True, "VersionId": marker.id}

    def put_object_tagging(
        self,
        *,
        Bucket: str,
        Key: str,
        Tagging: Mapping[str, Any],
        VersionId: str | None = None,
    ) -> dict[str, Any]:
        self._of_version(VersionId)
        found = self._found("PutObjectTagging", Bucket, Key, VersionId)
        versions = self.buckets[Bucket].keys[Key]
        tags = {tag["Key"]: tag["Value"] for tag in Tagging["TagSet"]}
        versions[versions.index(found)] = Version(
            found.key, found.id, found.at, found.body, found.etag, found.headers, found.metadata, tags
        )
        return _version(found)

    def get_paginator(self, operation: Literal["list_objects_v2"]) -> _Paginator:
        return _Paginator(getattr(self, operation))

    # ------------------------------------------------------------------------------------------------- within
    def _of_version(self, version_id: str | None) -> None:
        assert version_id is not None or not self._tags_of_versions, "the roles have the rights to versions alone"

    def _found(self, operation: str, bucket: str, key: str, version_id: str | None) -> Version:
        there = self.buckets[bucket]
        if version_id is not None and version_id.startswith("etag-"):
            raise _error(operation, 400, "InvalidArgument")  # it is none of S3's
        found = there.newest(key) if version_id is None else there.exactly(key, version_id)
        if found is None:
            raise _error(operation, 404, "NoSuchVersion" if version_id else None)
        if found.body is None:
            raise _error(operation, 405)
        return found

    def _check(self, operation: str, bucket: str, key: str, if_match: str | None, if_none_match: str | None) -> None:
        if if_match is None and if_none_match is None:
            return
        if self.conflicts[operation]:
            self.conflicts[operation] -= 1
            raise _error(operation, 409)
        there = self.buckets[bucket].newest(key)
        if if_none_match is not None:
            assert if_none_match == "*", "S3 takes no other If-None-Match"
            if there is not None:
                raise _error(operation, 412)
        if if_match is not None and there is None:
            raise _error(operation, self.if_match_on_nothing)
        if if_match is not None and there is not None and if_match not in {there.etag, "*"}:
            raise _error(operation, 412)

    def _write(
        self,
        operation: str,
        name: str,
        key: str,
        body: bytes,
        headers: Mapping[str, str],
        metadata: Mapping[str, str],
    ) -> dict[str, Any]:
        unknown = headers.keys() - set(_HEADERS)
        assert not unknown, f"{operation} knows no {unknown}"
        assert len(key.encode()) <= _LONGEST_KEY, "S3 takes no longer key"
        texts = [*metadata, *metadata.values()]
        assert all(text.isascii() for text in texts), "boto3 takes metadata in ASCII only"
        if sum(map(len, texts)) > _MOST_METADATA:
            raise _error(operation, 400)
        bucket = self.buckets[name]
        content = body + str(self._ids).encode() if bucket.kms else body
        etag = f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'
        made = Version(key, self._next_id(bucket), self._now(), body, etag, dict(headers), dict(metadata))
        _append(bucket, key, made)
        self._on_event(name, key, made.id, False)
        told: dict[str, Any] = {"CopyObjectResult": {"ETag": etag}} if operation == "CopyObject" else {"ETag": etag}
        return told | _version(made)

    def _next_id(self, bucket: Bucket) -> str:
        self._ids += 1
        return f"{bucket.name[0]}{self._ids}" if bucket.versioned and not bucket.suspended else "null"

    def _now(self) -> datetime:
        return self._clock().replace(microsecond=0)


def _append(bucket: Bucket, key: str, made: Version) -> None:
    there = bucket.keys.setdefault(key, [])
    kept = [each for each in there if each.id != "null"] if made.id == "null" else there
    bucket.keys[key] = [*kept, made]


class _Paginator:
    def __init__(self, operation: Callable[..., dict[str, Any]]) -> None:
        self._operation = operation

    def paginate(self, **arguments: Any) -> Iterator[dict[str, Any]]:
        yield self._operation(**arguments)


def _described(found: Version) -> dict[str, Any]:
    described = {
        "ETag": found.etag,
        "ContentLength": len(found.body or b""),
        "ContentType": "binary/octet-stream",
        "LastModified": found.at,
        "Metadata": {name.lower(): value for name, value in found.metadata.items()},
        **found.headers,
    }
    return described | _version(found)


def _version(found: Version) -> dict[str, str]:
    return {"VersionId": found.id} if found.id != "null" else {}


def _error(operation: str, status: int, code: str | None = None) -> ClientError:
    # HeadObject has no body to put a code in: botocore gives the status.
    code = str(status) if operation == "HeadObject" else code or _CODES[status]
    answer: Any = {"Error": {"Code": code, "Message": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, operation)
