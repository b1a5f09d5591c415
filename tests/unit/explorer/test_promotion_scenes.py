"""What falls into a roll-back, more than the walk of two actors has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from .scenes import KEY, Scene, scene
from .promotion_world import content
from .walker import Play, play_it


def with_two_uploads(make: Callable[[], Scene], first: str, second: str) -> Callable[[], Scene]:
    """The scene with one more actor: two versions are uploaded, and then both events are delivered."""

    def made() -> Scene:
        world = make()

        def both() -> None:
            waiting = list(world.queue)
            for number, truth in enumerate((first, second)):
                world.upload(KEY, content(truth, note=f"both {number}"))
            for message in [each for each in world.queue if each not in waiting]:
                world.deliver(message)

        world.actors = {**world.actors, "both": both}
        return world

    return made


def in_every_place(make: Callable[[], Scene], outer: str, inner: str) -> list[str]:
    """Run one actor in every place of another; return what is broken, and where."""
    broken: list[str] = []
    done, calls = 0, 1
    while done <= calls:
        frames, found = play_it(make, Play(outer, ((done, Play(inner)),)))
        calls = len(frames[0].calls)
        broken += [str(found)] if found is not None else []
        done += 1
    return broken


@pytest.mark.parametrize("world", [{}, {"versions_in_events": False}], ids=["as it is", "events without a version"])
@pytest.mark.parametrize("before", ["works", ""], ids=["over a good one", "the first"])
@pytest.mark.parametrize("passed_over", ["works", "breaks"])
def test_one_that_is_passed_over_for_a_refused_one_during_a_roll_back_has_its_turn(
    passed_over: str, before: str, world: dict[str, Any]
) -> None:
    make = scene(before=before, live="breaks", **world)
    assert not in_every_place(with_two_uploads(make, passed_over, "refused"), "look", "both")
