"""`jetway` on the local stack, as a person runs it: the console script with the exports of `make env`."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

import pytest

from tests.integration.conftest import drop
from tests.integration.test_spine import LONGEST, read_dead_letter
from tests.unit.cli.test_patterns import TABLE
from tools import venvs
from tools.stack.calls import list_runs, read_report, wait_for
from tools.stack.stack import Stack

pytestmark = pytest.mark.slow

LATE_DAG = """\
from datetime import datetime

try:
    from airflow.sdk import dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task


@dag(schedule=None, start_date=datetime(2026, 1, 1))
def uploaded_late():
    @task
    def load():
        return 1

    load()


uploaded_late()
"""
DAG_ID = "uploaded_late"


def jetway(stack: Stack, *args: str, exit_code: int = 0) -> str:
    """Run the console script and return what it printed."""
    done = subprocess.run(
        [venvs.DEV / "bin" / "jetway", *args],
        env=os.environ | dict(stack.env),
        capture_output=True,
        text=True,
        timeout=LONGEST + 30,
        check=False,
    )
    assert done.returncode == exit_code, done.stdout + done.stderr
    return done.stdout


def wait_until_dispatched(stack: Stack) -> None:
    """Wait until the dispatch queue is empty."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]

    def look() -> bool | None:
        counts = stack.client("sqs").get_queue_attributes(
            QueueUrl=stack.outputs["DispatchQueueUrl"], AttributeNames=names
        )["Attributes"]
        return None if any(int(counts[name]) for name in names) else True

    wait_for("the end of the dispatch queue", look, seconds=LONGEST)


def test_patterns_match_offline_as_in_the_stack(stack: Stack) -> None:
    envelope = {
        "id": "1",
        "account": "1",
        "source": "s",
        "time": "2026-11-22T06:00:00Z",
        "region": "r",
        "resources": [],
    }
    for pattern, detail, matches in TABLE:
        answer = stack.client("events").test_event_pattern(
            EventPattern=json.dumps({"detail": pattern}),
            Event=json.dumps(envelope | {"detail-type": "d", "detail": detail}),
        )
        assert answer["Result"] is matches, (pattern, detail)


def test_run_waits_for_the_success_of_a_real_run(stack: Stack, dag: str) -> None:
    conf = {"text": 'it\'s "quoted" é'}
    answer = json.loads(jetway(stack, "run", dag, "--conf", json.dumps(conf), "--wait", "--timeout", "2m", "--json"))
    assert answer["state"] == "success"
    assert list_runs(stack, dag)[answer["dag_run_id"]]["conf"] == conf


def test_a_run_that_fails_and_a_name_that_cannot_be_are_told_apart_by_exit_code(stack: Stack, dag: str) -> None:
    jetway(stack, "run", "no dag", exit_code=2)
    jetway(stack, "run", dag, "--conf", "[1]", exit_code=2)
    jetway(stack, "run", dag, "--stack", "none", "--api-url", "", exit_code=3)


def test_a_redrive_starts_what_has_not_run_and_nothing_else(stack: Stack, dag: str) -> None:
    drop(stack, f"data/{DAG_ID}/x.csv", b"x")
    letter = read_dead_letter(stack, reason="dag-not-found", dag_id=DAG_ID)
    chosen = ("redrive", "--trigger", "data", "--json")
    seen = json.loads(jetway(stack, *chosen, "--dry-run"))["sent"]
    assert letter["dag_run_id"] in [sent["dag_run_id"] for sent in seen]

    row = event_of(stack, letter["dag_run_id"])
    assert (row["decision"], row["because"].partition(":")[0]) == ("dead-lettered", "dag-not-found")

    drop(stack, f"dags/{DAG_ID}.py", LATE_DAG.encode())
    wait_for("the report", lambda: read_report(stack, f"dags/{DAG_ID}.py"), seconds=90)
    jetway(stack, *chosen)
    run = wait_for("the run", lambda: _ended(stack), seconds=LONGEST)
    assert (run["dag_run_id"], run["state"]) == (letter["dag_run_id"], "success")

    # Killed before it could delete, a redrive leaves the letter in the queue: the next one sends it a second time.
    stack.client("sqs").send_message(
        QueueUrl=stack.outputs["DispatchDeadLettersUrl"],
        MessageBody=json.dumps(letter),
        MessageGroupId="left",
        MessageDeduplicationId=letter["dag_run_id"],
    )
    assert letter["dag_run_id"] in [sent["dag_run_id"] for sent in json.loads(jetway(stack, *chosen))["sent"]]
    wait_until_dispatched(stack)
    assert list(list_runs(stack, DAG_ID)) == [letter["dag_run_id"]]
    row = event_of(stack, letter["dag_run_id"])
    assert (row["decision"], row["deliveries"] > 1) == ("started", True)
    assert letter["dag_run_id"] in jetway(stack, "events", "--trigger", "data")


def event_of(stack: Stack, run_id: str) -> dict[str, Any]:
    """Return what `jetway events` says of the event with that run."""
    rows = [json.loads(line) for line in jetway(stack, "events", "--trigger", "data", "--json").splitlines()]
    (row,) = [row for row in rows if row["dag_run_id"] == run_id]
    found: dict[str, Any] = row
    return found


def _ended(stack: Stack) -> dict[str, Any] | None:
    ended = [run for run in list_runs(stack, DAG_ID).values() if run["state"] in {"success", "failed"}]
    return ended[0] if ended else None
