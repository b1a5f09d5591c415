"""The scenes in which gate and verifier meet: each makes a world, in which all is prepared, and names its actors."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tests.unit.explorer.invariants import judge
from tests.unit.explorer.promotion_world import VERIFY_AFTER, PromotionWorld, content

KEY = "dags/orders.py"


class Scene(PromotionWorld):
    """A world whose judge knows the invariants of promotion."""

    def judge(self) -> list[str]:
        return judge(self)


def scene(
    *uploads: str, before: str = "", live: str = "", same: bool = False, delete: bool = False, **world: object
) -> Callable[[], Scene]:
    """Return what makes a scene.

    Args:
        uploads: what the files are that come while we watch; actors v1, v2 …
        before: what was verified before.
        live: what went live after that, and is due to be looked at.
        same: the uploads have the bytes of what is live.
        delete: an actor deletes the file. "again" delivers the first event a second time.
        world: options of the world.
    """

    def make() -> Scene:
        made = Scene(**world)  # type: ignore[arg-type]
        if before:
            made.prepare(KEY, content(before, note="v0"))
        if live:
            made.upload(KEY, content(live, note="v1"))
            for arrival in list(made.queue):
                made.deliver(arrival)
            made.now += VERIFY_AFTER
        made.actors = _actors(made, uploads, live, same=same, delete=delete)
        return made

    return make


def _actors(
    world: Scene, uploads: tuple[str, ...], live: str, *, same: bool, delete: bool
) -> dict[str, Callable[[], object]]:
    first = 2 if live else 1
    actors: dict[str, Callable[[], object]] = {"look": world.look, "another look": world.look}
    for number, truth in enumerate(uploads, first):
        body = content(live, note="v1") if same else content(truth, note=f"v{number}")
        actors[f"v{number}"] = partial(_arrive, world, partial(world.upload, KEY, body))
        actors[f"v{number} again"] = partial(_again, world, len(actors))
    if delete:
        actors["delete"] = partial(_arrive, world, partial(world.delete, KEY))
    actors["by hand"] = partial(world.put_by_hand, KEY, content("works", note="by hand"))
    return actors


def _arrive(world: Scene, act: Callable[[], object]) -> None:
    """Somebody does something in the drop bucket, and the gate is invoked for it."""
    waiting = list(world.queue)
    act()
    for arrival in [each for each in world.queue if each not in waiting]:
        world.deliver(arrival)


def _again(world: Scene, _number: int) -> None:
    """What waits in the queue is delivered, though another invocation is at it."""
    for arrival in list(world.queue):
        world.deliver(arrival)
