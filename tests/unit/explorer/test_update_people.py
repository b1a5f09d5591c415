"""What people and Terraform put in force, what is told, and updates that nobody needs."""

from __future__ import annotations

import contextlib
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from jsonschema import Draft202012Validator

from jetway.updates.record import UpdateRecord
from tests.unit.batches.world import Kill, KilledError

from .promotion_world import DROP, MINUTE
from .update_stage import OPTION, PLUGINS, V0, V1, P, R, goes_back, is_innocent
from .update_world import NO_MODULE, UpdateWorld, requirements

# -------------------------------------------------------------------------------- reports and people


def test_a_deletion_that_is_undone_leaves_the_report_of_what_is_in_force(world: UpdateWorld) -> None:
    version = world.verified_update()
    world.delete_and_settle(R)
    assert world.report(R, version)["outcome"] == "removed"
    world.airflow.broken = lambda: (
        {"team/orders.py": NO_MODULE.format("humanize")} if world.in_force() not in {None, V0} else {}
    )
    world.rest()
    assert world.in_force() == V0
    report = world.report(R, version)
    assert (report["outcome"], report["in_force"]["state"]) == ("promoted", "verified")
    assert "deletion" in report["in_force"]["because"]


@pytest.mark.parametrize("truth", ["breaks", "fails"])
def test_the_report_of_what_is_in_force_again_says_so_though_it_was_the_newest_once_more(
    world: UpdateWorld, truth: str
) -> None:
    """Somebody deletes the bad version by its id, before it is found to be bad."""
    version = world.verified_update()
    bad = world.drop(R, requirements(truth, "pytz==2024.1"))
    world.run(26)
    world.s3.delete_object(Bucket=DROP, Key=R, VersionId=bad)
    world.rest()
    assert world.in_force() == V0
    report = world.report(R, version)
    assert (report["outcome"], report["in_force"]["state"]) == ("promoted", "verified")


def test_a_deletion_whose_update_fails_leaves_the_report_of_what_is_in_force(world: UpdateWorld) -> None:
    version = world.verified_update()
    world.mwaa.fails = lambda changes: "Timed out."
    world.delete_and_settle(R)
    world.rest()
    assert world.in_force() == V0
    assert world.report(R, version)["outcome"] == "promoted"


def test_what_a_person_put_in_force_meanwhile_is_told_before_ours_goes_over_it(world: UpdateWorld) -> None:
    world.verified_update()
    world.mwaa.somebody(OPTION | world.by_hand(b"theirs\n"))
    version = world.drop(R, V1)
    is_innocent(world, version, V1)
    told = [news for news in world.news if news.event.detail_type == "ArtifactOvertaken"]
    assert [news.event.detail["next"] for news in told] == ["updates-again"]
    assert "terraform/requirements.txt" in (told[0].message or "")


def test_what_a_person_puts_in_force_at_rest_is_told_and_left_alone(world: UpdateWorld) -> None:
    version = world.verified_update()
    world.mwaa.somebody(world.by_hand(b"theirs\n"))
    world.run(40)
    assert world.in_force() == b"theirs\n"
    told = [news for news in world.news if news.event.detail_type == "ArtifactOvertaken"]
    assert [news.event.detail["next"] for news in told] == ["left-alone"]
    assert world.report(R, version)["in_force"]["state"] == "replaced-by-hand"
    assert world.rolled_back() == ()
    newer = world.drop(R, V1)
    is_innocent(world, newer, V1)


def test_who_points_back_at_ours_has_it_verified(world: UpdateWorld) -> None:
    version = world.verified_update()
    ours = world.pointing_at(world.mwaa.described["RequirementsS3ObjectVersion"])
    world.mwaa.somebody(world.by_hand(b"theirs\n"))
    world.run(40)
    assert world.named(R).stage == "by-hand"
    world.mwaa.somebody(ours)
    is_innocent(world, version, V0)
    assert len(world.mwaa.asked) == 1, "nobody has asked Jetway for an update"


def test_terraform_that_sets_ours_back_is_told(world: UpdateWorld) -> None:
    """It has our first version pinned, and runs when ours has just ended."""
    world.verified_update()
    pinned = world.pointing_at(world.mwaa.described["RequirementsS3ObjectVersion"])
    version = world.drop(R, V1)
    world.run()
    world.now += timedelta(minutes=25)
    world.mwaa.somebody(pinned)
    is_innocent(world, version, V1)
    told = [news.event.detail["next"] for news in world.news if news.event.detail_type == "ArtifactOvertaken"]
    assert told == ["updates-again"]


def test_a_way_back_that_an_earlier_version_forgot_is_taken_up(world: UpdateWorld) -> None:
    world.verified_update()
    bad = world.drop(R, requirements("breaks"))
    world.run(60, until=lambda: world.in_force() == requirements("breaks"))
    world.mwaa.fails = lambda changes: "Timed out."
    world.run(40)
    assert world.in_force() == requirements("breaks")
    record = world.records.get()
    world.records.put(UpdateRecord(revision=record.revision))
    world.mwaa.fails = lambda changes: None
    goes_back(world, bad)


