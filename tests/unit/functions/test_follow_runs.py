"""follow_runs at its edge: a schedule in; ends of runs told, rows closed, metrics out; trouble is due again."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest

from functions.follow_runs import app
from functions.start_dag_run import app as starting
from jetway.errors import JetwayError
from tests.unit.airflow.certificates import make_certificate
from tests.unit.airflow.webserver import WebServer, answer

from .airflow_rest import Airflow
from .edge import Context, Edge, Function
from .sources import file_event, records, scheduled

NOTHING = {"DagRunsSucceeded": 0.0, "DagRunsFailed": 0.0, "DagRunsOpen": 0.0}


@pytest.fixture
def follow(edge: Edge, airflow: Airflow) -> Function:
    """The function, after three runs were started."""
    start = edge.deploy(starting, "StartDagRun", Transport="rest", MetricsByTrigger="false")
    assert start.failed(records(*map(file_event, "abc"), groups="xxx")) == []
    edge.aws.works()
    edge.aws.made.clear()
    return edge.deploy(app, "FollowRuns", Transport="rest", FollowAllRuns="disabled")


def rows() -> list[dict[str, Any]]:
    items = boto3.resource("dynamodb").Table("LedgerTable").scan()["Items"]
    return [item for item in items if "decision" in item]


def let_a_minute_pass() -> None:
    """Let every open row be due for a look again."""
    table = boto3.resource("dynamodb").Table("LedgerTable")
    for row in rows():
        if "look_at" in row:
            at = datetime.fromisoformat(str(row["look_at"])) - timedelta(minutes=1)
            table.update_item(
                Key={"id": row["id"]},
                UpdateExpression="SET look_at = :at",
                ExpressionAttributeValues={":at": at.isoformat(timespec="microseconds")},
            )


def let_them_be_old() -> None:
    """Let the runs have been started ten minutes ago."""
    table = boto3.resource("dynamodb").Table("LedgerTable")
    for row in rows():
        at = datetime.fromisoformat(str(row["decided_at"])) - timedelta(minutes=10)
        table.put_item(Item={**row, "decided_at": at.isoformat(timespec="microseconds")})


@pytest.mark.parametrize(
    ("members", "metric"),
    [("paused", "RunsBehindPausedDag"), ("stale_later", "RunsBehindStaleDag"), ("unknown", "RunsBehindStaleDag")],
)
def test_runs_that_do_not_begin_are_told_and_counted_once(
    edge: Edge, airflow: Airflow, follow: Function, members: str, metric: str
) -> None:
    let_them_be_old()
    getattr(airflow, members).update(str(row["dag_id"]) for row in rows())
    follow(scheduled())
    assert follow.metrics().get(metric) == 3.0
    assert edge.told() == ["DagRunBlocked"] * 3
    let_a_minute_pass()
    follow(scheduled())
    assert metric not in follow.metrics()
    assert edge.told() == ["DagRunBlocked"] * 3


def test_ends_are_told_and_counted_once_cold_and_warm(
    edge: Edge, airflow: Airflow, follow: Function, caplog: pytest.LogCaptureFixture
) -> None:
    follow(scheduled())
    assert follow.metrics() == NOTHING | {"DagRunsOpen": 3.0}
    assert {"mwaa", "dynamodb", "eventbridge"} <= set(follow.clients_made())
    airflow.end("success")
    airflow.ended[1]["state"] = airflow.ended[2]["state"] = "failed"
    follow(scheduled())
    assert follow.metrics() == NOTHING, "what was looked at just now is not due"
    let_a_minute_pass()
    follow(scheduled())
    assert follow.metrics() == {"DagRunsSucceeded": 1.0, "DagRunsFailed": 2.0, "DagRunsOpen": 0.0}
    assert follow.clients_made() == []
    assert sorted(edge.told()) == ["DagRunFailed", "DagRunFailed", "DagRunSucceeded"]
    assert sorted(row["state"] for row in rows()) == ["failed", "failed", "success"]
    line = vars(caplog.records[-1])
    assert (line["msg"], line["due"], line["succeeded"], line["failed"]) == ("followed", 3, 1, 2)
    let_a_minute_pass()
    follow(scheduled())
    assert follow.metrics() == NOTHING
    assert len(edge.told()) == 3


def test_while_airflow_cannot_be_asked_it_is_said_and_due_again(
    edge: Edge, airflow: Airflow, follow: Function, caplog: pytest.LogCaptureFixture
) -> None:
    airflow.end("success")
    airflow.status = 503
    follow(scheduled())  # no error of the function: it is tried again in a minute
    assert follow.metrics() == {"RunsNotFollowed": 1.0}
    line = vars(caplog.records[-1])
    assert line["msg"] == "runs cannot be read now"
    assert line["because"].startswith("environment-")
    assert edge.told() == []
    airflow.status = 200
    follow(scheduled())
    assert follow.metrics() == NOTHING | {"DagRunsSucceeded": 3.0}


def test_while_the_web_server_is_busy_it_is_said(
    edge: Edge, follow: Function, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It runs as many CLI commands as it can."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(make_certificate(tmp_path)))
    follow = edge.deploy(app, "FollowRuns", Transport="cli")
    with WebServer(tmp_path / "localhost.pem") as web:
        edge.aws.mwaa.cli_host = web.host
        web.will(*[answer(503)] * 10)
        follow(scheduled())
    assert follow.metrics() == {"RunsNotFollowed": 1.0}
    assert vars(caplog.records[-1])["because"].startswith("environment-busy: ")


@pytest.mark.parametrize("code", ["AccessDeniedException", "ValidationException"])
def test_a_right_that_is_missing_is_loud_and_loses_no_end(
    edge: Edge, airflow: Airflow, follow: Function, caplog: pytest.LogCaptureFixture, code: str
) -> None:
    airflow.end("success")
    edge.aws.mwaa.denies["InvokeRestApi"] = code
    for _ in range(2):
        follow(scheduled())
        assert follow.metrics() == {"RunsNotFollowed": 1.0, "PermissionMissing": 1.0}
    (line, _) = [vars(line) for line in caplog.records if line.levelname == "ERROR"]
    assert (line["msg"], line["action"]) == ("permission missing", "airflow:InvokeRestApi")
    assert edge.told() == ["PermissionMissing"]
    edge.aws.mwaa.denies.clear()
    follow(scheduled())
    assert follow.metrics() == NOTHING | {"DagRunsSucceeded": 3.0}


@pytest.mark.parametrize("call", ["dynamodb.Query", "eventbridge.PutEvents"])
def test_trouble_of_jetways_own_is_an_error_of_the_function_that_an_alarm_sees(
    edge: Edge, airflow: Airflow, follow: Function, call: str
) -> None:
    airflow.end("success")
    edge.aws.fails(call)
    with pytest.raises(JetwayError, match="Throttling"):
        follow(scheduled())
    edge.aws.works()
    follow(scheduled())
    assert follow.metrics() == NOTHING | {"DagRunsSucceeded": 3.0}, "nothing was lost"
    assert edge.told() == ["DagRunSucceeded"] * 3


def test_each_invocation_has_its_own_time(edge: Edge, follow: Function, caplog: pytest.LogCaptureFixture) -> None:
    """Over the command line, where a question takes seconds: none is begun that could not end, nor late for the ledger.

    Seconds: 30 for a command, 10 for the ledger.
    """
    follow = edge.deploy(app, "FollowRuns", Transport="cli")
    follow(scheduled(), Context(39))
    assert edge.aws.asked("mwaa.CreateCliToken") == []
    assert follow.metrics() == NOTHING
    edge.aws.fails("mwaa.CreateCliToken", "AccessDeniedException")
    follow(scheduled(), Context(41))
    assert edge.aws.asked("mwaa.CreateCliToken") != [], "warm, and not with the time of the invocation before"
    assert follow.metrics() == {"RunsNotFollowed": 1.0, "PermissionMissing": 1.0}
