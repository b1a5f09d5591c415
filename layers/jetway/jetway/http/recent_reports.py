"""The newest validation reports of the drop bucket, for people who want to see what became of their files."""

from __future__ import annotations

import heapq
import json
from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from jetway.artifacts.keys import REPORTS

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_LATEST = "/latest.json"
MOST_READ = 100  # reports that are looked at for a caller who may see some only
MOST_PAGES = 10  # of 1,000 keys: S3 lists by key, so all must be seen to know the newest


def recent_reports(
    s3: S3Client, bucket: str, limit: int, *, dags: Callable[[str | None], bool] | None = None
) -> tuple[list[dict[str, Any]], int]:
    """Return the newest latest report of every artifact, newest first, and how many artifacts there are.

    Args:
        s3: the client.
        bucket: the drop bucket.
        limit: so many at most; each is one GetObject.
        dags: tells whether a DAG may be seen; then only reports that name such a DAG are looked for, among the newest.

    Raises:
        ClientError, BotoCoreError: S3 refuses or does not answer.
    """
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket=bucket, Prefix=REPORTS, PaginationConfig={"MaxItems": MOST_PAGES * 1000}
    )
    found = [
        (item["LastModified"].isoformat(), item["Key"])
        for page in pages
        for item in page.get("Contents", ())
        if item["Key"].endswith(_LATEST)
    ]
    newest = heapq.nlargest(limit if dags is None else MOST_READ, found)
    read = (_read(s3, bucket, key) for _, key in newest)
    there = (report for report in read if report is not None)
    if dags is None:
        return list(there), len(found)
    seen = list(islice((report for report in there if any(dags(dag["dag_id"]) for dag in report["dags"])), limit))
    return seen, len(seen)


def _read(s3: S3Client, bucket: str, key: str) -> dict[str, Any] | None:
    try:
        content = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    except ClientError as exc:
        if exc.response["Error"]["Code"] == "NoSuchKey":
            return None  # expired between the list and now
        raise
    report: dict[str, Any] = json.loads(content)
    return report
