"""What must hold of every event when nothing is left to be done; each broken invariant is one sentence."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

from jetway.batches.model import run_id_of_batch
from jetway.dispatch.run import derive_run_id, parse_message
from jetway.dispatch.run_events import end_id
from jetway.ledger import entry_id
from tests.unit.explorer.event_airflow import LATE, Run
from tests.unit.explorer.event_world import START, EventWorld, event_of

LETTER_IN_HAND = timedelta(minutes=6)  # a command that was killed looks at its letters for no longer


def judge(world: EventWorld, *, theirs: Sequence[str] = ()) -> list[str]:
    """Bring the world to rest and say what is broken.

    Args:
        theirs: events whose run is somebody else's.
    """
    broken = [] if world.rest() else ["something is never done."]
    if world.was_redriven:  # whoever redrives does so until no letter is left
        world.now += LETTER_IN_HAND
        world.redrive()
        world.rest()
    world.now += LATE  # what is on its way is there by then
    world.airflow.arrive()
    broken += world.trouble
    batches = _batches(world)
    for name, definition in world.sent.items():
        broken += (f"{name}: {each}" for each in _of_event(world, name, definition, batches, name in theirs))
    broken += _of_batches(world, batches)
    broken += _of_rates(world)
    return broken


def _of_event(
    world: EventWorld, name: str, definition: dict[str, Any], batches: list[dict[str, Any]], theirs: bool
) -> Iterator[str]:
    """1, 2 and 3: one outcome, its own run or nobody's, announced and followed."""
    plain = {key: value for key, value in definition.items() if key != "batch"}
    body = json.dumps({"trigger": plain, "event": event_of(definition["kind"], name, START)})
    read = parse_message(body, sent_at=START)
    id_ = entry_id(read.trigger.name, read.digest)
    runs = [run for run in world.airflow.runs.values() if run.run_id == read.run_id and run.ours]
    letters = {letter["message"]["event"].get("id", letter["dag_run_id"]) for letter in _letters(world)}
    is_letter = name in letters or read.run_id in letters
    memberships = sum(event["key"] == name for batch in batches for event in batch["events"])
    row = world.table.items.get(id_, {})
    skipped = row.get("decision") == "skipped"
    outcomes = {"run": len(runs), "dead letter": int(is_letter), "batch": memberships, "skipped": int(skipped)}
    if theirs:
        if any(outcomes.values()) or row.get("decision") != "duplicate" or _told(world, id_):
            yield f"2: the run is somebody else's; outcomes {outcomes}, row {row.get('decision')}."
        return
    if sum(outcomes.values()) != 1:
        yield f"1: outcomes are {outcomes}."
        return
    expected = "started" if runs else "dead-lettered" if is_letter else "skipped" if skipped else "batched"
    if row.get("decision") != expected:
        yield f"1: it is {expected}, and its row says {row.get('decision')}."
    if any(run.date is None for run in runs) and read.trigger.kind != "http":
        yield "9: its run has no date."
    told = _told(world, id_, runs)
    redriven = [each for each in told if "#dead-lettered#" in each] if world.was_redriven else []
    if runs and told.keys() - redriven != {f"{id_}#started", end_id(runs[0].dag_id, runs[0].run_id, "success")}:
        yield f"3: a run was made; told is {sorted(told)}."
    if is_letter and not any("#dead-lettered#" in each for each in told):
        yield f"3: a dead letter was written; told is {sorted(told)}."
    was_killed = any(frame.play.killed_after is not None for frame in world.street.played)
    if runs and not was_killed and world.started[id_] != 1 and not _retold(world):
        yield f"3: its run is counted {world.started[id_]} times."


def _retold(world: EventWorld) -> bool:
    """Whether the last word of an invocation was lost: the message is then deleted, or the row written, unseen."""
    faults = [fault for frame in world.street.played for _, fault in getattr(frame.play, "faults", ())]
    return len(faults) > 1


def _of_batches(world: EventWorld, batches: list[dict[str, Any]]) -> Iterator[str]:
    """1: a batch that has its manifest has its run, and no more events than it may."""
    for batch in batches:
        run_id = run_id_of_batch(batch["trigger"], batch["batch_id"])
        runs = [run for run in world.airflow.runs.values() if run.run_id == run_id]
        if len(runs) != 1:
            yield f"1: batch {batch['batch_id']} has {len(runs)} runs."
        if not batch["count"] == len(batch["events"]) <= world.most:
            yield f"1: batch {batch['batch_id']} has {len(batch['events'])} events and says {batch['count']}."


def _of_rates(world: EventWorld) -> Iterator[str]:
    """4: no window has more runs than its rate lets in."""
    rates = {(each["rate"]["count"], each["rate"]["per"]) for each in world.sent.values() if "rate" in each}
    for count, per in rates:
        made: Counter[int] = Counter(_window(run, per) for run in world.airflow.runs.values() if run.ours)
        for window, runs in made.items():
            if runs > count:
                at = START + timedelta(seconds=window)
                yield f"4: {runs} runs in the window of {at}; the rate is {count}/{per} s."


def _window(run: Run, per: int) -> int:
    return int(run.created_at.timestamp()) // per * per - int(START.timestamp())


def _batches(world: EventWorld) -> list[dict[str, Any]]:
    return [json.loads(body) for body in world.s3.objects.values()]


def _letters(world: EventWorld) -> list[dict[str, Any]]:
    found = [json.loads(each.body) for each in world.sqs.queues["dead.fifo"].messages]
    return [letter for letter in found if isinstance(letter["message"], dict)]


def _told(world: EventWorld, id_: str, runs: Sequence[Run] = ()) -> Counter[str]:
    """What was told of an event, and of the ends of its runs."""
    ids = [json.loads(each["Detail"])["id"] for each in world.bus.told]
    ends = {end_id(run.dag_id, run.run_id, "success") for run in runs}
    return Counter(each for each in ids if each.startswith(f"{id_}#") or each in ends)


def run_id_of(name: str, trigger: str = "orders") -> str:
    """Return the run id of the file of that name."""
    return derive_run_id(trigger, ("s3", "landing", name, "version-id", f"v-{name}"))