@pytest.mark.parametrize("after", range(1, 12))
def test_killed_while_it_is_called_good_it_is_good(world: UpdateWorld, after: int) -> None:
    version = world.verified_update()
    newer = world.drop(R, V1)
    world.run(60, until=lambda: world.records.get().phase == "verifying")
    world.run(60, until=lambda: world.records.get().due_at is not None and len(world.mwaa.asked) == 2 and _over(world))
    world.now += MINUTE
    with contextlib.suppress(KilledError):
        world.look(Kill(after))
    judged_good = world.records.get().phase != "verifying"
    world.airflow.errors = {"team/orders.py": NO_MODULE.format("humanize")}
    world.rest()
    standing = world.named(R)
    assert standing.live is not None
    assert standing.live.source == (newer if judged_good else version)
    assert standing.live.version_id == world.mwaa.described["RequirementsS3ObjectVersion"]


def _over(world: UpdateWorld) -> bool:
    ended_at = world.records.get().ended_at
    return ended_at is not None and world.now >= ended_at + timedelta(seconds=390) - MINUTE


# -------------------------------------------------------------------------------- no update without need


def test_what_was_deleted_before_it_was_in_force_needs_no_update(world: UpdateWorld) -> None:
    world.quiet = 2 * MINUTE
    version = world.drop(R, V1)
    world.run()
    world.delete_and_settle(R)
    assert world.rest()
    assert world.mwaa.attempts == []
    assert world.named(R).stage == "removed"
    assert world.report(R, version)["outcome"] == "removed"


def test_a_deletion_does_not_touch_what_somebody_put_in_force(world: UpdateWorld) -> None:
    world.quiet = 2 * MINUTE
    world.mwaa.somebody(world.by_hand(b"theirs\n"))
    world.run(30)
    world.drop(R, V1)
    world.delete_and_settle(R)
    assert world.rest()
    assert world.in_force() == b"theirs\n"
    assert world.mwaa.attempts == []


def test_the_bytes_that_terraform_has_in_force_need_no_update(world: UpdateWorld) -> None:
    world.mwaa.somebody(world.by_hand(V1))
    world.run(30)
    version = world.drop(R, V1)
    is_innocent(world, version, V1)
    assert world.mwaa.attempts == []


@pytest.mark.parametrize("after", range(1, 5))
def test_the_last_word_on_the_same_bytes_is_written_though_s3_is_in_trouble(world: UpdateWorld, after: int) -> None:
    """It was taken up at once, and nothing comes that would write it again."""
    world.verified_update()
    version = world.drop(R, V0)
    put, writes = world.s3.put_object, []

    def in_trouble(**arguments: Any) -> Any:
        writes.append(arguments["Key"])
        if len(writes) == after:
            raise ClientError({"Error": {"Code": "SlowDown", "Message": "Reduce your request rate"}}, "PutObject")
        return put(**arguments)

    world.s3.put_object = in_trouble  # type: ignore[method-assign]
    is_innocent(world, version, V0)
    assert len(world.mwaa.asked) == 1


def test_a_fix_that_waits_goes_instead_of_the_way_back(world: UpdateWorld) -> None:
    world.verified_update()
    bad = world.drop(R, requirements("breaks"))
    world.run(10)
    fix = world.drop(R, V1)
    is_innocent(world, fix, V1)
    assert world.rolled_back() == (bad,)
    assert len(world.mwaa.asked) == 3, "v0, the bad one, the fix"
    assert world.report(R, bad)["outcome"] == "rolled-back"


def test_a_fix_that_is_as_bad_leads_back_to_what_worked(world: UpdateWorld) -> None:
    """What the first one has broken is not what there was before the second."""
    world.verified_update()
    first = world.drop(R, requirements("breaks"))
    world.run(10)
    second = world.drop(R, requirements("breaks", "pytz==2024.2"))
    assert world.rest()
    assert world.rolled_back() == (first, second)
    assert world.in_force() == V0
    assert world.named(R).stage == "rolled-back"


def test_the_way_back_takes_along_what_waits(world: UpdateWorld) -> None:
    world.verified_update()
    world.drop(R, requirements("breaks"))
    world.run(10)
    other = world.drop(P, PLUGINS)
    is_innocent(world, other, PLUGINS, P)
    assert world.in_force() == V0
    assert len(world.mwaa.asked) == 3


# -------------------------------------------------------------------------------- deletion and upload


def test_a_deletion_whose_gate_died_takes_out_what_was_copied(world: UpdateWorld) -> None:
    world.verified_update()
    version = world.upload(R, V1)
    arrival = world.queue.pop()
    with contextlib.suppress(KilledError):
        world.gate(Kill(6)).settle(arrival.arrival)
    world.delete_and_settle(R)
    world.queue.append(arrival)
    assert world.rest()
    assert world.in_force() == b"# There are no requirements.\n"
    assert version not in world.rolled_back()


# -------------------------------------------------------------------------------- what is told


SCHEMAS = Path(__file__).resolve().parents[3] / "docs" / "schemas"


def test_what_is_told_of_updates_conforms_to_its_schema(world: UpdateWorld) -> None:
    world.verified_update()
    world.mwaa.somebody(world.by_hand(b"theirs\n"))
    world.run(30)
    world.drop(R, V1)
    world.mwaa.denied = True
    world.run(3)
    told = {"ArtifactOvertaken", "EnvironmentUpdateStalled"}
    for news in world.news:
        schema = json.loads((SCHEMAS / f"{news.event.detail_type}.json").read_text())
        assert schema["title"] == news.event.detail_type
        Draft202012Validator(schema).validate({"id": news.event.id, **news.event.detail})
    assert told <= world.told_types()
