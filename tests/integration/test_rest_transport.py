"""The same work over InvokeRestApi."""

from __future__ import annotations

import time
from typing import Any

import pytest

from jetway.ledger import Ledger
from tests.integration.conftest import Listener, drop
from tests.integration.test_spine import read_dead_letter, wait_for_run, wait_for_run_with
from tests.integration.test_workers import invoke
from tools import venvs
from tools.bench import scene
from tools.stack.calls import airflow_api, call_api, wait_for
from tools.stack.stack import Stack

EVENTS = 60  # each delivered three times; `make load` does it with 1,000
MOST_BATCHES = 20
BATCH_DAG = "batch_manifest"
UNKNOWN_DAG = "no_such_dag_over_rest"


@pytest.fixture(scope="module")
def rest(stack: Stack, dag: str) -> Stack:
    """The stack, and a file for a DAG that never comes: its grace passes while the other tests run."""
    drop(stack, f"data/{UNKNOWN_DAG}/x.csv", b"x")
    return stack


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
    assert (run["state"], run["conf"]) == ("success", {"a": [1, None]})
    said, who = run["note"].splitlines()
    assert (said, who[:19]) == ("by hand", "Jetway: by arn:aws:")
    assert call_api(rest, "GET", answers[0].headers["Location"]).json()["state"] == "success"


def test_events_delivered_three_times_in_bad_weather_start_one_run_each_and_are_in_one_batch_each(
    rest: Stack, dag: str
) -> None:
    each: dict[str, Any] = {"name": "weather-each", "kind": "s3", "dag": "weather_each"}
    bounds = {"max_events": EVENTS // 5, "within": 5}
    batch: dict[str, Any] = {"name": "weather-batch", "kind": "s3", "dag": "weather_batch", "batch": bounds}
    buckets = {"weather-each": each, "weather-batch": batch}
    queues = [rest.outputs[name] for name in ("DispatchQueueUrl", "CollectQueueUrl")]
    scene.put_dags(rest, "weather_each", "weather_batch")
    for bucket, trigger in buckets.items():
        scene.make_rules(rest, bucket, queues["batch" in trigger], trigger)
    with scene.Weather(rest, "rest", updating=5) as weather:
        began = time.monotonic()
        keys = scene.put_files(rest, "weather-each", EVENTS)
        assert scene.put_files(rest, "weather-batch", EVENTS) == keys
        ended = scene.wait_until_drained(rest, *queues, seconds=240, still=5)
        faults = weather.struck()
    assert all(faults.values()), faults

    def run_of() -> tuple[list[list[str]], list[list[str]]] | None:
        """What has a run; an event whose answer was lost thrice may still wait aside."""
        started = [[run["conf"]["key"]] for run in scene.all_runs(rest, "weather_each")]
        batched = [scene.members(rest, run["conf"]["manifest"]) for run in scene.all_runs(rest, "weather_batch")]
        return (started, batched) if len(started) >= EVENTS and sum(map(len, batched)) >= EVENTS else None

    started, batched = wait_for("a run of every event", run_of, seconds=60, pause=1)
    for way, per_run in (("each", started), ("batch", batched)):
        result = scene.judge(way, keys, per_run, ended - began, faults)
        assert (result.lost, result.doubled, result.surplus) == (0, 0, 0), result
    assert len(started) == EVENTS
    assert len(batched) <= MOST_BATCHES


def test_the_end_of_a_run_is_told_over_rest_also_that_of_a_batch(
    rest: Stack, dag: str, listener: Listener, ledger: Ledger
) -> None:
    drop(rest, f"dags/{BATCH_DAG}.py", (venvs.ROOT / "dags" / f"{BATCH_DAG}.py").read_bytes())
    wait_for("the DAG in Airflow", lambda: airflow_api(rest, "GET", f"/dags/{BATCH_DAG}"), seconds=90)
    trigger = {"name": "followed", "kind": "s3", "dag": BATCH_DAG, "batch": {"max_events": 2, "within": 30}}
    scene.make_rules(rest, "followed", rest.outputs["CollectQueueUrl"], trigger)
    drop(rest, f"data/{dag}/followed over rest.csv", b"x")
    scene.put_files(rest, "followed", 2)
    single = wait_for_run_with(rest, dag, "key", f"data/{dag}/followed over rest.csv")
    started = listener.wait_for("DagRunStarted", trigger="followed")["detail"]
    wait_for_run(rest, BATCH_DAG, started["dag_run_id"])
    invoke(rest, "FollowRuns")  # as its schedule does every minute
    told = listener.wait_for("DagRunSucceeded", dag_run_id=single["dag_run_id"])["detail"]
    assert told["duration_seconds"] > 0
    ended = listener.wait_for("DagRunSucceeded", trigger="followed")["detail"]
    assert (ended["dag_run_id"], ended["kind"]) == (started["dag_run_id"], "batch")
    assert ended["batch_id"] == ended["identity"][1]
    row = wait_for(
        "the row's end",
        lambda: next((r for r in ledger.newest(trigger="followed", limit=50) if r.ended_at), None),
        seconds=30,
    )
    assert row.state == "success"


@pytest.mark.slow  # waits out a minute of grace
def test_an_unknown_dag_is_a_dead_letter(rest: Stack) -> None:
    read_dead_letter(rest, reason="dag-not-found", dag_id=UNKNOWN_DAG)
