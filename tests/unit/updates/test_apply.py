"""Requirements, plugins, startup script and bounds: one update at a time, verified, undone when it breaks things."""

from __future__ import annotations

import io
import zipfile
from collections import Counter
from datetime import timedelta

import pytest

from jetway.airflow.environment import parse_environment
from jetway.updates.apply import CALL_AGAIN_AFTER, RefusedError
from tests.unit.artifacts.buckets import LIVE
from tests.unit.artifacts.zips import PLUGIN, zip_of
from tests.unit.batches.world import Kill, KilledError
from tests.unit.promotion.world import World

REQUIREMENTS = b"--constraint /usr/local/airflow/constraints.txt\nhumanize==4.9.0\n"
MORE = REQUIREMENTS + b"pytz==2024.1\n"
PLUGINS = zip_of({"acme.py": PLUGIN})
STARTUP = b"#!/bin/sh\nexport ACME=1\n"
NO_MODULE = "Traceback…\nModuleNotFoundError: No module named 'humanize'\n"
MINUTE = timedelta(minutes=1)


def version(world: World, key: str) -> str:
    """The newest object version in the environment's bucket."""
    found: str = world.s3.head_object(Bucket=LIVE, Key=key)["VersionId"]
    return found


def applied(world: World, key: str = "requirements.txt", body: bytes = REQUIREMENTS) -> str:
    """Drop a file that works, bring it into force, verify it."""
    source = world.drop(key, body)
    assert world.apply() == ["begun"]
    world.mwaa.end()
    assert world.settle_update() == ["applied", "good"]
    return source


def test_what_was_promoted_by_then_goes_as_one_update(world: World) -> None:
    world.drop("requirements.txt", REQUIREMENTS)
    world.drop("plugins.zip", PLUGINS)
    world.drop("startup.sh", STARTUP)
    assert world.apply() == ["begun"]
    assert world.mwaa.asked == [
        {
            "RequirementsS3Path": "requirements.txt",
            "RequirementsS3ObjectVersion": version(world, "requirements.txt"),
            "PluginsS3Path": "plugins.zip",
            "PluginsS3ObjectVersion": version(world, "plugins.zip"),
            "StartupScriptS3Path": "startup.sh",
            "StartupScriptS3ObjectVersion": version(world, "startup.sh"),
            "WorkerReplacementStrategy": "GRACEFUL",
        }
    ]
    assert world.settle_update(3) == ["in-progress"] * 3
    world.mwaa.end()
    assert world.settle_update() == ["applied", "good", "good", "good"]
    assert {world.standing(key).stage for key in ("requirements.txt", "plugins.zip", "startup.sh")} == {"good"}
    assert world.settle_update() == []
    assert len(world.mwaa.asked) == 1


def test_forced_is_asked_for_and_named_where_the_deployment_says_so(world: World) -> None:
    world.worker_replacement = "FORCED"
    world.drop("requirements.txt", REQUIREMENTS)
    assert world.apply() == ["begun"]
    assert world.mwaa.asked[-1]["WorkerReplacementStrategy"] == "FORCED"
    world.mwaa.end()
    world.settle_update()
    world.automatic = False
    world.drop("requirements.txt", MORE)
    assert "--worker-replacement-strategy FORCED" in (world.news[-1].message or "")
    world.mwaa.described["RequirementsS3ObjectVersion"] = version(world, "requirements.txt")
    world.airflow.errors = {"team/orders.py": NO_MODULE}
    assert world.settle_update(5) == ["adopted", "rolled-back", "held"]
    assert "--worker-replacement-strategy FORCED" in (world.news[-1].message or "")


def test_what_comes_while_the_environment_is_updating_is_held_and_merged(world: World) -> None:
    world.mwaa.described["Status"] = "UPDATING"
    world.drop("requirements.txt", REQUIREMENTS)
    assert world.apply() == ["held"]
    world.drop("requirements.txt", MORE)
    world.drop("plugins.zip", PLUGINS)
    assert world.apply() == ["held"]
    assert world.mwaa.asked == []
    world.mwaa.described["Status"] = "AVAILABLE"
    assert world.apply() == ["begun"]
    assert world.mwaa.asked[0]["RequirementsS3ObjectVersion"] == version(world, "requirements.txt")
    assert "PluginsS3Path" in world.mwaa.asked[0]


