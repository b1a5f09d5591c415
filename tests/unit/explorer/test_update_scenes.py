"""Updates beside those of others, with refusals, lost answers, and a silent Airflow."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from jetway.updates.apply import RefusedError
from tests.unit.batches.world import Kill, KilledError, Meddling

from .promotion_world import MINUTE
from .update_stage import OPTION, PLUGINS, V0, V1, V2, P, R, broken_by, goes_back, is_innocent
from .update_world import UpdateWorld, plugins, requirements

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
