"""Which file is at fault while an update brings what another one needs."""

from __future__ import annotations

from contextlib import suppress

import pytest

from tests.unit.batches.world import Kill, KilledError, Meddling

from .promotion_world import LIVE, MINUTE
from .update_invariants import judge
from .update_stage import NEEDS_HUMANIZE, OPTION, PLUGINS, V0, V1, V2, P, R, is_innocent
from .update_world import UpdateWorld, plugins, requirements

# -------------------------------------------------------------------------------- DAG files and updates


@pytest.mark.parametrize("look_first", [False, True])
@pytest.mark.parametrize("minute", [5, 20, 26, 30, 33])
def test_a_file_waits_for_the_requirements_that_wait(world: UpdateWorld, minute: int, *, look_first: bool) -> None:
    """v1 is updating, v2 and the file that needs it are dropped meanwhile."""
    v1 = world.drop(R, V1)
    world.run(minute, look_first=look_first)
    v2 = world.drop(R, V2)
    world.drop("dags/orders.py", NEEDS_HUMANIZE)
    world.run(120, look_first=look_first)
    assert v1 not in world.rolled_back()
    is_innocent(world, v2, V2)
    assert world.named("dags/orders.py").stage == "good"
    assert len(world.mwaa.asked) == 2


def test_plugins_that_are_updating_are_not_blamed_for_what_requirements_bring(world: UpdateWorld) -> None:
    other = world.drop(P, PLUGINS)
    world.run(5)
    version = world.drop(R, V2)
    world.drop("dags/orders.py", NEEDS_HUMANIZE)
    is_innocent(world, version, V2)
    assert other not in world.rolled_back(P)
    assert world.named("dags/orders.py").stage == "good"


def test_a_startup_script_alone_does_not_cost_a_file_its_module(world: UpdateWorld) -> None:
    world.drop("startup.sh", b"#!/bin/sh\nexport ACME=1\n")
    world.run(26)
    version = world.drop(R, V2)
    world.drop("dags/orders.py", NEEDS_HUMANIZE)
    is_innocent(world, version, V2)
    assert world.named("dags/orders.py").stage == "good"


def test_the_look_right_after_somebodys_update_waits_for_ours(world: UpdateWorld) -> None:
    world.mwaa.somebody(OPTION)
    world.now += 5 * MINUTE
    version = world.drop(R, V2)
    world.drop("dags/orders.py", NEEDS_HUMANIZE)
    world.run(60, look_first=True)
    is_innocent(world, version, V2)
    assert world.named("dags/orders.py").stage == "good"


def test_plugins_that_keep_coming_do_not_cost_a_file_its_module(world: UpdateWorld) -> None:
    world.quiet = 2 * MINUTE
    version = world.drop(R, V2)
    world.drop("dags/orders.py", NEEDS_HUMANIZE)
    for number in range(15):
        world.drop(P, plugins(note=str(number)))
        world.run()
    is_innocent(world, version, V2)
    assert world.named("dags/orders.py").stage == "good"


def test_a_helper_that_is_not_live_yet_is_not_what_the_update_was_to_bring(world: UpdateWorld) -> None:
    """The module is in the drop bucket; the gate has not settled it."""
    version = world.drop(R, V1)
    world.run(20)
    helper = world.upload("dags/humanize.py", b"x = 1\n")
    late = world.queue.pop()
    world.drop("dags/orders.py", NEEDS_HUMANIZE)
    world.run(16)
    assert version not in world.rolled_back()
    assert late.arrival.version_id == helper
    world.queue.append(late)
    is_innocent(world, version, V1)


def test_nor_is_one_in_a_folder_without_an_init_file(world: UpdateWorld) -> None:
    """`dags/humanize/` comes with its first module."""
    version = world.drop(R, V1)
    world.run(20)
    world.upload("dags/humanize/numbers.py", b"x = 1\n")
    late = world.queue.pop()
    world.drop("dags/orders.py", NEEDS_HUMANIZE)
    world.run(16)
    world.queue.append(late)
    is_innocent(world, version, V1)


def test_a_deletion_is_not_blamed_for_what_it_does_not_bring(world: UpdateWorld) -> None:
    """The requirements that were to bring the module were deleted before they came into force."""
    world.verified_update()
    world.quiet = 2 * MINUTE
    world.upload(R, V2)
    world.upload("dags/orders.py", NEEDS_HUMANIZE)
    world.run()
    world.delete(R)
    assert judge(world) == []
    assert world.in_force() not in {V0, V2}
    assert world.named("dags/orders.py").stage == "rolled-back"


