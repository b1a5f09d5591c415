"""apply_updates at its edge: what the alarms on rolled back artifacts and failed updates stand on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from functions.apply_updates import app
from jetway.observability import metrics
from tests.unit.artifacts.buckets import DROP, TABLE
from tests.unit.mwaa_server import MwaaServer

from .test_updates import REQUIREMENTS, STARTUP, applied
from .world import World

CONTEXT: Any = SimpleNamespace(
    function_name="apply_updates",
    memory_limit_in_mb=512,
    invoked_function_arn="arn:aws:lambda:us-east-1:111122223333:function:apply_updates",
    aws_request_id="52fdfc07-2182-154f-163f-5f0f9a621d72",
)
NOTHING = {"ArtifactsRolledBack": 0.0, "UpdatesBegun": 0.0, "UpdatesFailed": 0.0}


@pytest.fixture
def mwaa(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[MwaaServer]:
    """The control plane that the function asks; the world's own is for what happened before."""
    with MwaaServer() as server:
        for name, value in {
            "ENVIRONMENT_NAME": "acme",
            "DROP_BUCKET": DROP,
            "ARTIFACT_TABLE": TABLE,
            "ARTIFACT_TOPIC_ARN": boto3.client("sns", region_name="us-east-1").create_topic(Name="told")["TopicArn"],
            "EVENT_BUS_NAME": "default",
            "VERIFY_AFTER_SECONDS": "120",
            "APPLY_UPDATES": "automatic",
            "WORKER_REPLACEMENT_STRATEGY": "GRACEFUL",
            "UPDATE_QUIET_SECONDS": "0",
            "TRANSPORT": "cli",
            "BUDGET_TABLE": "ledger",
            "REST_CALLS_PER_SECOND": "10",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL_MWAA": server.url,
            "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
        }.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(metrics, "namespace", "Jetway")  # read at import, before this
        yield server


def counted(capsys: pytest.CaptureFixture[str]) -> dict[str, float]:
    """Invoke the function, and return its metrics."""
    app.handler({}, CONTEXT)
    (written,) = (json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line)
    assert written["Environment"] == "acme"
    return {name: sum(written[name]) for name in NOTHING}


def test_an_update_that_failed_counts_its_artifacts_as_rolled_back(
    world: World, mwaa: MwaaServer, capsys: pytest.CaptureFixture[str]
) -> None:
    world.drop("requirements.txt", REQUIREMENTS)
    world.drop("startup.sh", STARTUP)
    assert world.apply() == ["begun"]
    world.mwaa.end(error="no")  # and now MWAA has neither of them in force
    mwaa.status, mwaa.more = "UPDATE_FAILED", {"LastUpdate": world.mwaa.described["LastUpdate"]}
    assert counted(capsys) == NOTHING | {"ArtifactsRolledBack": 2.0, "UpdatesFailed": 1.0}
    assert counted(capsys) == NOTHING, "counted once, and an alarm sees that it is over"
    assert {world.standing(key).stage for key in ("requirements.txt", "startup.sh")} == {"rolled-back"}


def test_while_the_environment_is_updating_nothing_is_counted(
    world: World, mwaa: MwaaServer, capsys: pytest.CaptureFixture[str]
) -> None:
    world.drop("requirements.txt", REQUIREMENTS)
    world.apply()
    mwaa.status = "UPDATING"
    world.records.put(replace(world.records.get(), began_at=datetime.now(UTC)))
    assert counted(capsys) == NOTHING


def test_an_update_that_ends_no_more_is_counted_and_told_once(
    world: World, mwaa: MwaaServer, capsys: pytest.CaptureFixture[str]
) -> None:
    world.drop("requirements.txt", REQUIREMENTS)
    world.apply()  # days ago, by the clock of the function
    mwaa.status = "UPDATING"
    assert counted(capsys) == NOTHING | {"UpdatesFailed": 1.0}
    assert counted(capsys) == NOTHING


def test_what_was_done_before_airflow_fell_silent_is_told(
    world: World,
    mwaa: MwaaServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("TRANSPORT", "rest")
    applied(world)
    again = world.drop("requirements.txt", REQUIREMENTS)
    world.drop("startup.sh", STARTUP)
    mwaa.more = {name: value for name, value in world.mwaa.described.items() if name != "Name"}
    mwaa.answer = lambda _asked: (503, {"detail": "no"})  # how it is before an update
    assert counted(capsys) == NOTHING
    lines = {line.getMessage(): vars(line) for line in caplog.records}
    assert lines["update unchanged"]["artifacts"] == {"requirements.txt": again}
    assert "the update cannot go on now" in lines
    assert mwaa.updates == []
    assert [world.standing(key).stage for key in ("requirements.txt", "startup.sh")] == ["good", "waiting"]
