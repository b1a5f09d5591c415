"""Updates beside those of others, with refusals, lost answers, missing rights and a silent Airflow."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from jetway.live.update_record import UpdateRecord
from jetway.updates import RefusedError
from tests.unit.batches.world import Kill, KilledError, Meddling

from .promotion_world import LIVE, MINUTE
from .update_world import NO_MODULE, UpdateWorld, plugins, requirements

R, P = "requirements.txt", "plugins.zip"
V0, V1, V2 = requirements(), requirements(pin="pytz==2024.1"), requirements("brings humanize", "tabulate==0.9.0")
OPTION: dict[str, Any] = {"AirflowConfigurationOptions": {"core.parallelism": "64"}}
PLUGINS = plugins()
NEEDS_HUMANIZE = b"# needs humanize\nfrom airflow.sdk import DAG\nimport humanize\nwith DAG('orders'):\n    pass\n"


@pytest.fixture
def world() -> UpdateWorld:
    return UpdateWorld()


def broken_by(world: UpdateWorld, *bad: bytes, file: str = "team/orders.py") -> None:
    """These requirements break a DAG file that is there."""
    world.airflow.broken = lambda: {file: NO_MODULE.format("humanize")} if world.in_force() in bad else {}


def is_innocent(world: UpdateWorld, version: str, body: bytes, key: str = R) -> None:
    """The version is in force and verified in the end, whatever came between."""
    world.rest()
    assert version not in world.rolled_back(key)
    assert world.in_force(key) == body
    standing = world.named(key)
    assert standing.live is not None
    assert (standing.stage, standing.live.source) == ("good", version)
    assert world.report(key, version)["in_force"]["state"] == "verified"


# -------------------------------------------------------------------------------- whose update it is


@pytest.mark.parametrize("answer", ["ThrottlingException", "unsent"])
def test_somebodys_update_after_a_call_that_came_to_nothing_is_not_ours(world: UpdateWorld, answer: str) -> None:
    world.verified_update()
    version = world.drop(R, V1)
    world.mwaa.answers = [answer]
    world.run()
    world.now += timedelta(seconds=20)
    world.mwaa.somebody(OPTION)
    is_innocent(world, version, V1)


@pytest.mark.parametrize("after", range(1, 13))
def test_killed_before_the_call_and_somebody_updates(world: UpdateWorld, after: int) -> None:
    world.verified_update()
    version = world.drop(R, V1)
    world.now += MINUTE
    with contextlib.suppress(KilledError):
        world.apply(Kill(after))
    world.now += timedelta(seconds=30)
    if world.mwaa.described["Status"] != "UPDATING":
        world.mwaa.somebody(OPTION, error="no such option")
    is_innocent(world, version, V1)


def test_an_update_right_after_ours_does_not_make_ours_a_failure(world: UpdateWorld) -> None:
    world.verified_update()
    version = world.drop(R, V1)
    world.run()
    world.now += timedelta(minutes=25)
    world.mwaa.somebody(world.by_hand(b"pytz\n"))
    world.rest()
    assert version not in world.rolled_back()
    assert world.in_force() == b"pytz\n", "theirs is left alone"
    assert any("terraform/requirements.txt" in message for message in world.messages())
    assert world.report(R, version)["in_force"]["state"] == "replaced-by-hand"


def test_bounds_that_somebody_sets_back_do_not_cost_the_requirements(world: UpdateWorld) -> None:
    version = world.drop(R, V1)
    assert world.updates().scale(world.facts(), 2, 12) == "goes-along"
    world.run()
    world.now += timedelta(minutes=25)
    world.mwaa.somebody({"MinWorkers": 1})
    is_innocent(world, version, V1)


def test_one_artifact_that_somebody_points_elsewhere_does_not_cost_the_other(world: UpdateWorld) -> None:
    version, other = world.drop(R, V1), world.drop(P, PLUGINS)
    world.run()
    world.now += timedelta(minutes=25)
    world.mwaa.somebody(world.by_hand(plugins(note="theirs"), P))
    is_innocent(world, version, V1)
    assert other not in world.rolled_back(P)
    assert world.named(P).stage != "good", "theirs is in force"


def test_the_verified_one_of_two_is_not_what_somebody_pointed_elsewhere(world: UpdateWorld) -> None:
    version, other = world.drop(R, V1), world.drop(P, PLUGINS)
    world.run(26)
    assert world.records.get().phase == "verifying"
    world.mwaa.somebody(world.by_hand(plugins(note="theirs"), P), takes=MINUTE)
    is_innocent(world, version, V1)
    assert world.named(P).stage != "good"
    assert other not in world.rolled_back(P)


def test_a_record_that_stood_still_for_a_day_blames_nobody_for_an_option(world: UpdateWorld) -> None:
    world.verified_update()
    version = world.drop(R, V1)
    world.mwaa.denied = True
    world.run(60)
    world.now += timedelta(days=1)
    world.mwaa.somebody(OPTION)
    world.run(30)
    world.mwaa.denied = False
    is_innocent(world, version, V1)


def test_an_update_of_ours_that_fails_is_a_verdict(world: UpdateWorld) -> None:
    world.verified_update()
    bad = world.drop(R, V1)
    world.mwaa.fails = lambda changes: "Requirements could not be installed in time."
    world.rest()
    assert world.rolled_back() == (bad,)
    assert world.in_force() == V0
    assert world.report(R, bad)["outcome"] == "rolled-back"
    assert len(world.mwaa.asked) == 2


# -------------------------------------------------------------------------------- the way back


def goes_back(world: UpdateWorld, bad: str) -> None:
    world.rest()
    assert world.rolled_back() == (bad,)
    assert world.in_force() == V0
    assert world.named(R).stage == "rolled-back"
    report = world.report(R, bad)
    assert (report["outcome"], report.get("in_force")) == ("rolled-back", None)


@pytest.fixture
def broken(world: UpdateWorld) -> tuple[UpdateWorld, str]:
    """v1 is in force, and the next look finds what it has broken."""
    world.verified_update()
    bad = world.drop(R, V1)
    broken_by(world, V1)
    world.run(27)
    assert world.in_force() == V1
    assert world.records.get().phase == "verifying"
    return world, bad


@pytest.mark.parametrize("after", range(1, 22))
def test_somebodys_update_between_two_calls_does_not_lose_the_way_back(
    broken: tuple[UpdateWorld, str], after: int
) -> None:
    world, bad = broken
    world.now += MINUTE
    world.look()
    assert world.records.get().phase == "undo"

    def meddle() -> None:
        if world.mwaa.described["Status"] != "UPDATING":
            world.mwaa.somebody(OPTION)

    world.apply(Meddling(after, meddle))
    goes_back(world, bad)


@pytest.mark.parametrize("answer", ["ThrottlingException", "unsent", "lost", "AccessDeniedException"])
def test_a_call_that_came_to_nothing_and_somebodys_update_do_not_lose_the_way_back(
    broken: tuple[UpdateWorld, str], answer: str
) -> None:
    world, bad = broken
    world.mwaa.answers = [answer]
    world.run(until=lambda: not world.mwaa.answers, minutes=9)
    world.now += timedelta(seconds=20)
    if world.mwaa.described["Status"] != "UPDATING":
        world.mwaa.somebody(OPTION)
    goes_back(world, bad)


def test_a_way_back_that_is_refused_is_not_called_live(broken: tuple[UpdateWorld, str]) -> None:
    world, bad = broken
    world.mwaa.refuses = lambda changes: "The bucket cannot be read."
    world.run(60)
    assert world.in_force() == V1
    assert not [message for message in world.messages() if "live again" in message]
    assert any("aws mwaa update-environment" in message for message in world.messages()), "a person can do it"
    world.mwaa.refuses = lambda changes: None
    world.mwaa.somebody({"RequirementsS3ObjectVersion": world.named(R).live.version_id})  # type: ignore[union-attr]
    goes_back(world, bad)


@pytest.mark.parametrize("times", [1, 2])
def test_a_way_back_that_fails_is_tried_again(broken: tuple[UpdateWorld, str], times: int) -> None:
    world, bad = broken
    back_at: list[int] = []

    def fails(changes: object) -> str | None:
        back_at.append(1)
        return "Timed out." if len(back_at) <= times else None

    world.mwaa.fails = fails
    goes_back(world, bad)


def test_a_way_back_that_fails_for_ever_is_told_with_the_command(broken: tuple[UpdateWorld, str]) -> None:
    world, _ = broken
    world.mwaa.fails = lambda changes: "Timed out."
    world.run(180)
    assert world.in_force() == V1
    assert 2 <= len(world.mwaa.asked) - 2 <= 4, "not without end"
    assert any("aws mwaa update-environment" in message and "Timed out." in message for message in world.messages())
    world.mwaa.fails = lambda changes: None
    broken_by(world)
    fix = world.drop(R, V2)
    is_innocent(world, fix, V2)


# -------------------------------------------------------------------------------- nothing stands still


@pytest.mark.parametrize("after", range(1, 20))
def test_refused_for_somebodys_update_and_killed_anywhere_it_begins_later(world: UpdateWorld, after: int) -> None:
    version = world.drop(R, V1)

    class Busy(Kill):
        def count(self, name: str) -> None:
            if name == "put_item" and world.mwaa.described["Status"] != "UPDATING":
                world.mwaa.somebody(OPTION)
            super().count(name)

    world.now += MINUTE
    with contextlib.suppress(KilledError):
        world.apply(Busy(after))
    is_innocent(world, version, V1)


@pytest.mark.parametrize("stage", ["updating", "verifying"])
def test_a_standing_that_an_earlier_version_left_behind_is_taken_up(world: UpdateWorld, stage: Any) -> None:
    version = world.drop(R, V1)
    world.table.put(replace(world.named(R), stage=stage, due_at=None))
    is_innocent(world, version, V1)


def test_bounds_that_are_refused_do_not_starve_artifacts(world: UpdateWorld) -> None:
    world.mwaa.refuses = lambda changes: "too many workers" if "MaxWorkers" in changes else None
    version = world.drop(R, V1)
    for _ in range(20):
        with contextlib.suppress(RefusedError):
            world.updates().scale(world.facts(), 2, 99)
        world.run()
    assert world.mwaa.updates, "the artifacts went alone"
    is_innocent(world, version, V1)


# -------------------------------------------------------------------------------- refusals


def test_a_refusal_for_an_update_that_has_just_ended_is_no_verdict(world: UpdateWorld) -> None:
    """Their update begins after our look and ends before the next one."""
    world.verified_update()
    version = world.drop(R, V1)
    once = ["Environment is in UPDATING state"]
    world.mwaa.refuses = lambda changes: once.pop() if once else None
    is_innocent(world, version, V1)


def test_a_refusal_while_the_environment_looks_usable_is_no_verdict(world: UpdateWorld) -> None:
    world.verified_update()
    version = world.drop(R, V1)
    world.mwaa.somebody(OPTION)
    world.mwaa.lag = timedelta(seconds=90)
    world.run(2)
    world.mwaa.lag = timedelta()
    is_innocent(world, version, V1)


@pytest.mark.parametrize("lag", [5, 60, 90, 200])
def test_an_environment_that_is_told_late_costs_nobody(world: UpdateWorld, lag: int) -> None:
    world.verified_update()
    world.mwaa.lag = timedelta(seconds=lag)
    version = world.drop(R, V1)
    is_innocent(world, version, V1)
    assert len(world.mwaa.asked) == 2, "it is asked for once"


def test_an_update_that_shows_before_its_status_is_no_failure(world: UpdateWorld) -> None:
    world.verified_update()
    version = world.drop(R, V1)
    world.run()
    at, began = world.mwaa.told[-2]
    world.mwaa.told.insert(-2, (at, began | {"Status": "AVAILABLE"}))
    world.mwaa.told[-2] = (at + 2 * MINUTE, began)
    is_innocent(world, version, V1)


def test_what_is_refused_time_and_again_is_given_up_with_its_words(world: UpdateWorld) -> None:
    bad = world.drop(P, PLUGINS)
    world.mwaa.refuses = lambda changes: "The plugins file is not readable by the execution role."
    world.rest()
    assert world.rolled_back(P) == (bad,)
    assert len(world.mwaa.attempts) == 3
    assert world.mwaa.attempts[-1] - world.mwaa.attempts[0] >= timedelta(minutes=5), "well apart"
    assert "not readable by the execution role" in world.messages()[-1]


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


# -------------------------------------------------------------------------------- a silent Airflow


def test_an_update_that_silences_airflow_is_undone_and_does_not_lock_the_fix_out(world: UpdateWorld) -> None:
    world.verified_update()
    bad = world.drop(R, V1)
    world.airflow.silent = lambda: world.in_force() == V1
    world.run(26)
    assert world.in_force() == V1
    world.run(40)
    assert world.rolled_back() == (bad,)
    world.rest()
    assert world.in_force() == V0
    fix = world.drop(R, V2)
    is_innocent(world, fix, V2)


def test_a_moment_of_silence_undoes_nothing(world: UpdateWorld) -> None:
    world.verified_update()
    version = world.drop(R, V1)
    world.run(26)
    until = world.now + timedelta(minutes=15)
    world.airflow.silent = lambda: world.now < until
    is_innocent(world, version, V1)


def test_an_airflow_that_is_silent_before_an_update_holds_the_fix_up_for_a_quarter_of_an_hour(
    world: UpdateWorld,
) -> None:
    world.verified_update()
    world.airflow.silent = lambda: world.in_force() != V2
    version = world.drop(R, V2)
    world.run(10)
    assert len(world.mwaa.asked) == 1
    is_innocent(world, version, V2)


# -------------------------------------------------------------------------------- lost answers


@pytest.mark.parametrize("truth", ["works", "fails"])
def test_an_update_whose_answer_is_lost_is_judged_by_what_is_in_force(world: UpdateWorld, truth: str) -> None:
    world.verified_update()
    world.airflow.errors = {"old.py": "Traceback...\nKeyError: 'old'\n"}  # nobody has looked since
    version = world.drop(R, requirements(truth, "pytz==2024.1"))
    world.mwaa.answers = ["lost"]
    world.rest()
    assert world.in_force() == (V0 if truth == "fails" else requirements(truth, "pytz==2024.1"))
    assert world.rolled_back() == ((version,) if truth == "fails" else ())
    assert len(world.mwaa.asked) <= 3, "what failed unseen is tried once more"


def test_a_call_that_never_reached_mwaa_is_made_again(world: UpdateWorld) -> None:
    version = world.drop(R, V1)
    world.mwaa.answers = ["unsent"]
    is_innocent(world, version, V1)
    assert len(world.mwaa.asked) == 1


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


# -------------------------------------------------------------------------------- clocks that differ


@pytest.mark.parametrize("truth", ["works", "fails"])
@pytest.mark.parametrize("minutes", [-30, 30])
def test_clocks_that_differ_cost_no_update_more(world: UpdateWorld, truth: str, minutes: int) -> None:
    """GetEnvironment is old for a while after the call, and MWAA's clock is another one."""
    world.verified_update()
    version = world.drop(R, requirements(truth, "pytz==2024.1"))
    world.mwaa.lag = timedelta(seconds=30)
    world.run()
    at, _ = world.mwaa.told[-2]
    for place in (-2, -1):
        when, described = world.mwaa.told[place]
        update = described["LastUpdate"] | {"CreatedAt": at + timedelta(minutes=minutes)}
        world.mwaa.told[place] = (when, described | {"LastUpdate": update})
    world.rest()
    assert world.rolled_back() == ((version,) if truth == "fails" else ())
    assert len(world.mwaa.asked) == 2
