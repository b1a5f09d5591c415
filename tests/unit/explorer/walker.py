"""Walks every order of a few actors that share AWS, with a kill: which orders leave the world as it must not be?

An actor is a plain function. All its clients pass their calls through one choke point, `Street`: right before a call
another whole actor may run, or a kill may fall. What happens where is a `Play`, a value: it can be listed exhaustively,
drawn by lot, printed, repeated and shortened.

A kill after a call that only reads leaves what a kill before it leaves: so kills are tried after writes only.

A call may fail, too: it is denied or throttled; S3 answers that two write at once; it is made, and its answer is lost;
or the client makes it again of its own accord, as botocore does when an answer is lost, and a condition meets what the
first one has written.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

from botocore.exceptions import ClientError, ReadTimeoutError

_READS = ("get_", "head_", "list_", "query", "scan", "describe_", "invoke", "receive_")


Failure = Literal["AccessDenied", "SlowDown", "lost", "twice", "ConditionalRequestConflict"]
FAILURES: tuple[Failure, ...] = ("AccessDenied", "SlowDown", "lost", "twice", "ConditionalRequestConflict")
# What S3 answers when two write at once is met by these calls only.
_CONDITIONAL = frozenset({"s3.put_object", "s3.copy_object", "s3.delete_object"})


class KilledError(BaseException):
    """The function's process has ended; nothing in it may catch this."""


@dataclass(frozen=True, slots=True)
class Play:
    """One actor, and what falls between its calls.

    Attributes:
        actor: its name.
        between: (so many of its calls are done, what runs then), in order. Past its last call: it runs after it.
        killed_after: so many of its calls are done, and it sees no answer of the last one.
        fails: so many of its calls are done, and what the next one meets.
    """

    actor: str
    between: tuple[tuple[int, Play], ...] = ()
    killed_after: int | None = None
    fails: tuple[int, Failure] | None = None

    def __str__(self) -> str:
        steps = [f"after {done} calls, {play}" for done, play in self.between]
        if self.killed_after is not None:
            steps.append(f"killed after {self.killed_after} calls")
        if self.fails is not None:
            steps.append(f"after {self.fails[0]} calls, {self.fails[1]}")
        return f"{self.actor} ({'; '.join(steps)})" if steps else self.actor

    @property
    def weight(self) -> int:
        """How much happens: the shortest play is the one to read first."""
        return (
            1
            + (self.killed_after is not None)
            + (self.fails is not None)
            + sum(play.weight for _, play in self.between)
        )


@dataclass(slots=True)
class Frame:
    """One actor at work; its calls so far, and of the plays that fall in between those that are still to come."""

    play: Play
    calls: list[str] = field(default_factory=list)
    rest: list[tuple[int, Play]] = field(default_factory=list)

    @property
    def writes(self) -> list[int]:
        """After how many calls something had been written just now."""
        return [done for done, call in enumerate(self.calls, 1) if not call.rpartition(".")[2].startswith(_READS)]


class World(Protocol):
    """What a scene makes: actors by name, and a judge."""

    street: Street
    actors: Mapping[str, Callable[[], object]]

    def judge(self) -> Sequence[str]:
        """Bring everything to rest; then say, a sentence each, which invariants are broken."""
        ...


