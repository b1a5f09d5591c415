"""The scenes in which gate and verifier meet: each makes a world, in which all is prepared, and names its actors."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

from tests.unit.explorer.invariants import judge
from tests.unit.explorer.promotion_world import TABLE, VERIFY_AFTER, PromotionWorld, content

KEY, HELPER, OTHER = "dags/orders.py", "dags/helper.py", "dags/other.py"
STUCK = timedelta(minutes=30)  # longer than everything has its time to be parsed


class Scene(PromotionWorld):
    """A world whose judge knows the invariants of promotion, and remembers what came of states seen before."""

    ends: dict[str, list[str]]

    def judge(self) -> list[str]:
        state = self.state()
        if state not in self.ends:
            self.ends[state] = judge(self)
        return self.ends[state]


def scene(
    *uploads: str,
    before: str = "",
    live: str = "",
    same: bool = False,
    twice: bool = False,
    helper: bool = False,
    grudges: bool = False,
    old: bool = False,
    **world: Any,
) -> Callable[[], Scene]:
    """Return what makes a scene.

    Its actors: v1, v2 … are the uploads, each with the gate that its event invokes; "again" delivers what waits in the
    queue a second time; "delete" deletes the file, "only deleted" does so and its event waits, "deleted, and again"
    delivers after that what waits; "look" and "another look" are verify_promotion; "by hand" writes into the
    environment's bucket.

    Args:
        uploads: what becomes of the files that come while we watch.
        before: of what was verified before.
        live: of what went live after that, and is due to be looked at.
        same: the uploads have the bytes of what is live.
        twice: the event of what is live comes a second time.
        helper: dags/helper.py was dropped before all this, and its event is stuck.
        grudges: since before what is live, dags/other.py blames the file for an error of its own.
        old: the standings are as an earlier release has written them.
        world: options of the world.
    """
    ends: dict[str, list[str]] = {}
    prepared: list[Scene] = []

    def make() -> Scene:
        if not prepared:
            others = grudges or bool({"silent", "hurts"} & {*uploads, live})
            prepared.append(_prepared(Scene(**world), before, live, others=others, helper=helper, grudges=grudges))
            if twice:
                prepared[0].upload_event_again(KEY)
            if old:
                _age(prepared[0])
        made = Scene(**world)
        made.as_in(prepared[0])
        made.ends = ends
        first = 2 if live else 1
        truths = [
            content(live, note="v1") if same else content(truth, note=f"v{n}") for n, truth in enumerate(uploads, first)
        ]
        made.actors = {
            **{f"v{n}": partial(arrive, made, partial(made.upload, KEY, body)) for n, body in enumerate(truths, first)},
            "again": partial(_again, made),
            "deleted, and again": partial(_deleted_and_again, made),
            "only deleted": partial(made.delete, KEY),
            "delete": partial(arrive, made, partial(made.delete, KEY)),
            "look": made.look,
            "another look": made.look,
            "by hand": partial(made.put_by_hand, KEY, content("works", note="by hand")),
        }
        return made

    return make


def _prepared(made: Scene, before: str, live: str, *, others: bool, helper: bool, grudges: bool) -> Scene:
    if others:
        made.prepare(OTHER, content("works", "other"))  # by which the parser is seen to go on
    if helper:
        made.upload(HELPER, b"# works\nLIMIT = 1\n")
        made.queue[-1].not_before = made.now + STUCK
    if before:
        made.prepare(KEY, content(before, note="v0"))
    made.grudges = grudges
    if live:
        arrive(made, partial(made.upload, KEY, content(live, note="v1")))
        made.now += VERIFY_AFTER
    return made


def _age(world: Scene) -> None:
    """Leave out of the standings what the first release did not write."""
    for item in world.dynamodb.tables.get(TABLE, {}).values():
        if "standing" in item:
            standing = json.loads(item["standing"]["S"])
            for name in ("untold", "trial", "acquitted"):
                standing.pop(name, None)
            for live in filter(None, (standing["live"], standing["good"])):
                for name in ("sight", "readers", "waits_since", "first"):
                    live.pop(name, None)
            item["standing"] = {"S": json.dumps(standing)}


def arrive(world: Scene, act: Callable[[], object]) -> None:
    """Somebody does something in the drop bucket, and the gate is invoked for it."""
    waiting = list(world.queue)
    act()
    for message in [each for each in world.queue if each not in waiting]:
        world.deliver(message)


def _deleted_and_again(world: Scene) -> None:
    """Somebody deletes the file, and what waits in the queue is delivered: the upload a second time, the deletion."""
    world.delete(KEY)
    _again(world)


def _again(world: Scene) -> None:
    """What waits in the queue is delivered, though another invocation may be at it."""
    for message in list(world.queue):
        if message.not_before <= world.now:
            world.deliver(message)
