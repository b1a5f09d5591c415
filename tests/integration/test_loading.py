"""DAG files are loaded by the real Airflow before they go live: what reads well and breaks at import stays out."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from jetway.artifacts.resolution_check import KEPT
from tests.integration.conftest import drop
from tools import venvs
from tools.stack.calls import airflow_api, read_report, wait_for
from tools.stack.stack import ENVIRONMENT_BUCKET, Stack

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


ADVISED = b"""
from datetime import datetime

from airflow import DAG


def late():
    from airflow.utils.dates import days_ago

    return days_ago(1)


with DAG("load_advised", start_date=datetime(2024, 1, 1), schedule=None):
    pass
"""


def beside(stack: Stack, folder: Path) -> list[str]:
    """What the gate takes the environment to have beside Airflow, as files: tests before may have dropped some."""
    s3 = stack.client("s3")
    contents = {
        "requirements.txt": (stack.outputs["DropBucketName"], KEPT),
        "plugins.zip": (ENVIRONMENT_BUCKET, "plugins.zip"),
    }
    for name, (bucket, key) in contents.items():
        if s3.list_objects_v2(Bucket=bucket, Prefix=key).get("Contents"):
            body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
            if key == KEPT:
                body = "".join(f"{required}\n" for required in json.loads(body)["versions"]).encode()
            (folder / name).write_bytes(body)
    return [name for name in contents if (folder / name).exists()]


@contextmanager
def cleared(stack: Stack, keys: Iterable[str]) -> Iterator[None]:
    """Remove them afterwards: what is left in the dags folder may break when another test changes the environment."""
    try:
        yield
    finally:
        for key in keys:
            stack.client("s3").delete_object(Bucket=stack.outputs["DropBucketName"], Key=key)


@pytest.mark.slow  # a file after the other, one of which waits for its siblings
def test_jetway_check_says_of_the_examples_what_the_drop_bucket_says(stack: Stack, tmp_path: Path) -> None:
    files = {file.name: file.read_bytes() for file in sorted((venvs.ROOT / "dags").glob("*.py"))}
    del files["yaml_workflow.py"]  # its package is in this Airflow once its own test has run, and never in the layer
    files |= {"load_breaks.py": BREAKS_AT_IMPORT, "load_advised.py": ADVISED}
    with cleared(stack, [f"dags/{name}" for name in files]):
        reports = {
            f"dags/{name}": report_of(stack, f"dags/{name}", drop(stack, f"dags/{name}", content))
            for name, content in files.items()
        }
    (tmp_path / "dags").mkdir()
    for name, content in files.items():
        (tmp_path / "dags" / name).write_bytes(content)
    command = [sys.executable, "-m", "jetway_cli", "check", "--load", "--format", "json"]
    command += ["--airflow-version", stack.airflow_version]
    command += ["--airflow-python", str(venvs.ensure(f"airflow-{stack.airflow_version}"))]
    command += ["dags", *beside(stack, tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 1, done.stderr
    said_of = {said["path"]: said for said in json.loads(done.stdout)}
    assert reports.keys() <= said_of.keys()
    for path, report in reports.items():
        said = said_of[path]
        timeless = [finding for finding in report["findings"] if finding["rule"] != "slow-parse"]  # a busy machine's
        assert (report["verdict"], timeless, report["dags"]) == (
            said["verdict"],
            [finding for finding in said["findings"] if finding["rule"] != "slow-parse"],
            said["dags"],
        )
    advised = {finding["rule"] for finding in reports["dags/load_advised.py"]["findings"]}
    assert advised == ({"airflow-advice"} if stack.airflow_version.startswith("3") else set())


@pytest.mark.slow
def test_a_hundred_files_whose_modules_come_last_are_judged_as_the_set_they_are(stack: Stack) -> None:
    files = {
        f"dags/burst/b{number:02d}.py": GOOD.replace(b"load_uses_sibling", b"burst_%02d" % number).replace(
            b"load_tests.tasks", b"burst.lib.m%d" % (number % 10)
        )
        for number in range(100)
    }
    modules = {f"dags/burst/lib/m{number}.py": b"from burst.lib.last import tasks\n" for number in range(10)}
    modules |= {"dags/burst/lib/last.py": SIBLING, "dags/burst/lib/__init__.py": b"", "dags/burst/__init__.py": b""}
    versions: dict[str, str] = {}

    def look() -> list[dict[str, Any]] | None:
        reports = [read_report(stack, key) for key in versions]
        judged = [report for report in reports if report and report["source"]["version"] == versions[report["path"]]]
        return judged if len(judged) == len(versions) else None

    with cleared(stack, [*files, *modules]):
        with ThreadPoolExecutor(8) as pool:
            versions |= zip(files, pool.map(lambda key: drop(stack, key, files[key]), files), strict=True)
        time.sleep(5)  # a CI whose upload stutters
        versions |= {key: drop(stack, key, body) for key, body in modules.items()}
        reports = wait_for("all reports", look, seconds=300, pause=2.0)
    refused = {report["path"]: report["findings"] for report in reports if report["outcome"] != "promoted"}
    assert refused == {}
