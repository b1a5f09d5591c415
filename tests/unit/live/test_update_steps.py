"""Single steps of updates: what is asked for twice, given up for nothing, or counted wrong, shows here."""

from __future__ import annotations

from datetime import timedelta

from jetway.airflow.environment import parse_environment

from .test_updates import PLUGINS
from .world import World


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
    assert world.apply(after=timedelta(minutes=1)) == ["failed"]
    assert world.versions("plugins.zip") == (1, 0), "no empty plugins.zip is put on top: nothing has to be gone back to"
    standing = world.standing("plugins.zip")
    assert (standing.stage, standing.live, standing.rolled_back) == ("rolled-back", None, (bad,))
