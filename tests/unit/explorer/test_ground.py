"""The S3 and the DynamoDB that the explorer stands on refuse what AWS refuses."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal

import pytest
from botocore.exceptions import ClientError

from tests.unit.explorer.dynamodb import DynamoDB
from tests.unit.explorer.s3 import S3

NOW = datetime(2026, 11, 22, 6, 0, 0, 999_999, tzinfo=UTC)
COPY: dict[str, Any] = {
    "Bucket": "b",
    "Key": "copy",
    "CopySource": {"Bucket": "b", "Key": "k"},
    "MetadataDirective": "REPLACE",
    "TaggingDirective": "REPLACE",
    "Metadata": {},
}


@pytest.fixture
def s3() -> S3:
    made = S3(lambda: NOW)
    made.make("b")
    return made


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(ClientError) as caught:
        call()
    return str(caught.value.response["Error"]["Code"])


@pytest.mark.parametrize("nothing", [404, 412])
def test_each_write_goes_ahead_only_if_its_condition_holds(s3: S3, nothing: Literal[404, 412]) -> None:
    s3.if_match_on_nothing = nothing
    s3.put_object(Bucket="b", Key="k", Body=b"x")
    writes: dict[str, Callable[..., object]] = {
        "put": lambda **condition: s3.put_object(Bucket="b", Key="copy", Body=b"y", **condition),
        "copy": lambda **condition: s3.copy_object(**COPY, **condition),
    }
    none = {404: "NoSuchKey", 412: "PreconditionFailed"}[nothing]
    for write in writes.values():
        assert refusal(lambda write=write: write(IfMatch='"e"')) == none  # type: ignore[misc]
        write(IfNoneMatch="*")
        assert refusal(lambda write=write: write(IfNoneMatch="*")) == "PreconditionFailed"  # type: ignore[misc]
        assert refusal(lambda write=write: write(IfMatch='"e"')) == "PreconditionFailed"  # type: ignore[misc]
        write(IfMatch=s3.head_object(Bucket="b", Key="copy")["ETag"])
        assert refusal(lambda: s3.delete_object(Bucket="b", Key="copy", IfMatch='"e"')) == "PreconditionFailed"
        s3.delete_object(Bucket="b", Key="copy", IfMatch=s3.head_object(Bucket="b", Key="copy")["ETag"])
        assert refusal(lambda: s3.delete_object(Bucket="b", Key="copy", IfMatch='"e"')) == none


def test_two_writes_at_once_conflict_when_a_test_asks_for_it(s3: S3) -> None:
    s3.conflicts["PutObject"] = 1
    assert (
        refusal(lambda: s3.put_object(Bucket="b", Key="k", Body=b"", IfNoneMatch="*")) == "ConditionalRequestConflict"
    )
    s3.put_object(Bucket="b", Key="k", Body=b"", IfNoneMatch="*")


def test_conditions_compare_content_and_not_versions_but_under_kms_no_two_etags_are_alike(s3: S3) -> None:
    s3.make("kms", kms=True)
    etags = {
        bucket: [s3.put_object(Bucket=bucket, Key="k", Body=b"x")["ETag"] for _ in range(2)] for bucket in ("b", "kms")
    }
    assert etags["b"][0] == etags["b"][1]
    assert etags["kms"][0] != etags["kms"][1]


def test_versions_delete_markers_and_what_is_not_there(s3: S3) -> None:
    first = s3.put_object(Bucket="b", Key="k", Body=b"1", Metadata={"a": "1"}, ContentType="text/plain")["VersionId"]
    marker = s3.delete_object(Bucket="b", Key="k")["VersionId"]
    assert refusal(lambda: s3.head_object(Bucket="b", Key="k")) == "404"
    assert refusal(lambda: s3.get_object(Bucket="b", Key="k")) == "NoSuchKey"
    assert refusal(lambda: s3.head_object(Bucket="b", Key="k", VersionId=marker)) == "405"
    assert refusal(lambda: s3.get_object(Bucket="b", Key="k", VersionId="other")) == "NoSuchVersion"
    found = s3.get_object(Bucket="b", Key="k", VersionId=first, Range="bytes=0-3")
    assert (found["Body"].read(), found["Metadata"], found["ContentType"]) == (b"1", {"a": "1"}, "text/plain")
    listed = s3.list_object_versions(Bucket="b", Prefix="k")
    assert [entry["IsLatest"] for entry in (*listed["DeleteMarkers"], *listed["Versions"])] == [True, False]
    assert listed["Versions"][0]["LastModified"] == NOW.replace(microsecond=0)
    s3.delete_object(Bucket="b", Key="k", VersionId=marker)
    assert s3.head_object(Bucket="b", Key="k")["VersionId"] == first


def test_without_versioning_there_is_no_version_id(s3: S3) -> None:
    s3.make("plain", versioned=False)
    assert "VersionId" not in s3.put_object(Bucket="plain", Key="k", Body=b"1")
    assert "VersionId" not in s3.head_object(Bucket="plain", Key="k")
    s3.delete_object(Bucket="plain", Key="k")
    assert refusal(lambda: s3.head_object(Bucket="plain", Key="k")) == "404"


def test_what_it_does_not_know_it_refuses(s3: S3) -> None:
    with pytest.raises(TypeError):
        s3.head_object(Bucket="b", Key="k", PartNumber=1)  # type: ignore[call-arg]
    with pytest.raises(AssertionError):
        s3.put_object(Bucket="b", Key="k", Body=b"", ACL="private")
    with pytest.raises(AssertionError):
        DynamoDB({}).put_item(TableName="t", Item={"pk": {"S": "a"}}, ConditionExpression="size(x) > :y")


def test_dynamodb_writes_only_if_the_condition_holds_and_lists_by_index() -> None:
    dynamodb = DynamoDB({"by_due": ("open", "due_at")})
    item: dict[str, Any] = {"pk": {"S": "a"}, "revision": {"N": "1"}, "open": {"S": "open"}, "due_at": {"S": "2"}}
    dynamodb.put_item(TableName="t", Item=item, ConditionExpression="attribute_not_exists(pk)")
    failed = "ConditionalCheckFailedException"
    again: dict[str, Any] = {"TableName": "t", "Item": item}
    assert refusal(lambda: dynamodb.put_item(**again, ConditionExpression="attribute_not_exists(pk)")) == failed
    values = {":before": {"N": "2"}}
    onto: dict[str, Any] = {"ConditionExpression": "revision = :before", "ExpressionAttributeValues": values}
    assert refusal(lambda: dynamodb.put_item(**again, **onto)) == failed
    assert refusal(lambda: dynamodb.delete_item(TableName="t", Key={"pk": {"S": "a"}}, **onto)) == failed
    earlier = {**item, "pk": {"S": "b"}, "due_at": {"S": "1"}}
    closed = {"pk": {"S": "c"}, "due_at": {"S": "0"}}
    for each in (earlier, closed):
        dynamodb.put_item(TableName="t", Item=each)
    (page,) = dynamodb.get_paginator("query").paginate(
        TableName="t",
        IndexName="by_due",
        KeyConditionExpression="#open = :open",
        ExpressionAttributeNames={"#open": "open"},
        ExpressionAttributeValues={":open": {"S": "open"}},
    )
    assert [found["pk"]["S"] for found in page["Items"]] == ["b", "a"]
    assert dynamodb.get_item(TableName="t", Key={"pk": {"S": "c"}})["Item"] == closed
    dynamodb.delete_item(TableName="t", Key={"pk": {"S": "c"}})
    assert dynamodb.get_item(TableName="t", Key={"pk": {"S": "c"}}) == {}
