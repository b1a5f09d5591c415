"""The scenes in which the event engine's actors meet; each makes a world in which all is prepared, and names them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from jetway.dispatch.dates import dates_to_try
from jetway.dispatch.run import parse_message, plan
from tests.unit.explorer.event_calls import Calls
from tests.unit.explorer.event_invariants import judge, run_id_of
from tests.unit.explorer.event_street import FaultyPlay
from tests.unit.explorer.event_world import IN_HAND, START, EventWorld, event_of, in_turn
from tests.unit.explorer.walker import KilledError

CHOSEN = "invoice-4711"
DERIVED = "jetway__http__neao5nwq7jut2lxa4mqj"
CALL = {"name": "http", "kind": "http"}
KILLED_WITH_A_RUN = 5  # calls: of a call with a chosen id, over rest, the fifth one creates the run
THROTTLED = tuple((call, "429") for call in range(4, 30))  # from the call on that creates the run, over cli
BATCH = {"batch": {"max_events": 2, "within": 60}}


class Scene(EventWorld):
    """A world whose judge knows the invariants of events."""

    def __init__(self, transport: str = "rest", *, theirs: Sequence[str] = (), **more: Any) -> None:
        super().__init__(transport, **more)
        self.theirs = list(theirs)
        self.actors = {
            "dispatch": self.dispatch,
            "dispatch again": partial(self.dispatch, though_in_hand=True),
            "follow": self.follow,
            "resume": self.resume,
            "collect": self.collect,
            "collect one": partial(self.collect, most=1),
            "sweep": self.sweep,
            "redrive": self.redrive,
            "reached otherwise": self.reached_otherwise,
        }

    def reached_otherwise(self) -> None:
        """The VPC endpoint of the private web server is made, or deleted."""
        self.airflow.is_reached_over_rest = not self.airflow.is_reached_over_rest

    def act(self, **actors: Callable[[], object]) -> None:
        """Give it actors of its own."""
        self.actors = {**self.actors, **actors}

    def judge(self) -> list[str]:
        return judge(self, theirs=self.theirs)


class Deadly(Scene):
    """Files of a trigger with a batch, of which one ends whoever claims it, before the claim is made or after."""

    def __init__(self, transport: str, *, killer: str, claims: bool) -> None:
        super().__init__(transport)
        self._killer, self._claims, self._claim = killer, claims, self.batches.transact_write_items
        self.batches.transact_write_items = self._transact  # type: ignore[method-assign]

    def _transact(self, *, TransactItems: Sequence[Mapping[str, Any]]) -> dict[str, Any]:  # noqa: N803 - AWS's name
        claims = [step["Put"]["Item"]["pk"]["S"] for step in TransactItems if "Put" in step]
        is_deadly = any(name.endswith(run_id_of(self._killer).rpartition("__")[2]) for name in claims)
        if is_deadly and not self._claims:
            raise KilledError
        try:
            return self._claim(TransactItems=TransactItems)
        finally:
            if is_deadly:
                raise KilledError

    def judge(self) -> list[str]:
        found = super().judge()
        bodies = [json.loads(each.body) for each in self.sqs.queues["dead.fifo"].messages]
        told = sorted((each["message"]["event"]["id"], each["reason"]) for each in bodies)
        if set(told) != (set() if self._claims else {(self._killer, "crashed")}):
            found.append(f"8: the dead letters are {told}.")
        return found


def file(transport: str, **trigger: Any) -> Scene:
    """One file; it is delivered a second time, also under a definition that has changed."""
    scene = Scene(transport)
    scene.send("a.csv", trigger)
    scene.act(
        copy=in_turn(partial(scene.send, "a.csv", trigger), partial(scene.dispatch, though_in_hand=False)),
        other_dag=in_turn(partial(scene.send, "a.csv", {**trigger, "dag": "other"}), scene.dispatch),
        into_a_batch=in_turn(partial(scene.send, "a.csv", {**trigger, **BATCH}), scene.collect),
    )
    return scene


def taken(transport: str) -> Scene:
    """A file whose date another run has; the next one may be taken too, or that run be deleted, at any moment."""
    scene = file(transport)
    first, second, *_ = dates_of("a.csv")
    scene.airflow.create("etl", "theirs", first, ours=False)
    scene.act(
        second_is_taken=lambda: scene.airflow.create("etl", "theirs too", second, ours=False),
        first_is_free=lambda: scene.airflow.runs.pop(("etl", "theirs"), None),
    )
    return scene


def all_taken(transport: str) -> Scene:
    """A file for which the dates of its first go are all taken."""
    scene = taken(transport)
    for number, date in enumerate(dates_of("a.csv")):
        scene.airflow.create("etl", f"theirs {number}", date, ours=False)
    return scene


def paused(transport: str, when_paused: str, *, lost: bool = False) -> Scene:
    """A file of a paused DAG, which may be unpaused and paused at any moment; an earlier try may have made its run."""
    scene = file(transport, when_paused=when_paused)
    if lost:
        scene.street.actors = scene.actors
        scene.street.perform(FaultyPlay("dispatch", killed_after=2))
        scene.street.played.clear()
        scene.now += IN_HAND
    scene.paused.add("etl")
    scene.act(
        pause=lambda: scene.paused.symmetric_difference_update({"etl"}),
        copy_in_a_while=in_turn(partial(scene.paused.discard, "etl"), scene.actors["copy"]),
    )
    rest = scene.rest

    def unpaused_soon(until: timedelta = timedelta(hours=4)) -> bool:
        rest(timedelta(minutes=20))
        scene.paused.clear()
        return rest(until)

    scene.rest = unpaused_soon  # type: ignore[method-assign]
    return scene


def young(transport: str) -> Scene:
    """A file that is too old when a killed function's message comes back."""
    scene = Scene(transport, killed_for=timedelta(minutes=8))
    scene.send("a.csv", {"max_event_age": 300})
    return scene


