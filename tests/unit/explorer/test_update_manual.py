"""ApplyUpdates is manual: a person runs what a message says, and nothing waits of which nobody was told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Self

import pytest

from jetway.updates.record import MEMBERS, VersionPlace

from .promotion_world import MINUTE
from .update_scenes import BREAKS, PEOPLE, V0, V1, Moment, R
from .update_world import UpdateWorld
from .walker import walk


class Manual(Moment):
    """A person looks every 40 minutes for what the messages say is to be run.

    Attributes:
        untold: what waits for somebody, and no message names.
    """

    untold: str | None = None

    def rest(self, minutes: int = 600) -> bool:
        for _ in range(minutes // 60):
            self.run(40)
            to_run = self._to_run()
            if not to_run:
                return self.at_rest()
            if not all(version in " ".join(self.messages()) for _, version in to_run.values()):
                self.untold = str(to_run)
            changes: dict[str, str] = {}
            for key, (path, version) in to_run.items():
                changes |= {f"{MEMBERS[key]}S3Path": path, f"{MEMBERS[key]}S3ObjectVersion": version}
            self._somebody(changes)
        return False

    def _to_run(self) -> dict[str, VersionPlace]:
        """What waits for somebody, and the ways back."""
        found: dict[str, VersionPlace] = {}
        for key in MEMBERS:
            standing, debt = self.table.get(key), self.records.get().owed.get(key)
            if debt is not None and debt.back is not None:
                found[key] = debt.back
            elif standing is not None and standing.stage == "waiting" and standing.live is not None:
                found[key] = (standing.live.key, standing.live.version_id or "")
        return found

    def judge(self) -> Sequence[str]:
        broken = list(super().judge())
        return [*broken, f"11: nobody was told of {self.untold}."] if self.untold else broken

    def copy(self) -> Self:
        other = super().copy()
        other.ends = {}  # what was told belongs to each world
        return other


def waits(world: UpdateWorld) -> None:
    """v1 waits for somebody."""
    world.run()
    world.drop(R, V0)
    assert world.rest()
    world.automatic = False
    world.drop(R, V1)
    world.run(2)


def deletion(world: UpdateWorld) -> None:
    """The deletion of v0 does."""
    world.run()
    world.drop(R, V0)
    assert world.rest()
    world.automatic = False
    world.delete_and_settle(R)


def applied_bad(world: Manual) -> None:
    """Somebody has applied one that breaks something, and the look at it is due."""
    world.run()
    world.drop(R, V0)
    assert world.rest()
    world.automatic = False
    world.drop(R, BREAKS)
    world.run(12)
    world._points_at(BREAKS)
    world.now += 26 * MINUTE
    world.apply()
    world.now += 3 * MINUTE


def moment(prepare: Callable[[Manual], None]) -> Callable[[], Manual]:
    @cache
    def prepared() -> Manual:
        world = Manual()
        prepare(world)
        return world

    def make() -> Manual:
        world = prepared().copy()
        world.act()
        return world

    return make


SOMETHING = ("apply", "look", "delete", "option", "theirs", "plugins", "maintenance", *PEOPLE)


@pytest.mark.thorough
@pytest.mark.parametrize("second", ["apply", "delete", "theirs"])
@pytest.mark.parametrize("prepare", [waits, deletion, applied_bad], ids=lambda each: each.__name__)
def test_every_order_of_two_ends_well(prepare: Callable[[Manual], None], second: str) -> None:
    found = walk(moment(prepare), "apply", second, kills=False)
    assert not found.broken, str(found)


@pytest.mark.slow
@pytest.mark.parametrize("second", SOMETHING)
@pytest.mark.parametrize("prepare", [waits, deletion, applied_bad], ids=lambda each: each.__name__)
def test_so_do_all_and_every_kill(prepare: Callable[[Manual], None], second: str) -> None:
    for first in ("apply", "look"):
        found = walk(moment(prepare), first, second)
        assert not found.broken, str(found)
