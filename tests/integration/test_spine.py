"""The main job, as users see it: a file, a call and a schedule each start a real run; a bad file stays out."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.integration.conftest import Deployment, drop
from tools.stack.calls import airflow_api, call_api, list_runs, read_report, wait_for
from tools.stack.stack import ENVIRONMENT_BUCKET, Stack

LONGEST = 120.0  # seconds for a run to end on a slow machine


def wait_for_run(stack: Stack, dag_id: str, run_id: str) -> dict[str, Any]:
    """Wait until the run has ended and return it."""

    def look() -> dict[str, Any] | None:
        run = list_runs(stack, dag_id).get(run_id)
        return run if run and run["state"] in {"success", "failed"} else None

    return wait_for(f"the end of {run_id}", look, seconds=LONGEST)


def wait_for_run_with(stack: Stack, dag_id: str, field: str, value: str) -> dict[str, Any]:
    """Wait for a run whose conf has that value, and for its end."""

    def look() -> str | None:
        runs = list_runs(stack, dag_id).values()
        return next((run["dag_run_id"] for run in runs if run["conf"].get(field) == value), None)

    return wait_for_run(stack, dag_id, wait_for(f"a run with {field} {value!r}", look, seconds=LONGEST))


def read_dead_letter(stack: Stack, **wanted: str) -> dict[str, Any]:
    """Wait for a dead letter with these members."""
    sqs, url = stack.client("sqs"), stack.outputs["DispatchDeadLettersUrl"]

    def look() -> dict[str, Any] | None:
        messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0).get("Messages", [])
        letters = [json.loads(message["Body"]) for message in messages]
        return next((letter for letter in letters if wanted.items() <= letter.items()), None)

    return wait_for(f"a dead letter with {wanted}", look, seconds=LONGEST)


def test_a_good_dag_file_is_promoted_and_its_report_names_its_dag(stack: Stack, dag: str) -> None:
    report = read_report(stack, f"dags/{dag}.py")
    assert report is not None
    assert report["verdict"] == "accepted"
    assert dag in json.dumps(report["dags"])
    head = stack.client("s3").head_object(Bucket=ENVIRONMENT_BUCKET, Key=f"dags/{dag}.py")
    assert head["VersionId"]


def test_a_broken_dag_file_is_quarantined_with_line_and_remedy_and_not_promoted(stack: Stack) -> None:
    key = "dags/broken.py"
    drop(stack, key, b"from airflow import DAG\n\nwith DAG('broken'\n    pass\n")
    report = wait_for("the report", lambda: read_report(stack, key), seconds=60)
    (finding,) = [finding for finding in report["findings"] if finding["severity"] == "error"]
    assert (report["verdict"], finding["line"]) == ("rejected", 3)
    assert finding["rule"]
    assert finding["remedy"]
    s3, bucket = stack.client("s3"), stack.outputs["DropBucketName"]
    assert s3.list_objects_v2(Bucket=bucket, Prefix=f"quarantine/{key}")["KeyCount"] == 1
    assert s3.list_objects_v2(Bucket=ENVIRONMENT_BUCKET, Prefix=key)["KeyCount"] == 0


@pytest.mark.parametrize("size", [0, 10 * 1024 * 1024])
def test_an_empty_and_a_huge_dag_file_get_a_report(stack: Stack, size: int) -> None:
    key = f"dags/size_{size}.py"
    drop(stack, key, b"#" * size)
    report = wait_for("the report", lambda: read_report(stack, key), seconds=60)
    assert report["verdict"] == ("accepted" if size == 0 else "rejected")
    assert report["findings"]


NAMES = (
    "plain.csv",
    "a+b.csv",
    "quo\"te's.csv",
    "two  spaces.csv",
    "ümläut-日本.csv",
    "new\nline.csv",
    "per%20cent%2B.csv",
)


@pytest.fixture(scope="module")
def dropped(stack: Stack, dag: str) -> None:
    """All of them, so that their runs go on while one is waited for."""
    for name in NAMES:
        drop(stack, f"data/{dag}/{name}", b"x")


@pytest.mark.usefixtures("dropped")
@pytest.mark.parametrize("name", NAMES)
def test_a_file_starts_a_run_whatever_its_key(stack: Stack, dag: str, name: str) -> None:
    key = f"data/{dag}/{name}"
    run = wait_for_run_with(stack, dag, "key", key)
    assert run["state"] == "success"
    assert run["conf"]["bucket"] == stack.outputs["DropBucketName"]


def test_the_same_file_uploaded_again_is_a_new_run(stack: Stack, dag: str) -> None:
    key = f"data/{dag}/again.csv"
    for body in (b"1", b"2"):
        drop(stack, key, body)

    def look() -> list[str] | None:
        runs = [run_id for run_id, run in list_runs(stack, dag).items() if run["conf"].get("key") == key]
        return runs if len(runs) == 2 else None

    wait_for("two runs", look, seconds=LONGEST)


def test_a_call_starts_a_run_and_its_location_shows_it(stack: Stack, dag: str) -> None:
    conf = {"text": 'it\'s "quoted"; $(rm -rf /) `x` \\ \n é 日本', "deep": {"list": [1, 2.5, None, True]}}
    answer = call_api(stack, "POST", f"/dags/{dag}/dagRuns", body={"conf": conf, "dag_run_id": "by-hand:1+x~y"})
    assert answer.status_code == 202, answer.text
    assert answer.json()["dag_run_id"] == "by-hand:1+x~y"
    run = wait_for_run(stack, dag, "by-hand:1+x~y")
    assert (run["state"], run["conf"]) == ("success", conf)
    shown = call_api(stack, "GET", answer.headers["Location"])
    assert (shown.status_code, shown.json()["state"]) == (200, "success")


def test_a_call_may_set_the_logical_date(stack: Stack, dag: str) -> None:
    date = "2025-03-04T05:06:07+00:00"
    answer = call_api(stack, "POST", f"/dags/{dag}/dagRuns", body={"logical_date": date})
    run = wait_for_run(stack, dag, answer.json()["dag_run_id"])
    assert datetime.fromisoformat(run["logical_date"]) == datetime.fromisoformat(date)


def test_an_idempotency_key_makes_two_calls_one_run(stack: Stack, dag: str) -> None:
    headers = {"Idempotency-Key": "called-twice"}
    answers = [call_api(stack, "POST", f"/dags/{dag}/dagRuns", headers=headers) for _ in range(2)]
    assert len({answer.json()["dag_run_id"] for answer in answers}) == 1
    assert wait_for_run(stack, dag, answers[0].json()["dag_run_id"])["state"] == "success"


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("/dags/{dag}/dagRuns", "{", 400, "JSON"),
        ("/dags/{dag}/dagRuns", [1], 422, "object"),
        ("/dags/{dag}/dagRuns", {"conf": [1]}, 422, "conf"),
        ("/dags/{dag}/dagRuns", {"conf": {"x": "y" * 70_000}}, 422, "S3"),
        ("/dags/{dag}/dagRuns", {"config": {}}, 422, "did you mean 'conf'"),
        ("/dags/{dag}/dagRuns", {"dag_run_id": "a b"}, 422, "a b"),
        ("/dags/{dag}/dagRuns", {"dag_run_id": "scheduled__x"}, 422, "scheduled__"),
        ("/dags/{dag}/dagRuns", {"logical_date": "yesterday"}, 422, "yesterday"),
        ("/dags/no%20dag/dagRuns", {}, 422, "no dag"),
        ("/dags/{dag}/dagRuns?force=1", {}, 422, "force"),
    ],
)
def test_a_call_that_could_never_work_is_told_why(
    stack: Stack, dag: str, path: str, body: object, status: int, said: str
) -> None:
    answer = call_api(stack, "POST", path.format(dag=dag), body=body)
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert said in answer.json()["detail"]


def test_an_unsigned_call_is_refused(stack: Stack, dag: str) -> None:
    for method, path in (("POST", f"/dags/{dag}/dagRuns"), ("GET", f"/dags/{dag}/dagRuns/x")):
        assert call_api(stack, method, path, signed=False).status_code in {401, 403}


def test_runs_and_dags_that_are_not_there_are_told_apart(stack: Stack, dag: str) -> None:
    no_run = call_api(stack, "GET", f"/dags/{dag}/dagRuns/never")
    no_dag = call_api(stack, "GET", "/dags/never/dagRuns/never")
    assert (no_run.status_code, no_run.json()["type"]) == (404, "urn:jetway:problem:run-not-found")
    assert (no_dag.status_code, no_dag.json()["type"]) == (404, "urn:jetway:problem:dag-not-found")


def test_an_event_for_an_unknown_dag_is_a_dead_letter_with_its_reason(stack: Stack, dag: str) -> None:
    # The fixture `dag` has dropped data/no_such_dag/x.csv long ago: an unknown DAG is given a minute of grace.
    letter = read_dead_letter(stack, reason="dag-not-found", dag_id="no_such_dag")
    assert "no_such_dag" in letter["error"]
    assert letter["message"]["event"]["detail"]["object"]["key"] == "data/no_such_dag/x.csv"
    assert datetime.fromisoformat(letter["first_try"]) <= datetime.fromisoformat(letter["last_try"])


def test_a_message_of_unknown_shape_is_a_dead_letter_and_holds_nobody(stack: Stack, dag: str) -> None:
    stack.client("sqs").send_message(
        QueueUrl=stack.outputs["DispatchQueueUrl"],
        MessageBody="{}",
        MessageGroupId="bulk",
        MessageDeduplicationId="odd",
    )
    assert read_dead_letter(stack, reason="unknown-event")["message"] == {}


def test_the_schedule_of_the_template_starts_a_run(stack: Stack, dag: str, deployment: Deployment) -> None:
    schedule_at = deployment.schedule_at
    assert schedule_at is not None

    def look() -> dict[str, Any] | None:
        runs = list_runs(stack, dag).values()
        return next((run for run in runs if run["dag_run_id"].startswith("jetway__schedule__")), None)

    wait = max(0.0, (schedule_at - datetime.now(UTC)).total_seconds())
    run = wait_for("the scheduled run", look, seconds=wait + LONGEST)
    assert datetime.fromisoformat(run["conf"]["scheduled_time"]) >= schedule_at
    assert wait_for_run(stack, dag, run["dag_run_id"])["state"] == "success"
    assert airflow_api(stack, "GET", f"/dags/{dag}") is not None
