"""The walker's street with faults: what falls on a call beside a kill and another actor.

lost       it was done, and no answer comes
throttled  it was not done
refused    it was not done, and AWS says that it never will be
repeated   it was done, its answer was lost, and boto3 did it again by itself
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from botocore.exceptions import ReadTimeoutError

from tests.unit.explorer.event_airflow import (
    CREATE,
    DENIED,
    LIST,
    LOOK,
    NO_REST,
    OF_CLI,
    OF_LOOKS,
    OF_LOOKS_OVER_CLI,
    OF_LOOKS_OVER_REST,
    OF_REST,
    OF_REST_REPEATED,
    PING,
)
from tests.unit.explorer.event_tables import refusal
from tests.unit.explorer.walker import Broken, Frame, Play, Street, Walk, World

OF_CREATES: Mapping[str, Sequence[str]] = {
    "rest": (*OF_REST, *OF_REST_REPEATED, NO_REST, DENIED),
    "cli": OF_CLI,
    "auto": (*OF_REST, NO_REST),  # what both ways know
}
OF_ANY_LOOK: Mapping[str, Sequence[str]] = {"rest": OF_LOOKS_OVER_REST, "cli": OF_LOOKS_OVER_CLI, "auto": OF_LOOKS}
OF_READS = ("throttled", "refused")
OF_WRITES = (*OF_READS, "lost", "repeated")
_READS = ("get_", "query", "list_", "receive_")


@dataclass(frozen=True, slots=True)
class FaultyPlay(Play):
    """A play with faults.

    Attributes:
        faults: (the number of the call, what falls on it).
    """

    faults: tuple[tuple[int, str], ...] = ()

    def __str__(self) -> str:
        shown = "; ".join(f"call {number}: {fault}" for number, fault in self.faults)
        bare = Play(self.actor, self.between, self.killed_after)
        return f"{bare} [{shown}]" if shown else str(bare)

    @property
    def weight(self) -> int:
        others = sum(play.weight for _, play in self.between)
        return 1 + len(self.faults) + (self.killed_after is not None) + others


class FaultyStreet(Street):
    """The choke point; `chance` of a fault on each call when played by lot."""

    def __init__(self, transport: str) -> None:
        super().__init__()
        self.transport = transport
        self.chance: Callable[[Sequence[str]], str | None] | None = None

    def cross(
        self, name: str, call: Callable[[], Any], fail: Callable[[str, Callable[[], Any]], Any] | None = None
    ) -> Any:
        """Make one call, or what a fault makes of it."""
        if not self._frames:
            return call()
        frame = self._frames[-1]
        self._let_others(frame)
        frame.calls.append(name)
        fault = self._fault(frame, name)
        if fault is None:
            return call()
        return fail(fault, call) if fail is not None else _fail_aws(name, fault, call)

    def faults_of(self, name: str) -> Sequence[str]:
        """What can fall on a call."""
        if name in {CREATE, LOOK}:
            return (OF_CREATES if name == CREATE else OF_ANY_LOOK)[self.transport]
        if name in {LIST, PING}:
            return OF_LOOKS
        return OF_READS if name.rpartition(".")[2].startswith(_READS) else OF_WRITES

    def _fault(self, frame: Frame, name: str) -> str | None:
        planned = dict(getattr(frame.play, "faults", ())).get(len(frame.calls))
        if planned is not None or self.chance is None:
            return planned if planned in self.faults_of(name) else None
        drawn = self.chance(self.faults_of(name))
        if drawn is not None:
            play = frame.play
            faults = (*getattr(play, "faults", ()), (len(frame.calls), drawn))
            frame.play = FaultyPlay(play.actor, play.between, play.killed_after, faults=faults)
        return drawn


def _fail_aws(name: str, fault: str, call: Callable[[], Any]) -> Any:
    operation = name.rpartition(".")[2]
    if fault == "throttled":
        raise refusal(operation, "ThrottlingException")
    if fault == "refused":
        raise refusal(operation, "AccessDeniedException")
    done = call()
    if fault == "repeated":
        return call()
    del done
    raise ReadTimeoutError(endpoint_url="https://aws.example")


def one_disturbance(
    make: Callable[[], World], first: str, others: Sequence[str] = (), *, faults: bool = True
) -> Iterator[Play]:
    """Yield every play of an actor with one disturbance: a fault on a call, a kill after one, another before one."""
    world = make()
    world.street.actors = world.actors
    world.street.perform(FaultyPlay(first))
    frame, street = world.street.played[0], world.street
    assert isinstance(street, FaultyStreet)
    yield FaultyPlay(first)
    for number, name in enumerate(frame.calls, 1):
        for fault in street.faults_of(name) if faults else ():
            yield FaultyPlay(first, faults=((number, fault),))
    for after in frame.writes:
        yield FaultyPlay(first, killed_after=after)
    for done in range(len(frame.calls) + 1):
        for other in others:
            yield FaultyPlay(first, between=((done, FaultyPlay(other)),))


def explore(make: Callable[[], World], plays: Iterator[Play] | Sequence[Play]) -> Walk:
    """Play each in a world of its own."""
    found = Walk()
    for play in plays:
        broken = play_once(make, play)
        found.plays += 1
        if broken is not None:
            found.broken.append(broken)
    return found


def by_lot(
    make: Callable[[], World], first: str, others: Sequence[str], *, plays: int, seed: int, rate: float = 0.12
) -> Walk:
    """Play by lot: on every call a fault, a kill or another actor may fall, and on theirs as well."""
    found = Walk()
    for number in range(plays):
        dice = random.Random(f"{seed}/{number}")
        world, left = make(), list(others)
        street = world.street
        assert isinstance(street, FaultyStreet)

        def lot(dice: random.Random = dice, left: list[str] = left) -> Play | bool:
            if left and dice.random() < rate:
                return FaultyPlay(left.pop(dice.randrange(len(left))))
            return dice.random() < rate / 4

        def chance(faults: Sequence[str], dice: random.Random = dice) -> str | None:
            return dice.choice(faults) if dice.random() < rate else None

        street.actors, street.lot, street.chance = world.actors, lot, chance
        random.seed(0)
        street.perform(FaultyPlay(first))
        street.lot = street.chance = None
        why = tuple(world.judge())
        found.plays += 1
        if why:
            found.broken.append(_shortest(make, _broken(street.played, why)))
    return found


def play_once(make: Callable[[], World], play: Play) -> Broken | None:
    """Play one play; the dice of the product fall as they always do."""
    random.seed(0)
    world = make()
    world.street.actors = world.actors
    world.street.perform(play)
    frames = list(world.street.played)
    why = tuple(world.judge())
    return _broken(frames, why) if why else None


def _broken(frames: Sequence[Frame], why: tuple[str, ...]) -> Broken:
    return Broken(frames[0].play, why, tuple((frame.play.actor, tuple(frame.calls)) for frame in frames))


def _shortest(make: Callable[[], World], broken: Broken) -> Broken:
    for play in _shorter(broken.play):
        still = play_once(make, play)
        if still is not None:
            return _shortest(make, still)
    return broken


def _shorter(play: Play) -> Iterator[Play]:
    faults: Mapping[int, str] = dict(getattr(play, "faults", ()))
    if play.killed_after is not None:
        yield replace(play, killed_after=None)
    for number in faults:
        fewer = tuple(each for each in faults.items() if each[0] != number)
        yield FaultyPlay(play.actor, play.between, play.killed_after, faults=fewer)
    for place, (done, inner) in enumerate(play.between):
        before, after = play.between[:place], play.between[place + 1 :]
        yield replace(play, between=(*before, *after))
        for less in _shorter(inner):
            yield replace(play, between=(*before, (done, less), *after))
