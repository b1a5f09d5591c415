"""Nothing lost, nothing doubled: the gateway killed, answers lost, 503s, an update."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from tests.integration.conftest import drop
from tools.emulator import processes
from tools.emulator.gateway import service
from tools.stack.calls import call_api, list_runs, wait_for
from tools.stack.stack import Stack

LONGEST = 180.0


@pytest.fixture
def faults(stack: Stack) -> Iterator[str]:
    """URL of the gateway's fault injection; none are active after the test."""
    url = f"{stack.gateway_url}/_local/faults"
    yield url
    requests.delete(url, timeout=10, verify=stack.ca_bundle)


def inject(stack: Stack, url: str, **fault: object) -> None:
    """Make the gateway fail."""
    requests.post(url, json=fault, timeout=10, verify=stack.ca_bundle).raise_for_status()


def wait_for_exactly(stack: Stack, dag: str, keys: set[str]) -> None:
    """Wait until every key has a run that succeeded, then look for doubles."""

    def succeeded() -> bool | None:
        runs = list_runs(stack, dag).values()
        return True if keys <= {run["conf"].get("key") for run in runs if run["state"] == "success"} else None

    wait_for("a run of every file", succeeded, seconds=LONGEST)
    found = [run["conf"].get("key") for run in list_runs(stack, dag).values() if run["conf"].get("key") in keys]
    assert sorted(found) == sorted(keys)


def drop_files(stack: Stack, dag: str, name: str, count: int) -> set[str]:
    keys = {f"data/{dag}/{name}-{number}.csv" for number in range(count)}
    for key in sorted(keys):
        drop(stack, key, b"x")
    return keys


def test_killing_the_gateway_amid_the_work_loses_no_event_and_doubles_no_run(stack: Stack, dag: str) -> None:
    keys = drop_files(stack, dag, "killed", 6)
    wait_for(
        "the first run",
        lambda: next((True for run in list_runs(stack, dag).values() if run["conf"].get("key") in keys), None),
        seconds=LONGEST,
    )
    processes.stop_named(stack.run_folder, "gateway", grace=0)
    keys |= drop_files(stack, dag, "killed-down", 6)
    accepted = call_api(stack, "POST", f"/dags/{dag}/dagRuns", body={"conf": {"key": "call-while-down"}})
    assert accepted.status_code == 202
    service.start(stack.gateway_config, stack.run_folder.parent / "gateway.json", folder=stack.run_folder)
    wait_for_exactly(stack, dag, keys | {"call-while-down"})


def test_answers_lost_after_the_run_was_made_are_looked_up(stack: Stack, dag: str, faults: str) -> None:
    inject(stack, faults, kind="lose_answer", target="cli", count=3)
    wait_for_exactly(stack, dag, drop_files(stack, dag, "lost", 5))


def test_a_busy_web_server_is_tried_again(stack: Stack, dag: str, faults: str) -> None:
    inject(stack, faults, kind="busy", target="cli", count=3)
    wait_for_exactly(stack, dag, drop_files(stack, dag, "busy", 3))


def test_events_wait_while_the_environment_is_updating(stack: Stack, dag: str, faults: str) -> None:
    inject(stack, faults, kind="status", status="UPDATING", seconds=8)
    # The status of before is remembered for a minute at most: the web server refuses meanwhile, or it still works.
    wait_for_exactly(stack, dag, drop_files(stack, dag, "updating", 3))
