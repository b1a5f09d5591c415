"""Operators of the Amazon provider at work: list, copy, publish. Runs on Airflow 2 and 3; needs no packages.

A file `done` in a delivery's folder starts it. It copies all files of the folder, one mapped task each, and then sends
an event to EventBridge. The execution role needs s3:GetObject and s3:PutObject on the bucket and
events:PutEvents on the bus.

conf: bucket, key.
"""

from __future__ import annotations

from datetime import datetime

from airflow.providers.amazon.aws.operators.eventbridge import EventBridgePutEventsOperator
from airflow.providers.amazon.aws.operators.s3 import S3CopyObjectOperator, S3ListOperator

try:
    from airflow.sdk import dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task

BUCKET = "{{ dag_run.conf['bucket'] }}"


@dag(
    schedule=None,  # a file starts it
    start_date=datetime(2026, 1, 1),
    catchup=False,
    tags=["jetway", "example"],
)
def aws_services() -> None:
    """Archives a delivery."""
    found = S3ListOperator(
        task_id="list_delivery", bucket=BUCKET, prefix="{{ dag_run.conf['key'].rpartition('/')[0] }}/"
    )

    @task
    def pairs(keys: list[str]) -> list[dict[str, str]]:
        """Where each file goes."""
        return [
            {"source_bucket_key": key, "dest_bucket_key": f"archive/{key}"} for key in keys if not key.endswith("/done")
        ]

    copied = S3CopyObjectOperator.partial(
        task_id="copy", source_bucket_name=BUCKET, dest_bucket_name=BUCKET
    ).expand_kwargs(pairs(found.output))

    told = EventBridgePutEventsOperator(
        task_id="tell",
        entries=[
            {
                "Source": "acme.deliveries",
                "DetailType": "DeliveryArchived",
                "Detail": '{"bucket": "{{ dag_run.conf[\'bucket\'] }}", "run_id": "{{ run_id }}"}',
            }
        ],
    )
    copied >> told


aws_services()
