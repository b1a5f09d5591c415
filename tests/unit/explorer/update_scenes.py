"""Moments in the life of an update, and who may act then."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import cache
from typing import Any, Self

from jetway.gate.s3_notification import Arrival

from .promotion_world import DROP, LIVE, MINUTE, Message
from .s3 import Version
from .update_invariants import judge
from .update_world import UpdateWorld, plugins, requirements

R, P, S = "requirements.txt", "plugins.zip", "startup.sh"
V0, V1, V2 = requirements(), requirements(pin="pytz==2024.1"), requirements(pin="tabulate==0.9.0")
BREAKS, FAILS = requirements("breaks", "pytz==2024.1"), requirements("fails", "pytz==2024.1")
# What people do in the drop bucket meanwhile, and events that come again.
PEOPLE = ("fix", "v0 again", "late", "bounce", "undelete", "newest gone")
OPTION: dict[str, Any] = {"AirflowConfigurationOptions": {"core.parallelism": "64"}}


class Moment(UpdateWorld):
    """A world with a judge, and actors by name; what comes of a state that was seen before, the judge remembers."""

    ends: dict[str, list[str]]
    beside: tuple[str, ...] = ()

    def judge(self) -> Sequence[str]:
        state = self.state()
        if state not in self.ends:
            self.ends[state] = [each for each in judge(self) if not self._is_joint(each)]
        return self.ends[state]

    def _is_joint(self, broken: str) -> bool:
        """Artifacts of one update stand and fall together: which of them broke something cannot be told."""
        key, _, what = broken.partition(": ")
        return key in self.beside and ("works and is the newest" in what or what.startswith("10: "))

    def act(self) -> None:
        self.actors = {
            "apply": self.apply,
            "apply later": self._apply_later,
            "look": self.look,
            "gate": self._deliver_first,
            "delete": self._delete,
            "option": lambda: self._somebody(OPTION),
            "option fails": lambda: self._somebody(OPTION, "There is no such option."),
            "theirs": lambda: self._somebody(self.by_hand(b"# theirs\n")),
            "fix": lambda: self._settled(lambda: self.upload(R, V2)),
            "v0 again": lambda: self._settled(lambda: self.upload(R, V0)),
            "late": lambda: self._settled(self._all_again),
            "bounce": lambda: self._settled(self._deleted_and_back),
            "undelete": lambda: self._settled(self._undelete),
            "newest gone": lambda: self._settled(self._delete_newest),
            "maintenance": lambda: self._somebody({}, source="maintenance"),
            "names v0": lambda: self._points_at(V0),
            "names v1": lambda: self._points_at(V1),
            "names the bad one": lambda: self._points_at(BREAKS),
            "v1 again": lambda: self._settled(lambda: self.upload(R, V1)),
            "deleted, and v1 again": lambda: self._deleted_and(V1),
            "deleted, and v0 again": lambda: self._deleted_and(V0),
            "plugins": lambda: self._settled(lambda: self.upload(P, plugins(note="new"))),
        }

    def copy(self) -> Self:
        other = super().copy()
        other.mwaa.lag, other.mwaa.answers = self.mwaa.lag, list(self.mwaa.answers)
        return other

    def _deleted_and(self, body: bytes) -> None:
        """The file is deleted, and settled; then the same bytes come again."""
        self._delete()
        self._settled(lambda: self.upload(R, body))

    def _points_at(self, body: bytes) -> None:
        """Somebody points the environment at the newest copy of one of our versions."""
        found = [each.id for each in self.s3.buckets[LIVE].keys.get(R, ()) if each.body == body]
        if found:
            self._somebody(self.pointing_at(found[-1]))

    def _settled(self, act: Callable[[], object]) -> None:
        waiting = list(self.queue)
        act()
        for message in [each for each in self.queue if each not in waiting]:
            self.deliver(message)

    def _all_again(self) -> None:
        """All events come a second time."""
        for version in self._dropped():
            self.queue.append(Message(Arrival(DROP, R, version.id, version.body is None)))

    def _deleted_and_back(self) -> None:
        self.delete(R)
        self._undelete()

    def _undelete(self) -> None:
        """Delete the delete marker."""
        if self._dropped()[-1].body is None:
            self.s3.delete_object(Bucket=DROP, Key=R, VersionId=self._dropped()[-1].id)

    def _delete_newest(self) -> None:
        """Delete the newest version by its id, where there is an older one."""
        if len(self._dropped()) > 1:
            self.s3.delete_object(Bucket=DROP, Key=R, VersionId=self._dropped()[-1].id)

    def _dropped(self) -> list[Version]:
        return self.s3.buckets[DROP].keys[R]

    def _apply_later(self) -> None:
        """Another invocation, when what the first has written down is taken for dead."""
        self.now += 2 * MINUTE
        self.apply()

    def _deliver_first(self) -> None:
        if self.queue:
            self.deliver(self.queue[0])

    def _delete(self) -> None:
        self.delete(R)
        self.deliver(self.queue[-1])

    def _somebody(self, changes: dict[str, Any], error: str | None = None, source: str = "terraform") -> None:
        if self.mwaa.described["Status"] != "UPDATING":
            self.mwaa.somebody(changes, error=error, source=source)


def _phase(world: UpdateWorld, phase: str) -> None:
    """Let time pass until the next call of a function meets the record in that phase."""
    world.run(120, until=lambda: world.records.get().phase == phase)
    assert world.records.get().phase == phase


def waits(world: UpdateWorld, body: bytes = V1) -> None:
    """v1 waits over v0."""
    world.verified_update(V0)
    world.drop(R, body)


def first_waits(world: UpdateWorld) -> None:
    """The first version of all waits."""
    world.run()
    world.drop(R, V1)


def ended(world: UpdateWorld, body: bytes = V1) -> None:
    """The update to v1 has ended, and nobody has seen it yet."""
    waits(world, body)
    _phase(world, "updating")
    world.now += 26 * MINUTE


def failed(world: UpdateWorld) -> None:
    ended(world, FAILS)


def _due(world: UpdateWorld, body: bytes, *, over: bool) -> None:
    """v1 is in force, and the look at it is due; it is the last one, when all is over."""
    ended(world, body)
    world.apply()
    world.now += (8 if over else 3) * MINUTE


def looked_good(world: UpdateWorld) -> None:
    _due(world, V1, over=True)


def looked_bad(world: UpdateWorld) -> None:
    _due(world, BREAKS, over=False)


def undo(world: UpdateWorld) -> None:
    """What is in force does not work; nothing is done about it yet."""
    looked_bad(world)
    world.look()
    assert world.records.get().phase == "undo"


def undo_first(world: UpdateWorld) -> None:
    """The same, and there was nothing before."""
    world.run()
    world.drop(R, BREAKS)
    _phase(world, "undo")


def back(world: UpdateWorld) -> None:
    """The update back has ended, and nobody has seen it yet."""
    undo(world)
    world.apply()
    world.now += 26 * MINUTE


def newer(world: UpdateWorld) -> None:
    """v2 has come to the drop bucket while v1 waits."""
    waits(world)
    world.upload(R, V2)


def newer_over_bad(world: UpdateWorld) -> None:
    """v2 has come to the drop bucket while v1 is about to be undone."""
    undo(world)
    world.upload(R, V2)


def same(world: UpdateWorld) -> None:
    """v0's content waits again."""
    waits(world, V0)


