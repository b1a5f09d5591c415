"""verify_promotion at its edge: its schedule in; verified or rolled back files, events and metrics out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError

from functions.verify_promotion import app
from tests.unit.artifacts.buckets import DROP, LIVE, TABLE
from tests.unit.promotion.world import World
from tests.unit.updates.test_apply import REQUIREMENTS

from .airflow_rest import Airflow
from .edge import ACCOUNT, REGION, Context, Edge, Function
from .sources import scheduled

ALARMS = {"ArtifactsRolledBack", "ArtifactsNeverAppeared"}
NOTHING = dict.fromkeys(("ArtifactsVerified", "ArtifactsRolledBack", "ArtifactsNeverAppeared"), 0.0)
GOOD, BAD = "dags/orders.py", "dags/returns.py"
OTHER = b"from airflow.sdk import DAG\nwith DAG('returns'):\n    pass\n"


@pytest.fixture
def world(edge: Edge) -> World:
    """What was promoted, an hour ago."""
    world = World(moto=True)
    world.now = datetime.now(UTC) - timedelta(hours=1)
    edge.there(ArtifactTable=TABLE, DropBucket=DROP, EnvironmentBucket=LIVE)
    return world


@pytest.fixture
def verify(edge: Edge, airflow: Airflow, world: World) -> Function:
    airflow.files = {name: f"/usr/local/airflow/dags/{name}.py" for name in ("orders", "returns")}
    return edge.deploy(app, "VerifyPromotion", Transport="rest")


def test_what_works_stays_and_what_does_not_goes_cold_and_warm(
    edge: Edge, airflow: Airflow, world: World, verify: Function, caplog: pytest.LogCaptureFixture
) -> None:
    verify(scheduled())
    assert verify.metrics() == NOTHING, "alarms need data to see that it is over"
    assert {"mwaa", "dynamodb", "s3", "sns", "eventbridge"} <= set(verify.clients_made())
    world.drop(GOOD)
    bad = world.drop(BAD, OTHER)
    airflow.errors = {"returns.py": "Traceback…\nKeyError: 'x'\n"}
    verify(scheduled())
    assert verify.clients_made() == []
    assert verify.metrics() == NOTHING | {"ArtifactsVerified": 1.0, "ArtifactsRolledBack": 1.0}
    assert verify.metrics().keys() >= ALARMS
    lines = {line["key"]: line["msg"] for line in map(vars, caplog.records) if "outcome" in line}
    assert lines == {GOOD: "artifact good", BAD: "artifact rolled-back"}
    assert world.standing(GOOD).stage == "good"
    assert world.standing(BAD).rolled_back == (bad,)
    assert world.live(BAD) is None
    assert world.report(BAD)["verification"]["problems"][0]["message"].endswith("KeyError: 'x'")
    assert edge.told() == ["ArtifactRolledBack"]
    (mail,) = edge.aws.asked("sns.Publish")
    assert BAD in mail["Message"]
    verify(scheduled())
    assert verify.metrics() == NOTHING, "counted once"


@pytest.mark.parametrize("trouble", ["busy", "updating"])
def test_a_transient_error_is_said_and_all_stays_due(
    edge: Edge, airflow: Airflow, world: World, verify: Function, caplog: pytest.LogCaptureFixture, trouble: str
) -> None:
    world.drop(GOOD)
    if trouble == "busy":
        airflow.status = 503
    else:
        airflow.status, edge.aws.mwaa.status = 503, "UPDATING"
    verify(scheduled())
    assert verify.metrics() == NOTHING
    line = vars(caplog.records[-1])
    assert (line["msg"], line["levelname"]) == ("artifacts cannot be verified now", "INFO")
    assert line["because"].startswith("environment-")
    assert world.standing(GOOD).stage == "verifying"
    airflow.status, edge.aws.mwaa.status = 200, "AVAILABLE"
    edge.aws.works()
    verify.cold()
    verify(scheduled())
    assert verify.metrics() == NOTHING | {"ArtifactsVerified": 1.0}


@pytest.mark.parametrize("call", ["GetEnvironment", "InvokeRestApi"])
@pytest.mark.parametrize("code", ["AccessDeniedException", "ValidationException"])
def test_a_right_that_is_missing_is_loud_and_rolls_nothing_back(
    edge: Edge, airflow: Airflow, world: World, verify: Function, caplog: pytest.LogCaptureFixture, call: str, code: str
) -> None:
    world.drop(GOOD)
    edge.aws.mwaa.denies[call] = code
    for _ in range(3):
        verify(scheduled())
        assert verify.metrics() == NOTHING | {"PermissionMissing": 1.0}
    line = vars(caplog.records[-1])
    assert (line["msg"], line["levelname"], line["action"]) == ("permission missing", "ERROR", f"airflow:{call}")
    assert "environment/acme" in line["resource"]
    assert edge.told() == ["PermissionMissing"], "once"
    assert world.standing(GOOD).stage == "verifying"
    edge.aws.mwaa.denies.clear()
    verify.cold()
    verify(scheduled())
    assert verify.metrics() == NOTHING | {"ArtifactsVerified": 1.0}


def test_trouble_of_jetways_own_is_an_error_of_the_function_and_what_was_done_is_counted(
    edge: Edge, airflow: Airflow, world: World, verify: Function
) -> None:
    world.drop(BAD, OTHER)
    airflow.errors = {"returns.py": "Traceback…\nKeyError: 'x'\n"}
    edge.aws.fails("sns.Publish", "AuthorizationError")
    with pytest.raises(ClientError, match="AuthorizationError"):
        verify(scheduled())
    assert world.live(BAD) is None, "it is taken back before anybody is told"
    edge.aws.works()
    verify(scheduled())
    assert verify.metrics() == NOTHING | {"ArtifactsRolledBack": 1.0}


def test_what_was_done_before_airflow_fell_silent_is_told_and_counted(
    edge: Edge, airflow: Airflow, world: World, verify: Function, caplog: pytest.LogCaptureFixture
) -> None:
    world.drop(BAD, OTHER)
    world.now += timedelta(minutes=1)
    world.drop(GOOD)
    airflow.errors = {"returns.py": "Traceback…\nKeyError: 'x'\n"}
    # It is asked for DAGs only for the second file.
    edge.aws.mwaa.answer = lambda asked: (503, {"detail": "no"}) if asked["Path"] == "/dags" else airflow(asked)
    verify(scheduled())
    assert verify.metrics() == NOTHING | {"ArtifactsRolledBack": 1.0}
    lines = [line.getMessage() for line in caplog.records]
    assert lines.index("artifact rolled-back") < lines.index("artifacts cannot be verified now")
    assert (world.standing(BAD).stage, world.standing(GOOD).stage) == ("rolled-back", "verifying")


def test_each_invocation_has_its_own_time(edge: Edge, world: World, verify: Function) -> None:
    world.drop(GOOD)
    verify(scheduled(), Context(9))
    assert (verify.metrics(), world.standing(GOOD).stage) == (NOTHING, "verifying")
    verify(scheduled(), Context(60))
    assert verify.metrics() == NOTHING | {"ArtifactsVerified": 1.0}
    world.drop(BAD, OTHER)
    verify(scheduled(), Context(9))
    assert (verify.metrics(), world.standing(BAD).stage) == (NOTHING, "verifying")


def test_when_time_runs_out_the_rest_stays_due(edge: Edge, world: World, verify: Function) -> None:
    world.drop(GOOD)
    world.drop(BAD, OTHER)
    context = Context(60)
    edge.aws.on("dynamodb.PutItem", lambda: context.passes(55))
    verify(scheduled(), context)
    assert verify.metrics() == NOTHING | {"ArtifactsVerified": 1.0}
    edge.aws.works()
    verify(scheduled())
    assert verify.metrics() == NOTHING | {"ArtifactsVerified": 1.0}


def test_what_pip_said_of_an_update_is_in_the_environments_log(
    edge: Edge, world: World, verify: Function, caplog: pytest.LogCaptureFixture
) -> None:
    """MWAA tells nothing but that: the update has succeeded."""
    bad = world.drop("requirements.txt", REQUIREMENTS)
    assert world.apply() == ["begun"]
    begun = world.now
    world.mwaa.end()
    assert world.apply() == ["applied"]
    group = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:airflow-acme-Scheduler"
    edge.aws.mwaa.more = {name: value for name, value in world.mwaa.described.items() if name != "Name"}
    edge.aws.mwaa.more["LoggingConfiguration"] = {"SchedulerLogs": {"Enabled": True, "CloudWatchLogGroupArn": group}}
    said = "ERROR: pip installation exited with a non-zero error code."
    edge.aws.answers("cloudwatch-logs.FilterLogEvents", {"events": [{"message": said}]})
    verify(scheduled())
    (asked,) = edge.aws.asked("cloudwatch-logs.FilterLogEvents")
    assert asked["logGroupName"] == "airflow-acme-Scheduler"
    assert asked["startTime"] == int(begun.timestamp() * 1000), "what pip said of another update is not of this one"
    assert verify.metrics() == NOTHING | {"ArtifactsRolledBack": 1.0}
    line = vars(caplog.records[-1])
    assert (line["key"], line["version"], line["outcome"]) == ("requirements.txt", bad, "rolled-back")
    assert [tuple(problem.values()) for problem in line["problems"]] == [("requirements.txt", said)]