def test_a_version_that_comes_during_its_own_update_goes_with_the_next(world: World) -> None:
    world.drop("requirements.txt", REQUIREMENTS)
    world.apply()
    newer = world.drop("requirements.txt", MORE)
    world.mwaa.end()
    assert world.settle_update(12)[:3] == ["applied", "good", "begun"]
    assert len(world.mwaa.asked) == 2
    world.mwaa.end()
    world.settle_update()
    standing = world.standing("requirements.txt")
    assert standing.stage == "good"
    assert standing.live is not None
    assert standing.live.source == newer


def test_an_update_that_fails_leaves_the_previous_versions_in_force(world: World) -> None:
    good = applied(world)
    bad = world.drop("requirements.txt", MORE)
    assert world.apply() == ["begun"]
    world.mwaa.end(error="Requirements could not be installed in time.")
    assert world.settle_update() == ["failed"]
    standing = world.standing("requirements.txt")
    assert standing.stage == "rolled-back"
    assert standing.rolled_back == (bad,)
    assert standing.live is not None
    assert standing.live.source == good
    assert world.report("requirements.txt")["verification"]["problems"][0]["message"] == (
        "The update failed: Requirements could not be installed in time."
    )
    assert world.told()[-1] == "ArtifactRolledBack"
    assert len(world.mwaa.asked) == 2
    assert world.settle_update() == [], "and it is not tried again"
    assert [settled.outcome for settled in world.settle("requirements.txt", bad)] == ["rolled-back"]


def test_new_import_errors_anywhere_undo_the_update(world: World) -> None:
    good = applied(world)
    in_force = world.mwaa.described["RequirementsS3ObjectVersion"]
    world.airflow.errors = {"old.py": "Traceback…\nKeyError: 'x'\n"}
    bad = world.drop("requirements.txt", MORE)
    world.apply()
    world.mwaa.end()
    world.airflow.errors |= {"team/orders.py": NO_MODULE}
    found = world.settle_update(5)
    assert found[:3] == ["applied", "rolled-back", "begun"]
    assert world.mwaa.asked[-1]["RequirementsS3ObjectVersion"] == in_force
    world.mwaa.end()
    assert world.settle_update() == ["undone"]
    assert len(world.mwaa.asked) == 3
    standing = world.standing("requirements.txt")
    assert (standing.stage, standing.rolled_back) == ("rolled-back", (bad,))
    assert standing.live is not None
    assert standing.live.source == good
    (problem,) = world.report("requirements.txt")["verification"]["problems"]
    assert problem["where"] == "team/orders.py"
    assert Counter(world.told())["ArtifactRolledBack"] == 1
    message = world.news[-1].message or ""
    assert f"Version {good} comes back." in message
    assert "still in force. The environment is updating back, which takes 10 to 30 minutes or more" in message


def test_what_mwaa_cannot_clear_is_replaced_by_nothing(world: World) -> None:
    world.drop("plugins.zip", PLUGINS)
    world.apply()
    world.mwaa.end()
    world.airflow.errors = {"team/orders.py": NO_MODULE}
    world.settle_update(4)
    assert world.mwaa.asked[-1]["PluginsS3ObjectVersion"] == version(world, "plugins.zip")
    with zipfile.ZipFile(io.BytesIO(world.live("plugins.zip") or b"")) as found:
        assert found.namelist() == ["README.txt"]
    world.mwaa.end()
    assert "undone" in world.settle_update()


def test_a_file_under_verification_answers_for_its_own_errors(world: World) -> None:
    world.drop("requirements.txt", REQUIREMENTS)
    world.apply()
    world.drop("dags/orders.py")
    world.mwaa.end()
    world.airflow.errors = {"orders.py": "Traceback…\nKeyError: 'x'\n"}
    found = world.settle_update()
    assert world.standing("requirements.txt").stage == "good"
    assert world.standing("dags/orders.py").stage == "rolled-back"
    assert sorted(found) == ["applied", "good", "rolled-back"]


