"""What every place shows of a DAG that is unknown, misspelt, paused, stale, or does not import."""

from __future__ import annotations

from tests.unit.signals.airflow import KnownDag
from tests.unit.signals.table import shows
from tests.unit.signals.world import World, file_event

ASKED = ("run", "wait", "events", "dags", "dry", "post", "get", "ledger")


@shows("unknown", *ASKED, "metrics")
def test_unknown(world: World) -> dict[str, str]:
    return {**ask_all(world, "quarterly_report"), "metrics": world.counted()}


@shows("misspelt", "run", "wait", "dry")
def test_misspelt(world: World) -> dict[str, str]:
    seen = ask_all(world, "helo")
    return {place: seen[place] for place in ("run", "wait", "dry")}


@shows("paused", *ASKED, "page", "out", "metrics")
def test_paused(world: World) -> dict[str, str]:
    world.airflow.dags["reports"] = KnownDag(paused=True)
    seen = ask_all(world, "reports")
    listed = world.page(dags="dag.dag_id,dag.is_paused", events="event.because")
    # The page writes "(paused)" behind the DAG.
    seen["page"] = listed.replace("True", "(paused)")
    return {**seen, "out": world.outcoming(), "metrics": world.counted()}


@shows("stale", *ASKED, "page", "out", "metrics")
def test_stale(world: World) -> dict[str, str]:
    world.airflow.dags["old"] = KnownDag(stale=True)
    seen = {**ask_all(world, "old"), "page": world.page(events="event.because")}
    assert list(world.airflow.runs) == [("old", "r_1")], "the command line has started nothing"
    return {**seen, "out": world.outcoming(), "metrics": world.counted()}


@shows("known", "wait", "events", "post", "get", "ledger", "page", "metrics")
def test_known_to_be_stale(world: World) -> dict[str, str]:
    world.airflow.dags["old"] = KnownDag(stale=True)
    world.send(file_event(), dag="old")
    world.dispatch()
    world.metrics.clear()
    post = world.post("old")
    world.dispatch()
    seen = {
        "post": post,
        "get": world.get("old"),
        "wait": world.jetway("run", "old", "--run-id", "r_2", "--no-check", "--wait", "--timeout", "1s"),
        "events": world.jetway("events", "--trigger", "http"),
        "ledger": world.events("http"),
        "page": world.page(events="event.decision,event.because"),
        "metrics": world.counted(),
    }
    assert len(world.airflow.runs) == 1, "the one of the first event"
    return seen


@shows("gone", "wait", "dags", "get")
def test_stale_since_the_run_is_queued(world: World) -> dict[str, str]:
    def delete_its_file() -> None:
        world.dispatch()
        if world.airflow.runs and not world.airflow.dags["hello"].stale:
            world.airflow.dags["hello"].stale = True
            world.let_a_minute_pass()
            world.forget()

    world.after_each_call = delete_its_file
    wait = world.jetway("run", "hello", "--run-id", "r_1", "--wait", "--timeout", "1s")
    return {"wait": wait, "dags": world.dags("hello"), "get": world.get()}


@shows("broken", *ASKED)
def test_import_error(world: World) -> dict[str, str]:
    """Airflow answers as to a DAG that no file has ever made: recorded as trigger_broken_dag."""
    world.airflow.errors = [{"filepath": "broken_import.py", "error": "ModuleNotFoundError: nope_not_there"}]
    return ask_all(world, "cycle_dag")


def ask_all(world: World, dag_id: str) -> dict[str, str]:
    """Ask for a run of the DAG in every way, and look everywhere what became of it."""
    post = world.post(dag_id)
    world.dispatch()
    return {
        "run": world.jetway("run", dag_id),
        "wait": world.jetway("run", dag_id, "--wait", "--timeout", "1s"),
        "events": world.jetway("events"),
        "dags": world.dags(dag_id),
        "dry": world.ask("POST", f"/dags/{dag_id}/dagRuns", body={"dag_run_id": "r_9"}, dry_run="true"),
        "post": post,
        "get": world.get(dag_id),
        "ledger": world.events(),
    }
