"""A file of orders becomes Parquet: validate, transform, load. Runs on Airflow 2 and 3; needs duckdb.

Idempotent for each file: the loaded data has a name that follows from the file's, so a file that arrives again, or a
run that is cleared, replaces only its own rows. A run whose file was replaced meanwhile leaves loading to the run of
the newer file. Invalid rows are written to another object, with the reason. A lifecycle rule deletes the objects in
staging/, so you can clear any task and run it again.

conf: bucket, key.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

try:
    from airflow.sdk import dag, task
    from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task
    from airflow.exceptions import AirflowFailException, AirflowSkipException

SHAPES = {
    "order_id": r"[0-9]{1,18}",
    "day": r"[0-9]{4}-[0-9]{2}-[0-9]{2}",
    "customer": r".+",
    "country": r"[A-Za-z]{2}",
    "amount": r"[0-9]{1,10}(\.[0-9]{1,2})?",
}
COLUMNS = list(SHAPES)


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

        conf, s3 = context["dag_run"].conf, boto3.client("s3")
        name = conf["key"].removeprefix("incoming/").removesuffix(".csv")  # with its folders, which make it unique
        source = s3.get_object(Bucket=conf["bucket"], Key=conf["key"])
        try:
            reader = csv.DictReader(io.StringIO(source["Body"].read().decode("utf-8-sig")))
        except UnicodeDecodeError as exc:
            # Trying again would not help: the run fails immediately, and Jetway publishes DagRunFailed.
            raise AirflowFailException(f"{conf['key']} is not UTF-8: {exc}") from exc
        if reader.fieldnames != COLUMNS:
            raise AirflowFailException(f"{conf['key']} has the columns {reader.fieldnames}, not {COLUMNS}.")
        good, bad, seen = list[Any](), list[Any](), dict[str, Any]()
        for row in reader:
            wrong = _wrong(row, seen)
            (bad if wrong else good).append({**row, "wrong": wrong})
        staged, rejected = f"staging/{context['run_id']}/{name}.csv", f"rejected/{name}.csv"
        s3.put_object(Bucket=conf["bucket"], Key=staged, Body=_csv(COLUMNS, good))
        if bad:
            s3.put_object(Bucket=conf["bucket"], Key=rejected, Body=_csv([*COLUMNS, "wrong"], bad))
        else:  # an earlier version of the file can have had bad rows
            s3.delete_object(Bucket=conf["bucket"], Key=rejected)
        return {"staged": staged, "name": name, "etag": source["ETag"], "good": len(good), "bad": len(bad)}

    @task
    def transform(facts: dict[str, Any], **context: Any) -> str:
        """Type the columns, drop repeated rows, and write Parquet beside the staged file."""
        from pathlib import Path
        from tempfile import TemporaryDirectory

        import boto3
        import duckdb

        s3, bucket = boto3.client("s3"), context["dag_run"].conf["bucket"]
        parquet: str = facts["staged"].removesuffix(".csv") + ".parquet"
        with TemporaryDirectory() as folder:
            source, target = Path(folder) / "in.csv", Path(folder) / "out.parquet"
            s3.download_file(bucket, facts["staged"], str(source))
            with duckdb.connect() as db:
                db.read_csv(str(source), sep=",", quotechar='"', header=True, all_varchar=True).create("orders")
                db.sql(
                    "SELECT DISTINCT order_id::BIGINT AS order_id, day::DATE AS day, customer,"
                    " upper(country) AS country, amount::DECIMAL(12, 2) AS amount FROM orders ORDER BY order_id"
                ).write_parquet(str(target))
            s3.upload_file(str(target), bucket, parquet)
        return parquet

    @task
    def load(facts: dict[str, Any], parquet: str, **context: Any) -> dict[str, Any]:
        """Put the Parquet file in its place; one copy, so that readers see the old rows or the new ones."""
        import boto3

        conf, s3 = context["dag_run"].conf, boto3.client("s3")
        if s3.head_object(Bucket=conf["bucket"], Key=conf["key"])["ETag"] != facts["etag"]:
            raise AirflowSkipException(f"{conf['key']} was replaced meanwhile; the newer file's run loads it.")
        key = f"curated/{facts['name']}.parquet"
        source = {"Bucket": conf["bucket"], "Key": parquet}
        s3.copy_object(Bucket=conf["bucket"], Key=key, CopySource=source)
        return {"loaded": f"s3://{conf['bucket']}/{key}", "good": facts["good"], "bad": facts["bad"]}

    facts = validate()
    load(facts, transform(facts))


def _csv(columns: list[str], rows: list[Any]) -> bytes:
    import csv
    import io

    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def _wrong(row: dict[Any, Any], seen: dict[str, Any]) -> str:
    """What is wrong with a row; nothing when it is right. Rows that are right are remembered in `seen`."""
    import re
    from datetime import date

    if None in row or None in row.values():
        return f"not {len(COLUMNS)} columns"
    for column, shape in SHAPES.items():
        if not re.fullmatch(shape, row[column]):
            return f"{column} cannot be {row[column]!r}"
    try:
        date.fromisoformat(row["day"])
    except ValueError:
        return f"day cannot be {row['day']!r}"
    return "" if seen.setdefault(row["order_id"], row) == row else "order_id has come before, with other values"


etl_orders()