def late(transport: str) -> Scene:
    """A file that is too old when it comes back; the function was killed when it had made its run."""
    scene = young(transport)
    scene.street.actors = scene.actors
    scene.street.perform(FaultyPlay("dispatch", killed_after=2))
    scene.street.played.clear()
    scene.now += timedelta(minutes=8)
    return scene


def call(transport: str, run_id: str) -> Scene:
    """A call; it is redriven, and repeated."""
    scene = Scene(transport)
    scene.send(run_id, CALL, group="interactive")
    scene.act(
        copy=in_turn(partial(scene.send, run_id, CALL, group="interactive"), scene.dispatch),
        killed_elsewhere=lambda: scene.street.perform(FaultyPlay("dispatch again", killed_after=KILLED_WITH_A_RUN)),
    )
    return scene


def call_of_others(transport: str) -> Scene:
    """A call for a run id that somebody else's run has."""
    scene = Scene(transport, theirs=[CHOSEN])
    scene.airflow.create("etl", CHOSEN, ours=False)
    scene.send(CHOSEN, CALL, group="interactive")
    return scene


def unknown(transport: str) -> Scene:
    """A file for a DAG that Airflow does not know; it may be parsed at any moment, and the file delivered twice."""
    scene = Scene(transport, dags=(), grace=timedelta(minutes=1))
    scene.send("a.csv")
    scene.act(
        parsed=lambda: scene.airflow.dags.add("etl"),
        copy=in_turn(partial(scene.send, "a.csv"), scene.dispatch),
    )
    return scene


def known_late(transport: str) -> Scene:
    """A file whose DAG is parsed within its grace."""
    scene = unknown(transport)
    rest = scene.rest

    def parsed_soon(until: timedelta = timedelta(hours=4)) -> bool:
        rest(timedelta(seconds=20))
        scene.airflow.dags.add("etl")
        return rest(until)

    scene.rest = parsed_soon  # type: ignore[method-assign]
    return scene


def given_up(transport: str) -> Scene:
    """A dead letter whose event is delivered once more, now that its DAG is known."""
    scene = unknown(transport)
    scene.rest()
    scene.airflow.dags.add("etl")
    scene.send("a.csv")
    scene.act(redriven=in_turn(scene.redrive, scene.dispatch))
    return scene


