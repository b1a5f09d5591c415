"""`jetway run`: what it sends, what it says, how it ends."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from moto.core import set_initial_no_auth_action_count

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
    ("conf", "said"), [("{", "is not JSON"), ("[1]", "must be a JSON object"), ("@nowhere.json", "could not be read")]
)
def test_conf_that_can_never_work_is_wrong_use_and_nothing_is_sent(
    cloud: Cloud, jetway: Jetway, conf: str, said: str
) -> None:
    result = jetway("run", "orders", "--conf", conf)
    assert (result.exit_code, cloud.calls) == (2, [])
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


def test_an_odd_dag_id_is_one_part_of_the_path(cloud: Cloud, jetway: Jetway) -> None:
    cloud.answers.append((202, {"dag_id": "übung", "dag_run_id": "r", "state": "accepted"}))
    assert jetway("run", "übung").exit_code == 0
    assert cloud.calls[0].path == "/api/dags/%C3%BCbung/dagRuns"


@pytest.mark.parametrize(
    ("dag", "said"), [("dags/my_dag.py", "jetway run my_dag"), ("my dag", "letters, digits"), ("x" * 251, "250")]
)
def test_a_dag_id_that_can_be_none_is_told_before_anything_is_sent(
    cloud: Cloud, jetway: Jetway, dag: str, said: str
) -> None:
    result = jetway("run", dag)
    assert (result.exit_code, cloud.calls, cloud.checked) == (2, [], [])
    assert said in result.stderr


def test_wait_before_the_dag_says_where_it_belongs(jetway: Jetway) -> None:
    result = jetway("run", "--wait", "my_dag")
    assert result.exit_code == 2
    assert "jetway run DAG --wait" in result.stderr
    assert "--wait=success" in result.stderr


def test_a_lost_answer_is_asked_for_again_under_the_same_key(cloud: Cloud, jetway: Jetway) -> None:
    cloud.answers.extend([(503, {"message": "Service Unavailable"}), ACCEPTED])
    assert jetway("run", "orders").exit_code == 0
    first, second = (call.headers["idempotency-key"] for call in cloud.calls)
    assert first == second


@pytest.mark.parametrize(("status", "exit_code"), [(400, 2), (422, 2), (413, 2), (404, 1), (409, 1), (403, 3)])
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
    assert [line.split(maxsplit=1)[1] for line in result.stderr.splitlines()] == [
        "accepted: run jetway__http__x of DAG orders",
        "queued",
        "success",
    ]
    assert result.stdout.splitlines()[1].startswith("success  orders")


def test_waiting_for_the_queue_ends_there(cloud: Cloud, jetway: Jetway) -> None:
    cloud.answers.extend([ACCEPTED, shown("queued")])
    result = jetway("run", "orders", "--wait", "queued", "--json")
    assert result.exit_code == 0
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
    assert "continues" in result.stderr
    assert "jetway wait orders jetway__http__x" in result.stderr
    assert "jetway run" not in result.stderr


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


def problem(status: int, reason: str, detail: str, **more: Any) -> tuple[int, dict[str, Any]]:
    return status, {"type": f"urn:jetway:problem:{reason}", "status": status, "detail": detail, **more}


def test_a_misspelt_dag_is_told_and_nothing_is_started(cloud: Cloud, jetway: Jetway) -> None:
    detail = "Airflow has no DAG 'ordres'. Did you mean 'orders'?"
    cloud.checks.append(problem(404, "dag-not-found", detail, near=["orders"]))
    result = jetway("run", "ordres", "--conf", '{"day": 1}', "--wait")
    assert (result.exit_code, result.stdout, cloud.calls) == (1, "", [])
    assert result.stderr.count("Did you mean 'orders'?") == 1
    assert "Nothing was started" in result.stderr
    assert "--no-check" in result.stderr
    (check,) = cloud.checked
    assert (check.path, check.body) == ("/api/dags/ordres/dagRuns?dry_run=true", {"conf": {"day": 1}})


def test_near_names_are_told_where_the_detail_does_not(cloud: Cloud, jetway: Jetway) -> None:
    cloud.checks.append(problem(404, "dag-not-found", "Airflow has no DAG 'ordres'.", near=["orders"]))
    assert "Did you mean 'orders'?" in jetway("run", "ordres").stderr


def test_no_check_asks_nothing_first(cloud: Cloud, jetway: Jetway) -> None:
    cloud.answers.append(ACCEPTED)
    assert jetway("run", "orders", "--no-check").exit_code == 0
    assert cloud.checked == []


def test_a_paused_dag_is_told_at_once_and_started(cloud: Cloud, jetway: Jetway) -> None:
    cloud.checks.append((200, {"dag_id": "orders", "dry_run": True, "warnings": ["DAG 'orders' is paused"]}))
    cloud.answers.append(ACCEPTED)
    result = jetway("run", "orders", "--json")
    assert (result.exit_code, result.stderr) == (0, "Warning: DAG 'orders' is paused.\n")
    assert json.loads(result.stdout)["warnings"] == ["DAG 'orders' is paused"]


def test_a_check_that_cannot_be_made_is_said_and_the_run_is_asked_for(cloud: Cloud, jetway: Jetway) -> None:
    detail = "Environment 'prod' is UPDATING."
    cloud.checks.append(problem(503, "environment-unavailable", detail, environment_status="UPDATING"))
    cloud.answers.append(ACCEPTED)
    result = jetway("run", "orders")
    assert (result.exit_code, len(cloud.checked), len(cloud.calls)) == (0, 1, 1)
    assert result.stderr == (
        "Note: the DAG cannot be checked now: Environment 'prod' is UPDATING. The run is requested anyway.\n"
    )


@pytest.mark.parametrize(("options", "exit_code", "calls"), [((), 1, 0), (("--run-id", "r1"), 0, 1)])
def test_a_run_that_is_there_is_a_fault_only_where_nobody_named_it(
    cloud: Cloud, jetway: Jetway, options: tuple[str, ...], exit_code: int, calls: int
) -> None:
    cloud.checks.append(problem(409, "run-already-exists", "DAG 'orders' already has a run 'r1' (success)."))
    cloud.answers.append(ACCEPTED)
    result = jetway("run", "orders", *options)
    assert (result.exit_code, len(cloud.calls)) == (exit_code, calls)
    assert "already has a run 'r1' (success)." in result.stderr


def test_a_dry_run_starts_nothing(cloud: Cloud, jetway: Jetway) -> None:
    would = {"dag_id": "orders", "dag_run_id": "jetway__http__x", "conf": {"day": 1}, "dry_run": True}
    cloud.checks.extend([(200, would), (200, would), (503, {"message": "Service Unavailable"})])
    assert jetway("run", "orders", "--dry-run").stdout.splitlines()[1] == (
        'orders       (derived when the run starts)  {"day": 1}'
    )
    shown = json.loads(jetway("run", "orders", "--dry-run", "--json").stdout)
    assert (shown["dag_run_id"], shown["conf"]) == (None, {"day": 1})
    result = jetway("run", "orders", "--dry-run")
    assert (result.exit_code, result.stdout, cloud.calls) == (3, "", [])
    assert jetway("run", "orders", "--dry-run", "--wait").exit_code == 2


@pytest.mark.parametrize("answer", [(200, {}), (404, {"message": "Not Found"}), (302, {})])
def test_what_is_not_jetways_api_is_told(cloud: Cloud, jetway: Jetway, answer: tuple[int, dict[str, Any]]) -> None:
    cloud.answers.append(answer)
    result = jetway("run", "orders", "--no-check")
    assert (result.exit_code, result.stdout) == (3, "")
    assert "JETWAY_API_URL" in result.stderr


@pytest.mark.parametrize("url", ["nonsense", "api.example.com/prod", "ftp://x", "http://", "http://[::1"])
def test_an_address_that_is_none_is_wrong_use(jetway: Jetway, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    result = jetway("run", "orders", "--api-url", url)
    assert (result.exit_code, "is not an address such as https://" in result.stderr) == (2, True)
    monkeypatch.setenv("JETWAY_API_URL", url)
    result = jetway("run", "orders")
    assert (result.exit_code, "JETWAY_API_URL" in result.stderr) == (2, True)


def test_credentials_that_the_api_does_not_know_are_to_be_renewed(cloud: Cloud, jetway: Jetway) -> None:
    detail = "Sign the request with SigV4 (service execute-api), or send a bearer token."
    cloud.checks.append(problem(401, "unauthenticated", detail))
    result = jetway("run", "orders")
    assert (result.exit_code, cloud.calls) == (3, [])
    assert "Sign in again" in result.stderr
    assert "SigV4" not in result.stderr


def test_valid_credentials_that_may_not_call_are_named(cloud: Cloud, jetway: Jetway) -> None:
    cloud.checks.append((403, {"message": "Forbidden"}))
    result = jetway("run", "orders")
    assert result.exit_code == 3
    assert "arn:aws:" in result.stderr
    assert "execute-api:Invoke" in result.stderr
    assert "Sign in" not in result.stderr


def test_expired_credentials_are_told_from_those_that_may_not_call(cloud: Cloud, jetway: Jetway) -> None:
    cloud.checks.append((403, {"message": "Forbidden"}))
    from_the_first_call_on = set_initial_no_auth_action_count(0)
    result = from_the_first_call_on(lambda: jetway("run", "orders"))()  # moto: nobody has these keys
    assert result.exit_code == 3
    assert "Sign in again" in result.stderr
    assert "execute-api" not in result.stderr


def test_access_yaml_has_the_last_word(cloud: Cloud, jetway: Jetway) -> None:
    detail = "access.yaml does not allow arn:aws:iam::1:user/x to start runs of DAG 'orders'."
    cloud.checks.append(problem(403, "dag-not-allowed", detail))
    result = jetway("run", "orders")
    assert (result.exit_code, result.stderr) == (1, f"Error: {detail}\n")


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
    # Sent again with this key it starts one run, whether or not the lost call was accepted.
    assert re.search(r"--idempotency-key [0-9a-f-]{36}\b", result.stderr)
    assert ".." not in result.stderr
