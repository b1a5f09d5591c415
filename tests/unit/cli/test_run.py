"""`jetway run`: what it sends, what it says, how it ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from jetway.dispatch.run import parse_message
from jetway.ledger import Entry, Ledger, entry_id
from tests.unit.cli.conftest import Cloud

Jetway = Callable[..., Result]

ACCEPTED: tuple[int, dict[str, Any]] = (
    202,
    {"dag_id": "orders", "dag_run_id": "jetway__http__x", "state": "accepted"},
)
NO_RUN = (404, {"type": "urn:jetway:problem:run-not-found", "detail": "Airflow has no run (yet)."})


def shown(state: str) -> tuple[int, dict[str, Any]]:
    return 200, {"dag_id": "orders", "dag_run_id": "jetway__http__x", "state": state}


def test_a_run_is_asked_for_with_a_signed_call_and_its_id_is_printed(cloud: Cloud, jetway: Jetway) -> None:
    cloud.answers.append(ACCEPTED)
    result = jetway("run", "orders", "--conf", '{"day": 1}', "--note", "by hand", "--run-id", "r1")
    assert result.exit_code == 0
    assert result.stdout == "state     dag     run id\naccepted  orders  jetway__http__x\n"
    (call,) = cloud.calls
    assert (call.method, call.path) == ("POST", "/api/dags/orders/dagRuns")
    assert call.body == {"conf": {"day": 1}, "dag_run_id": "r1", "note": "by hand"}
    assert "/eu-central-1/execute-api/aws4_request" in call.headers["authorization"]
    assert call.headers["idempotency-key"]


def test_conf_comes_from_a_file_or_from_stdin(cloud: Cloud, jetway: Jetway, tmp_path: Path) -> None:
    file = tmp_path / "conf.json"
    file.write_text('{"who": "é"}', encoding="utf-8")
    cloud.answers.extend([ACCEPTED, ACCEPTED])
    jetway("run", "orders", "--conf", f"@{file}")
    jetway("run", "orders", "--conf", "@-", stdin='{"who": "stdin"}')
    assert [call.body for call in cloud.calls] == [{"conf": {"who": "é"}}, {"conf": {"who": "stdin"}}]


@pytest.mark.parametrize(
    ("conf", "said"), [("{", "is no JSON"), ("[1]", "must be a JSON object"), ("@nowhere.json", "could not be read")]
)
def test_conf_that_can_never_work_is_wrong_use_and_nothing_is_sent(
    cloud: Cloud, jetway: Jetway, conf: str, said: str
) -> None:
    result = jetway("run", "orders", "--conf", conf)
    assert (result.exit_code, cloud.calls) == (2, [])
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


def test_an_odd_dag_id_is_one_part_of_the_path(cloud: Cloud, jetway: Jetway) -> None:
    cloud.answers.append((422, {"detail": "dag_id 'a/b ?' is none."}))
    result = jetway("run", "a/b ?")
    assert cloud.calls[0].path == "/api/dags/a%2Fb%20%3F/dagRuns"
    assert (result.exit_code, result.stderr) == (2, "Error: dag_id 'a/b ?' is none.\n")


def test_a_lost_answer_is_asked_for_again_under_the_same_key(cloud: Cloud, jetway: Jetway) -> None:
    cloud.answers.extend([(503, {"message": "Service Unavailable"}), ACCEPTED])
    assert jetway("run", "orders").exit_code == 0
    first, second = (call.headers["idempotency-key"] for call in cloud.calls)
    assert first == second


@pytest.mark.parametrize(
    ("status", "exit_code"), [(400, 2), (422, 2), (413, 2), (404, 1), (409, 1), (401, 3), (403, 3)]
)
def test_a_refusal_decides_the_exit_code(cloud: Cloud, jetway: Jetway, status: int, exit_code: int) -> None:
    cloud.answers.append((status, {"detail": "No, because."}))
    result = jetway("run", "orders")
    assert (result.exit_code, result.stdout) == (exit_code, "")
    assert "No, because." in result.stderr


def test_waiting_follows_the_location_until_success(cloud: Cloud, jetway: Jetway) -> None:
    cloud.answers.extend([ACCEPTED, NO_RUN, shown("queued"), shown("success")])
    result = jetway("run", "orders", "--wait")
    assert result.exit_code == 0
    assert [call.path for call in cloud.calls[1:]] == ["/api/dags/orders/dagRuns/jetway__http__x"] * 3
    assert [line.split()[-1] for line in result.stderr.splitlines()] == ["accepted", "queued", "success"]
    assert result.stdout.splitlines()[1].startswith("success  orders")


def test_waiting_for_the_queue_ends_there(cloud: Cloud, jetway: Jetway) -> None:
    cloud.answers.extend([ACCEPTED, shown("queued")])
    result = jetway("run", "orders", "--wait", "queued", "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    assert json.loads(result.stdout)["state"] == "queued"


def test_a_failed_run_is_a_negative_answer(cloud: Cloud, jetway: Jetway) -> None:
    cloud.answers.extend([ACCEPTED, shown("failed")])
    result = jetway("run", "orders", "--wait")
    assert result.exit_code == 1
    assert "jetway__http__x" in result.stderr


def test_a_wait_that_is_over_says_that_the_run_goes_on(cloud: Cloud, jetway: Jetway) -> None:
    cloud.answers.extend([ACCEPTED, shown("running")])
    result = jetway("run", "orders", "--wait", "--timeout", "0s")
    assert result.exit_code == 1
    assert "goes on" in result.stderr


def test_a_call_that_became_a_dead_letter_ends_the_wait_with_its_reason(cloud: Cloud, jetway: Jetway) -> None:
    message = {"trigger": {"name": "http", "kind": "http", "dag": "orders"}, "event": {"dag_run_id": "jetway__http__x"}}
    now = datetime.now(UTC)
    read = parse_message(json.dumps(message), sent_at=now)
    because = "dag-not-found: Airflow has no DAG 'orders'."
    Ledger(cloud.ledger).record(
        Entry(entry_id("http", read.digest), "http", "http", read.identity, "dead-lettered", now, because=because)
    )
    cloud.answers.extend([ACCEPTED, NO_RUN])
    result = jetway("run", "orders", "--wait")
    assert result.exit_code == 1
    assert because in result.stderr
    assert "jetway redrive" in result.stderr


def test_no_output_and_no_region_are_trouble_with_a_way_out(
    cloud: Cloud, jetway: Jetway, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.outputs.clear()
    assert "no output HttpApiUrl" in jetway("run", "orders").stderr
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    result = jetway("run", "orders")
    assert (result.exit_code, "--region" in result.stderr) == (3, True)


def test_an_endpoint_that_does_not_answer_is_named(cloud: Cloud, jetway: Jetway) -> None:
    result = jetway("run", "orders", "--api-url", "http://127.0.0.1:1")
    assert result.exit_code == 3
    assert "http://127.0.0.1:1" in result.stderr
