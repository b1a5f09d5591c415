"""A webhook from another cloud or your own data centre starts a run that fetches the order there. Airflow 2 and 3.

Needs no packages. Address and password of the other system are the connection `onprem_orders` in a secrets backend: on
MWAA AWS Secrets Manager (`airflow/connections/onprem_orders`), which the options `secrets.backend` and
`secrets.backend_kwargs` turn on. Neither the webhook nor the DAG file nor Airflow's database knows them.

conf: order (number), bucket.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

try:
    from airflow.sdk import dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task


@dag(
    schedule=None,  # a webhook starts it
    start_date=datetime(2026, 1, 1),
    catchup=False,
    default_args={"retries": 3, "retry_delay": timedelta(seconds=5)},
    tags=["jetway", "example"],
)
def onprem_orders() -> None:
    """Copies one order from a system outside AWS to S3."""

    @task
    def fetch(**context: Any) -> dict[str, Any]:
        from airflow.providers.http.hooks.http import HttpHook

        order = int(context["dag_run"].conf["order"])  # it comes from outside: nothing but a number goes in the path
        found: dict[str, Any] = HttpHook(method="GET", http_conn_id="onprem_orders").run(f"/orders/{order}").json()
        return found

    @task
    def store(found: dict[str, Any], **context: Any) -> str:
        import json

        import boto3

        bucket, key = context["dag_run"].conf["bucket"], f"onprem-orders/{found['order']}.json"
        boto3.client("s3").put_object(Bucket=bucket, Key=key, Body=json.dumps(found).encode())
        return f"s3://{bucket}/{key}"

    store(fetch())


onprem_orders()