def dead(transport: str) -> Scene:
    """A dead letter that the bus has not taken; it is redriven while follow_runs tells it late."""
    scene = Scene(transport, dags=(), grace=timedelta(seconds=1))
    scene.bus.down = True
    scene.send("a.csv")
    scene.dispatch()
    scene.now += timedelta(seconds=20)
    scene.resume()
    scene.dispatch()
    scene.bus.down = False
    scene.airflow.dags.add("etl")
    scene.act(redriven=in_turn(scene.redrive, scene.dispatch))
    return scene


def rated(transport: str, events: int = 3, dags: tuple[str, ...] = ("etl",)) -> Scene:
    """Some files of a trigger that may start one run a minute."""
    scene = Scene(transport, dags=dags, grace=timedelta(minutes=5))
    for number in range(events):
        scene.send(f"{number}.csv", {"rate": {"count": 1, "per": 60}})
    scene.act(
        work=scene.dispatch,
        parsed=lambda: scene.airflow.dags.add("etl"),
        throttled=lambda: scene.street.perform(FaultyPlay("dispatch again", faults=THROTTLED)),
    )
    return scene


def batched(transport: str, files: int = 3, *, within: int = 60, most: int = 2) -> Scene:
    """Some files of a trigger with a batch; one is delivered again, by itself and into a batch."""
    scene = Scene(transport)
    trigger = {"batch": {"max_events": most, "within": within}}
    for number in range(files):
        scene.send(f"{number}.csv", trigger)
    scene.act(
        copy=in_turn(partial(scene.send, "0.csv", trigger), scene.collect),
        by_itself=in_turn(partial(scene.send, "0.csv"), scene.dispatch),
        more=in_turn(partial(scene.send, "9.csv", trigger), partial(scene.collect, newest=True)),
        deadline=in_turn(lambda: setattr(scene, "now", scene.now + timedelta(seconds=within)), scene.sweep),
    )
    return scene


def deadly(transport: str, *, claims: bool = False, deaths: int = 0) -> Scene:
    """Three files, of which the second one ends the collector each time; it has done so already, so many times."""
    scene = Deadly(transport, killer="1.csv", claims=claims)
    for number in range(3):
        scene.send(f"{number}.csv", BATCH)
    for _ in range(deaths):
        with suppress(KilledError):
            scene.collect()
        scene.now += IN_HAND
    scene.act(
        copy=in_turn(partial(scene.send, "1.csv", BATCH), partial(scene.collect, newest=True)),
        more=in_turn(partial(scene.send, "9.csv", BATCH), partial(scene.collect, newest=True)),
    )
    return scene


def due(transport: str) -> Scene:
    """A batch that is at its deadline when another event comes: who closes it must have seen all of it."""
    scene = batched(transport, files=1, most=5)
    scene.collect()
    scene.now += timedelta(seconds=59)
    scene.act(late=in_turn(lambda: setattr(scene, "now", scene.now - timedelta(seconds=2)), scene.actors["more"]))
    scene.now += timedelta(seconds=2)
    return scene


def waiting(transport: str) -> Scene:
    """A file that waits aside, and whose DAG is known by now."""
    scene = unknown(transport)
    scene.dispatch()
    scene.airflow.dags.add("etl")
    scene.now += timedelta(seconds=20)
    return scene


def ended(transport: str) -> Scene:
    """A run that has ended, and is due for a look."""
    scene = file(transport)
    scene.dispatch()
    scene.now += timedelta(minutes=3)
    return scene


def letter(transport: str) -> Scene:
    """A dead letter, which is redriven; its event is delivered once more meanwhile."""
    scene = unknown(transport)
    scene.rest()
    scene.airflow.dags.add("etl")
    return scene


def redriven(transport: str) -> Scene:
    """A dead letter that is redriven; its DAG is not known, and the message is delivered twice."""
    scene = unknown(transport)
    scene.rest()
    scene.redrive()
    scene.now += timedelta(minutes=6)
    return scene


def room(transport: str) -> Scene:
    """A batch with room for two more; two are to come, and another collector brings one."""
    scene = batched(transport, files=1, most=3)
    scene.collect()
    for name in ("1.csv", "2.csv"):
        scene.send(name, {"batch": {"max_events": 3, "within": 60}})
    return scene


