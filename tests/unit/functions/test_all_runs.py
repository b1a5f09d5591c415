"""follow_runs at its edge, as to all runs: ends told, failures alarmed and counted; alarms.yaml and its report."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest

from functions.follow_runs import app
from functions.start_dag_run import app as starting
from jetway.errors import TransientError

from .airflow_rest import Airflow
from .edge import NAMES, Edge, Function
from .sources import file_event, records, scheduled

IDLE = {"DagRunsSucceeded": 0.0, "DagRunsFailed": 0.0, "DagRunsOpen": 0.0}
DROP = NAMES["DropBucket"]


@pytest.fixture
def follow(edge: Edge, airflow: Airflow) -> Function:
    """The function, after its first look."""
    function = edge.deploy(app, "FollowRuns", Transport="rest")
    function(scheduled())
    return function


def ends(airflow: Airflow, run_id: str, state: str = "failed", dag_id: str = "theirs") -> None:
    at = datetime.now(UTC)
    dates = {"start_date": (at - timedelta(minutes=1)).isoformat(), "end_date": at.isoformat()}
    airflow.ended.append({"dag_id": dag_id, "dag_run_id": run_id, "state": state, "run_type": "scheduled", **dates})


def drop(text: str) -> None:
    boto3.client("s3").put_object(Bucket=DROP, Key="alarms.yaml", Body=text.encode())


def report() -> dict[str, Any]:
    body = boto3.client("s3").get_object(Bucket=DROP, Key="reports/alarms.yaml/latest.json")["Body"].read()
    found: dict[str, Any] = json.loads(body)
    return found


def mails(edge: Edge) -> list[Any]:
    return edge.aws.asked("sns.Publish")


def test_a_failure_of_a_dag_that_jetway_has_never_heard_of_is_told_and_alarmed_once(
    edge: Edge, airflow: Airflow, follow: Function
) -> None:
    ends(airflow, "scheduled__1")
    ends(airflow, "scheduled__2", "success")
    for expected in (IDLE | {"AllDagRunsFailed": 1.0, "AllDagRunsSucceeded": 1.0}, IDLE, IDLE):
        follow(scheduled())
        assert follow.metrics() == expected
        follow.cold()
    assert edge.told() == ["DagRunFailed", "DagRunSucceeded"]
    (mail,) = mails(edge)
    assert mail["Subject"] == "Jetway acme: dag-failed: theirs"
    texts = json.loads(mail["Message"])
    assert "Run: scheduled__1\n" in texts["default"]
    chat = json.loads(texts["https"])
    assert (chat["version"], chat["source"], chat["content"]["title"]) == ("1.0", "custom", mail["Subject"])


def test_a_run_of_ours_is_told_once_with_its_trigger_and_alarmed(edge: Edge, airflow: Airflow) -> None:
    start = edge.deploy(starting, "StartDagRun", Transport="rest", MetricsByTrigger="false")
    assert start.failed(records(file_event("a"), groups="x")) == []
    follow = edge.deploy(app, "FollowRuns", Transport="rest")
    follow(scheduled())
    airflow.end("failed")
    for _ in range(3):
        follow(scheduled())
    told = [entry for put in edge.aws.asked("eventbridge.PutEvents") for entry in put["Entries"]]
    (failed,) = [json.loads(entry["Detail"]) for entry in told if entry["DetailType"] == "DagRunFailed"]
    assert failed["trigger"] == "orders"
    assert len(mails(edge)) == 1


def test_alarms_yaml_is_judged_and_in_force(edge: Edge, airflow: Airflow, follow: Function) -> None:
    airflow.files["theirs"] = "theirs.py"
    drop("dags:\n  theirs: {alarm: false}\n  thiers: {owners: [ann]}\n")
    ends(airflow, "scheduled__1")
    follow(scheduled())
    assert (edge.told(), mails(edge)) == (["DagRunFailed"], [])
    judged = report()
    assert judged["verdict"] == "accepted"
    (finding,) = judged["findings"]
    assert (finding["rule"], finding["line"]) == ("dag-not-there", 3)
    assert "Airflow has no DAG 'thiers'. Did you mean 'theirs'?" in finding["message"]
    drop("dags:\n  theirs: {alarm: maybe}\n")
    ends(airflow, "scheduled__2")
    follow(scheduled())
    assert report()["verdict"] == "rejected"
    assert mails(edge) == [], "the last good one stays in force"


@pytest.mark.parametrize(
    ("parameters", "because"),
    [({"Transport": "cli"}, "command line cannot list"), ({"FollowAllRuns": "disabled"}, "FollowAllRuns is disabled")],
)
def test_where_nobody_looks_alarms_yaml_is_refused_with_the_reason(
    edge: Edge, airflow: Airflow, parameters: dict[str, str], because: str
) -> None:
    follow = edge.deploy(app, "FollowRuns", **{"Transport": "rest", **parameters})
    drop("dags:\n  theirs: {alarm: false}\n")
    ends(airflow, "scheduled__1")
    follow(scheduled())
    (finding,) = report()["findings"]
    assert (finding["rule"], finding["severity"]) == ("runs-not-watched", "error")
    assert because in finding["message"]
    assert (edge.told(), mails(edge)) == ([], [])


def test_while_airflow_cannot_be_asked_it_is_said_once_and_nothing_is_lost(
    edge: Edge, airflow: Airflow, follow: Function
) -> None:
    ends(airflow, "scheduled__1")
    airflow.status = 503
    follow(scheduled())
    assert follow.metrics() == IDLE | {"RunsNotFollowed": 1.0}
    airflow.status = 200
    follow(scheduled())
    assert edge.told() == ["DagRunFailed"]


@pytest.mark.parametrize("call", ["sns.Publish", "eventbridge.PutEvents", "dynamodb.PutItem", "s3.HeadObject"])
def test_trouble_of_awss_is_an_error_that_an_alarm_sees_and_the_next_look_mends(
    edge: Edge, airflow: Airflow, follow: Function, call: str
) -> None:
    ends(airflow, "scheduled__1")
    edge.aws.fails(call)
    with pytest.raises(Exception, match="Throttling") as trouble:
        follow(scheduled())
    assert call == "s3.HeadObject" or isinstance(trouble.value, TransientError)
    edge.aws.works()
    follow(scheduled())
    assert edge.told() == ["DagRunFailed"]
    assert len(mails(edge)) == 1


def test_where_mwaa_says_that_rest_must_be_updated_first_only_commands_are_left(edge: Edge, airflow: Airflow) -> None:
    follow = edge.deploy(app, "FollowRuns")  # Transport auto
    words = "Update your environment to use InvokeRestApi"
    edge.aws.fails("mwaa.InvokeRestApi", "ValidationException", message=words)
    drop("dags:\n  theirs: {alarm: false}\n")
    follow(scheduled())
    (finding,) = report()["findings"]
    assert finding["rule"] == "runs-not-watched"
    assert follow.metrics() == IDLE
