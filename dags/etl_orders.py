"""A file of orders becomes Parquet: validate, transform, load. Runs on Airflow 2 and 3; needs duckdb.

Idempotent for each file: what is loaded has a name that follows from the file's, so a file that comes again, or a run
that is cleared, replaces its own rows and nobody else's. Rows that cannot be right are put aside with the reason. What
is under staging/ is left to a lifecycle rule, so that any task can be cleared and run again.

conf: bucket, key.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

try:
    from airflow.sdk import dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task

COLUMNS = ["order_id", "day", "customer", "country", "amount"]


@dag(
    schedule=None,  # files start it
    start_date=datetime(2026, 1, 1),
    catchup=False,
    default_args={"retries": 2, "retry_delay": timedelta(seconds=5)},
    tags=["jetway", "example"],
)
def etl_orders() -> None:
    """Loads one file of orders."""

    @task
    def validate(**context: Any) -> dict[str, Any]:
        """Put the good rows in staging and the bad ones in rejected/, with what is wrong."""
        import csv
        import io

        import boto3

        try:
            from airflow.sdk.exceptions import AirflowFailException
        except ImportError:
            from airflow.exceptions import AirflowFailException

        conf, s3 = context["dag_run"].conf, boto3.client("s3")
        name = conf["key"].rpartition("/")[2].removesuffix(".csv")
        body = s3.get_object(Bucket=conf["bucket"], Key=conf["key"])["Body"].read().decode("utf-8-sig")
        reader = csv.DictReader(io.StringIO(body))
        if reader.fieldnames != COLUMNS:
            # Trying again would not help: the run fails at once, and Jetway tells DagRunFailed.
            raise AirflowFailException(f"{conf['key']} has the columns {reader.fieldnames}, not {COLUMNS}.")
        good, bad = io.StringIO(), io.StringIO()
        rows = {"good": csv.DictWriter(good, COLUMNS), "bad": csv.DictWriter(bad, [*COLUMNS, "wrong"])}
        for writer in rows.values():
            writer.writeheader()
        counts = {"good": 0, "bad": 0}
        for row in reader:
            wrong = _wrong(row)
            kind = "bad" if wrong else "good"
            rows[kind].writerow({column: row[column] for column in COLUMNS} | ({"wrong": wrong} if wrong else {}))
            counts[kind] += 1
        staged = f"staging/{context['run_id']}/{name}.csv"
        s3.put_object(Bucket=conf["bucket"], Key=staged, Body=good.getvalue().encode())
        if counts["bad"]:
            s3.put_object(Bucket=conf["bucket"], Key=f"rejected/orders/{name}.csv", Body=bad.getvalue().encode())
        return {"bucket": conf["bucket"], "staged": staged, "name": name, **counts}

    @task
    def transform(facts: dict[str, Any]) -> dict[str, Any]:
        """Type the columns, drop repeated orders, and write Parquet beside the staged file."""
        from pathlib import Path
        from tempfile import TemporaryDirectory

        import boto3
        import duckdb

        s3, staged = boto3.client("s3"), facts["staged"].replace(".csv", ".parquet")
        with TemporaryDirectory() as folder:
            source, target = Path(folder) / "in.csv", Path(folder) / "out.parquet"
            s3.download_file(facts["bucket"], facts["staged"], str(source))
            with duckdb.connect() as db:
                db.read_csv(str(source), header=True, all_varchar=True).create("orders")
                db.sql(
                    "SELECT order_id::BIGINT AS order_id, day::DATE AS day, customer, upper(country) AS country,"
                    " amount::DECIMAL(12, 2) AS amount FROM orders"
                    " QUALIFY row_number() OVER (PARTITION BY order_id ORDER BY amount) = 1 ORDER BY order_id"
                ).write_parquet(str(target))
            s3.upload_file(str(target), facts["bucket"], staged)
        return {**facts, "parquet": staged}

    @task
    def load(facts: dict[str, Any]) -> dict[str, Any]:
        """Put the Parquet file in its place; one copy, so that readers see the old rows or the new ones."""
        import boto3

        s3, key = boto3.client("s3"), f"curated/orders/file={facts['name']}/part-0.parquet"
        source = {"Bucket": facts["bucket"], "Key": facts["parquet"]}
        s3.copy_object(Bucket=facts["bucket"], Key=key, CopySource=source)
        return {"loaded": f"s3://{facts['bucket']}/{key}", "good": facts["good"], "bad": facts["bad"]}

    load(transform(validate()))


def _wrong(row: dict[str, str]) -> str:
    """What is wrong with a row; nothing when it is right."""
    from datetime import date
    from decimal import Decimal, InvalidOperation

    if not (row["order_id"] or "").isdecimal():
        return "order_id is not a number"
    try:
        date.fromisoformat(row["day"])
    except (TypeError, ValueError):
        return "day is not a date"
    try:
        amount = Decimal(row["amount"] or "")
    except InvalidOperation:
        return "amount is not a number"
    return "" if amount.is_finite() and amount > 0 else "amount is not positive"


etl_orders()
