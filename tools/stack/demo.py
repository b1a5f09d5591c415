"""`make demo`: the main job on real Airflow. Files dropped, refused and rolled back, runs started in three ways."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from tools.stack import stack as local_stack
from tools.stack.calls import call_api, list_runs, put_live, read_report, wait_for
from tools.venvs import ROOT

if TYPE_CHECKING:
    from tools.progress import Progress
    from tools.stack.stack import Stack

DAG_ID = "hello_jetway"
GOOD = ROOT / "dags" / "hello_jetway.py"
BROKEN = """\
from airflow.decorators import dag, task


@dag(schedule=None)
def broken_orders():
    @task
    def load(:
        return 1

    load()


broken_orders()
"""
# Python has no objection; Airflow has.
UNLOADABLE = """\
from datetime import datetime

try:
    from airflow.sdk import DAG
except ImportError:
    from airflow.models.dag import DAG

with DAG("unloadable_orders", start_date=datetime(2024, 1, 1), schedule="every tuesday"):
    pass
"""
# It loads wherever that Variable is, and there is no way to know but to try. Airflow 2 has no airflow.sdk.
BREAKS_IN_THE_ENVIRONMENT = """\
try:
    from airflow.sdk import DAG, Variable
except ImportError:
    from airflow.models import Variable
    from airflow.models.dag import DAG

with DAG("regions", schedule=None, tags=[Variable.get("home_region")]):
    pass
"""
# The schedule is one moment; it must lie behind the deployment and the parsing of the DAG file.
SCHEDULE_AHEAD = timedelta(seconds=50)


class DemoError(RuntimeError):
    """The demo did not show what it should."""


class Moment:
    """When the template's schedule fires: chosen when the deployment begins."""

    def __init__(self) -> None:
        self.at = datetime.now(UTC)

    def parameters(self) -> dict[str, str]:
        """Return the template's parameters for a schedule a little ahead of now."""
        self.at = (datetime.now(UTC) + SCHEDULE_AHEAD).replace(microsecond=0)
        expression = f"at({self.at:%Y-%m-%dT%H:%M:%S})"
        return {
            "ScheduleDagId": DAG_ID,
            "ScheduleExpression": expression,
            "ScheduleTimezone": "UTC",
            "VerifyAfterSeconds": "5",  # this Airflow parses files at once
        }


@dataclass(slots=True)
class Started:
    """A run that the demo waits for."""

    way: str
    run_id: str | None = None
    began: float = 0.0
    state: str = ""
    seconds: float = 0.0


def run(progress: Progress) -> Stack:
    """Run the demo on the local stack, and return that.

    Raises:
        DemoError, TooLateError: something did not happen.
    """
    schedule = Moment()
    stack = local_stack.up(progress, parameters=schedule.parameters)
    s3, drop = stack.client("s3"), stack.outputs["DropBucketName"]
    before = set(list_runs(stack, DAG_ID))  # of a demo on the same stack

    # Each time another file: one that was rolled back before would be waited for until everything is parsed.
    doubtful = f"dags/regions_{datetime.now(UTC):%H%M%S}.py"
    s3.put_object(Bucket=drop, Key=doubtful, Body=BREAKS_IN_THE_ENVIRONMENT.encode())
    # First of all: the schedule's moment comes, and there should be a DAG by then.
    with progress.step("A good DAG file is dropped, promoted, and parsed by Airflow"):
        put_live(stack, GOOD, DAG_ID)
    _refuse(stack, progress, "A broken DAG file is dropped, and quarantined", "dags/broken_orders.py", BROKEN)
    what = "A DAG file that Python compiles and Airflow cannot load is dropped, and refused"
    _refuse(stack, progress, what, "dags/unloadable.py", UNLOADABLE)
    runs = _start(stack, progress, before, schedule.at)
    _wait_for_success(stack, progress, runs)
    _wait_for_rollback(stack, progress, doubtful)
    progress.console.print(_table(runs))
    failed = [run for run in runs if run.state != "success"]
    if failed:
        raise DemoError(f"{failed[0].way} ended as {failed[0].state}.")
    return stack


def _refuse(stack: Stack, progress: Progress, what: str, key: str, body: str) -> None:
    """Drop a file that the gate rejects, and show why."""
    with progress.step(what):
        stack.client("s3").put_object(Bucket=stack.outputs["DropBucketName"], Key=key, Body=body.encode())
        report = _verdict(stack, key, "rejected")
    for finding in report["findings"]:
        if finding["severity"] == "error":
            place = f"{key}:{finding['line']}" if finding["line"] else key
            progress.say(
                f"    [bold]{place}[/] {finding['rule']}: {escape(finding['message'])}\n"
                f"    [dim]{escape(finding['remedy'])}[/]"
            )


def _wait_for_rollback(stack: Stack, progress: Progress, key: str) -> None:
    """The file is live since the beginning; verify_promotion looks every minute."""

    def look() -> dict[str, Any] | None:
        report = read_report(stack, key)
        if report is None or report["outcome"] == "promoted":
            return None
        return report

    with progress.step("A DAG file that breaks only in the environment passed the gate, went live, and is rolled back"):
        report = wait_for("the rollback", look, seconds=150)
        if report["outcome"] != "rolled-back":
            raise DemoError(f"{key} was {report['outcome']}, not rolled back: {report['findings']}")
    for problem in report["verification"]["problems"]:
        progress.say(
            f"    [bold]{key}[/] in the environment: {escape(_last_error(problem['message']))}\n"
            "    [dim]Only the environment knows its Variables. Nothing was live before: the file was taken out.[/]"
        )


def _last_error(message: str) -> str:
    """Return the line that names the error; what comes after it explains it."""
    lines = message.strip().splitlines()
    named = [line for line in lines if re.match(r"[\w.]*(Error|Exception|Timeout)\b", line)]
    return (named or lines)[-1]


def _verdict(stack: Stack, key: str, expected: str) -> dict[str, Any]:
    # The first file waits until the gate has imported Airflow, which takes a slow machine a while.
    report = wait_for(f"the report on {key}", lambda: read_report(stack, key), seconds=150)
    if report["verdict"] != expected:
        raise DemoError(f"{key} was {report['verdict']}, not {expected}: {report['findings']}")
    return report


def _start(stack: Stack, progress: Progress, before: set[str], at: datetime) -> list[Started]:
    """Start the DAG in three ways and return the runs.

    Args:
        before: ids of runs that are none of these.
        at: the schedule's moment.
    """
    file, call, schedule = Started("file dropped in S3"), Started("POST /dags/…/dagRuns"), Started("schedule")
    with progress.step("A data file is dropped"):
        key = f"data/{DAG_ID}/orders {datetime.now(UTC):%H:%M:%S} + café.csv"
        stack.client("s3").put_object(Bucket=stack.outputs["DropBucketName"], Key=key, Body=b"id,total\n1,9.90\n")
        file.began = time.monotonic()
    with progress.step("The HTTP API is called"):
        answer = call_api(stack, "POST", f"/dags/{DAG_ID}/dagRuns", body={"conf": {"who": "the demo"}})
        if answer.status_code != 202:
            raise DemoError(f"the API answered {answer.status_code}: {answer.text}")
        call.run_id, call.began = answer.json()["dag_run_id"], time.monotonic()
    with progress.step(f"The schedule fires at {at:%H:%M:%S} UTC"):
        # On a slow machine it has fired already.
        schedule.began = time.monotonic() + (at - datetime.now(UTC)).total_seconds()
        file.run_id = wait_for("a run of the file", lambda: _new(stack, before, "jetway__data__"), seconds=60)
        schedule.run_id = wait_for(
            "a run of the schedule", lambda: _new(stack, before, "jetway__schedule__"), seconds=120
        )
    return [file, call, schedule]


def _new(stack: Stack, before: set[str], prefix: str) -> str | None:
    return next(
        (run_id for run_id in list_runs(stack, DAG_ID) if run_id not in before and run_id.startswith(prefix)), None
    )


def _wait_for_success(stack: Stack, progress: Progress, runs: list[Started]) -> None:
    def look() -> bool | None:
        have = list_runs(stack, DAG_ID)
        for run in runs:
            state = have.get(run.run_id or "", {}).get("state", "")
            if run.state not in {"success", "failed"} and state:
                run.state = state
                if state in {"success", "failed"}:
                    run.seconds = _seconds(have[run.run_id or ""], run)
        return True if all(run.state in {"success", "failed"} for run in runs) else None

    with progress.step("All three runs end"):
        wait_for("the end of the runs", look, seconds=120)


def _seconds(airflow_run: dict[str, Any], run: Started) -> float:
    """Seconds from the event to the run's end, both on this machine's clock."""
    ended = datetime.fromisoformat(airflow_run["end_date"])
    began = datetime.now(UTC) - timedelta(seconds=time.monotonic() - run.began)
    return (ended - began).total_seconds()


def _table(runs: list[Started]) -> Table:
    table = Table(title="From event to end of run")
    for column in ("event", "run id", "state"):
        table.add_column(column, overflow="fold")
    table.add_column("seconds", justify="right")
    for run in runs:
        colour = "green" if run.state == "success" else "red"
        table.add_row(run.way, run.run_id, f"[{colour}]{run.state}[/]", f"{run.seconds:.1f}")
    return table
