"""What every place shows of an event that is held, waits, is a dead letter, skipped, a duplicate, or batched."""

from __future__ import annotations

import json

from tests.unit.signals.table import shows
from tests.unit.signals.world import DROP, World, file_event

TRIGGER = "dag: hello\non: {s3: {bucket: acme-drop, key: {prefix: in/}}}\n"
SEEN = ("events", "triggers", "ledger", "page", "metrics")
PAGE = "event.decision,event.because"


@shows("held", *SEEN, "health")
def test_held(world: World) -> dict[str, str]:
    in_force(world)
    world.mwaa.status, world.environment.refusal = "UPDATING", 503
    world.send(file_event())
    world.dispatch()
    seen = {**look(world), "health": world.ask("GET", "/health")}
    dispatch = json.loads(seen["health"].partition(" ")[2])["dispatch"]
    assert dispatch["waiting"] + dispatch["in_flight"] == 1  # in flight until its next try
    return seen


@shows("waiting", *SEEN, "health")
def test_waiting_aside(world: World) -> dict[str, str]:
    in_force(world)
    del world.airflow.dags["hello"]
    world.send(file_event())
    world.dispatch()
    seen = {**look(world), "health": world.ask("GET", "/health")}
    assert "1" in world.page(health="now.dispatch.aside"), "it is counted"
    return seen


@shows("dead", *SEEN, "health", "out", "wait", "get")
def test_dead_lettered(world: World) -> dict[str, str]:
    in_force(world)
    del world.airflow.dags["hello"]
    world.set(GRACE_MINUTES="0")
    world.send(file_event())
    world.dispatch()
    world.measure()
    seen = {**look(world), "health": world.ask("GET", "/health"), "out": world.outcoming()}
    assert "1" in world.page(health="now.dispatch.dead_letters"), "it is counted"
    seen["wait"] = world.jetway("run", "hello", "--run-id", "r_1", "--no-check", "--wait", "--timeout", "1s")
    return {**seen, "get": world.get()}


@shows("skipped", *SEEN)
def test_skipped(world: World) -> dict[str, str]:
    in_force(world)
    world.send(file_event("in/", size=0))
    world.dispatch()
    return look(world)


@shows("duplicate", "events", "ledger", "out", "metrics")
def test_duplicate(world: World) -> dict[str, str]:
    world.send(file_event(), copies=2)
    world.dispatch()
    out = world.told()
    assert [event["detail-type"] for event in out] == ["DagRunStarted"]
    seen = {place: text for place, text in look(world).items() if place in {"events", "ledger", "metrics"}}
    assert len(json.loads(seen["ledger"].partition(" ")[2])["events"]) == 1
    return {**seen, "out": json.dumps(out)}


@shows("batched", *SEEN)
def test_batched(world: World) -> dict[str, str]:
    in_force(world, TRIGGER + "batch: {max_events: 5, within: 5m}\n")
    world.send(file_event(), queue="collect", batch={"max_events": 5, "within": 300})
    world.collect()
    return look(world)


def in_force(world: World, text: str = TRIGGER) -> None:
    """Let sync_triggers take the trigger whose events come."""
    world.s3.put_object(Bucket=DROP, Key="triggers/orders.yaml", Body=text.encode())
    world.sync()


def look(world: World) -> dict[str, str]:
    return {
        "events": world.jetway("events"),
        "triggers": world.jetway("triggers"),
        "ledger": world.events(),
        "page": world.page(events=PAGE),
        "metrics": world.counted(),
    }
