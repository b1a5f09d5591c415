"""A guard of updates that is taken out is missed: by the walk of two actors, or by the scene that it is there for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from jetway.diagnosis.attribution import digests
from jetway.promotion import rollout
from jetway.promotion.reports import amend_report
from jetway.updates import calls as update_calls
from jetway.updates import completion as update_ends
from jetway.updates import context as update_hand
from jetway.updates import idle as update_idle
from jetway.updates import outlook as update_outlook
from jetway.updates import plan as update_plan
from jetway.updates.record import UpdateRecord
from jetway.updates.revert import Undo
from jetway.verification import update_verifier

from . import test_update_files as files
from . import test_update_people as people
from . import test_update_scenes as scenes
from . import update_scenes as at
from .update_scenes import moment
from .update_stage import with_a_broken_update
from .update_world import UpdateWorld
from .walker import walk

Patch = pytest.MonkeyPatch
Prepare = Callable[[UpdateWorld], None]


def any_update_is_ours(patch: Patch) -> None:
    patch.setattr(UpdateRecord, "is_ours", lambda record, facts: facts.last_update_at != record.last_update_at)


def forgets_what_is_owed(patch: Patch) -> None:
    idle = UpdateRecord.idle
    patch.setattr(UpdateRecord, "idle", lambda record, **more: replace(idle(record, **more), owed={}))
    patch.setattr(Undo, "known_bad", lambda *_: None)  # by which it is found all the same


def does_not_see_who_points_elsewhere(patch: Patch) -> None:
    patch.setattr(update_plan, "_drifted", lambda *_: ())


def verifies_what_is_not_in_force(patch: Patch) -> None:
    patch.setattr(update_plan, "_verifying", lambda record, facts, now: update_plan.Plan("nothing"))
    patch.setattr(update_verifier, "in_force", lambda facts, key: None)
    patch.setattr(update_verifier, "place_of", lambda live: None)
    does_not_see_who_points_elsewhere(patch)  # by which it is found all the same


def a_report_says_what_comes_last(patch: Patch) -> None:
    def say(s3: Any, drop_bucket: str, key: str, live: Any, step: Any) -> None:
        amend_report(s3, drop_bucket, key, live.source.removeprefix("deleted-"), {"in_force": step.as_dict()})

    patch.setattr(rollout, "say", say)
    patch.setattr(update_hand, "say", say)


WALKS: dict[str, tuple[Callable[[Patch], None], Prepare, str, str]] = {
    "only ours is ours": (any_update_is_ours, at.waits, "apply", "option fails"),
    "what is owed outlives the update": (forgets_what_is_owed, at.undo, "apply", "option"),
    "what somebody points elsewhere is seen": (does_not_see_who_points_elsewhere, at.looked_good, "look", "theirs"),
    "what is not in force is not verified": (verifies_what_is_not_in_force, at.looked_good, "look", "theirs"),
    "the last fate stays": (a_report_says_what_comes_last, at.failed, "delete", "apply"),
}


@pytest.mark.slow
@pytest.mark.parametrize("guard", WALKS)
def test_the_walk_misses_it(guard: str, monkeypatch: Patch) -> None:
    take_out, prepare, first, second = WALKS[guard]
    assert not walk(moment(prepare), first, second).broken
    take_out(monkeypatch)
    assert walk(moment(prepare), first, second).broken


def a_refusal_is_a_verdict(patch: Patch) -> None:
    patch.setattr(update_calls, "REFUSED_FOR_GOOD", 1)


def nothing_comes(patch: Patch) -> None:
    patch.setattr(update_outlook, "modules_come", lambda standings: False)
    patch.setattr(update_verifier, "modules_come", lambda standings: False)


def what_an_update_left_behind_does_not_wait(patch: Patch) -> None:
    waiting = update_plan.waiting

    def only(standings: Mapping[str, Any]) -> Any:
        return waiting({key: each for key, each in standings.items() if each and each.stage == "waiting"})

    patch.setattr(update_plan, "waiting", only)


def the_way_back_fails_once_for_good(patch: Patch) -> None:
    patch.setattr(update_hand, "FAILED_FOR_GOOD", 1)


def what_was_broken_before_is_known(patch: Patch) -> None:
    claim = update_idle.IdleActs.claim

    def fresh(acts: Any, plan: Any) -> Any:
        record = claim(acts, plan)
        return record and acts.records.put(replace(record, baseline=digests(acts.turn.errors())))

    patch.setattr(update_idle.IdleActs, "claim", fresh)


def silence_is_no_problem(patch: Patch) -> None:
    patch.setattr(update_ends, "broken_since", lambda record, now: False)


def everything_is_an_update(patch: Patch) -> None:
    patch.setattr(update_idle.IdleActs, "_settled", lambda acts, key, live: False)


SCENES: dict[str, tuple[Callable[[Patch], None], Callable[..., None], dict[str, Any]]] = {
    "refused once": (a_refusal_is_a_verdict, scenes.test_a_refusal_for_an_update_that_has_just_ended_is_no_verdict, {}),
    "what comes may heal": (
        nothing_comes,
        files.test_a_file_waits_for_the_requirements_that_wait,
        {"minute": 20, "look_first": False},
    ),
    "left behind": (
        what_an_update_left_behind_does_not_wait,
        scenes.test_a_standing_that_an_earlier_version_left_behind_is_taken_up,
        {"stage": "updating"},
    ),
    "again": (the_way_back_fails_once_for_good, scenes.test_a_way_back_that_fails_is_tried_again, {"times": 1}),
    "as bad": (what_was_broken_before_is_known, people.test_a_fix_that_is_as_bad_leads_back_to_what_worked, {}),
    "silent": (
        silence_is_no_problem,
        scenes.test_an_update_that_silences_airflow_is_undone_and_does_not_lock_the_fix_out,
        {},
    ),
    "no need": (everything_is_an_update, people.test_the_bytes_that_terraform_has_in_force_need_no_update, {}),
}


@pytest.mark.parametrize("guard", SCENES)
def test_the_scene_misses_it(guard: str, monkeypatch: Patch) -> None:
    take_out, scene, more = SCENES[guard]
    if "broken" in scene.__code__.co_varnames[: scene.__code__.co_argcount]:
        world = UpdateWorld()
        more = {**more, "broken": (world, with_a_broken_update(world))}
    else:
        more = {**more, "world": UpdateWorld()}
    take_out(monkeypatch)
    with pytest.raises(AssertionError):
        scene(**more)