class Street:
    """The choke point. `client` gives a client whose calls pass it; without a play they pass freely."""

    def __init__(self) -> None:
        self._frames: list[Frame] = []
        self.actors: Mapping[str, Callable[[], object]] = {}
        self.played: list[Frame] = []
        self.lot: Callable[[], Play | bool] | None = None

    def client(self, real: Any, name: str = "") -> Any:
        """Return a client whose calls pass here."""
        return _Client(real, self, name)

    def tell(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function whose calls pass here, as those of a client do."""

        def call(*args: Any, **more: Any) -> Any:
            return self.cross(name, lambda: function(*args, **more))

        return call

    def cross(self, name: str, call: Callable[[], Any]) -> Any:
        """Make one call of the actor in hand, after what falls before it."""
        if not self._frames:
            return call()
        frame = self._frames[-1]
        self._let_others(frame)
        frame.calls.append(name)
        if frame.play.fails is not None and frame.play.fails[0] == len(frame.calls) - 1:
            return _failing(frame.play.fails[1], name, call)
        return call()

    def perform(self, play: Play) -> None:
        """Run an actor, and what falls in between."""
        frame = Frame(play, rest=list(play.between))
        self._frames.append(frame)
        self.played.append(frame)
        try:
            self.actors[play.actor]()
            self._let_others(frame, ended=True)
        except KilledError:
            while frame.rest:
                self.perform(frame.rest.pop(0)[1])
        finally:
            self._frames.pop()

    def _let_others(self, frame: Frame, *, ended: bool = False) -> None:
        if self.lot is not None:
            self._by_lot(frame)
        while frame.rest and (ended or frame.rest[0][0] <= len(frame.calls)):
            self.perform(frame.rest.pop(0)[1])
        if frame.play.killed_after is not None and len(frame.calls) >= frame.play.killed_after:
            raise KilledError

    def _by_lot(self, frame: Frame) -> None:
        assert self.lot is not None
        drawn = self.lot()
        if isinstance(drawn, Play):
            self.perform_within(frame, drawn)
        elif drawn:
            frame.play = replace(frame.play, killed_after=len(frame.calls))

    def perform_within(self, frame: Frame, play: Play) -> None:
        """Run another actor within, or after, one at work, and write down that it was so."""
        number = len(self.played)
        self.perform(play)
        between = (*frame.play.between, (len(frame.calls), self.played[number].play))
        frame.play = replace(frame.play, between=between)


def _failing(failure: Failure, name: str, call: Callable[[], Any]) -> Any:
    if failure == "twice":
        call()
        return call()
    if failure == "lost":
        call()
        raise ReadTimeoutError(endpoint_url=name)
    answer: Any = {"Error": {"Code": failure, "Message": failure}}
    raise ClientError(answer, name)


class _Client:
    def __init__(self, real: Any, street: Street, name: str) -> None:
        self._real, self._street, self._name = real, street, name

    def __getattr__(self, operation: str) -> Any:
        found = getattr(self._real, operation)
        if operation == "get_paginator":
            return lambda paged: _Pages(found(paged), self._street, f"{self._name}.{paged}")
        if operation == "exceptions" or not callable(found):
            return found
        return self._street.tell(f"{self._name}.{operation}", found)


class _Pages:
    def __init__(self, real: Any, street: Street, name: str) -> None:
        self._real, self._street, self._name = real, street, name

    def paginate(self, **arguments: Any) -> Iterator[Any]:
        pages = iter(self._real.paginate(**arguments))
        end = object()
        while (page := self._street.cross(self._name, lambda: next(pages, end))) is not end:
            yield page


@dataclass(frozen=True, slots=True)
class Broken:
    """A play that leaves the world as it must not be."""

    play: Play
    why: tuple[str, ...]
    calls: tuple[tuple[str, tuple[str, ...]], ...]

    def __str__(self) -> str:
        lines = [f"{self.play}", *(f"  {each}" for each in self.why)]
        lines += [f"  {actor}: {' '.join(calls)}" for actor, calls in self.calls]
        return "\n".join(lines)


@dataclass(slots=True)
class Walk:
    """What a walk has found."""

    plays: int = 0
    broken: list[Broken] = field(default_factory=list)

    def __str__(self) -> str:
        """The shortest play that breaks something, and how many there are."""
        if not self.broken:
            return f"{self.plays} plays, none breaks anything"
        shortest = min(self.broken, key=lambda each: each.play.weight)
        return f"{len(self.broken)} of {self.plays} plays break something; the shortest:\n{shortest}"


def play_it(make: Callable[[], World], play: Play) -> tuple[list[Frame], Broken | None]:
    """Play one play in a world of its own."""
    world = make()
    world.street.actors = world.actors
    world.street.perform(play)
    return _judged(world)


class _EnoughError(Exception):
    """The walk was to end at the first play that breaks something."""


def walk(
    make: Callable[[], World],
    first: str,
    second: str | None = None,
    *,
    kills: bool = True,
    until_broken: bool = False,
) -> Walk:
    """Walk every place where a second actor can run within a first, and every place where one of them is killed.

    Args:
        make: a world in which all is prepared, the same each time.
        first, second: names of actors; without the second only kills are walked.
        kills: whether to kill at all.
        until_broken: whether one play that breaks something is enough.
    """
    found = Walk()
    with suppress(_EnoughError):
        _walk(make, first, second, found, kills=kills, until_broken=until_broken)
    return found


def _walk(
    make: Callable[[], World], first: str, second: str | None, found: Walk, *, kills: bool, until_broken: bool
) -> None:
    def run(play: Play) -> list[Frame]:
        frames, broken = play_it(make, play)
        found.plays += 1
        if broken is not None:
            found.broken.append(broken)
            if until_broken:
                raise _EnoughError
        return frames

    if second is None:
        (frame,) = run(Play(first))
        for done in frame.writes if kills else ():
            run(Play(first, killed_after=done))
        return
    done = 0
    while True:
        play = Play(first, ((done, Play(second)),))
        frames = run(play)
        outer, inner = frames[0], frames[1]
        if kills:
            for after in inner.writes:
                run(Play(first, ((done, Play(second, killed_after=after)),)))
            for after in outer.writes:
                if after >= done:  # else the second runs after it, as at `after == done`
                    run(replace(play, killed_after=after))
        if done >= len(outer.calls):
            return
        done += 1


def walk_failures(
    make: Callable[[], World], first: str, second: str | None = None, *, failures: Sequence[Failure] = FAILURES
) -> Walk:
    """Walk every call of an actor, each failing in every way; a second actor may run before that call, or after it."""
    found = Walk()
    calls = play_it(make, Play(first))[0][0].calls
    places: list[tuple[tuple[int, Play], ...]] = [()]
    for place, call in enumerate(calls):
        meets = [((place, Play(second)),), ((place + 1, Play(second)),)] if second is not None else places
        for between in meets:
            for failure in failures:
                if failure == "ConditionalRequestConflict" and call not in _CONDITIONAL:
                    continue
                _, broken = play_it(make, Play(first, between, fails=(place, failure)))
                found.plays += 1
                found.broken += [broken] if broken is not None else []
    return found


def wander(
    make: Callable[[], World],
    first: str,
    others: Sequence[str],
    *,
    plays: int,
    seed: int,
    meet: float = 0.1,
    kill: float = 0.05,
) -> Walk:
    """Play by lot: any of the others may run before any call, within each other too, and kills may fall.

    Args:
        others: names of actors, each of which runs once; what has not run by the end runs then.
        meet, kill: how likely it is that another one runs, or a kill falls, before a call.
    """
    found = Walk()
    for number in range(plays):
        dice = random.Random(f"{seed}/{number}")
        left = list(others)

        def lot(dice: random.Random = dice, left: list[str] = left) -> Play | bool:
            if left and dice.random() < meet:
                return Play(left.pop(dice.randrange(len(left))))
            return dice.random() < kill

        world = make()
        street = world.street
        street.actors, street.lot = world.actors, lot
        street.perform(Play(first))
        while left:
            street.perform_within(street.played[0], Play(left.pop(0)))
        street.lot = None
        _, broken = _judged(world)
        found.plays += 1
        if broken is not None:
            found.broken.append(shorten(make, broken))
    return found


def shorten(make: Callable[[], World], broken: Broken) -> Broken:
    """Leave out of a play whatever it breaks something without."""
    for play in _shorter(broken.play):
        _, still = play_it(make, play)
        if still is not None:
            return shorten(make, still)
    return broken


def _shorter(play: Play) -> Iterator[Play]:
    """The play with one thing less."""
    if play.killed_after is not None:
        yield replace(play, killed_after=None)
    if play.fails is not None:
        yield replace(play, fails=None)
    for place, (done, inner) in enumerate(play.between):
        before, after = play.between[:place], play.between[place + 1 :]
        yield replace(play, between=(*before, *after))
        for less in _shorter(inner):
            yield replace(play, between=(*before, (done, less), *after))


def _judged(world: World) -> tuple[list[Frame], Broken | None]:
    frames = list(world.street.played)
    why = tuple(world.judge())
    calls = tuple((frame.play.actor, tuple(frame.calls)) for frame in frames)
    return frames, Broken(frames[0].play, why, calls) if why else None
