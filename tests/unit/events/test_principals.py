"""Who did it: from what S3, EventBridge and callers tell, to the ledger, the events, the run's note and the audit."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws

from jetway.airflow.environment import EnvironmentFacts
from jetway.batches.model import parse_member
from jetway.dispatch.run import parse_message, plan
from jetway.dispatch.run_events import announcement
from jetway.events.principals import CLAIM, KNOWN, LONGEST, cause, claimed_in, in_words, note_of, of_upload, read_cause
from jetway.gate.s3_notification import parse_arrival
from jetway.ledger import Entry, Ledger
from jetway.sync.causes import causes_in
from jetway.triggers.file import in_force, parse
from jetway.triggers.version import version_of
from jetway.updates.record import UpdateRecord
from jetway_cli.audit import acts_of_reports, acts_of_runs, acts_of_updates
from jetway_cli.letters import body_again
from tests.unit.ledger_table import make_ledger_table
from tests.unit.sample_events import sample_event

AT = datetime(2026, 11, 22, 6, tzinfo=UTC)
UPLOAD = {"requester": "111122223333", "source-ip-address": "192.0.2.1", "request-id": "R1"}
BY_UPLOAD = {"account": "111122223333", "source_ip": "192.0.2.1", "request_id": "R1"}
ANN = "arn:aws:sts::111122223333:assumed-role/data/ann"


def message(kind: str, event: dict[str, Any], **more: Any) -> str:
    trigger = {"name": "orders", "kind": kind, "dag": "ingest", **more.pop("trigger", {})}
    return json.dumps({"trigger": trigger, "event": event, **more})


def s3(**detail: Any) -> dict[str, Any]:
    event = sample_event("s3_object_created")
    return {**event, "detail": {**event["detail"], **detail}}


CALL: dict[str, Any] = {
    "dag_run_id": "r1",
    "conf": {},
    "logical_date": None,
    "note": None,
    "caller": "arn:role",
    "request_id": "q1",
}
CASES: list[tuple[str, dict[str, str]]] = [
    (message("s3", s3(**UPLOAD)), BY_UPLOAD),
    (
        message("s3", s3(**UPLOAD), trigger={"version": "3f0a"}),
        {**BY_UPLOAD, "trigger": "triggers/orders.yaml@3f0a"},
    ),
    (message("http", {**CALL, "by": ANN}), {"principal": ANN, "request_id": "q1"}),
    (message("http", CALL), {"principal": "arn:role", "request_id": "q1"}),
    (
        message("http", {**CALL, "by": "webhook:orders"}, trigger={"version": "1"}),
        {"principal": "webhook:orders", "request_id": "q1", "trigger": "triggers/orders.yaml@1"},
    ),
    (
        message(
            "event", {"id": "1", "source": "acme", "detail-type": "x", "time": "2026-11-22T06:00:00Z", "account": "9"}
        ),
        {"account": "9"},
    ),
    (message("schedule", {"schedule-arn": "arn:x/jetway.n", "scheduled-time": "2026-11-22T06:00:00Z"}), {}),
    (
        body_again(json.loads(message("s3", s3(**UPLOAD))), now=AT.isoformat(), by=ANN),
        {**BY_UPLOAD, "redriven_by": ANN},
    ),
]


@pytest.mark.parametrize(("body", "by"), CASES)
def test_a_message_says_who_caused_it_and_the_run_has_a_note_of_it(body: str, by: dict[str, str]) -> None:
    found = parse_message(body, sent_at=AT)
    assert found.by == by
    request = plan(found, major=lambda: 3).request
    assert request is not None
    assert request.note == note_of(by)


def test_a_callers_own_note_stays() -> None:
    request = plan(parse_message(message("http", {**CALL, "note": "month end"}), sent_at=AT), major=lambda: 3).request
    assert request is not None
    assert request.note == "month end\nJetway: by arn:role, request q1"


def test_an_event_of_a_batch_has_it_too() -> None:
    body = message(
        "s3", s3(**UPLOAD), trigger={"batch": {"max_events": 2, "within": 5}, "version": "7"}, redriven_by=ANN
    )
    _, member = parse_member(body, sent_at=AT)
    assert member.by == {**BY_UPLOAD, "trigger": "triggers/orders.yaml@7", "redriven_by": ANN}


@mock_aws
def test_the_row_and_the_event_out_say_it() -> None:
    ledger = Ledger(make_ledger_table(), clock=lambda: AT)
    entry = Entry("orders#1", "orders", "s3", ("x",), "started", AT, dag_id="d", dag_run_id="r", by=BY_UPLOAD)
    ledger.record(entry)
    row = ledger.get("orders#1")
    assert row is not None
    assert row.by == BY_UPLOAD
    assert announcement("env", row).detail["by"] == BY_UPLOAD
    ledger.record(Entry("orders#2", "orders", "s3", ("y",), "started", AT))
    (other,) = [one for one in ledger.list_events(since=AT - timedelta(hours=1)) if one.id == "orders#2"]
    assert other.by == {}


def test_an_upload_and_a_deletion_say_who_it_was() -> None:
    put = parse_arrival(json.dumps({"source": "aws.s3", "detail-type": "Object Created", **s3(**UPLOAD)}))
    assert put.by == BY_UPLOAD
    gone = {
        "source": "aws.s3",
        "detail-type": "Object Deleted",
        "detail": {"bucket": {"name": "b"}, "object": {"key": "dags/a.py"}, "reason": "DeleteObject", **UPLOAD},
    }
    assert parse_arrival(json.dumps(gone)).by == BY_UPLOAD


def test_who_put_which_version_of_a_trigger_file() -> None:
    event = {"detail": {"object": {"key": "triggers/a.yaml", "version-id": "v1"}, **UPLOAD}}
    odd = ["", "[]", "{", '{"detail": 1}', '{"detail": {"object": []}}', '{"by": "hand"}', "null"]
    assert causes_in([json.dumps(event), *odd]) == {("triggers/a.yaml", "v1"): BY_UPLOAD}


def test_what_a_file_says_names_it_whatever_its_version() -> None:
    one, same, other = (
        parse(text, "triggers/orders.yaml").trigger
        for text in (
            b"dag: d\non: {schedule: {rate: 1h}}\n",
            b"# a comment\non:\n  schedule: {rate: 1h}\ndag: d\n",
            b"dag: e\non: {schedule: {rate: 1h}}\n",
        )
    )
    assert one is not None
    assert same is not None
    assert other is not None
    assert in_force(one).version == in_force(same).version == version_of(one.document) != in_force(other).version
    assert one.version is None


@given(st.recursive(st.none() | st.text() | st.integers(), lambda one: st.dictionaries(st.text(), one) | st.lists(one)))
def test_nothing_that_somebody_sends_is_trouble(value: Any) -> None:
    for found in (of_upload(value), read_cause(value), cause(principal=value)):
        assert set(found) <= set(KNOWN)
        assert all(isinstance(text, str) and 0 < len(text) <= LONGEST for text in found.values())
        assert isinstance(in_words(found), str)


def test_what_is_claimed_is_called_so() -> None:
    assert claimed_in({CLAIM: "ann@example.com", "other": "x"}) == {"claimed": "ann@example.com"}
    assert in_words(claimed_in({CLAIM: "ann"})) == "claims to be ann"
    assert (note_of({}), claimed_in({})) == (None, {})


def test_the_audit_of_runs_and_redrives() -> None:
    by = {"principal": ANN, "redriven_by": "arn:bob"}
    entry = Entry("o#1", "o", "http", (), "started", AT, dag_id="d", dag_run_id="r", by=by)
    acts = list(acts_of_runs([entry, Entry("o#2", "o", "s3", (), "dead-lettered", AT)]))
    assert [(act.what, act.of, dict(act.by)) for act in acts] == [
        ("run started", "d r", by),
        ("redriven", "d r", {"principal": "arn:bob"}),
        ("event dead-lettered", "?", {}),
    ]


def test_the_audit_of_files() -> None:
    source = {"version": "v1", "etag": "e", "last_modified": AT.isoformat()}
    base = {"path": "dags/a.py", "kind": "dag-file", "verdict": "accepted", "source": source}
    reports = [
        {**base, "outcome": "promoted", "by": BY_UPLOAD},
        {**base, "outcome": "rolled-back", "verification": {"at": (AT + timedelta(hours=1)).isoformat()}},
        {**base, "outcome": "removed", "removed_by": BY_UPLOAD, "changed_at": (AT + timedelta(hours=2)).isoformat()},
        {**base, "path": "triggers/x.yaml", "kind": "trigger"},
    ]
    acts = list(acts_of_reports(reports, AT - timedelta(minutes=1)))
    assert [(act.what, act.of) for act in acts] == [
        ("uploaded: promoted", "dags/a.py@v1"),
        ("uploaded: rolled-back", "dags/a.py@v1"),
        ("rolled back", "dags/a.py@v1"),
        ("uploaded: removed", "dags/a.py@v1"),
        ("deleted", "dags/a.py@v1"),
        ("trigger file put: accepted", "triggers/x.yaml@v1"),
    ]
    assert [dict(act.by) for act in acts if act.what in {"deleted", "uploaded: promoted"}] == [BY_UPLOAD, BY_UPLOAD]
    assert list(acts_of_reports(reports[:1], AT + timedelta(minutes=1))) == [], "it was put before"


def test_the_audit_of_the_last_update() -> None:
    def facts(**more: Any) -> EnvironmentFacts:
        known = {
            "name": "prod",
            "airflow_version": "3.3.1",
            "status": "AVAILABLE",
            "source_bucket": "b",
            "dags_path": "dags",
        }
        return EnvironmentFacts(**{**known, **more})

    theirs = facts(last_update_at=AT, last_update_source="someone")
    (act,) = acts_of_updates(UpdateRecord(), theirs, AT)
    assert (act.what, act.of, dict(act.by)) == ("environment updated", "prod", {"principal": "someone"})
    assert list(acts_of_updates(UpdateRecord(), theirs, AT + timedelta(seconds=1))) == []
    assert list(acts_of_updates(UpdateRecord(), facts(), AT)) == []
