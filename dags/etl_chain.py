"""Four ETL processes over four technologies, chained by Jetway's events. Runs on Airflow 2 and 3; needs no packages.

    a file arrives → chain_orders (S3) → chain_rates (HTTP) → chain_report (SQL) → chain_archive (shell)

The processes do not know one another. Jetway publishes the end of each as DagRunSucceeded, and a trigger file on that
event starts the next one, with the run id of the previous one as `after`. Each writes its results to
`chain/<its run id>/`, and begins with those of the previous run. chain_rates uses the connection `rates_provider` (type
http).

conf: bucket; key for chain_orders, after for the others.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

try:
    from airflow.sdk import dag, task
    from airflow.sdk.exceptions import AirflowFailException
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task
    from airflow.exceptions import AirflowFailException

COMMON: dict[str, Any] = {
    "schedule": None,  # events start them
    "start_date": datetime(2026, 1, 1),
    "catchup": False,
    "default_args": {"retries": 2, "retry_delay": timedelta(seconds=5)},
    "tags": ["jetway", "example"],
}


class Results:
    """The results of this run and of the one before, in S3."""

    def __init__(self, context: Any) -> None:
        import boto3

        self._s3, conf = boto3.client("s3"), context["dag_run"].conf
        self._bucket, self._here, self._before = conf["bucket"], context["run_id"], conf.get("after")

    def read(self, name: str) -> bytes:
        """Read a result of the run before."""
        answer = self._s3.get_object(Bucket=self._bucket, Key=f"chain/{self._before}/{name}")
        body: bytes = answer["Body"].read()
        return body

    def write(self, name: str, body: bytes) -> str:
        """Write a result of this run."""
        key = f"chain/{self._here}/{name}"
        self._s3.put_object(Bucket=self._bucket, Key=key, Body=body)
        return f"s3://{self._bucket}/{key}"


@dag(**COMMON)
def chain_orders() -> None:
    """S3: takes the orders out of the file that landed."""

    @task
    def extract(**context: Any) -> str:
        import csv
        import json

        import boto3

        conf = context["dag_run"].conf
        body = boto3.client("s3").get_object(Bucket=conf["bucket"], Key=conf["key"])["Body"].read().decode()
        return Results(context).write("orders.json", json.dumps(list(csv.DictReader(body.splitlines()))).encode())

    extract()


@dag(**COMMON)
def chain_rates() -> None:
    """HTTP: adds the exchange rates of the orders' days."""

    @task
    def add_rates(**context: Any) -> str:
        import json

        from airflow.providers.http.hooks.http import HttpHook

        results, provider = Results(context), HttpHook(method="GET", http_conn_id="rates_provider")
        orders = json.loads(results.read("orders.json"))
        days = sorted({order["day"] for order in orders})
        rates = {day: provider.run("/rates", data={"day": day}).json()["rates"] for day in days}
        return results.write("orders-and-rates.json", json.dumps({"orders": orders, "rates": rates}).encode())

    add_rates()


@dag(**COMMON)
def chain_report() -> None:
    """SQL: joins both and sums up in euros."""

    @task
    def report(**context: Any) -> str:
        import json
        import sqlite3
        from contextlib import closing

        results = Results(context)
        facts = json.loads(results.read("orders-and-rates.json"))
        rates = [(day, name, rate) for day, table in facts["rates"].items() for name, rate in table.items()]
        with closing(sqlite3.connect(":memory:")) as db:
            db.execute("CREATE TABLE orders (day TEXT, currency TEXT, amount REAL)")
            db.execute("CREATE TABLE rates (day TEXT, currency TEXT, rate REAL, PRIMARY KEY (day, currency))")
            db.executemany("INSERT INTO orders VALUES (:day, :currency, :amount)", facts["orders"])
            db.executemany("INSERT INTO rates VALUES (?, ?, ?)", rates)
            missing = db.execute(
                "SELECT DISTINCT day, currency FROM orders LEFT JOIN rates USING (day, currency) WHERE rate IS NULL"
            ).fetchall()
            if missing:  # an inner join would lose these orders without a word
                raise AirflowFailException(f"The provider has no rates for {missing}.")
            rows = db.execute(
                "SELECT day, count(*), round(sum(amount / rate), 2) FROM orders JOIN rates USING (day, currency)"
                " GROUP BY day ORDER BY day"
            ).fetchall()
        lines = ["day,orders,euros", *(f"{day},{count},{euros:.2f}" for day, count, euros in rows)]
        return results.write("report.csv", ("\n".join(lines) + "\n").encode())

    report()


@dag(**COMMON)
def chain_archive() -> None:
    """Shell: packs the report with tools of the worker, without a container."""

    @task
    def pack(**context: Any) -> str:
        from pathlib import Path
        from tempfile import TemporaryDirectory

        try:
            from airflow.providers.standard.hooks.subprocess import SubprocessHook
        except ImportError:  # Airflow 2
            from airflow.hooks.subprocess import SubprocessHook

        results = Results(context)
        with TemporaryDirectory() as folder:
            (Path(folder) / "report.csv").write_bytes(results.read("report.csv"))
            command = "set -eu; sha256sum report.csv > report.csv.sha256; gzip -9 -n report.csv; ls -l"
            done = SubprocessHook().run_command(["bash", "-c", command], cwd=folder)
            if done.exit_code:
                raise RuntimeError(f"The shell ended with {done.exit_code}: {done.output}")
            results.write("report.csv.sha256", (Path(folder) / "report.csv.sha256").read_bytes())
            return results.write("report.csv.gz", (Path(folder) / "report.csv.gz").read_bytes())

    pack()


chain_orders()
chain_rates()
chain_report()
chain_archive()