def dates_of(name: str) -> list[str]:
    """Return the dates that the run of the file of that name may have, as they are tried in one go."""
    body = {"trigger": {"name": "orders", "kind": "s3", "dag": "etl"}, "event": event_of("s3", name, START)}
    request = plan(parse_message(json.dumps(body), sent_at=START), major=lambda: 3).request
    assert request is not None
    return [each.logical_date.isoformat() for each in dates_to_try(request, passed=0) if each.logical_date]


def posted(transport: str) -> Calls:
    """A call with a key, on the queue."""
    world = Calls(transport)
    world.post("a")
    return world


@dataclass(frozen=True, slots=True)
class Meeting:
    """Who meets whom in a scene.

    Attributes:
        make: makes the scene, over rest, cli or auto.
        first: the actor whose calls are disturbed.
        others: actors that may come between two of them.
    """

    make: Callable[[str], Scene | Calls]
    first: str
    others: tuple[str, ...]


MEETINGS: Mapping[str, Meeting] = {
    "file": Meeting(file, "dispatch", ("copy", "other_dag", "into_a_batch", "follow", "dispatch again")),
    "taken": Meeting(taken, "dispatch", ("copy", "second_is_taken", "first_is_free", "dispatch again")),
    "all taken": Meeting(all_taken, "dispatch", ("copy", "first_is_free", "dispatch again")),
    "paused, skipped": Meeting(
        partial(paused, when_paused="skip"), "dispatch", ("pause", "copy_in_a_while", "dispatch again")
    ),
    "paused, skipped, lost": Meeting(
        partial(paused, when_paused="skip", lost=True), "dispatch", ("pause", "copy_in_a_while", "dispatch again")
    ),
    "paused, dead": Meeting(
        partial(paused, when_paused="dead-letter", lost=True), "dispatch", ("pause", "redrive", "dispatch again")
    ),
    "paused, waiting": Meeting(partial(paused, when_paused="wait"), "dispatch", ("pause", "copy", "dispatch again")),
    "young": Meeting(young, "dispatch", ("dispatch again",)),
    "late": Meeting(late, "dispatch", ("dispatch again", "follow")),
    "derived call": Meeting(partial(call, run_id=DERIVED), "dispatch", ("copy", "dispatch again")),
    "chosen call": Meeting(partial(call, run_id=CHOSEN), "dispatch", ("copy", "dispatch again", "killed_elsewhere")),
    "call of others": Meeting(call_of_others, "dispatch", ("dispatch again",)),
    "unknown": Meeting(unknown, "dispatch", ("parsed", "copy", "dispatch again")),
    "known late": Meeting(known_late, "dispatch", ("copy", "dispatch again")),
    "given up": Meeting(given_up, "dispatch", ("redriven", "redrive", "dispatch again")),
    "waiting": Meeting(waiting, "resume", ("resume", "copy", "dispatch")),
    "letter": Meeting(letter, "redrive", ("redrive", "dispatch", "copy")),
    "redriven": Meeting(redriven, "dispatch", ("dispatch again", "parsed", "redrive")),
    "dead": Meeting(dead, "follow", ("redriven", "redrive")),
    "ended": Meeting(ended, "follow", ("follow", "copy")),
    "rated": Meeting(rated, "dispatch", ("work", "dispatch again", "throttled")),
    "rated, unknown": Meeting(partial(rated, events=1, dags=()), "dispatch", ("parsed", "dispatch again")),
    "batched": Meeting(batched, "collect", ("copy", "by_itself", "more", "deadline", "sweep", "collect one")),
    "deadly": Meeting(deadly, "collect", ("copy", "more", "collect one")),
    "deadly alone": Meeting(partial(deadly, deaths=2), "collect", ("copy",)),
    "deadly, claimed": Meeting(partial(deadly, claims=True, deaths=1), "collect", ("copy",)),
    "crashed": Meeting(partial(deadly, deaths=3), "collect", ("copy", "more", "redrive")),
    "due": Meeting(due, "sweep", ("late", "more", "copy", "by_itself")),
    "room": Meeting(room, "collect", ("more",)),
    "calls": Meeting(
        Calls, "post", ("post again", "post another body", "changed and posted", "posted and dispatched", "dispatch")
    ),
    "a call, dispatched": Meeting(posted, "dispatch", ("changed and posted", "post again", "post another body")),
}
