"""What every place shows while the environment is well, updates, cannot be reached, refuses, or is busy."""

from __future__ import annotations

import socket

from tests.unit.signals.table import shows
from tests.unit.signals.world import World

ASKED = ("run", "wait", "events", "dags", "dry", "post", "get", "ledger", "metrics")


@shows("available", *ASKED, "health", "page", "out")
def test_available(world: World) -> dict[str, str]:
    world.airflow.to_come = ["running", "success"]
    return {
        **ask_all(world, "30s"),
        "health": world.ask("GET", "/health"),
        "page": page(world),
        "out": world.outcoming(),
    }


@shows("updating", *ASKED, "health", "page")
def test_updating(world: World) -> dict[str, str]:
    world.mwaa.status, world.environment.refusal = "UPDATING", 503
    return {**ask_all(world), "health": world.ask("GET", "/health"), "page": page(world)}


@shows("unreachable", *ASKED, "health", "page")
def test_web_server_out_of_reach(world: World) -> dict[str, str]:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        world.mwaa.cli_host = f"localhost:{closed.getsockname()[1]}"
    return {**ask_all(world), "health": world.ask("GET", "/health"), "page": page(world)}


@shows("refused", *ASKED, "health", "page")
def test_token_refused(world: World) -> dict[str, str]:
    world.environment.refusal = 403
    return {**ask_all(world), "health": world.ask("GET", "/health"), "page": page(world)}


@shows("denied", *ASKED, "health", "page", "out")
def test_a_right_is_missing(world: World) -> dict[str, str]:
    world.mwaa.denies["CreateCliToken"] = "AccessDeniedException"
    seen = {**ask_all(world), "health": world.ask("GET", "/health"), "page": page(world), "out": world.outcoming()}
    assert seen["out"].count("PermissionMissing") <= 1, "once, not every try"
    return seen


@shows("busy", *ASKED, "health", "page")
def test_busy(world: World) -> dict[str, str]:
    world.environment.refusal = 503
    return {**ask_all(world), "health": world.ask("GET", "/health"), "page": page(world)}


@shows("serving", "run", "events", "health", "dags", "dry", "post", "ledger", "page")
def test_updating_and_serving(world: World) -> dict[str, str]:
    world.mwaa.status = "UPDATING"
    return {
        "run": world.jetway("run", "hello"),
        "health": world.ask("GET", "/health"),
        "dags": world.dags("hello"),
        "dry": world.post(dry_run="true"),
        "post": world.post(),
        "page": page(world),
        "events": world.jetway("events"),
        "ledger": world.events(),
    }


@shows("failed_update", "run", "health", "dags", "dry", "post", "page")
def test_update_failed(world: World) -> dict[str, str]:
    world.mwaa.status = "UPDATE_FAILED"
    return {
        "run": world.jetway("run", "hello"),
        "health": world.ask("GET", "/health"),
        "dags": world.dags("hello"),
        "dry": world.post(dry_run="true"),
        "post": world.post(),
        "page": page(world),
    }


def ask_all(world: World, timeout: str = "1s") -> dict[str, str]:
    """Ask for runs in every way, and look everywhere what became of them."""
    # The first of its lane: what comes behind an event that is held is not looked at before that one is done.
    wait = world.jetway("run", "hello", "--run-id", "r_1", "--wait", "--timeout", timeout)
    return {
        "wait": wait if "r_1" in wait else f"(no run id)\n{wait}",
        "run": world.jetway("run", "hello"),
        "events": world.jetway("events"),
        "dags": world.dags("hello"),
        "dry": world.ask("POST", "/dags/hello/dagRuns", body={"dag_run_id": "r_9"}, dry_run="true"),
        "post": world.post(),
        "get": world.get(),
        "ledger": world.events(),
        "metrics": world.counted(),
    }


def page(world: World) -> str:
    return world.page(health="now.environment.status,now.status,now.airflow.detail")
