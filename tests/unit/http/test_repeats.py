"""A call that comes again: what it is told of its own message, of another's dead letter, and of a run that is gone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest

from jetway.http.run_requests import event_id
from jetway.http.webhooks import ACCEPTED_TRIGGERS
from jetway.ledger import Decision, Entry, Ledger
from jetway.wiring.http_api import wired
from tests.unit.http.function import DROP, ask, in_process, queued
from tests.unit.ledger_table import make_ledger_table
from tests.unit.mwaa_server import MwaaServer

KEY = {"idempotency-key": "invoice-4711"}
PATH = "/dags/etl/dagRuns"


class Stage:
    """The function, its queue, its ledger, and an Airflow with these runs."""

    def __init__(self, mwaa: MwaaServer, queue: str) -> None:
        self.queue, self.ledger, self.mwaa = queue, Ledger(make_ledger_table()), mwaa
        self.runs: set[str] = set()
        self.status = 200
        mwaa.answer = self._answer

    def _answer(self, asked: dict[str, Any]) -> tuple[int, object]:
        if self.status != 200:
            return self.status, {}
        _, dag_id, *more = asked["Path"].strip("/").split("/")
        if not more:
            return 200, {"dag_id": dag_id, "is_paused": False}
        if more[-1] not in self.runs:
            return 404, {}
        return 200, {"dag_id": dag_id, "dag_run_id": more[-1], "state": "running"}

    def post(self, body: object, path: str = PATH, **headers: str) -> tuple[int, dict[str, Any]]:
        answer = ask("POST", path, body=body, headers=headers)
        return answer["statusCode"], json.loads(answer["body"])

    def decide(self, decision: Decision, run_id: str, message_id: str, *, at: datetime, because: str = "") -> None:
        id_ = event_id("etl", run_id)
        row = Entry(id_, "http", "http", ("http", run_id, "etl"), decision, at, because, "etl", run_id)
        self.ledger.record(Entry(**{name: getattr(row, name) for name in row.__slots__} | {"message_id": message_id}))

    def accept_trigger(self, dag: str, conf: dict[str, Any]) -> None:
        document = {"on": {"http": {"auth": "iam"}}, "dag": dag, "conf": conf}
        triggers = {"triggers/hook.yaml": {"name": "hook", "kind": "http", "document": document}}
        body = json.dumps({"format": "jetway-triggers/1", "triggers": triggers}).encode()
        boto3.client("s3").put_object(Bucket=DROP, Key=ACCEPTED_TRIGGERS, Body=body)
        wired().forget()


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    with MwaaServer() as mwaa, in_process(monkeypatch, AWS_ENDPOINT_URL_MWAA=mwaa.url) as queue:
        yield Stage(mwaa, queue)


def test_the_dead_letter_of_an_earlier_call_is_not_taken_for_this_ones(stage: Stage) -> None:
    """It is decided after this call came, and this call's own message starts a run later."""
    stage.decide("dead-lettered", "r1", "the first call's", at=datetime.now(UTC) + timedelta(seconds=5), because="no")
    status, body = stage.post({"dag_run_id": "r1"}, prefer="wait=1")
    assert (status, body["state"]) == (202, "accepted")


def test_its_own_dead_letter_is_told_at_once(stage: Stage) -> None:
    sent: list[str] = []

    def note(parsed: dict[str, Any], **_more: object) -> None:
        sent.append(parsed["MessageId"])
        stage.decide("dead-lettered", "r1", sent[0], at=datetime.now(UTC), because="dag-not-found: Airflow has no DAG")

    wired().sqs.meta.events.register("after-call.sqs.SendMessage", note)
    status, body = stage.post({"dag_run_id": "r1"}, prefer="wait=5")
    assert (status, body["type"]) == (404, "urn:jetway:problem:dag-not-found")


