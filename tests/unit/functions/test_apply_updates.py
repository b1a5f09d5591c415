"""apply_updates at its edge: its schedule and MWAA's status changes in; UpdateEnvironment, roll-backs, metrics out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from functions.apply_updates import app
from tests.unit.artifacts.buckets import DROP, LIVE, TABLE
from tests.unit.promotion.world import World
from tests.unit.updates.test_apply import MORE, NO_MODULE, REQUIREMENTS, STARTUP, applied

from .airflow_rest import Airflow
from .edge import ACCOUNT, REGION, Edge, Function
from .sources import scheduled

ALARMS = {"UpdatesFailed", "ArtifactsRolledBack"}
NOTHING = {"UpdatesBegun": 0.0, "UpdatesFailed": 0.0, "ArtifactsRolledBack": 0.0}
STATUS_CHANGE = {
    "source": "aws.airflow",
    "detail-type": "MWAA Environment Status Change",
    "account": ACCOUNT,
    "region": REGION,
    "detail": {"environmentName": "acme", "status": "AVAILABLE"},
}


@pytest.fixture
def world(edge: Edge) -> World:
    """What happened before; its clock is of last week."""
    world = World(moto=True)
    edge.there(ArtifactTable=TABLE, DropBucket=DROP, EnvironmentBucket=LIVE)
    return world


@pytest.fixture
def apply(edge: Edge, airflow: Airflow, world: World) -> Function:
    return edge.deploy(app, "ApplyUpdatesFunction", Transport="rest", UpdateQuietSeconds="0")


def as_described(edge: Edge, world: World, **more: Any) -> None:
    """Let MWAA tell the function what it has told the world."""
    edge.aws.mwaa.more = {name: value for name, value in world.mwaa.described.items() if name != "Name"} | more


def test_an_update_is_begun_once_cold_and_warm(edge: Edge, world: World, apply: Function) -> None:
    apply(scheduled())
    assert apply.metrics() == NOTHING, "alarms need data to see that it is over"
    assert {"mwaa", "dynamodb", "s3", "sns", "eventbridge"} <= set(apply.clients_made())
    world.drop("requirements.txt", REQUIREMENTS)
    world.drop("startup.sh", STARTUP)
    apply(scheduled())
    assert apply.metrics() == NOTHING | {"UpdatesBegun": 1.0}
    (update,) = edge.aws.mwaa.updates
    assert (update["RequirementsS3Path"], update["StartupScriptS3Path"]) == ("requirements.txt", "startup.sh")
    edge.aws.mwaa.status = "UPDATING"
    apply(STATUS_CHANGE)
    assert apply.metrics() == NOTHING
    assert apply.clients_made() == []
    assert len(edge.aws.mwaa.updates) == 1


def test_an_update_that_failed_counts_its_artifacts_as_rolled_back(edge: Edge, world: World, apply: Function) -> None:
    world.drop("requirements.txt", REQUIREMENTS)
    world.drop("startup.sh", STARTUP)
    assert world.apply() == ["begun"]
    world.mwaa.end("pip failed")
    as_described(edge, world)
    apply(STATUS_CHANGE)
    assert apply.metrics() == NOTHING | {"UpdatesFailed": 1.0, "ArtifactsRolledBack": 2.0}
    assert apply.metrics().keys() >= ALARMS
    assert {world.standing(key).stage for key in ("requirements.txt", "startup.sh")} == {"rolled-back"}
    assert edge.told() == ["ArtifactRolledBack"] * 2
    apply(scheduled())
    assert apply.metrics() == NOTHING, "counted once"


def test_an_update_that_ends_no_more_is_counted_and_told_once(edge: Edge, world: World, apply: Function) -> None:
    world.drop("requirements.txt", REQUIREMENTS)
    world.apply()  # days ago, by the clock of the function
    edge.aws.mwaa.status = "UPDATING"
    apply(scheduled())
    assert apply.metrics() == NOTHING | {"UpdatesFailed": 1.0}
    apply(scheduled())
    assert apply.metrics() == NOTHING
    assert edge.told() == ["EnvironmentUpdateStalled"]


def test_what_was_done_before_airflow_fell_silent_is_told(
    edge: Edge, world: World, apply: Function, caplog: pytest.LogCaptureFixture
) -> None:
    applied(world)
    again = world.drop("requirements.txt", REQUIREMENTS)
    world.drop("startup.sh", STARTUP)
    as_described(edge, world)
    edge.aws.mwaa.answer = lambda _asked: (503, {"detail": "no"})  # how it is before an update
    apply(scheduled())
    assert apply.metrics() == NOTHING
    lines = {line.getMessage(): vars(line) for line in caplog.records}
    assert lines["update unchanged"]["artifacts"] == {"requirements.txt": again}
    assert "the update cannot continue now" in lines
    assert edge.aws.mwaa.updates == []
    assert [world.standing(key).stage for key in ("requirements.txt", "startup.sh")] == ["good", "waiting"]


def test_a_way_back_that_fails_is_a_failed_update_and_an_error_in_the_log(
    edge: Edge, world: World, apply: Function, caplog: pytest.LogCaptureFixture
) -> None:
    applied(world)
    world.drop("requirements.txt", MORE)
    assert world.apply() == ["begun"]
    world.mwaa.end()
    world.apply()
    world.airflow.errors = {"orders.py": NO_MODULE}
    assert "rolled-back" in [found.outcome for found in world.minutes(14)]
    as_described(edge, world)
    apply(scheduled())
    assert apply.metrics() == NOTHING | {"UpdatesBegun": 1.0}
    (update,) = edge.aws.mwaa.updates
    asked = {name: value for name, value in update.items() if name.startswith("Requirements")}
    world.mwaa.asked.append(asked)
    world.mwaa.described |= {"Status": "UPDATING", "LastUpdate": {"Status": "PENDING", "CreatedAt": world.now}}
    world.mwaa.end("no way back")
    as_described(edge, world)
    apply(scheduled())
    assert apply.metrics() == NOTHING | {"UpdatesFailed": 1.0, "UpdatesBegun": 1.0}, "it is tried again at once"
    lines = {line.getMessage(): line.levelname for line in caplog.records}
    assert lines["update undo-failed"] == "ERROR"
    assert lines["update begun"] == "INFO"


@pytest.mark.parametrize("trouble", ["GetEnvironment", "UpdateEnvironment", "InvokeRestApi"])
def test_a_transient_error_is_said_and_tried_again(
    edge: Edge, world: World, apply: Function, caplog: pytest.LogCaptureFixture, trouble: str
) -> None:
    world.drop("requirements.txt", REQUIREMENTS)
    edge.aws.fails(f"mwaa.{trouble}")
    apply(scheduled())
    throttled = {"RestCallsThrottled": 1.0} if trouble == "InvokeRestApi" else {}
    assert apply.metrics() == NOTHING | throttled
    line = vars(caplog.records[-1])
    assert (line["msg"], line["levelname"]) == ("the update cannot continue now", "INFO")
    assert line["because"].startswith(("environment-unavailable: ", "environment-busy: "))
    edge.aws.works()
    if trouble == "UpdateEnvironment":
        return  # it was written down before, and is asked for again when it has not shown: tests/unit/live
    apply(scheduled())
    assert apply.metrics() == NOTHING | {"UpdatesBegun": 1.0}


@pytest.mark.parametrize("call", ["GetEnvironment", "UpdateEnvironment", "InvokeRestApi"])
@pytest.mark.parametrize("code", ["AccessDeniedException", "ValidationException"])
def test_a_right_that_is_missing_is_loud_and_gives_no_version_up(
    edge: Edge, world: World, apply: Function, caplog: pytest.LogCaptureFixture, call: str, code: str
) -> None:
    """Of UpdateEnvironment MWAA also says it with the code of a bad value: that is no refusal of the artifact."""
    world.drop("requirements.txt", REQUIREMENTS)
    edge.aws.mwaa.denies[call] = code
    for _ in range(4):
        apply(scheduled())
    assert "PermissionMissing" in edge.told()
    assert edge.told().count("PermissionMissing") == 1
    errors = [vars(line) for line in caplog.records if line.levelname == "ERROR"]
    assert f"airflow:{call}" in {line.get("action") for line in errors}
    standing = world.standing("requirements.txt")
    assert (standing.rolled_back, standing.stage) == ((), "waiting")
    edge.aws.mwaa.denies.clear()
    if call == "GetEnvironment":
        apply(scheduled())
        assert apply.metrics() == NOTHING | {"UpdatesBegun": 1.0}


def test_trouble_of_jetways_own_is_an_error_of_the_function(edge: Edge, world: World, apply: Function) -> None:
    world.drop("requirements.txt", REQUIREMENTS)
    edge.aws.fails("dynamodb.GetItem", "AccessDeniedException")
    with pytest.raises(ClientError, match="AccessDeniedException"):
        apply(scheduled())
    assert apply.metrics() == NOTHING
    edge.aws.works()
    apply(scheduled())
    assert apply.metrics() == NOTHING | {"UpdatesBegun": 1.0}


def test_parameters_of_the_stack_count(edge: Edge, airflow: Airflow, world: World) -> None:
    world.drop("requirements.txt", REQUIREMENTS)
    apply = edge.deploy(app, "ApplyUpdatesFunction", Transport="rest", UpdateQuietSeconds="0", ApplyUpdates="manual")
    apply(scheduled())
    assert edge.aws.mwaa.updates == []
    apply = edge.deploy(
        app, "ApplyUpdatesFunction", Transport="rest", UpdateQuietSeconds="0", WorkerReplacementStrategy="FORCED"
    )
    apply(scheduled())
    assert edge.aws.mwaa.updates[0]["WorkerReplacementStrategy"] == "FORCED"


def test_what_an_update_has_brought_is_looked_at_after_the_stacks_time(
    edge: Edge, airflow: Airflow, world: World
) -> None:
    world.drop("requirements.txt", REQUIREMENTS)
    assert world.apply() == ["begun"]
    world.mwaa.end()
    as_described(edge, world)
    apply = edge.deploy(app, "ApplyUpdatesFunction", Transport="rest", UpdateQuietSeconds="0", VerifyAfterSeconds="420")
    apply(scheduled())
    in_force = world.report("requirements.txt")["in_force"]
    since, until = (datetime.fromisoformat(in_force[name]) for name in ("since", "until"))
    assert (in_force["state"], until - since) == ("verifying", timedelta(seconds=420))


def test_what_was_promoted_just_now_waits_for_what_may_go_along(edge: Edge, airflow: Airflow, world: World) -> None:
    world.now = datetime.now(UTC)
    world.drop("requirements.txt", REQUIREMENTS)
    apply = edge.deploy(app, "ApplyUpdatesFunction", Transport="rest", UpdateQuietSeconds="900")
    apply(scheduled())
    assert apply.metrics() == NOTHING
    apply = edge.deploy(app, "ApplyUpdatesFunction", Transport="rest", UpdateQuietSeconds="0")
    apply(scheduled())
    assert apply.metrics() == NOTHING | {"UpdatesBegun": 1.0}
