"""DAG files are loaded by the real Airflow before they go live: what reads well and breaks at import stays out."""

from __future__ import annotations

from typing import Any

import pytest

from local.calls import airflow_api, read_report, wait_for
from local.stack import ENVIRONMENT_BUCKET, Stack
from tests.integration.conftest import drop

GOOD = b"""
from datetime import datetime

from airflow import DAG

from load_tests.tasks import tasks

with DAG("load_uses_sibling", start_date=datetime(2024, 1, 1), schedule="0 5 * * *", tags=["load"]):
    tasks()
"""

SIBLING = b"""
from airflow.operators.python import PythonOperator

def tasks():
    first = PythonOperator(task_id="first", python_callable=print)
    first >> PythonOperator(task_id="second", python_callable=print)
"""

BREAKS_AT_IMPORT = b"""
from datetime import datetime

from airflow import DAG
from airflow.operators.python import PythonOperator

with DAG("load_breaks", start_date=datetime(2024, 1, 1), schedule=None):
    PythonOperator(task_id="only", python_callable=print, retires=3)
"""


def report_of(stack: Stack, key: str, version: str) -> dict[str, Any]:
    """Wait for the report of that version."""

    def look() -> dict[str, Any] | None:
        report = read_report(stack, key)
        return report if report and report["source"]["version"] == version else None

    found: dict[str, Any] = wait_for(f"the report of {key}", look, seconds=90)
    return found


def test_what_reads_well_and_breaks_at_import_is_refused_with_line_and_remedy(stack: Stack) -> None:
    key = "dags/load_breaks.py"
    report = report_of(stack, key, drop(stack, key, BREAKS_AT_IMPORT))
    (finding,) = report["findings"]
    assert (report["verdict"], finding["rule"], finding["line"]) == ("rejected", "arguments", 8)
    assert "retires" in finding["message"]
    assert finding["remedy"]
    s3 = stack.client("s3")
    assert s3.list_objects_v2(Bucket=ENVIRONMENT_BUCKET, Prefix=key)["KeyCount"] == 0
    assert s3.list_objects_v2(Bucket=stack.outputs["DropBucketName"], Prefix=f"quarantine/{key}")["KeyCount"] == 1


@pytest.mark.slow  # waits for half a minute
def test_a_file_whose_sibling_comes_later_waits_for_it_and_goes_live(stack: Stack) -> None:
    key = "dags/load_uses_sibling.py"
    version = drop(stack, key, GOOD)
    drop(stack, "dags/load_tests/__init__.py", b"")
    drop(stack, "dags/load_tests/tasks.py", SIBLING)
    report = report_of(stack, key, version)
    assert report["verdict"] == "accepted", report["findings"]
    (dag,) = report["dags"]
    assert (dag["dag_id"], dag["schedule"], dag["tags"], dag["tasks"]) == (
        "load_uses_sibling",
        "0 5 * * *",
        ["load"],
        2,
    )
    assert report["parse_seconds"] > 0
    wait_for("the DAG in Airflow", lambda: airflow_api(stack, "GET", "/dags/load_uses_sibling"), seconds=90)
