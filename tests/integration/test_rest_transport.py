"""The same work over InvokeRestApi: the stack deployed anew with Transport=rest."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from rich.console import Console

from local import stack as local_stack
from local.calls import call_api
from local.progress import Progress
from local.stack import Stack
from tests.integration.conftest import Deployment, drop
from tests.integration.test_spine import read_dead_letter, wait_for_run, wait_for_run_with


@pytest.fixture(scope="module")
def rest(stack: Stack, dag: str, deployment: Deployment) -> Iterator[Stack]:
    """The stack with the REST transport; put back afterwards."""
    progress = Progress(Console(stderr=True))
    yield local_stack.up(progress, parameters=lambda: deployment.parameters(Transport="rest"), faults=True)
    local_stack.up(progress, parameters=deployment.parameters, faults=True)


def test_a_file_starts_a_run(rest: Stack, dag: str) -> None:
    key = f'data/{dag}/over rest + "quoted".csv'
    drop(rest, key, b"x")
    assert wait_for_run_with(rest, dag, "key", key)["state"] == "success"


def test_a_call_starts_a_run_with_its_note_and_once_only(rest: Stack, dag: str) -> None:
    body = {"dag_run_id": "over-rest", "note": "by hand", "conf": {"a": [1, None]}}
    answers = [call_api(rest, "POST", f"/dags/{dag}/dagRuns", body=body) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert "warnings" not in answers[0].json()
    run = wait_for_run(rest, dag, "over-rest")
    assert (run["state"], run["note"], run["conf"]) == ("success", "by hand", {"a": [1, None]})
    assert call_api(rest, "GET", answers[0].headers["Location"]).json()["state"] == "success"


def test_an_unknown_dag_is_a_dead_letter(rest: Stack, dag: str) -> None:
    drop(rest, "data/no_such_dag_over_rest/x.csv", b"x")
    read_dead_letter(rest, reason="dag-not-found", dag_id="no_such_dag_over_rest")