def deletion(world: UpdateWorld) -> None:
    """The deletion of v0 waits for its update."""
    world.verified_update(V0)
    world.delete_and_settle(R)


def upload(world: UpdateWorld) -> None:
    """v1 has come to the drop bucket, over v0."""
    world.verified_update(V0)
    world.upload(R, V1)


def with_plugins(world: UpdateWorld) -> None:
    """Requirements that pip could not install, with plugins, are in force; the look is due."""
    world.verified_update(V0)
    world.drop(R, requirements("unfound", "no==1"))
    world.drop(P, plugins())
    _phase(world, "updating")
    world.now += 26 * MINUTE
    world.apply()
    world.now += 3 * MINUTE


def three(world: UpdateWorld) -> None:
    """Requirements that break something, with plugins and a startup script, are in force; the look is due."""
    world.verified_update(V0)
    for key, body in ((R, BREAKS), (P, plugins()), (S, b"# works\n")):
        world.drop(key, body)
    _phase(world, "updating")
    world.now += 26 * MINUTE
    world.apply()
    world.now += 3 * MINUTE


def three_fail(world: UpdateWorld) -> None:
    """The update to these three has failed, and nobody has seen it yet."""
    world.verified_update(V0)
    for key, body in ((R, V1), (P, plugins("fails")), (S, b"# works\n")):
        world.drop(key, body)
    _phase(world, "updating")
    world.now += 26 * MINUTE


