"""Processes of functions stopped and killed at the worst moment: what the book says is what the bucket holds."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import drop
from tests.integration.test_import_dag import OPTIONS, bundle
from tests.integration.test_promotion import (
    dag_file,
    in_stage,
    invoke,
    live,
    physical_name,
    wait_for_dag,
    wait_until_live,
)
from tools.stack.calls import TooLateError, read_report, wait_for
from tools.stack.lambda_workers import Worker, function_names, workers_named, workers_of
from tools.stack.stack import Stack

LONGEST = 300.0  # seconds; a look at two parses, and at a DAG that may be gone, takes minutes
TRIES = 5
BAD = 'REGION = Variable.get("a_variable_that_nobody_has_made")'

# The gate's loader says that it has begun, and then takes a while; only at its first try.
SLOW_AT_FIRST = """
import pathlib, sys, time
marker = pathlib.Path({marker!r})
if "jetway_loader" in sys.modules and not marker.exists():
    marker.touch()
    time.sleep(20)
"""


def test_a_good_file_whose_loader_is_killed_goes_live(stack: Stack, tmp_path: Path) -> None:
    key, dag_id, marker = "dags/loaded_twice.py", "loaded_twice", tmp_path / "loading"
    version = drop(stack, key, dag_file(dag_id, SLOW_AT_FIRST.format(marker=str(marker))))
    wait_for("the load", lambda: marker.exists() or None, seconds=LONGEST, pause=0.05)
    major = stack.airflow_version.partition(".")[0]
    killed = [worker.kill() for worker in workers_of(stack, f"ImportDagAirflow{major}")]
    assert any(killed), "the function that loads the file has a process"

    def judged() -> dict[str, Any] | None:
        report = read_report(stack, key)
        return report if report is not None and report["source"]["version"] == version else None

    report = wait_for("the report", judged, seconds=LONGEST)
    assert (report["verdict"], report["outcome"]) == ("accepted", "promoted"), report["findings"]
    assert live(stack, key) == version
    wait_for_dag(stack, dag_id)


def test_a_process_that_dies_while_it_starts_takes_no_other_one_with_it(stack: Stack) -> None:
    """Of the local stack itself: on Lambda the end of a sandbox is nobody else's."""
    function = f"ImportDagAirflow{stack.airflow_version.partition('.')[0]}"
    names = function_names(stack, function)
    sleeps = bundle(**{"sleeps.py": "import time\ntime.sleep(8)\n"})
    event = {"bundle": sleeps, "files": ["sleeps.py"], "options": OPTIONS | {"airflow_version": stack.airflow_version}}

    def load() -> dict[str, Any]:
        client = stack.client("lambda", read_timeout=LONGEST, retries={"total_max_attempts": 1})
        answer: dict[str, Any] = client.invoke(FunctionName=names[function], Payload=json.dumps(event).encode())
        return answer

    def new() -> Worker | None:
        return next((worker for worker in workers_named(stack, names) if worker not in before), None)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(load)
        before: list[Worker] = []
        before = [wait_for("the first process", new, seconds=LONGEST), *workers_named(stack, names)]
        second = pool.submit(load)
        assert wait_for("the second process", new, seconds=LONGEST, pause=0.0).kill()
        assert "FunctionError" in second.result()
        assert "FunctionError" not in first.result()


@pytest.mark.slow  # three versions are looked at by Airflow
def test_a_fix_that_comes_while_its_predecessor_is_rolled_back_stays_live(stack: Stack) -> None:
    key, dag_id = "dags/mended.py", "mended"
    good = drop(stack, key, dag_file(dag_id))
    wait_until_live(stack, key, good)
    in_stage(stack, key, "good", seconds=LONGEST)
    bad = fix = ""
    for number in range(TRIES):  # the moment is short, and may be missed
        bad = drop(stack, key, dag_file(dag_id, f"# {number}\n{BAD}"))
        wait_until_live(stack, key, bad)
        if fix := _mended_amid_the_roll_back(stack, key, bad, dag_file(dag_id, f"# mended {number}")):
            break
        in_stage(stack, key, "rolled-back", seconds=LONGEST)
    assert fix, "the look was never stopped between its words and its deed"
    found = in_stage(stack, key, "good", seconds=LONGEST)
    assert found["live"]["source"] == fix
    assert found["rolled_back"][-1:] == [bad]
    assert live(stack, key) == fix
    wait_for_dag(stack, dag_id)
    report = read_report(stack, key)
    assert report is not None
    assert (report["source"]["version"], report["outcome"]) == (fix, "promoted")
    assert report["in_force"]["state"] == "verified"


def _mended_amid_the_roll_back(stack: Stack, key: str, bad: str, mended: bytes) -> str:
    """Stop the look when it has written down that it rolls back, and let a fix go live meanwhile.

    Returns:
        The fix's version; empty when the look was stopped too late, and nothing was dropped.
    """
    with ThreadPoolExecutor(1) as pool:
        over = threading.Event()

        def look() -> None:
            while not over.wait(0.5):
                invoke(stack, "VerifyPromotion")

        looking = pool.submit(look)
        try:
            workers = _stopped_at_its_words(stack, key, bad)
            try:
                if live(stack, key) != bad:
                    return ""
                fix = drop(stack, key, mended)
                wait_until_live(stack, key, fix)
                return fix
            finally:
                for worker in workers:
                    worker.go_on()
        finally:
            over.set()
            looking.result()


def _stopped_at_its_words(stack: Stack, key: str, bad: str) -> list[Worker]:
    """Wait until the standing says that the version is being rolled back, and stop whoever has written that.

    Between words and deed are some hundredths of a second: nothing is asked for here that can be had before.
    """
    names, table = function_names(stack, "VerifyPromotion"), physical_name(stack, "ArtifactTable")
    dynamodb = stack.client("dynamodb")
    item = {"pk": {"S": f"artifact#{key}"}}
    deadline, listed_at, workers = time.monotonic() + LONGEST, 0.0, list[Worker]()
    while time.monotonic() < deadline:
        if time.monotonic() - listed_at > 1:
            workers, listed_at = workers_named(stack, names), time.monotonic()
        found = json.loads(dynamodb.get_item(TableName=table, Key=item, ConsistentRead=True)["Item"]["standing"]["S"])
        if found["stage"] == "rolling-back":
            return [worker for worker in workers if worker.stop()]
        if bad in found["rolled_back"]:
            return []  # too late
    raise TooLateError(f"{key} was not rolled back within {LONGEST:.0f} s.")
