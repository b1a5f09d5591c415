"""GET /health: green only when a run could be created now, and else what is wrong and what to do."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from jetway.airflow.environment import EnvironmentFacts
from jetway.errors import EnvironmentBusyError, EnvironmentUnavailableError, JetwayError, TokenRefusedError
from jetway.http import health
from jetway.observability import metrics
from jetway.wiring.http_api import wired
from tests.unit.hanging import hang
from tests.unit.http.function import IGNORED_ONCE, QUEUES, ask, in_process
from tests.unit.mwaa_server import MwaaServer

NO_DAGS: tuple[int, object] = (200, {"dags": [], "total_entries": 0})


@pytest.fixture
def mwaa() -> Iterator[MwaaServer]:
    with MwaaServer(answer=lambda _asked: NO_DAGS) as server:
        yield server


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch, mwaa: MwaaServer) -> Iterator[str]:
    with in_process(monkeypatch, AWS_ENDPOINT_URL_MWAA=mwaa.url) as queue:
        yield queue


def get_health(seconds: float = 29) -> tuple[int, dict[str, Any]]:
    answer = ask("GET", "/health", seconds=seconds)
    assert ("Retry-After" in answer["headers"]) == (answer["statusCode"] == 503)
    return answer["statusCode"], json.loads(answer["body"])


def test_healthy_is_an_environment_whose_airflow_answers(queue: str) -> None:
    status, found = get_health()
    assert (status, found["status"], found["airflow"]) == (200, "healthy", {"reachable": True, "detail": None})
    assert found["environment"] == {"name": "acme", "status": "AVAILABLE", "airflow_version": "3.3.1"}


def test_events_are_counted_wherever_they_wait_and_dead_letters_too(queue: str) -> None:
    sqs = boto3.client("sqs")
    sqs.send_message(QueueUrl=queue, MessageBody="x", MessageGroupId="bulk", MessageDeduplicationId="1")
    sqs.send_message(QueueUrl=os.environ[QUEUES["collect"]], MessageBody="x")
    for delay in (0, 900):
        sqs.send_message(QueueUrl=os.environ[QUEUES["waiting"]], MessageBody="x", DelaySeconds=delay)
    for number in "123":
        dead = os.environ[QUEUES["dead.fifo"]]
        sqs.send_message(QueueUrl=dead, MessageBody="x", MessageGroupId="a", MessageDeduplicationId=number)
    assert get_health()[1]["dispatch"] == {"waiting": 2, "in_flight": 0, "aside": 2, "dead_letters": 3}


@pytest.mark.parametrize(
    ("answered", "said"),
    [
        ((403, {}), "airflow:InvokeRestApi"),
        ((401, {}), "airflow:InvokeRestApi"),
        ((503, {}), "answers 503"),
        ((504, {}), "answers 504"),
        ((200, "no list"), "without a list"),
    ],
)
def test_an_environment_that_is_available_and_whose_airflow_does_not_answer_is_unhealthy(
    queue: str, mwaa: MwaaServer, answered: tuple[int, object], said: str
) -> None:
    mwaa.answer = lambda _asked: answered
    status, found = get_health()
    assert (status, found["status"], found["airflow"]["reachable"]) == (503, "unhealthy", False)
    assert said in found["airflow"]["detail"]
    assert found["environment"]["status"] == "AVAILABLE"


@pytest.mark.parametrize("status", ["ROLLING_BACK", "MAINTENANCE"])
def test_an_environment_that_takes_no_work_is_not_asked(queue: str, mwaa: MwaaServer, status: str) -> None:
    mwaa.status = status
    code, found = get_health()
    assert (code, found["status"], found["airflow"]["reachable"]) == (503, "unhealthy", None)
    assert f"'acme' is {status}" in found["airflow"]["detail"]
    assert "10 to 30 minutes" in found["airflow"]["detail"]
    assert mwaa.asked == []


def test_an_environment_that_updates_and_serves_is_healthy(queue: str, mwaa: MwaaServer) -> None:
    mwaa.status = "UPDATING"
    status, found = get_health()
    assert (status, found["status"], found["airflow"]["reachable"]) == (200, "healthy", True)
    assert found["environment"]["status"] == "UPDATING"


def test_an_environment_that_updates_and_does_not_serve_says_how_long_it_takes(queue: str, mwaa: MwaaServer) -> None:
    mwaa.status, mwaa.answer = "UPDATING", lambda _asked: (503, {"message": "Service Unavailable"})
    status, found = get_health()
    assert (status, found["status"], found["airflow"]["reachable"]) == (503, "unhealthy", None)
    assert "'acme' is UPDATING" in found["airflow"]["detail"]
    assert "12 hours" in found["airflow"]["detail"]


@pytest.mark.parametrize("code", ["AccessDeniedException", "ValidationException"])
def test_a_right_that_is_missing_is_named_and_counted(
    queue: str,
    mwaa: MwaaServer,
    code: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(metrics.provider, "namespace", "Jetway")  # as template.yaml gives it
    mwaa.denies["InvokeRestApi"] = code
    status, found = get_health()
    assert (status, found["status"], found["airflow"]["reachable"]) == (503, "unhealthy", False)
    assert found["airflow"]["detail"].startswith("permission-missing: ")
    mwaa.denies["GetEnvironment"] = code
    wired().forget()
    answered = ask("GET", "/health")
    problem = json.loads(answered["body"])
    assert (answered["statusCode"], problem["type"]) == (503, "urn:jetway:problem:permission-missing")
    assert answered["headers"]["Retry-After"] == "900"
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    assert [(line["PermissionMissing"], line["Environment"]) for line in printed] == [([1.0], "acme")] * 2


def test_an_update_that_began_a_moment_ago_is_found_out_by_the_question(queue: str, mwaa: MwaaServer) -> None:
    now = [1000.0]
    environment = wired().environment
    environment._clock = lambda: now[0]
    environment.facts()
    now[0] += 10  # AVAILABLE is remembered for 15 s here
    mwaa.status, mwaa.answer = "UPDATING", lambda _asked: (503, {"message": "Service Unavailable"})
    status, found = get_health()
    assert (status, found["environment"]["status"], found["airflow"]["reachable"]) == (503, "UPDATING", None)
    assert "environment-unavailable: MWAA environment 'acme' is UPDATING" in found["airflow"]["detail"]


@IGNORED_ONCE
def test_an_airflow_that_hangs_does_not_make_health_hang(queue: str, mwaa: MwaaServer) -> None:
    mwaa.answer = lambda _asked: hang(mwaa)
    status, found = get_health()
    assert (status, found["airflow"]["reachable"]) == (503, False)
    assert "timeout: Airflow did not respond" in found["airflow"]["detail"]
    assert get_health()[1]["airflow"] == found["airflow"]  # remembered, and not waited for again
    assert len(mwaa.asked) == 1


def test_who_looks_often_costs_airflow_little(queue: str, mwaa: MwaaServer) -> None:
    for _ in range(3):
        get_health()
    assert len(mwaa.asked) == 1
    now = [1000.0]
    kept = health.Reachability(clock=lambda: now[0])
    kept.remember(health.Reached(True))
    now[0] += health.MAX_AGE - 1
    assert kept.get() == health.Reached(True)
    now[0] += 1
    assert kept.get() is None


class Airflow:
    """Answers a ping with one error after the other, then well."""

    def __init__(self, *errors: JetwayError) -> None:
        self.errors = list(errors)

    def ping(self) -> None:
        if self.errors:
            raise self.errors.pop(0)

    list_dags = get_dag_state = list_dag_runs = list_import_errors = get_dag_run = trigger_dag_run = Any


@pytest.mark.parametrize(
    ("errors", "reachable", "detail"),
    [
        ([], True, None),
        ([EnvironmentBusyError("four at once")], True, None),
        ([EnvironmentBusyError("four at once")] * 2, False, "environment-busy: four at once"),
        ([TokenRefusedError("no policy")], False, "token-refused: no policy"),
        ([EnvironmentUnavailableError("see SubnetIds")], False, "environment-unavailable: see SubnetIds"),
    ],
)
def test_each_cause_has_its_own_words(errors: list[JetwayError], reachable: bool, detail: str | None) -> None:
    slept: list[float] = []
    airflow: Any = Airflow(*errors)
    assert health.ask_airflow(airflow, sleep=slept.append) == health.Reached(reachable, detail)
    assert len(slept) == (1 if errors and isinstance(errors[0], EnvironmentBusyError) else 0)


def facts_of(status: str) -> EnvironmentFacts:
    return EnvironmentFacts("acme", status, airflow_version="3.3.1", source_bucket="acme-airflow", dags_path="dags")


def test_a_status_that_needs_a_person_says_where_to_look() -> None:
    detail = health.not_asked(facts_of("CREATE_FAILED")).detail
    assert detail is not None
    assert "Check the environment in the MWAA console" in detail


def test_a_control_plane_that_cannot_be_reached_is_a_problem(queue: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_MWAA", "http://127.0.0.1:9")
    wired().forget()
    answer = ask("GET", "/health")
    assert answer["statusCode"] == 503
    detail = json.loads(answer["body"])["detail"]
    assert "GetEnvironment on environment 'acme' did not reach MWAA" in detail
    assert "VPC endpoints of Amazon MWAA" in detail
