"""The cells of docs/signals.md that need the real Airflow: a DAG that goes stale, an update that somebody waits out."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator

import pytest
import requests

from tests.integration.conftest import drop
from tools import venvs
from tools.stack.calls import airflow_api, call_api, list_runs, wait_for
from tools.stack.stack import Stack

LONGEST = 180.0

LEAVING = """\
from datetime import datetime

try:
    from airflow.sdk import dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task


@dag(schedule=None, start_date=datetime(2026, 1, 1))
def leaving():
    @task
    def load():
        return 1

    load()


leaving()
"""
KEY = "dags/leaving.py"


@pytest.fixture
def gone(stack: Stack) -> str:
    """A DAG that Airflow has had, and whose file is deleted: Airflow still has it, as stale."""
    drop(stack, KEY, LEAVING.encode())
    wait_for("the DAG in Airflow", lambda: airflow_api(stack, "GET", "/dags/leaving"), seconds=LONGEST)
    stack.client("s3").delete_object(Bucket=stack.outputs["DropBucketName"], Key=KEY)

    def is_stale() -> bool | None:
        dag = airflow_api(stack, "GET", "/dags/leaving") or {}
        return dag.get("is_stale") or dag.get("is_active") is False or None  # Airflow 3's word, and Airflow 2's

    wait_for("the DAG to be stale", is_stale, seconds=LONGEST)
    return "leaving"


def test_a_run_of_a_stale_dag_is_refused_and_nothing_starts(stack: Stack, gone: str) -> None:
    code, said = jetway(stack, "run", gone, "--wait", "--timeout", "1m")
    assert (code, "Nothing was started" in said) == (1, True), said
    listed = call_api(stack, "GET", "/dags").json()["dags"]
    assert gone not in [dag["dag_id"] for dag in listed]
    assert list_runs(stack, gone) == {}


@pytest.mark.slow
def test_what_comes_for_a_stale_dag_by_other_ways_waits_for_its_file(stack: Stack, gone: str) -> None:
    def because_of(file: str) -> str:
        drop(stack, f"data/{gone}/{file}", b"x")

        def told() -> str | None:
            events = call_api(stack, "GET", "/events?trigger=data").json()["events"]
            of_file = (event for event in events if f"data/{gone}/{file}" in json.dumps(event))
            return next((event["because"] for event in of_file if event["because"]), None)

        return wait_for(f"the event of {file}", told, seconds=LONGEST)

    # Over the command line it may take a run to learn that the file is gone; the row says what that run waits for.
    first = because_of("first.csv")
    assert first.startswith(("dag-not-found", "queued behind a DAG that is not in the environment"))
    assert because_of("second.csv").startswith("dag-not-found")
    assert len(list_runs(stack, gone)) == (not first.startswith("dag-not-found"))
    drop(stack, KEY, LEAVING.encode() + b"# again\n")

    def both_ran() -> bool | None:
        states = [found["state"] for found in list_runs(stack, gone).values()]
        return states == ["success", "success"] or None

    wait_for("both runs, once the file is back", both_ran, seconds=LONGEST)


@pytest.fixture
def updating(stack: Stack) -> Iterator[None]:
    """The environment is UPDATING for a quarter of a minute."""
    url = f"{stack.gateway_url}/_local/faults"
    fault = {"kind": "status", "status": "UPDATING", "seconds": 15}
    requests.post(url, json=fault, timeout=10, verify=stack.ca_bundle).raise_for_status()
    yield
    requests.delete(url, timeout=10, verify=stack.ca_bundle)


@pytest.mark.usefixtures("updating")
def test_an_update_is_waited_out(stack: Stack, dag: str) -> None:
    code, said = jetway(stack, "run", dag, "--run-id", "waits-the-update-out", "--wait", "--timeout", "3m")
    assert code == 0, said
    run_id, update, success = (said.find(word) for word in ("waits-the-update-out", "UPDATING", "success"))
    assert -1 < run_id < success, said
    assert -1 < update < success, said


def jetway(stack: Stack, *args: str) -> tuple[int, str]:
    """Run the console script; return how it ended and all that it said."""
    done = subprocess.run(
        [venvs.DEV / "bin" / "jetway", *args],
        env=os.environ | dict(stack.env),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LONGEST + 60,
        check=False,
    )
    return done.returncode, done.stdout
