"""Nothing is rolled back on the word of who cannot know: a web server's own parse, a denial, half an environment."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from jetway.errors import EnvironmentUnavailableError, PermissionMissingError
from tests.unit.promotion.world import FACTS, GOOD, PARSED, World
from tests.unit.updates.test_apply import MINUTE, MORE, NO_MODULE, applied

KEY, FILE = "dags/orders.py", "orders.py"
NO_PACKAGE = "Traceback (most recent call last):\nModuleNotFoundError: No module named 'pandas'\n"
DENIED = PermissionMissingError("no airflow:InvokeRestApi", action="airflow:InvokeRestApi")


def test_a_file_with_an_error_that_only_the_web_server_may_have_is_told_and_stays(world: World) -> None:
    world.judges = False
    version = world.drop(KEY)
    world.airflow.errors = {FILE: NO_PACKAGE}
    (found,) = world.minutes(20)
    assert (found.outcome, found.version) == ("never-appeared", version)
    assert "it is private" in found.problems[0].message.lower()
    assert "pandas" in (world.news[-1].message or "")
    assert world.live(KEY) == GOOD
    assert world.standing(KEY).rolled_back == ()


def test_a_dag_that_only_the_web_server_may_miss_is_told_and_its_file_stays(world: World) -> None:
    world.verified(KEY)
    world.judges = False
    body = GOOD + b"# changed\n"
    world.drop(KEY, body)
    world.airflow.dags = {}
    assert [found.outcome for found in world.minutes(20)] == ["never-appeared"]
    assert world.live(KEY) == body


def test_an_update_is_not_undone_for_errors_that_only_the_web_server_may_have(world: World) -> None:
    applied(world)
    world.judges = False
    world.drop("requirements.txt", MORE)
    assert world.apply(after=MINUTE) == ["begun"]
    world.mwaa.end()
    world.airflow.errors = {"team/orders.py": NO_MODULE}
    found = world.settle_update(20)
    assert found[-1] == "good"
    assert "rolled-back" not in found
    assert "ArtifactNeverAppeared" in world.told(), "and people know"


def test_what_pip_says_counts_whoever_reads_import_errors(world: World) -> None:
    world.judges = False
    world.drop("requirements.txt", MORE)
    assert world.apply(after=MINUTE) == ["begun"]
    world.mwaa.end()
    world.pip = {None: "ERROR: No matching distribution found for nope"}
    assert "rolled-back" in world.settle_update(5)


def test_while_an_update_is_on_its_way_what_works_is_good_and_nothing_is_rolled_back(world: World) -> None:
    """Twelve hours under GRACEFUL, in which Airflow serves: half of the environment is as it was before."""
    other = "dags/other.py"
    world.drop(KEY)
    world.drop(other, GOOD.replace(b"orders", b"other"))
    world.airflow.errors = {"other.py": "Traceback (most recent call last):\nKeyError: 'x'\n"}
    world.environment.current = replace(FACTS, status="UPDATING")
    assert [(found.key, found.outcome) for found in world.minutes(60)] == [(KEY, "good")]
    world.environment.current = FACTS
    assert [(found.key, found.outcome) for found in world.minutes(15)] == [(other, "rolled-back")]


@pytest.mark.parametrize("status", ["ROLLING_BACK", "CREATING_SNAPSHOT", "MAINTENANCE", "CREATING"])
def test_in_any_other_status_nobody_looks(world: World, status: str) -> None:
    world.drop(KEY)
    world.airflow.errors = {FILE: "Traceback (most recent call last):\nKeyError: 'x'\n"}
    world.environment.current = replace(FACTS, status=status)
    with pytest.raises(EnvironmentUnavailableError):
        world.look(after=PARSED)
    assert world.airflow.asked == []


def look_and_apply(world: World, minutes: int) -> list[str]:
    """Let both schedules fire; a denial is what each of them says."""
    found: list[str] = []
    for _ in range(minutes):
        try:
            found += world.apply(after=MINUTE)
        except PermissionMissingError:
            found.append("denied")
        try:
            found += [each.outcome for each in world.look()]
        except PermissionMissingError:
            found.append("denied")
    return found


def test_a_denial_after_an_update_undoes_nothing_however_long_it_lasts(world: World) -> None:
    """Silence of Airflow for half an hour after an update is the update's fault; a denial is nobody's."""
    applied(world)
    world.drop("requirements.txt", MORE)
    assert world.apply(after=MINUTE) == ["begun"]
    world.mwaa.end()
    world.airflow.denied = DENIED
    found = look_and_apply(world, 180)
    assert set(found) == {"applied", "denied"}
    assert world.told().count("EnvironmentUpdateStalled") == 1
    standing = world.standing("requirements.txt")
    assert (standing.stage, standing.rolled_back) == ("verifying", ())
    world.airflow.denied = None
    assert "good" in look_and_apply(world, 20)
    assert len(world.mwaa.asked) == 2, "no way back was asked for"


def test_no_update_begins_whose_outcome_nobody_could_see(world: World) -> None:
    world.airflow.denied = DENIED
    world.drop("requirements.txt", MORE)
    assert set(look_and_apply(world, 60)) <= {"denied", "stalled", "held"}
    assert world.mwaa.asked == []
    world.airflow.denied = None
    assert "begun" in look_and_apply(world, 3)


def test_a_denial_rolls_no_file_back_and_its_time_begins_when_airflow_answers(world: World) -> None:
    world.drop(KEY)
    world.airflow.denied = DENIED
    assert set(look_and_apply(world, 180)) == {"denied"}
    world.airflow.denied = None
    world.now += timedelta(minutes=1)
    assert [found.outcome for found in world.minutes(14)] == ["good"]
