"""Single steps of updates: what is asked for twice, given up for nothing, or counted wrong, shows here."""

from __future__ import annotations

from datetime import timedelta

from jetway.airflow.environment import parse_environment
from jetway.updates.revert import Undo
from jetway.updates.steps import UpdateStep
from tests.unit.artifacts.buckets import DROP, VERIFY_AFTER
from tests.unit.promotion.world import World
from tests.unit.updates.test_apply import PLUGINS, REQUIREMENTS, applied


def scaled(world: World, low: int, high: int) -> str:
    return world.updates().scale(parse_environment(world.mwaa.described), low, high)


def test_bounds_that_mwaa_does_not_show_yet_are_not_asked_for_again(world: World) -> None:
    before = dict(world.mwaa.described)
    assert scaled(world, 2, 12) == "begun"
    world.mwaa.described = before  # GetEnvironment shows an update some seconds after it was accepted
    assert scaled(world, 3, 15) == "held"
    assert [asked["MaxWorkers"] for asked in world.mwaa.asked] == [12]


def test_a_first_file_that_mwaa_refuses_leaves_nothing_behind(world: World) -> None:
    world.mwaa.refuses = "The plugins cannot be read."
    bad = world.drop("plugins.zip", PLUGINS)
    assert world.settle_update(7)[-1] == "failed"
    assert world.versions("plugins.zip") == (1, 0), "no empty plugins.zip is put on top: nothing has to be gone back to"
    standing = world.standing("plugins.zip")
    assert (standing.stage, standing.live, standing.rolled_back) == ("rolled-back", None, (bad,))


def steps(world: World) -> list[UpdateStep]:
    """Invoke apply_updates once, and return all that it says of what it did."""
    undo = Undo(
        s3=world.s3,
        standings=world.table,
        tell=world.news.append,
        environment="acme",
        drop_bucket=DROP,
        automatic=world.automatic,
        worker_replacement=world.worker_replacement,
        clock=lambda: world.now,
    )
    done: list[UpdateStep] = []
    world.updates().advance(world.airflow.list_import_errors, undo, VERIFY_AFTER, world.quiet, on_step=done.append)
    return done


def test_a_refused_update_names_what_it_was_to_bring(world: World) -> None:
    world.mwaa.refuses = "The file cannot be read."
    versions = {
        key: world.drop(key, body) for key, body in {"requirements.txt": REQUIREMENTS, "plugins.zip": PLUGINS}.items()
    }
    for _ in range(2):
        (step,) = steps(world)
        assert (step.step, step.artifacts) == ("held", versions)
        world.now += timedelta(minutes=3)
    (step,) = steps(world)
    assert (step.step, step.artifacts) == ("failed", versions)  # so many count as rolled back
    assert step.because == "MWAA rejected the update: The file cannot be read."


def test_with_manual_updates_import_errors_are_asked_for_every_ten_minutes_to_the_second(world: World) -> None:
    world.automatic = False
    world.drop("requirements.txt", REQUIREMENTS)
    for after, asked in ((timedelta(), 1), (timedelta(minutes=9, seconds=59), 1), (timedelta(seconds=1), 2)):
        assert world.apply(after=after) == []
        assert world.airflow.asked.count("errors") == asked


def test_the_same_content_again_points_at_the_object_that_is_in_force(world: World) -> None:
    applied(world)
    before = world.standing("requirements.txt").live
    newer = world.drop("requirements.txt", REQUIREMENTS)
    assert world.apply() == ["unchanged"]
    after = world.standing("requirements.txt").live
    assert before is not None
    assert after is not None
    assert (after.source, after.bucket, after.key, after.version_id) == (
        newer,
        before.bucket,
        before.key,
        before.version_id,
    )
