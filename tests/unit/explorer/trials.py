"""Moments in the trial of a roll-back, and who may act then."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

from .promotion_world import MINUTE, content
from .scenes import KEY, Scene, arrive, scene


def lifted(world: Scene) -> bool:
    """The version was found to be innocent, and waits for the gate."""
    standing = world.standing(KEY)
    return standing is not None and standing.trial is not None and standing.trial.lifted_at is not None


def acquitted(world: Scene) -> bool:
    """It is live again, and being verified."""
    standing = world.standing(KEY)
    return standing is not None and bool(standing.acquitted) and standing.stage == "verifying"


def on_trial(world: Scene) -> bool:
    standing = world.standing(KEY)
    return standing is not None and standing.trial is not None


def ended(world: Scene) -> bool:
    """The trial is over, or the version is called good."""
    standing = world.standing(KEY)
    return standing is not None and standing.trial is None and standing.stage in {"good", "rolled-back"}


def moment(until: Callable[[Scene], bool], *uploads: str, just: bool = False, **there: Any) -> Callable[[], Scene]:
    """Return what makes worlds in which the next look makes that so; or, when it is just so, in which it is.

    Args:
        uploads: what becomes of the files that come while we watch: v2, v3 …
        there: what the scene begins with.
    """
    plain = scene(**there)

    @cache
    def prepared() -> Scene:
        world = plain()
        while True:
            before = _copy(plain, world)
            world.now += MINUTE
            for message in list(world.queue):
                world.deliver(message)
            world.look()
            if until(world):
                break
        if just:
            return world
        before.now += MINUTE
        for message in list(before.queue):
            before.deliver(message)
        return before

    ends: dict[str, list[str]] = {}

    def make() -> Scene:
        world = _copy(plain, prepared())
        world.ends = ends
        uploaded = {
            f"v{number}": partial(arrive, world, partial(world.upload, KEY, content(truth, note=f"v{number}")))
            for number, truth in enumerate(uploads, 2)
        }
        world.actors = {**world.actors, **uploaded, "later": partial(_later, world), "last": partial(_last, world)}
        return world

    return make


def _copy(plain: Callable[[], Scene], world: Scene) -> Scene:
    made = plain()
    made.as_in(world)
    return made


def _later(world: Scene) -> None:
    """A look a minute later, after the gate has settled what waits."""
    world.now += MINUTE
    for message in list(world.queue):
        world.deliver(message)
    world.look()


def _last(world: Scene) -> None:
    """What came last waits on the queue, and is delivered."""
    if world.queue:
        world.deliver(world.queue[-1])
