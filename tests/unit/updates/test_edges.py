"""Updates in the less usual order: pip fails in silence, people change things by hand, the same bytes come again."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.unit.artifacts.buckets import LIVE
from tests.unit.artifacts.zips import PLUGIN, zip_of
from tests.unit.promotion.world import World
from tests.unit.updates.test_apply import MINUTE, MORE, NO_MODULE, PLUGINS, REQUIREMENTS, STARTUP, applied, version

NEEDS_HUMANIZE = b"from airflow.sdk import DAG\nimport humanize\nwith DAG('orders'):\n    pass\n"


def broken(world: World, body: bytes = MORE) -> str:
    """Bring a version into force that breaks a DAG, and let it be undone."""
    bad = world.drop("requirements.txt", body)
    assert world.apply() == ["begun"]
    world.mwaa.end()
    world.airflow.errors = {"team/orders.py": NO_MODULE}
    assert world.settle_update(5)[:3] == ["applied", "rolled-back", "begun"]
    world.mwaa.end()
    world.airflow.errors = {}
    assert "undone" in world.settle_update(2)
    return bad


def test_what_is_uploaded_within_the_quiet_time_goes_as_one_update(world: World) -> None:
    world.quiet = timedelta(seconds=120)
    world.drop("requirements.txt", REQUIREMENTS)
    assert world.apply(after=MINUTE) == ["held"]
    world.drop("plugins.zip", PLUGINS)
    assert world.apply(after=MINUTE) == ["held"], "plugins.zip has come a minute ago"
    world.drop("startup.sh", STARTUP)
    assert world.apply(after=2 * MINUTE) == ["begun"]
    (asked,) = world.mwaa.asked
    assert {"RequirementsS3Path", "PluginsS3Path", "StartupScriptS3Path"} < asked.keys()


def test_the_first_does_not_wait_for_ever(world: World) -> None:
    world.quiet = timedelta(seconds=120)
    world.drop("requirements.txt", REQUIREMENTS)
    assert _steps_while_more_comes(world, "plugins.zip") == ["held"] * 14 + ["begun"]


def test_nor_does_one_file_that_is_uploaded_again_and_again(world: World) -> None:
    world.quiet = timedelta(seconds=300)
    assert _steps_while_more_comes(world, "plugins.zip") == ["held"] * 14 + ["begun"]


def _steps_while_more_comes(world: World, key: str) -> list[str]:
    steps: list[str] = []
    for number in range(25):
        world.drop(key, zip_of({"acme.py": PLUGIN, "number.txt": str(number).encode()}))
        steps += world.apply(after=MINUTE)
        if steps[-1] == "begun":
            break
    return steps


@pytest.mark.parametrize(
    ("key", "body", "again"),
    [
        ("requirements.txt", REQUIREMENTS, REQUIREMENTS),
        ("startup.sh", STARTUP, STARTUP),
        ("plugins.zip", zip_of({"a.py": PLUGIN, "b.txt": b"b"}), zip_of({"b.txt": b"b", "a.py": PLUGIN})),
    ],
)
def test_the_same_content_again_needs_no_update(world: World, key: str, body: bytes, again: bytes) -> None:
    applied(world, key, body)
    in_force = next(value for name, value in world.mwaa.described.items() if name.endswith("ObjectVersion"))
    newer = world.drop(key, again)
    assert world.settle_update() == ["unchanged"]
    assert len(world.mwaa.asked) == 1
    standing = world.standing(key)
    assert standing.live is not None
    assert (standing.stage, standing.live.source, standing.live.version_id) == ("good", newer, in_force)


def test_other_content_of_the_same_size_is_updated(world: World) -> None:
    applied(world, "plugins.zip", zip_of({"a.txt": b"1"}))
    world.drop("plugins.zip", zip_of({"a.txt": b"2"}))
    assert world.apply() == ["begun"]


def test_the_bytes_that_failed_are_another_try(world: World) -> None:
    applied(world)
    broken(world)
    world.drop("requirements.txt", MORE)
    assert world.apply() == ["begun"]


def test_an_old_error_whose_words_change_is_nobodys_fault(world: World) -> None:
    words = "AirflowTaskTimeout: DagBag import timeout for /usr/local/airflow/dags/slow.py after 30s, PID: {}, 0x7f{}a"
    world.airflow.errors = {"slow.py": words.format(11, 2)}
    world.drop("requirements.txt", REQUIREMENTS)
    world.apply()
    world.mwaa.end()
    world.airflow.errors = {"slow.py": words.format(27, 3)}
    assert world.settle_update() == ["applied", "good"]


def test_pip_that_failed_is_found_by_the_new_file_that_needed_it(world: World) -> None:
    bad = world.drop("requirements.txt", REQUIREMENTS)
    world.drop("dags/orders.py", NEEDS_HUMANIZE)
    world.apply()
    world.mwaa.end()
    world.airflow.errors = {"orders.py": NO_MODULE}
    assert world.settle_update(14)[:3] == ["applied", "rolled-back", "begun"]
    assert world.standing("requirements.txt").rolled_back == (bad,)
    assert "No module named 'humanize'" in world.report("requirements.txt")["verification"]["problems"][0]["message"]


def test_a_module_of_the_dags_folder_is_not_what_pip_brings(world: World) -> None:
    world.drop("dags/humanize/__init__.py", b"")
    world.drop("requirements.txt", REQUIREMENTS)
    world.drop("dags/orders.py", NEEDS_HUMANIZE)
    world.apply()
    world.mwaa.end()
    world.airflow.errors = {"orders.py": NO_MODULE}
    world.settle_update(14)
    assert world.standing("requirements.txt").stage == "good"
    assert world.standing("dags/orders.py").stage == "rolled-back"


def test_a_path_without_a_version_goes_back_to_the_file_that_was_there(world: World) -> None:
    first = world.s3.put_object(Bucket=LIVE, Key="config/reqs.txt", Body=b"humanize\n")["VersionId"]
    world.mwaa.described["RequirementsS3Path"] = "config/reqs.txt"
    broken(world, REQUIREMENTS)
    assert world.mwaa.described["RequirementsS3Path"] == "config/reqs.txt"
    assert world.mwaa.described["RequirementsS3ObjectVersion"] == first


def test_what_somebody_applied_goes_back_to_the_file_that_was_there(world: World) -> None:
    first = world.s3.put_object(Bucket=LIVE, Key="requirements.txt", Body=b"humanize\n")["VersionId"]
    world.drop("requirements.txt", REQUIREMENTS)
    ours = version(world, "requirements.txt")
    world.mwaa.described |= {"RequirementsS3Path": "requirements.txt", "RequirementsS3ObjectVersion": ours}
    world.airflow.errors = {"team/orders.py": NO_MODULE}
    assert world.settle_update(5)[:3] == ["adopted", "rolled-back", "begun"]
    assert world.mwaa.asked[-1]["RequirementsS3ObjectVersion"] == first


def test_what_a_person_points_the_environment_at_meanwhile_is_left_alone(world: World) -> None:
    applied(world)
    bad = world.drop("requirements.txt", MORE)
    world.apply()
    world.mwaa.end()
    assert world.apply(after=MINUTE) == ["applied"]
    other = world.s3.put_object(Bucket=LIVE, Key="requirements.txt", Body=b"by hand")["VersionId"]
    world.mwaa.described["RequirementsS3ObjectVersion"] = other
    world.airflow.errors = {"team/orders.py": NO_MODULE}
    assert world.settle_update() == ["overtaken"]
    assert world.mwaa.described["RequirementsS3ObjectVersion"] == other
    assert "ArtifactRolledBack" not in world.told()
    assert "ArtifactOvertaken" in world.told()
    assert world.standing("requirements.txt").rolled_back == (), "it did not fail"
    world.settle("requirements.txt", bad)
    assert world.settle_update() == [], "nor does it come back over it"


def test_what_a_person_does_before_the_way_back_is_left_alone(world: World) -> None:
    applied(world)
    world.drop("requirements.txt", MORE)
    world.apply()
    world.mwaa.end()
    world.airflow.errors = {"team/orders.py": NO_MODULE}
    assert world.settle_update(3) == ["applied", "rolled-back"]
    world.mwaa.described["RequirementsS3ObjectVersion"] = "by-hand"
    assert world.settle_update() == ["undone", "overtaken"]
    assert len(world.mwaa.asked) == 2


def test_a_newer_version_that_is_bad_too_leads_back_to_the_good_one(world: World) -> None:
    applied(world)
    in_force = world.mwaa.described["RequirementsS3ObjectVersion"]
    broken(world)
    broken(world, MORE + b"# again\n")
    assert world.mwaa.described["RequirementsS3ObjectVersion"] == in_force
    assert world.told().count("ArtifactRolledBack") == 2
    assert world.settle_update() == []


def test_deleting_after_a_rollback_takes_out_what_is_in_force(world: World) -> None:
    good = applied(world)
    broken(world)
    (settled,) = world.delete("requirements.txt")
    assert (settled.outcome, settled.version) == ("removed", good)
    assert world.apply() == ["begun"]
    assert world.live("requirements.txt") == b"# There are no requirements.\n"


def test_pip_that_failed_is_found_in_the_log_though_no_dag_breaks(world: World) -> None:
    applied(world)
    bad = world.drop("requirements.txt", MORE)
    world.apply()
    world.mwaa.end()
    world.pip = {None: "ERROR: No matching distribution found for pytz==2024.1"}
    assert world.settle_update(5)[:3] == ["applied", "rolled-back", "begun"]
    assert world.standing("requirements.txt").rolled_back == (bad,)
    (problem,) = world.report("requirements.txt")["verification"]["problems"]
    assert problem == {"where": "requirements.txt", "message": world.pip[None]}


def test_pip_is_not_the_fault_of_an_update_without_requirements(world: World) -> None:
    world.pip = {None: "ERROR: …"}
    applied(world, "plugins.zip", PLUGINS)


def test_what_broke_before_somebody_applied_it_is_not_its_fault(world: World) -> None:
    world.automatic = False
    applied_by_hand(world, REQUIREMENTS)
    assert world.settle_update() == ["adopted", "good"]
    world.drop("requirements.txt", MORE)
    assert world.apply() == []
    world.airflow.errors = {"by_hand.py": NO_MODULE}
    asked = len(world.airflow.asked)
    assert world.settle_update(12) == []
    assert len(world.airflow.asked) == asked + 1, "every ten minutes"
    world.mwaa.described["RequirementsS3ObjectVersion"] = version(world, "requirements.txt")
    assert world.settle_update() == ["adopted", "good"]


def applied_by_hand(world: World, body: bytes) -> None:
    world.drop("requirements.txt", body)
    found = version(world, "requirements.txt")
    world.mwaa.described |= {"RequirementsS3Path": "requirements.txt", "RequirementsS3ObjectVersion": found}
