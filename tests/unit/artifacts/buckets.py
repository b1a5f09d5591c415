"""A drop bucket, an environment's bucket and a gate between them, on moto.

Every report that a test leaves behind is checked against the published schema.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.stub import Stubber
from jsonschema import Draft202012Validator, FormatChecker
from moto import mock_aws

from jetway.airflow.environment import Environment
from jetway.gate.gate import Gate, GateResult
from jetway.gate.recorder import PromotionRecorder
from jetway.gate.s3_notification import Arrival
from jetway.promotion.notifications import Notification
from jetway.promotion.state_table import ArtifactStateTable
from tests.unit.strict_copies import strict

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

REPORTED = ("dags/", "plugins.zip/", "requirements.txt/", "startup.sh/")
DROP, LIVE, TABLE = "acme-drop", "acme-airflow", "artifacts"
VERIFY_AFTER = timedelta(seconds=120)
GOOD = b"from airflow.sdk import DAG\nwith DAG('orders'):\n    pass\n"
BAD = b"from airflow.sdk import DAG\nwith DAG('orders':\n    pass\n"

ENVIRONMENT = {
    "Environment": {
        "Name": "acme",
        "Status": "AVAILABLE",
        "AirflowVersion": "3.3.1",
        "SourceBucketArn": f"arn:aws:s3:::{LIVE}",
        "DagS3Path": "dags",
    }
}

SCHEMA: dict[str, Any] = json.loads(
    (Path(__file__).resolve().parents[3] / "docs/schemas/report.schema.json").read_text()
)
REPORT_SCHEMA = Draft202012Validator(SCHEMA, format_checker=FormatChecker())


def make_artifact_table(dynamodb: DynamoDBClient) -> None:
    """Make the table as template.yaml does."""
    dynamodb.create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "open", "due_at")],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "by_due",
                "KeySchema": [
                    {"AttributeName": "open", "KeyType": "HASH"},
                    {"AttributeName": "due_at", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
    )


class Buckets:
    """Both buckets, and the gate."""

    def __init__(self, s3: S3Client, environment: Environment, *, versioned: bool) -> None:
        self.s3 = s3
        self.dynamodb = SESSION.client("dynamodb")
        make_artifact_table(self.dynamodb)
        self.news: list[Notification] = []
        self.table = ArtifactStateTable(self.dynamodb, TABLE)
        book = PromotionRecorder(s3, self.table, self.news.append, "acme", VERIFY_AFTER)
        self.gate = Gate(s3, environment, DROP, book, max_dag_file_bytes=1024 * 1024)
        for bucket in (DROP, LIVE):
            s3.create_bucket(Bucket=bucket)
            if versioned:
                s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})

    def drop(self, key: str, body: bytes, **more: Any) -> str | None:
        """Put an object in the drop bucket and return its version id."""
        return self.s3.put_object(Bucket=DROP, Key=key, Body=body, **more).get("VersionId")

    def settle(self, key: str, version_id: str | None = None) -> list[GateResult]:
        """Let the gate deal with it."""
        return self.gate.settle(Arrival(DROP, key, version_id))

    def outcomes(self, key: str, version_id: str | None = None) -> list[str]:
        """The same, by outcome."""
        return [settled.outcome for settled in self.settle(key, version_id)]

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        """The keys that the bucket holds."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return [found["Key"] for page in pages for found in page.get("Contents", [])]

    def live(self, key: str) -> bytes | None:
        """The content of a key in the environment's bucket, or None."""
        return self.content(LIVE, key) if key in self.keys(LIVE, key) else None

    def content(self, bucket: str, key: str) -> bytes:
        """The content of an object."""
        return self.s3.get_object(Bucket=bucket, Key=key)["Body"].read()

    def report(self, key: str, version: str | None = "latest") -> dict[str, Any]:
        """The report of a version of a key."""
        report: dict[str, Any] = json.loads(self.content(DROP, f"reports/{key}/{version}.json"))
        return report

    def versions(self, bucket: str, key: str) -> int:
        """How many versions a key has."""
        listed = self.s3.list_object_versions(Bucket=bucket, Prefix=key).get("Versions", [])
        return sum(version["Key"] == key for version in listed)

    def check_reports(self) -> None:
        """Every report there is conforms to the published schema."""
        reports = (key for prefix in REPORTED for key in self.keys(DROP, f"reports/{prefix}"))
        for key in (key for key in reports if key.endswith(".json")):
            REPORT_SCHEMA.validate(json.loads(self.content(DROP, key)))


# One session: each would read the service models anew. Made after moto is imported, which hooks into it.
SESSION = boto3.Session(region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test")


@contextmanager
def buckets(
    *, versioned: bool = True, environment_is_there: bool = True, facts: Mapping[str, str] | None = None
) -> Iterator[Buckets]:
    """Both buckets, empty; at the end every report is checked.

    Args:
        facts: of the environment, that are not as they usually are.
    """
    mwaa = SESSION.client("mwaa")
    with mock_aws(), Stubber(mwaa) as stubber:
        if environment_is_there:
            known = {**ENVIRONMENT, "Environment": {**ENVIRONMENT["Environment"], **(facts or {})}}
            stubber.add_response("get_environment", known, {"Name": "acme"})
        else:
            stubber.add_client_error("get_environment", "ResourceNotFoundException")
        world = Buckets(strict(SESSION.client("s3")), Environment(mwaa, "acme"), versioned=versioned)
        yield world
        world.check_reports()