@pytest.mark.parametrize(("answer", "reason"), [(503, "environment-unavailable"), (400, "invalid-request")])
def test_what_could_not_be_asked_while_it_waited_is_said(stage: Stage, answer: int, reason: str) -> None:
    """The call is accepted, whatever Airflow says to the question what became of it."""
    stage.status = answer
    status, body = stage.post({"dag_run_id": "r1"}, prefer="wait=1")
    assert status == 202
    assert f"The run could not be read from Airflow: {reason}: " in body["warnings"][0]


@pytest.mark.parametrize("how", [KEY, {"prefer": "wait=3"}], ids=["key", "wait"])
def test_a_run_that_was_deleted_is_said_to_be(stage: Stage, how: dict[str, str]) -> None:
    body = {} if "idempotency-key" in how else {"dag_run_id": "r1"}
    _, first = stage.post(body, **{name: value for name, value in how.items() if name != "prefer"})
    run_id = first["dag_run_id"]
    stage.decide("started", run_id, "m", at=datetime.now(UTC))
    assert len(queued(stage.queue)) == 1
    status, problem = stage.post(body, **how)
    assert (status, problem["type"]) == (410, "urn:jetway:problem:run-deleted")
    assert "use another Idempotency-Key or dag_run_id" in problem["detail"]
    assert queued(stage.queue) == [], "it starts nothing"

    stage.runs.add(run_id)
    assert stage.post(body, **how)[0] in {200, 202}


@pytest.mark.parametrize("answer", [503, 400])
def test_where_airflow_does_not_answer_a_repeated_call_is_taken(stage: Stage, answer: int) -> None:
    _, first = stage.post({}, **KEY)
    stage.decide("started", first["dag_run_id"], "m", at=datetime.now(UTC))
    stage.status = answer
    assert stage.post({}, **KEY)[0] == 202


@pytest.mark.parametrize(("dag", "conf"), [("two", {"a": "{{ a }}"}), ("one", {"b": "{{ a }}"})])
def test_a_key_whose_trigger_has_changed_since_is_refused(stage: Stage, dag: str, conf: dict[str, Any]) -> None:
    stage.accept_trigger("one", {"a": "{{ a }}"})
    assert stage.post({"a": 1}, "/triggers/hook", **KEY)[0] == 202
    assert stage.post({"a": 1}, "/triggers/hook", **KEY)[0] == 202
    stage.accept_trigger(dag, conf)
    status, problem = stage.post({"a": 1}, "/triggers/hook", **KEY)
    assert (status, problem["type"]) == (422, "urn:jetway:problem:idempotency-key-reused")
    assert "or the trigger's dag or conf has changed since then" in problem["detail"]
    answer = ask("POST", "/triggers/hook", body={"a": 1}, headers=KEY, query={"dry_run": "true"})
    assert answer["statusCode"] == 422


def test_a_key_that_is_older_than_what_is_kept_of_triggers_now_is_taken(stage: Stage) -> None:
    stage.accept_trigger("one", {"a": "{{ a }}"})
    stage.post({"a": 1}, "/triggers/hook", **KEY)
    table = boto3.resource("dynamodb").Table("idempotency")
    (item,) = table.scan()["Items"]
    table.update_item(Key={"id": item["id"]}, UpdateExpression="REMOVE made_by")
    assert stage.post({"a": 1}, "/triggers/hook", **KEY)[0] == 202


@pytest.mark.parametrize(("seconds", "gone"), [(5, False), (90, True)])
def test_a_run_that_is_gone_is_said_to_be_when_it_is_looked_up(stage: Stage, seconds: int, gone: bool) -> None:
    stage.decide("started", "r1", "m", at=datetime.now(UTC) - timedelta(seconds=seconds))
    answer = ask("GET", f"{PATH}/r1")
    problem = json.loads(answer["body"])
    assert (answer["statusCode"], problem["event"]["decision"]) == (404, "started")
    assert ("later deleted" in problem["detail"]) is gone
    assert ("Retry-After" in answer["headers"]) is not gone
