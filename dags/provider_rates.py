"""Fetches a provider's exchange rates for one day, each morning and on request. Runs on Airflow 2 and 3.

Needs no packages. The provider is the connection `rates_provider` (type http). Fetching a day again replaces that day.

conf: bucket; day (YYYY-MM-DD), or scheduled_time, whose day it is.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

try:
    from airflow.sdk import dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task


@dag(
    schedule=None,  # a schedule of EventBridge and calls start it: both have run ids that cannot collide
    start_date=datetime(2026, 1, 1),
    catchup=False,
    default_args={"retries": 3, "retry_delay": timedelta(seconds=2), "retry_exponential_backoff": True},
    tags=["jetway", "example"],
)
def provider_rates() -> None:
    """Stores the rates of one day."""

    @task
    def fetch(**context: Any) -> dict[str, Any]:
        from datetime import date

        from airflow.providers.http.hooks.http import HttpHook

        conf = context["dag_run"].conf
        day = date.fromisoformat(conf.get("day") or conf["scheduled_time"][:10]).isoformat()
        answer = HttpHook(method="GET", http_conn_id="rates_provider").run("/rates", data={"day": day})
        return {"asked": day, **answer.json()}

    @task
    def check(found: dict[str, Any]) -> dict[str, Any]:
        """Stop here rather than store what cannot be right."""
        rates = found["rates"]
        if found["day"] != found["asked"] or not rates:
            raise ValueError(f"Asked for {found['asked']}, the provider answered {len(rates)} rates of {found['day']}.")
        wrong = {name: rate for name, rate in rates.items() if not 0 < rate < 1e6}
        if wrong:
            raise ValueError(f"Rates that cannot be: {wrong}")
        return found

    @task
    def store(found: dict[str, Any], **context: Any) -> str:
        import json

        import boto3

        bucket, key = context["dag_run"].conf["bucket"], f"rates/day={found['day']}/rates.json"
        boto3.client("s3").put_object(Bucket=bucket, Key=key, Body=json.dumps(found["rates"], sort_keys=True).encode())
        return f"s3://{bucket}/{key}"

    store(check(fetch()))


provider_rates()
