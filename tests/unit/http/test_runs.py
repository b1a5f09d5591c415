"""What the HTTP API says of a run that is not there or does not start, and of a run that is only tried (`dry_run`)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jetway.dispatch.run import derive_digest, derive_run_id
from jetway.dispatch.run_events import PAUSED, STALE
from jetway.http.run_requests import event_id
from jetway.ledger import Entry, Ledger, entry_id
from jetway.wiring.http_api import wired
from tests.unit.hanging import hang
from tests.unit.http.function import IGNORED_ONCE, ask, in_process, queued
from tests.unit.ledger_table import make_ledger_table
from tests.unit.mwaa_server import MwaaServer

NOW = datetime.now(UTC)
DAG: dict[str, Any] = {"dag_id": "etl", "is_paused": False, "is_stale": False}
RUN = {"dag_id": "etl", "dag_run_id": "r1", "state": "queued", "logical_date": None}
UNTIL = NOW + timedelta(minutes=9)


class Airflow:
    """Answers as Airflow 3.3.1 does: its DAGs, and one run."""

    def __init__(self) -> None:
        self.dags = {"etl": dict(DAG)}
        self.run: dict[str, Any] | None = dict(RUN)
        self.status = 200

    def __call__(self, asked: dict[str, Any]) -> tuple[int, object]:
        path = asked["Path"].split("/")[1:]
        if self.status != 200:
            return self.status, {"message": "Service Unavailable"}
        if path == ["dags"]:
            return 200, {"dags": list(self.dags.values()), "total_entries": len(self.dags)}
        if path[1] not in self.dags:
            return 404, {"detail": "not found"}
        if len(path) == 2:
            return 200, self.dags[path[1]]
        if self.run is None or path[3] != self.run["dag_run_id"]:
            return 404, {"detail": "not found"}
        return 200, self.run


@pytest.fixture
def airflow() -> Airflow:
    return Airflow()


@pytest.fixture
def mwaa(airflow: Airflow) -> Iterator[MwaaServer]:
    with MwaaServer(answer=airflow) as server:
        yield server


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch, mwaa: MwaaServer) -> Iterator[str]:
    with in_process(monkeypatch, AWS_ENDPOINT_URL_MWAA=mwaa.url) as queue:
        yield queue


@pytest.fixture
def ledger(queue: str) -> Ledger:
    return Ledger(make_ledger_table())


def entry(decision: Any, **more: Any) -> Entry:
    values: dict[str, Any] = {"id": event_id("etl", "r1"), "trigger": "http", "kind": "http", "identity": ()}
    return Entry(**values | {"decision": decision, "decided_at": NOW, "dag_id": "etl", "dag_run_id": "r1"} | more)


def get(path: str = "/dags/etl/dagRuns/r1", **more: Any) -> tuple[int, dict[str, Any]]:
    answer = ask("GET", path, **more)
    return answer["statusCode"], json.loads(answer["body"])


def test_a_run_that_is_not_there_yet_says_what_became_of_its_event(ledger: Ledger, airflow: Airflow) -> None:
    airflow.run = None
    status, problem = get()
    assert (status, problem["type"], problem["event"]) == (404, "urn:jetway:problem:run-not-found", None)
    ledger.record(entry("waiting", because="dag-not-found: Airflow has no DAG 'etl'.", until=UNTIL))
    status, problem = get()
    assert (status, problem["event"]) == (
        404,
        {
            "decision": "waiting",
            "because": "dag-not-found: Airflow has no DAG 'etl'.",
            "decided_at": NOW.isoformat(),
            "until": UNTIL.isoformat(),
        },
    )


def test_so_does_a_dag_that_airflow_does_not_know(ledger: Ledger, airflow: Airflow) -> None:
    airflow.dags = {}
    ledger.record(entry("dead-lettered", because="dag-not-found: Airflow has no DAG 'etl'."))
    status, problem = get()
    assert (status, problem["type"]) == (404, "urn:jetway:problem:dag-not-found")
    assert (problem["event"]["decision"], problem["event"]["until"]) == ("dead-lettered", None)


def test_an_update_is_named_and_not_taken_for_a_busy_web_server(
    ledger: Ledger, airflow: Airflow, mwaa: MwaaServer
) -> None:
    airflow.status, mwaa.status = 503, "UPDATING"
    ledger.record(entry("held", because="environment-unavailable: it is UPDATING", until=UNTIL))
    status, problem = get()
    assert (status, problem["type"]) == (503, "urn:jetway:problem:environment-unavailable")
    assert "'acme' is UPDATING" in problem["detail"]
    assert problem["environment_status"] == "UPDATING"
    assert (problem["event"]["decision"], problem["event"]["until"]) == ("held", UNTIL.isoformat())


def test_an_answer_that_was_lost_in_an_update_is_the_updates(
    ledger: Ledger, airflow: Airflow, mwaa: MwaaServer
) -> None:
    airflow.status = 504
    assert get()[1]["type"] == "urn:jetway:problem:answer-lost"
    wired().forget()
    mwaa.status = "UPDATING"
    status, problem = get()
    assert (status, problem["environment_status"], problem["event"]) == (503, "UPDATING", None)


@IGNORED_ONCE
def test_an_airflow_that_hangs_leaves_time_to_say_what_is_known(ledger: Ledger, mwaa: MwaaServer) -> None:
    mwaa.answer = lambda _: hang(mwaa)
    ledger.record(entry("held", because="answer-lost: no answer", until=UNTIL))
    status, problem = get()
    assert (status, problem["type"], problem["event"]["decision"]) == (503, "urn:jetway:problem:timeout", "held")


def test_a_ledger_that_does_not_answer_is_not_a_ledger_that_knows_nothing(queue: str, airflow: Airflow) -> None:
    airflow.run = None
    status, problem = get()  # there is no table
    assert status == 404
    assert "event" not in problem


def test_the_event_of_a_file_or_a_schedule_is_found_by_the_id_of_its_run(ledger: Ledger, airflow: Airflow) -> None:
    airflow.run = None
    identity = ("s3", "acme", "a.csv", "version-id", "1")
    run_id = derive_run_id("my__orders", identity)
    id_ = entry_id("my__orders", derive_digest("my__orders", identity))
    ledger.record(entry("waiting", id=id_, trigger="my__orders", kind="s3", dag_run_id=run_id, because="rate: full"))
    assert get(f"/dags/etl/dagRuns/{run_id}")[1]["event"]["because"] == "rate: full"
    # Of another DAG, which the caller may not be allowed to see, nothing is said.
    airflow.dags["other"] = {**DAG, "dag_id": "other"}
    assert get(f"/dags/other/dagRuns/{run_id}")[1]["event"] is None


def test_the_event_of_a_call_for_a_trigger_file_is_found(ledger: Ledger, airflow: Airflow) -> None:
    airflow.run = None
    run_id = derive_run_id("push", ("call", "1", "me"))
    id_ = event_id("etl", run_id, trigger="push")
    ledger.record(entry("skipped", id=id_, trigger="push", dag_run_id=run_id, because="no"))
    assert get(f"/dags/etl/dagRuns/{run_id}")[1]["event"]["decision"] == "skipped"


@pytest.mark.parametrize(
    ("dag", "word"), [({"is_paused": True}, "dag-paused: "), ({"is_stale": True}, "dag-stale: "), ({}, None)]
)
def test_a_queued_run_says_why_it_does_not_start(
    ledger: Ledger, airflow: Airflow, dag: dict[str, bool], word: str | None
) -> None:
    airflow.dags["etl"] |= dag
    status, run = get()
    assert (status, run["state"]) == (200, "queued")
    assert run["because"] is None if word is None else run["because"].startswith(word)


def test_airflow_is_asked_for_the_reason_seldom_and_of_queued_runs_only(
    ledger: Ledger, airflow: Airflow, mwaa: MwaaServer
) -> None:
    for _ in range(3):
        get()
    assert mwaa.asked.count(("GET", "/dags/etl")) == 1
    wired().forget()
    airflow.run = {**RUN, "state": "running"}
    assert get()[1]["because"] is None
    assert mwaa.asked.count(("GET", "/dags/etl")) == 1


@pytest.mark.parametrize(("because", "word"), [(PAUSED, "dag-paused: "), (STALE, "dag-stale: "), (None, None)])
def test_of_a_run_that_was_created_a_moment_ago_what_the_dispatcher_saw_is_said(
    ledger: Ledger, mwaa: MwaaServer, because: str | None, word: str | None
) -> None:
    ledger.record(entry("started", because=because, state="queued", decided_at=datetime.now(UTC)))
    run = get()[1]
    assert run["because"] is None if word is None else run["because"].startswith(word)
    assert ("GET", "/dags/etl") not in mwaa.asked


def test_a_pause_that_a_dry_run_has_seen_is_said_of_the_run_a_moment_later(ledger: Ledger, airflow: Airflow) -> None:
    """`start_dag_run` may have looked at the DAG five minutes ago; `jetway run` asks with dry_run first."""
    airflow.dags["etl"]["is_paused"] = True
    airflow.run = None
    assert ask("POST", "/dags/etl/dagRuns", query={"dry_run": "true"})["statusCode"] == 200
    airflow.run = RUN
    ledger.record(entry("started", because=None, state="queued", decided_at=datetime.now(UTC)))
    assert get()[1]["because"].startswith("dag-paused: ")


def test_a_pause_that_is_over_is_not_said(ledger: Ledger) -> None:
    ledger.record(entry("started", because=PAUSED, state="queued", decided_at=NOW - timedelta(minutes=2)))
    assert get()[1]["because"] is None


def test_a_call_that_waits_for_a_paused_dag_is_told(ledger: Ledger) -> None:
    ledger.record(entry("started", because=PAUSED, state="queued"))
    path, body = "/dags/etl/dagRuns", {"dag_run_id": "r1"}
    final = ask("POST", path, body=body, headers={"prefer": "wait=1, state=final"})
    (warning,) = json.loads(final["body"])["warnings"]
    assert (final["statusCode"], warning.startswith("dag-paused: ")) == (202, True)
    there = ask("POST", path, body=body, headers={"prefer": "wait=25"})
    assert there["statusCode"] == 200
    assert json.loads(there["body"])["because"].startswith("dag-paused: ")


def dry_run(dag_id: str = "etl", run_id: str = "new") -> tuple[int, dict[str, Any]]:
    answer = ask("POST", f"/dags/{dag_id}/dagRuns", query={"dry_run": "true"}, body={"dag_run_id": run_id})
    return answer["statusCode"], json.loads(answer["body"])


def test_a_dry_run_of_a_misspelt_dag_suggests_the_near_ones(queue: str, airflow: Airflow) -> None:
    airflow.dags = {name: {**DAG, "dag_id": name} for name in ("ingest_orders", "ingest_order_lines", "etl", "zebra")}
    status, problem = dry_run("ingest_ordres")
    assert (status, problem["type"]) == (404, "urn:jetway:problem:dag-not-found")
    assert problem["near"] == ["ingest_orders", "ingest_order_lines"]
    assert "Airflow has no DAG 'ingest_ordres'" in problem["detail"]
    assert problem["detail"].endswith("Did you mean 'ingest_orders' or 'ingest_order_lines'?")
    status, problem = dry_run("something_else_entirely")
    assert (status, problem["near"]) == (404, [])
    assert "Did you mean" not in problem["detail"]


def test_a_dry_run_of_a_dag_whose_file_is_gone_is_not_found_and_says_so(queue: str, airflow: Airflow) -> None:
    airflow.dags["etl"]["is_stale"] = True
    airflow.dags["etl2"] = {**DAG, "dag_id": "etl2"}
    status, problem = dry_run()
    assert (status, problem["type"]) == (404, "urn:jetway:problem:dag-not-found")
    assert "its file was deleted" in problem["detail"]
    assert (problem["near"], "Did you mean" in problem["detail"]) == ([], False)


def test_a_dry_run_of_a_paused_dag_would_start_and_warns(queue: str, airflow: Airflow) -> None:
    assert dry_run()[1]["warnings"] == []
    airflow.dags["etl"]["is_paused"] = True
    status, found = dry_run()
    assert (status, found["dry_run"]) == (200, True)
    assert found["warnings"] == ["DAG 'etl' is paused: the run would be queued until the DAG is unpaused."]
    assert queued(queue) == []


def test_a_dry_run_says_that_airflow_cannot_be_asked(queue: str, airflow: Airflow, mwaa: MwaaServer) -> None:
    airflow.status, mwaa.status = 503, "UPDATING"
    status, problem = dry_run()
    assert (status, problem["environment_status"]) == (503, "UPDATING")
