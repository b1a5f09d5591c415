"""Works on a batch: reads the manifest that names the batch's events. Runs on Airflow 2 and 3.

With a `batch` trigger, conf has the manifest's address, the number of events and, if they are small, the events
themselves. Reading the manifest works for any number of events; the environment's execution role needs the policy
that the stack's output ReadManifestsPolicyArn names.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

try:
    from airflow.sdk import dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task


@dag(
    schedule=None,  # batches start it
    start_date=datetime(2026, 1, 1),
    catchup=False,
    tags=["jetway", "example"],
)
def batch_manifest() -> None:
    """Sums up the sizes of the files in a batch."""

    @task
    def sum_up(**context: Any) -> dict[str, int]:
        import json

        import boto3

        conf = context["dag_run"].conf
        bucket, _, key = conf["manifest"].removeprefix("s3://").partition("/")
        manifest = json.loads(boto3.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read())
        if manifest["count"] != len(manifest["events"]) or manifest["count"] != conf["count"]:
            raise ValueError(f"conf has {conf['count']} events, the manifest has {len(manifest['events'])}.")
        # A task returns its result, because thousands of events are too much for an XCom.
        return {"events": manifest["count"], "bytes": sum(event.get("size") or 0 for event in manifest["events"])}

    @task
    def tell(total: dict[str, int]) -> str:
        return f"{total['events']} files, {total['bytes']} bytes"

    tell(sum_up())


batch_manifest()