def test_a_dag_file_waits_for_the_requirements_that_come_with_it(world: World) -> None:
    world.drop("requirements.txt", REQUIREMENTS)
    world.drop("dags/orders.py")
    world.airflow.errors = {"orders.py": NO_MODULE}
    assert world.apply() == ["begun"]
    for _ in range(25):
        world.now += MINUTE
        assert world.apply() == ["in-progress"]
        assert world.look() == []
    world.mwaa.end()
    assert world.apply(after=MINUTE) == ["applied"]
    assert world.look(after=2 * MINUTE) == [], "Airflow still shows the old error"
    world.airflow.errors = {}
    assert "rolled-back" not in world.settle_update()
    assert world.standing("dags/orders.py").stage == "good"


def test_deleting_brings_an_empty_file_into_force(world: World) -> None:
    source = applied(world)
    (settled,) = world.delete("requirements.txt")
    assert (settled.outcome, settled.version) == ("removed", source)
    assert world.settle("requirements.txt", deleted=True)[0].outcome == "vanished"
    assert world.live("requirements.txt") == b"# There are no requirements.\n"
    assert world.apply() == ["begun"]
    assert world.mwaa.asked[-1]["RequirementsS3ObjectVersion"] == version(world, "requirements.txt")
    world.mwaa.end()
    assert world.settle_update() == ["applied", "good"]
    again = applied(world)
    assert again != source


def test_a_deletion_that_breaks_dags_is_undone(world: World) -> None:
    applied(world)
    in_force = world.mwaa.described["RequirementsS3ObjectVersion"]
    world.delete("requirements.txt")
    world.apply()
    world.mwaa.end()
    world.airflow.errors = {"team/orders.py": NO_MODULE}
    world.settle_update(5)
    assert world.mwaa.asked[-1]["RequirementsS3ObjectVersion"] == in_force
    world.mwaa.end()
    world.settle_update()
    asked = len(world.mwaa.asked)
    assert [settled.outcome for settled in world.settle("requirements.txt", deleted=True)] == ["vanished"]
    assert world.settle_update() == []
    assert len(world.mwaa.asked) == asked


def test_manual_names_the_command_and_verifies_what_somebody_applies(world: World) -> None:
    world.automatic = False
    world.drop("requirements.txt", REQUIREMENTS)
    live = version(world, "requirements.txt")
    message = world.news[-1].message or ""
    assert (
        "aws mwaa update-environment --name acme --requirements-s3-path requirements.txt "
        f"--requirements-s3-object-version {live} --worker-replacement-strategy GRACEFUL"
    ) in message
    assert world.settle_update() == []
    assert world.mwaa.asked == []
    world.mwaa.described |= {"RequirementsS3Path": "requirements.txt", "RequirementsS3ObjectVersion": live}
    assert world.settle_update() == ["adopted", "good"]
    world.drop("requirements.txt", MORE)
    world.mwaa.described["RequirementsS3ObjectVersion"] = version(world, "requirements.txt")
    world.airflow.errors = {"team/orders.py": NO_MODULE}
    assert world.settle_update(5) == ["adopted", "rolled-back", "held"]
    assert world.mwaa.asked == []
    assert f"--requirements-s3-object-version {live}" in (world.news[-1].message or "")


def test_what_mwaa_refuses_is_given_up_with_its_words(world: World) -> None:
    bad = world.drop("plugins.zip", PLUGINS)
    world.mwaa.refuses = "The plugins file is not readable by the execution role."
    assert world.settle_update(2 + 2 * 3) == ["held"] * 6 + ["failed"], "asked three times, three minutes apart"
    assert world.standing("plugins.zip").rolled_back == (bad,)
    assert "not readable by the execution role" in (world.news[-1].message or "")
    assert world.settle_update() == []


# ------------------------------------------------------------------------------------------------ scaling


def test_bounds_go_along_with_artifacts_that_wait(world: World) -> None:
    world.drop("requirements.txt", REQUIREMENTS)
    assert scaled(world, 2, 12) == "goes-along"
    assert world.apply() == ["begun"]
    (asked,) = world.mwaa.asked
    assert (asked["MinWorkers"], asked["MaxWorkers"], "RequirementsS3Path" in asked) == (2, 12, True)
    assert scaled(world, 3, 13) == "held"
    world.mwaa.end()
    assert world.settle_update() == ["applied", "good"]
    assert (world.mwaa.described["MinWorkers"], world.mwaa.described["MaxWorkers"]) == (2, 12)


