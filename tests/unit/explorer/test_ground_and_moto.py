"""The S3 and the DynamoDB in memory answer calls as moto does, which others have made.

Not asked is what moto does not know: CopySourceIfMatch, and the delete marker of a key that never was.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from tests.unit.artifacts.buckets import SESSION, TABLE, make_artifact_table
from tests.unit.explorer.dynamodb import DynamoDB
from tests.unit.explorer.s3 import S3
from tests.unit.strict_copies import strict

NOW = datetime(2026, 11, 22, 6, 0, tzinfo=UTC)
ETAG = '"9dd4e461268c8034f5c8564e155c67a6"'  # of b"x"
Call = tuple[str, dict[str, Any]]

TOLD = (
    *("Body", "ContentLength", "ContentRange", "ContentType", "DeleteMarker", "ETag", "IsLatest", "Item", "Items"),
    *("Key", "Metadata", "Size", "Status", "TagSet", "Value", "VersionId"),
)
LISTS = ("Contents", "CopyObjectResult", "DeleteMarkers", "Versions")


@pytest.fixture
def moto() -> Iterator[None]:
    with mock_aws():
        yield


def answers(client: Any, calls: Sequence[Call]) -> list[Any]:
    """What each call is answered, with version ids by the order in which they appear."""
    labels: dict[str, str] = {}
    return [_answer(client, name, _named(arguments, labels), labels) for name, arguments in calls]


def _answer(client: Any, name: str, arguments: dict[str, Any], labels: dict[str, str]) -> Any:
    try:
        answer = getattr(client, name)(**arguments)
    except ClientError as exc:
        return name, exc.response["Error"]["Code"]
    # Of PutObjectTagging moto gives no version id, as S3 does.
    return name, {} if name == "put_object_tagging" else _told(answer, labels)


def _named(arguments: dict[str, Any], labels: dict[str, str]) -> dict[str, Any]:
    ids = {label: found for found, label in labels.items()}
    return {
        name: _named(value, labels) if name == "CopySource" else ids[value] if name == "VersionId" else value
        for name, value in arguments.items()
    }


def _told(answer: Any, labels: dict[str, str]) -> Any:
    if isinstance(answer, list):
        return [_told(one, labels) for one in answer]
    told: dict[str, Any] = {}
    for name, value in sorted(answer.items()):
        if name in LISTS:
            told[name] = _told(value, labels)
        elif name == "VersionId":
            told[name] = labels.setdefault(value, f"v{len(labels) + 1}")
        elif name in TOLD:
            told[name] = value.read() if name == "Body" else value
    return told


def of(key: str, **more: Any) -> dict[str, Any]:
    return {"Bucket": "box", "Key": key, **more}


def copy(version: str | None = None, **more: Any) -> dict[str, Any]:
    source = of("k", VersionId=version) if version else of("k")
    made: dict[str, Any] = {"MetadataDirective": "REPLACE", "TaggingDirective": "REPLACE", "Metadata": {"from": "k"}}
    return of("copy", CopySource=source, **made, **more)


LISTED: list[Call] = [
    ("list_object_versions", {"Bucket": "box", "Prefix": "k"}),
    ("list_objects_v2", {"Bucket": "box", "Prefix": "k"}),
]
READ: list[Call] = [
    ("head_object", of("k")),
    ("get_object", of("k")),
    ("get_object_tagging", of("k")),
    *LISTED,
]
S3_CALLS: list[Call] = [
    *READ,  # nothing is there
    ("put_object", of("k", Body=b"x", Metadata={"Source": "1"}, ContentType="text/plain")),
    ("put_object", of("k", Body=b"y", IfNoneMatch="*")),
    ("put_object", of("k", Body=b"y", IfMatch='"other"')),
    ("put_object", of("k", Body=b"", IfMatch=ETAG)),
    ("put_object", of("k/below", Body=b"z")),
    *READ,
    ("get_object", of("k", VersionId="v1", IfMatch=ETAG)),
    ("get_object", of("k", VersionId="v2", IfMatch=ETAG)),
    ("put_object_tagging", of("k", VersionId="v1", Tagging={"TagSet": [{"Key": "verdict", "Value": "accepted"}]})),
    ("get_object_tagging", of("k", VersionId="v1")),
    ("get_object_tagging", of("k")),
    ("copy_object", copy("v1", CopySourceIfMatch=ETAG, IfNoneMatch="*")),
    ("copy_object", copy("v1", IfNoneMatch="*")),
    ("copy_object", copy("v1", IfMatch='"other"')),
    ("copy_object", copy("v2", IfMatch=ETAG, ContentType="text/csv")),
    ("get_object", of("copy")),
    ("delete_object", of("k")),
    *READ,
    ("put_object", of("k", Body=b"w", IfMatch=ETAG)),
    ("copy_object", copy()),
    ("put_object", of("k", Body=b"again", IfNoneMatch="*")),
    ("get_object", of("k", Range="bytes=1-2")),
    ("get_object", of("k", Range="bytes=9-")),
    ("delete_object", of("k", VersionId="v1")),
    ("get_object", of("k", VersionId="v1")),
    *READ,
    ("list_objects_v2", {"Bucket": "box", "MaxKeys": 1}),
    ("get_bucket_versioning", {"Bucket": "box"}),
]


def test_s3(moto: None) -> None:
    ours, theirs = S3(lambda: NOW), strict(SESSION.client("s3"))
    ours.make("box")
    theirs.create_bucket(Bucket="box")
    theirs.put_bucket_versioning(Bucket="box", VersioningConfiguration={"Status": "Enabled"})
    assert answers(ours, S3_CALLS) == answers(theirs, S3_CALLS)


def item(pk: str, revision: int, due_at: str = "") -> dict[str, Any]:
    due = {"open": {"S": "open"}, "due_at": {"S": due_at}} if due_at else {}
    return {"pk": {"S": pk}, "revision": {"N": str(revision)}, **due}


def put(made: dict[str, Any], condition: str, **values: dict[str, str]) -> Call:
    more: dict[str, Any] = {"ConditionExpression": condition} if condition else {}
    if values:
        more["ExpressionAttributeValues"] = {f":{name}": value for name, value in values.items()}
    return "put_item", {"TableName": TABLE, "Item": made, **more}


DYNAMODB_CALLS: list[Call] = [
    ("get_item", {"TableName": TABLE, "Key": {"pk": {"S": "a"}}, "ConsistentRead": True}),
    put(item("a", 1), "revision = :before", before={"N": "0"}),
    put(item("a", 1, "2"), "attribute_not_exists(pk)"),
    put(item("a", 2), "attribute_not_exists(pk)"),
    put(item("a", 2, "3"), "revision = :before", before={"N": "1"}),
    put(item("b", 1, "1"), "revision <> :before", before={"N": "1"}),
    put(item("c", 1), ""),
    put({"pk": {"S": "d"}, "much": {"S": "x" * 409_600}}, ""),
    ("get_item", {"TableName": TABLE, "Key": {"pk": {"S": "a"}}, "ConsistentRead": True}),
    (
        "query",
        {
            "TableName": TABLE,
            "IndexName": "by_due",
            "KeyConditionExpression": "#open = :open",
            "ExpressionAttributeNames": {"#open": "open"},
            "ExpressionAttributeValues": {":open": {"S": "open"}},
        },
    ),
    (
        "delete_item",
        {
            "TableName": TABLE,
            "Key": {"pk": {"S": "a"}},
            "ConditionExpression": "revision = :before",
            "ExpressionAttributeValues": {":before": {"N": "1"}},
        },
    ),
    ("delete_item", {"TableName": TABLE, "Key": {"pk": {"S": "a"}}}),
    ("delete_item", {"TableName": TABLE, "Key": {"pk": {"S": "a"}}}),
    ("scan", {"TableName": TABLE}),
]


def test_dynamodb(moto: None) -> None:
    ours, theirs = DynamoDB({"by_due": ("open", "due_at")}), SESSION.client("dynamodb")
    make_artifact_table(theirs)
    assert answers(ours, DYNAMODB_CALLS) == answers(theirs, DYNAMODB_CALLS)
