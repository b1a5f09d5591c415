"""verify_promotion at its edge: what Airflow says of a promoted file becomes a metric, a roll-back and a message."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from functions.verify_promotion import app
from jetway.observability import metrics
from tests.unit.artifacts.buckets import DROP, TABLE
from tests.unit.mwaa_server import MwaaServer

from .world import World

CONTEXT: Any = SimpleNamespace(
    function_name="verify_promotion",
    memory_limit_in_mb=512,
    invoked_function_arn="arn:aws:lambda:us-east-1:111122223333:function:verify_promotion",
    aws_request_id="52fdfc07-2182-154f-163f-5f0f9a621d72",
    get_remaining_time_in_millis=lambda: 60_000,
)
NOTHING = {"ArtifactsRolledBack": 0.0, "ArtifactsVerified": 0.0}
KEY = "dags/orders.py"


class Rest:
    """Airflow's REST API: its import errors and DAGs by file."""

    def __init__(self) -> None:
        self.errors: dict[str, str] = {}
        self.dags: dict[str, str] = {}
        self.status = 200
        self.dags_status = 200

    def __call__(self, asked: dict[str, Any]) -> tuple[int, object]:
        if asked["Path"] == "/dags" and self.dags_status != 200:
            return self.dags_status, {"detail": "no"}
        if self.status != 200:
            return self.status, {"detail": "no"}
        if asked["Path"] == "/importErrors":
            errors = [{"filename": name, "stack_trace": text} for name, text in self.errors.items()]
            return 200, {"import_errors": errors, "total_entries": len(errors)}
        assert asked["Path"] == "/dags"
        dags = [{"dag_id": dag_id, "fileloc": path, "is_paused": False} for dag_id, path in self.dags.items()]
        return 200, {"dags": dags, "total_entries": len(dags)}


@pytest.fixture
def rest(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rest]:
    """What the function asks. What it is to judge was promoted an hour ago by its clock."""
    world.now = datetime.now(UTC) - timedelta(hours=1)
    rest = Rest()
    with MwaaServer(rest) as server:
        for name, value in {
            "ENVIRONMENT_NAME": "acme",
            "DROP_BUCKET": DROP,
            "ARTIFACT_TABLE": TABLE,
            "ARTIFACT_TOPIC_ARN": boto3.client("sns", region_name="us-east-1").create_topic(Name="told")["TopicArn"],
            "EVENT_BUS_NAME": "default",
            "VERIFY_AFTER_SECONDS": "120",
            "TRANSPORT": "rest",
            "BUDGET_TABLE": "ledger",
            "REST_CALLS_PER_SECOND": "10",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL_MWAA": server.url,
            "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
        }.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(metrics, "namespace", "Jetway")  # read at import, before this
        yield rest


def counted(capsys: pytest.CaptureFixture[str], context: Any = CONTEXT) -> dict[str, float]:
    """Invoke the function, and return its metrics."""
    app.handler({}, context)
    (written,) = (json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line)
    assert written["Environment"] == "acme"
    return {name: sum(written[name]) for name in NOTHING}


def test_a_file_that_works_is_verified_once(world: World, rest: Rest, capsys: pytest.CaptureFixture[str]) -> None:
    world.drop(KEY)
    rest.dags = {"orders": "/usr/local/airflow/dags/orders.py"}
    assert counted(capsys) == NOTHING | {"ArtifactsVerified": 1.0}
    assert world.standing(KEY).stage == "good"
    assert counted(capsys) == NOTHING, "counted once, and an alarm sees that it is over"


def test_a_file_that_breaks_is_rolled_back(world: World, rest: Rest, capsys: pytest.CaptureFixture[str]) -> None:
    bad = world.drop(KEY)
    rest.errors = {"orders.py": "Traceback…\nKeyError: 'x'\n"}
    assert counted(capsys) == NOTHING | {"ArtifactsRolledBack": 1.0}
    assert world.standing(KEY).rolled_back == (bad,)
    assert world.live(KEY) is None
    assert world.report(KEY)["verification"]["problems"][0]["message"].endswith("KeyError: 'x'")


def test_while_airflow_cannot_be_asked_nothing_is_decided(
    world: World, rest: Rest, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    world.drop(KEY)
    rest.status = 503
    assert counted(capsys) == NOTHING
    assert "artifacts cannot be verified now" in [line.getMessage() for line in caplog.records]
    assert world.standing(KEY).stage == "verifying"
    rest.status, rest.dags = 200, {"orders": "orders.py"}
    assert counted(capsys)["ArtifactsVerified"] == 1.0, "it is due again in a minute"


def test_when_time_runs_out_the_rest_stays_due(world: World, rest: Rest, capsys: pytest.CaptureFixture[str]) -> None:
    world.drop(KEY)
    rest.dags = {"orders": "orders.py"}
    late = SimpleNamespace(**vars(CONTEXT) | {"get_remaining_time_in_millis": lambda: 9_000})
    assert counted(capsys, late) == NOTHING
    assert world.standing(KEY).stage == "verifying"
    assert counted(capsys)["ArtifactsVerified"] == 1.0, "the next invocation has time of its own"


def test_what_was_done_before_airflow_fell_silent_is_told_and_counted(
    world: World, rest: Rest, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    world.drop("dags/bad.py", b"from airflow.sdk import DAG\nwith DAG('bad'):\n    pass\n")
    world.now += timedelta(minutes=1)
    world.drop(KEY)
    rest.errors = {"bad.py": "Traceback…\nKeyError: 'x'\n"}
    rest.dags_status = 503  # which is asked only for the second file
    assert counted(capsys) == NOTHING | {"ArtifactsRolledBack": 1.0}
    lines = [line.getMessage() for line in caplog.records]
    assert lines.index("artifact rolled-back") < lines.index("artifacts cannot be verified now")
    assert (world.standing("dags/bad.py").stage, world.standing(KEY).stage) == ("rolled-back", "verifying")