def test_bounds_alone_begin_at_once_and_are_not_verified(world: World) -> None:
    assert scaled(world, 2, 12) == "begun"
    assert world.mwaa.asked == [{"MinWorkers": 2, "MaxWorkers": 12, "WorkerReplacementStrategy": "GRACEFUL"}]
    world.drop("requirements.txt", REQUIREMENTS)
    assert world.apply() == ["in-progress"]
    world.mwaa.end()
    assert world.apply() == ["applied", "begun"], "artifacts that came meanwhile go next, at once"


def test_bounds_follow_bounds_as_soon_as_the_environment_is_available(world: World) -> None:
    assert scaled(world, 2, 12) == "begun"
    assert scaled(world, 3, 12) == "held"
    world.mwaa.end()
    assert scaled(world, 3, 12) == "begun"


def test_bounds_that_mwaa_does_not_want_do_not_hold_artifacts_up(world: World) -> None:
    world.mwaa.refuses = "too many workers"
    with pytest.raises(RefusedError, match="too many"):
        scaled(world, 2, 12)
    world.mwaa.refuses = ""
    world.drop("requirements.txt", REQUIREMENTS)
    scaled(world, 2, 12)
    world.mwaa.refuses = "too many workers"
    assert world.apply() == ["held"]
    world.mwaa.refuses = ""
    assert world.apply() == ["begun"]
    assert "MinWorkers" not in world.mwaa.asked[-1]


def scaled(world: World, low: int, high: int) -> str:
    return world.updates().scale(parse_environment(world.mwaa.described), low, high)


# ------------------------------------------------------------------------------------------------ crashes


@pytest.mark.slow
@pytest.mark.parametrize("fails", [True, False], ids=["the update fails", "it breaks a DAG"])
def test_killed_after_any_call_an_update_is_neither_lost_nor_doubled(world: World, *, fails: bool) -> None:
    def prepare(world: World) -> tuple[str, str]:
        good = applied(world)
        return good, world.drop("requirements.txt", MORE)

    def break_a_dag(world: World) -> None:
        if not fails and len(world.mwaa.asked) > 1:
            world.airflow.errors = {"team/orders.py": NO_MODULE}

    def what_comes_of_it(world: World) -> str | None:
        asked = [each.get("RequirementsS3ObjectVersion") for each in world.mwaa.asked]
        return "no" if fails and asked[-1] != asked[0] else None

    def run(world: World, kill: Kill) -> None:
        """One invocation after the other; the kill counts through all of them."""
        for _ in range(12):
            world.apply(kill, after=MINUTE)
            break_a_dag(world)
            if world.mwaa.described["Status"] == "UPDATING":
                world.mwaa.end(error=what_comes_of_it(world))
            world.look(kill)

    def judge(world: World, good: str, bad: str, *, lost: bool = False) -> None:
        standing = world.standing("requirements.txt")
        assert standing.stage == "rolled-back"
        assert standing.rolled_back == (bad,)
        assert standing.live is not None
        assert standing.live.source == good
        assert world.mwaa.described["RequirementsS3ObjectVersion"] == standing.live.version_id
        versions = [asked.get("RequirementsS3ObjectVersion") for asked in world.mwaa.asked]
        once = 2 if fails else 3
        assert once <= len(versions) <= once + lost, "each version is asked for once, and the way back once"
        assert Counter(world.told())["ArtifactRolledBack"] == 1
        assert world.report("requirements.txt")["outcome"] == "rolled-back"

    good, bad = prepare(world)
    counted = Kill()
    run(world, counted)
    judge(world, good, bad)
    assert len(counted.calls) >= 30
    for after in range(1, len(counted.calls) + 1):
        world = world.fresh()
        good, bad = prepare(world)
        with pytest.raises(KilledError):
            run(world, Kill(after))
        world.now += CALL_AGAIN_AFTER
        break_a_dag(world)
        if world.mwaa.described["Status"] == "UPDATING":
            world.mwaa.end(error=what_comes_of_it(world))
        run(world, Kill())
        # An update that nobody has written down as ours may have been another's: it is tried once more.
        written = [call for call in counted.calls[:after] if call in {"update_environment", "put_item"}]
        judge(world, good, bad, lost=written[-1:] == ["update_environment"])