def silent(world: UpdateWorld) -> None:
    """Since v1 is in force Airflow has not answered for almost half an hour."""
    ended(world, requirements("silences", "pytz==2024.1"))
    world.apply()
    world.now += 31 * MINUTE


def running(world: UpdateWorld, body: bytes = V1) -> None:
    """The update to v1 has been on its way for ten minutes."""
    waits(world, body)
    _goes_on(world)


def _goes_on(world: UpdateWorld) -> None:
    _phase(world, "updating")
    world.run(10)
    assert world.mwaa.described["Status"] == "UPDATING"


def running_bad(world: UpdateWorld) -> None:
    running(world, BREAKS)


def running_in_vain(world: UpdateWorld) -> None:
    running(world, FAILS)


def running_deletion(world: UpdateWorld) -> None:
    """The deletion of v0 is on its way into force."""
    deletion(world)
    _goes_on(world)


def running_back(world: UpdateWorld) -> None:
    """The way back from v1 has been on its way for ten minutes."""
    undo(world)
    _goes_on(world)


def gone_back(world: UpdateWorld) -> None:
    """v0 is in force again, and all is over."""
    back(world)
    assert world.rest()


def removed(world: UpdateWorld) -> None:
    """The deletion of v0 is in force, and all is over."""
    deletion(world)
    assert world.rest()


def quiet(world: UpdateWorld) -> None:
    """v1 waits until no more has come for five minutes."""
    world.verified_update(V0)
    world.quiet = 5 * MINUTE
    world.drop(R, V1)
    world.run(2)


def stale(prepare: Callable[[UpdateWorld], None], lag: timedelta) -> Callable[[UpdateWorld], None]:
    """The same, and from now on GetEnvironment answers what was so long ago."""

    def stale_one(world: UpdateWorld) -> None:
        prepare(world)
        world.mwaa.lag = lag

    return stale_one


def unanswered(prepare: Callable[[UpdateWorld], None], *answers: str) -> Callable[[UpdateWorld], None]:
    """The same, and the next calls of UpdateEnvironment come to that."""

    def unanswered_one(world: UpdateWorld) -> None:
        prepare(world)
        world.mwaa.answers = list(answers)

    return unanswered_one


# What goes back with the bad one of the same update.
BESIDE: dict[Callable[[UpdateWorld], None], tuple[str, ...]] = {three: (P, S), three_fail: (R, S)}


def moment(prepare: Callable[[UpdateWorld], None]) -> Callable[[], Moment]:
    """Worlds in which that is so: it is prepared once."""

    ends: dict[str, list[str]] = {}

    @cache
    def prepared() -> Moment:
        world = Moment()
        prepare(world)
        return world

    def make() -> Moment:
        world = prepared().copy()
        world.ends, world.beside = ends, BESIDE.get(prepare, ())
        world.act()
        return world

    return make