def test_a_broken_dag_file_is_rolled_back_while_the_right_to_update_is_missing(world: UpdateWorld) -> None:
    world.verified_update()
    world.mwaa.denied = True
    world.drop(R, V1)
    world.run(3)
    world.drop("dags/late.py", b"from airflow.sdk import DAG\nwith DAG('late'):\n    pass\n")
    world.airflow.errors = {"late.py": "Traceback...\nKeyError: 'x'\n"}
    world.run(20)
    assert world.named("dags/late.py").stage == "rolled-back"


def test_a_missing_right_is_told_once_and_names_the_action(world: UpdateWorld) -> None:
    world.verified_update()
    version = world.drop(R, V1)
    world.mwaa.denied = True
    world.run(120)
    told = [message for message in world.messages() if "airflow:UpdateEnvironment" in message]
    assert len(told) == 1
    assert len(world.mwaa.attempts) - 1 <= 10, "not every minute"
    world.mwaa.denied = False
    is_innocent(world, version, V1)


def test_throttling_is_told_after_an_hour_and_rolls_nothing_back(world: UpdateWorld) -> None:
    world.verified_update()
    version = world.drop(R, V1)
    world.mwaa.answers = ["ThrottlingException"] * 500
    world.run(50)
    assert not world.messages()
    world.run(20)
    assert len(world.messages()) == 1
    world.mwaa.answers = []
    is_innocent(world, version, V1)


# -------------------------------------------------------------------------------- whose fault it is


def test_what_pip_tells_is_no_fault_of_the_plugins(world: UpdateWorld) -> None:
    world.verified_update()
    bad, other = world.drop(R, requirements("unfound", "no==1")), world.drop(P, PLUGINS)
    is_innocent(world, other, PLUGINS, P)
    assert world.rolled_back() == (bad,)
    assert world.in_force() == V0


def test_plugins_that_are_broken_beside_pip_are_found_after_the_way_back(world: UpdateWorld) -> None:
    world.verified_update()
    world.drop(R, requirements("unfound", "no==1"))
    bad = world.drop(P, plugins("breaks"))
    assert world.rest()
    assert world.rolled_back(P) == (bad,)
    assert world.in_force(P) not in {None, plugins("breaks")}
    assert world.in_force() == V0


def test_a_file_put_by_hand_since_answers_for_its_own_error(world: UpdateWorld) -> None:
    version = world.drop(R, V1)
    world.run(20)
    world.s3.put_object(Bucket=LIVE, Key="dags/theirs.py", Body=b"raise KeyError('x')\n")
    world.airflow.errors = {"theirs.py": "Traceback...\nKeyError: 'x'\n"}
    is_innocent(world, version, V1)


def test_a_file_that_was_there_before_does_not(world: UpdateWorld) -> None:
    world.s3.put_object(Bucket=LIVE, Key="dags/team/orders.py", Body=b"import humanize\n")
    world.run(5)
    bad = world.drop(R, requirements("breaks"))
    assert world.rest()
    assert world.rolled_back() == (bad,)


def test_a_variable_that_is_gone_is_no_fault_of_requirements(world: UpdateWorld) -> None:
    version = world.drop(R, V1)
    world.run(20)
    world.airflow.errors = {"old.py": "Traceback...\nKeyError: 'Variable orders_url does not exist'\n"}
    is_innocent(world, version, V1)


def test_a_file_dropped_during_somebodys_update_is_judged_when_it_is_parsed() -> None:
    world = UpdateWorld(tells_parses=False)
    file = b"from airflow.sdk import DAG\nwith DAG('late'):\n    pass\n"
    world.drop("dags/late.py", file)
    assert world.rest()
    world.mwaa.somebody(OPTION, takes=30 * MINUTE)
    world.run(5)
    world.drop("dags/late.py", file + b"raise KeyError('x')\n")
    world.run(28, look_first=True)
    world.airflow.broken = lambda: (
        {"late.py": "Traceback...\nKeyError: 'x'\n"} if b"KeyError" in (world.live("dags/late.py") or b"") else {}
    )
    world.rest()
    assert world.named("dags/late.py").stage == "rolled-back"


def test_two_at_once_make_one_empty_file(world: UpdateWorld) -> None:
    world.drop(P, plugins("breaks"))
    world.run(30, until=lambda: world.records.get().phase == "undo")
    assert world.records.get().phase == "undo"
    world.apply(Meddling(9, world.apply))
    assert world.rest()
    standing = world.named(P)
    assert standing.live is not None
    assert standing.live.version_id == world.mwaa.described["PluginsS3ObjectVersion"]


