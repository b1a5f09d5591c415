"""What is said of an update by its steps, in the report and to a person: what it waits for, and what came of it."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any, NoReturn

import pytest
from botocore.exceptions import EndpointConnectionError

from jetway.errors import TransientError
from jetway.updates.plan import SILENT_AFTER_UPDATE, SILENT_BEFORE_UPDATE
from jetway.updates.revert import Undo
from jetway.updates.steps import UpdateStep
from tests.unit.batches.world import KilledError
from tests.unit.explorer.promotion_world import DROP, LIVE, MINUTE, VERIFY_AFTER
from tests.unit.explorer.update_scenes import silent
from tests.unit.explorer.update_stage import V0, V1, R, with_a_broken_update
from tests.unit.explorer.update_world import UpdateWorld

TAKES = timedelta(minutes=25)  # an update


@pytest.fixture
def world() -> UpdateWorld:
    return UpdateWorld()


def undo_of(world: UpdateWorld) -> Undo:
    s3: Any = world.s3
    return Undo(
        s3=s3,
        standings=world.table,
        tell=world.news.append,
        environment="acme",
        drop_bucket=DROP,
        automatic=world.automatic,
        worker_replacement="GRACEFUL",
        clock=lambda: world.now,
    )


def steps(world: UpdateWorld) -> list[UpdateStep]:
    """Invoke apply_updates once, and return all that it says of what it did."""
    undo = undo_of(world)
    done: list[UpdateStep] = []
    with suppress(TransientError):
        world.updates().advance(world.airflow.list_import_errors, undo, VERIFY_AFTER, world.quiet, on_step=done.append)
    return done


def instead(world: UpdateWorld, error: BaseException) -> None:
    """Have the next call of UpdateEnvironment end like that, before it has come to MWAA."""

    def call(**_: Any) -> NoReturn:
        del world.mwaa.update_environment
        raise error

    setattr(world.mwaa, "update_environment", call)  # noqa: B010 - for the one instance


def test_what_begins_names_what_it_changes(world: UpdateWorld) -> None:
    version = world.drop(R, V1)
    (step,) = steps(world)
    (asked,) = world.mwaa.asked
    assert (step.step, step.artifacts, step.changes) == ("begun", {R: version}, asked)


def test_a_right_that_is_missing_is_named_wherever_one_looks(world: UpdateWorld) -> None:
    version = world.drop(R, V1)
    world.mwaa.denied = True
    (step,) = steps(world)
    assert (step.step, step.artifacts) == ("stalled", {R: version})
    said = world.report(R, version)["in_force"]
    for words in (step.because, said["because"], world.messages()[-1], world.records.get().trouble_words):
        assert "airflow:UpdateEnvironment" in words
    assert (said["state"], said["until"]) == ("waiting", None)


def test_a_call_that_does_not_reach_mwaa_is_told_at_once_and_is_no_throttling(world: UpdateWorld) -> None:
    """Of throttling a person hears when it lasts for an hour."""
    world.drop(R, V1)
    instead(world, EndpointConnectionError(endpoint_url="https://api.airflow.eu-central-1.amazonaws.com"))
    assert [step.step for step in steps(world)] == ["stalled"]
    event = world.news[-1].event
    assert (event.detail_type, event.detail["reason"]) == ("EnvironmentUpdateStalled", "environment-unusable")
    world.run()
    assert len(world.mwaa.asked) == 1, "and it is asked again"


def test_of_an_update_that_is_shown_late_it_is_known_that_it_was_ours_when_it_fails(world: UpdateWorld) -> None:
    world.verified_update()
    bad = world.drop(R, V1)
    world.mwaa.fails = lambda _changes: "It could not be installed."
    world.mwaa.lag = timedelta(minutes=2)
    world.run()
    assert world.records.get().ours_at is None
    world.run(3)
    assert world.records.get().ours_at == world.mwaa.updates[-1].at
    world.run(30)
    assert (world.rolled_back(), world.in_force(), len(world.mwaa.asked)) == ((bad,), V0, 2)


def test_one_whose_function_died_before_its_call_is_asked_for_again(world: UpdateWorld) -> None:
    version = world.drop(R, V1)
    instead(world, KilledError())
    with pytest.raises(KilledError):
        steps(world)
    world.now += MINUTE
    assert [step.step for step in steps(world)] == ["held"], "it may have been made"
    world.now += MINUTE
    assert [(step.step, step.artifacts) for step in steps(world)] == [("begun", {R: version})]


def test_bounds_that_mwaa_does_not_show_yet_are_not_taken_for_the_update_before(world: UpdateWorld) -> None:
    world.verified_update()
    before = world.records.get()
    assert (before.ours_at, before.source) == (world.mwaa.updates[-1].at, "customer")
    world.mwaa.lag = MINUTE
    assert world.updates().scale(world.facts(), 2, 12) == "begun"
    now = world.records.get()
    assert (now.phase, now.ours_at, now.source) == ("updating", None, None)


@pytest.fixture
def owed(world: UpdateWorld) -> str:
    """v1 is given up, and in force until somebody goes back: ApplyUpdates is manual."""
    bad = with_a_broken_update(world)
    world.automatic = False
    world.now += MINUTE
    world.look()
    assert [step.step for step in steps(world)] == ["held"]
    assert world.in_force() == V1
    return bad


def test_who_goes_back_as_the_message_says_has_undone_it(world: UpdateWorld, owed: str) -> None:
    good = world.named(R).live
    assert good is not None
    world.mwaa.somebody(world.pointing_at(good.version_id))
    world.now += TAKES
    assert steps(world) == [UpdateStep("undone", {R: owed})]


def test_who_puts_something_else_there_is_told_of_in_the_same_minute(world: UpdateWorld, owed: str) -> None:
    good = world.named(R).live
    assert good is not None
    world.mwaa.somebody(world.by_hand(b"pytz\n"))
    world.now += TAKES
    assert steps(world) == [
        UpdateStep("undone", {R: owed}, "the environment has been changed outside Jetway."),
        UpdateStep("overtaken", {R: good.source}),
    ]


def has_failed(world: UpdateWorld, times: int) -> bool:
    return world.steps.count("undo-failed") == times


def test_a_way_back_that_fails_is_tried_three_times_before_a_person_has_to(world: UpdateWorld) -> None:
    bad = with_a_broken_update(world)
    world.mwaa.fails = lambda _changes: "The network is down."
    for failed in (1, 2, 3):
        assert not [news for news in world.news if news.event.detail_type == "EnvironmentUpdateStalled"]
        world.run(60, until=partial(has_failed, world, failed))
        debt = world.records.get().owed[R]
        assert (debt.bad.source, debt.failed, debt.told) == (bad, failed, failed == 3)
    assert "To do: restore the previous version" in world.messages()[-1]
    assert "aws mwaa update-environment --name acme --requirements-s3-path" in world.messages()[-1]


def test_a_way_back_that_mwaa_refuses_for_good_is_a_persons(world: UpdateWorld) -> None:
    bad = with_a_broken_update(world)
    world.mwaa.refuses = lambda _changes: "The path is not valid."
    world.run(60, until=partial(has_failed, world, 1))
    debt = world.records.get().owed[R]
    assert (debt.bad.source, debt.told) == (bad, True)
    assert debt.because.endswith("The path is not valid.")
    assert "aws mwaa update-environment --name acme --requirements-s3-path" in world.messages()[-1]
    assert world.records.get().phase == "idle"


def test_an_airflow_that_is_silent_after_an_update_is_its_fault(world: UpdateWorld) -> None:
    """Nobody else looks then: an Airflow that does not answer shows no import error."""
    silent(world)
    assert [step.step for step in steps(world)] == []
    assert world.records.get().trouble == "airflow-silent"
    world.now += SILENT_AFTER_UPDATE
    assert steps(world)[0].step == "silent"
    assert world.rest()
    assert world.in_force() == V0


def test_an_airflow_that_is_silent_before_an_update_holds_it_for_a_quarter_of_an_hour(world: UpdateWorld) -> None:
    """The update may be what brings it back."""
    world.airflow.silent = lambda: True
    world.drop(R, V1)
    assert steps(world) == []
    assert world.records.get().trouble == "airflow-silent"
    world.now += SILENT_BEFORE_UPDATE - MINUTE
    assert steps(world) == []
    world.now += MINUTE
    assert [step.step for step in steps(world)] == ["begun"]


def test_who_points_the_environment_at_what_was_given_up_is_taken_back_from_it(world: UpdateWorld) -> None:
    """The way back may have been forgotten: a version that did not work is nobody's wish."""
    bad = with_a_broken_update(world)
    (copy,) = [each.id for each in world.s3.buckets[LIVE].keys[R] if each.body == V1]
    assert world.rest()
    good = world.named(R).live
    assert good is not None
    assert world.in_force() == V0
    world.mwaa.somebody(world.pointing_at(copy))
    world.now += TAKES
    steps(world)
    debt = world.records.get().owed[R]
    assert (debt.bad.source, debt.back) == (bad, (R, good.version_id))
    assert world.rest()
    assert world.in_force() == V0


def test_the_empty_file_is_put_there_once(world: UpdateWorld) -> None:
    """Whoever died after it goes on with the same one."""
    world.drop(R, V1)
    bad = world.named(R).live
    assert bad is not None
    first, second = undo_of(world).nothing(R, bad), undo_of(world).nothing(R, bad)
    assert first.version_id == second.version_id
    assert [each.body for each in world.s3.buckets[LIVE].keys[R]] == [V1, b"# There are no requirements.\n"]