@pytest.mark.parametrize("key", [R, P])
def test_where_the_bucket_keeps_no_versions_people_are_told_that_nothing_comes_into_force(key: str) -> None:
    """MWAA takes these files by their object version, and there is none."""
    world = UpdateWorld(suspended=(LIVE,))
    version = world.drop(key, V0 if key == R else PLUGINS)
    assert world.rest(), "nothing waits for ever"
    assert world.mwaa.asked == []
    (message,) = world.messages()
    assert "put-bucket-versioning" in message
    assert [each["rule"] for each in world.report(key, version)["findings"]] == ["bucket-without-versions"]
    world.s3.buckets[LIVE].suspended = False
    newer = V1 if key == R else plugins(note="newer")
    is_innocent(world, world.drop(key, newer), newer, key)


@pytest.mark.parametrize("key", [R, P, "startup.sh"])
def test_where_the_bucket_keeps_no_versions_a_deletion_does_not_wait_in_silence(key: str) -> None:
    """The empty file has no version, so that nothing brings it into force: a person is told, and what to do."""
    world = UpdateWorld()
    world.run()
    version = world.verified_update({R: V0, P: PLUGINS}.get(key, b"# works\n"), key)
    world.s3.buckets[LIVE].suspended = True
    world.delete_and_settle(key)
    assert world.rest(), "nothing waits for ever"
    (message,) = world.messages()
    assert "put-bucket-versioning --bucket live " in message
    report = world.report(key, version)
    assert (report["outcome"], report["in_force"]["state"], report["in_force"]["until"]) == ("removed", "waiting", None)
    assert message == f"{key} was deleted. {report['in_force']['because']}"
    standing = world.named(key)
    assert standing.live is not None
    assert standing.live.source == version, "what is in force is what is called live"

    world.settle(key)  # as the sweep does, once a day
    assert world.rest()
    assert world.messages() == [message], "it is told once"
    world.s3.buckets[LIVE].suspended = False
    world.settle(key)
    assert world.rest()
    standing = world.named(key)
    assert standing.live is not None
    assert (standing.stage, standing.live.source) == ("good", f"deleted-{version}")
    assert world.report(key, version)["in_force"]["state"] == "verified"


@pytest.mark.parametrize("key", [R, P])
def test_what_never_had_a_version_is_deleted_without_a_word_of_what_is_in_force(key: str) -> None:
    world = UpdateWorld(suspended=(LIVE,))
    world.run()
    version = world.drop(key, V0 if key == R else PLUGINS)
    told = world.messages()
    world.delete_and_settle(key)
    assert world.rest(), "nothing waits for ever"
    assert world.messages() == told
    assert world.report(key, version)["outcome"] == "removed"
    assert world.mwaa.asked == []


@pytest.mark.parametrize("suspended", [True, False], ids=["without versions", "by hand"])
def test_of_a_deletion_that_needs_somebody_he_is_told_though_the_first_who_came_was_killed(*, suspended: bool) -> None:
    """Deletions under ApplyUpdates manual need a command, too."""
    for after in range(1, 16):
        world = UpdateWorld()
        world.run()
        version = world.verified_update()
        world.automatic, world.s3.buckets[LIVE].suspended = suspended, suspended
        world.delete(R)
        message = world.queue[-1]
        with suppress(KilledError):
            world.gate(Kill(after)).settle(message.arrival)
        world.deliver(message)
        world.run(30)
        assert world.messages(), after
        wanted = "put-bucket-versioning" if suspended else world.pointing_at(world.s3.buckets[LIVE].keys[R][-1].id)
        words = [wanted] if isinstance(wanted, str) else list(wanted.values())
        assert all(word in world.messages()[-1] for word in words), after
        assert world.messages()[-1].endswith(world.report(R, version)["in_force"]["because"])


def test_what_is_deleted_before_anybody_applies_it_waits_for_nobody() -> None:
    world = UpdateWorld()
    world.automatic = False
    world.run()
    version = world.drop(R, V0)
    world.run(2)
    world.delete_and_settle(R)
    assert world.rest(), "nothing waits for ever"
    assert world.named(R).stage == "removed"
    assert world.report(R, version)["outcome"] == "removed"


def test_what_has_the_bytes_that_are_in_force_needs_nobody() -> None:
    world = UpdateWorld()
    world.run()
    world.verified_update()
    world.automatic = False
    again = world.drop(R, V0)
    assert world.rest(), "nothing waits for ever"
    assert world.report(R, again)["in_force"]["state"] == "verified"
