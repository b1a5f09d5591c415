"""What the scenes of updates have in common: artifacts, and what must be so in the end."""

from __future__ import annotations

from typing import Any

from .update_world import NO_MODULE, UpdateWorld, plugins, requirements

R, P = "requirements.txt", "plugins.zip"
V0, V1, V2 = requirements(), requirements(pin="pytz==2024.1"), requirements("brings humanize", "tabulate==0.9.0")
OPTION: dict[str, Any] = {"AirflowConfigurationOptions": {"core.parallelism": "64"}}
PLUGINS = plugins()
NEEDS_HUMANIZE = b"# needs humanize\nfrom airflow.sdk import DAG\nimport humanize\nwith DAG('orders'):\n    pass\n"


def broken_by(world: UpdateWorld, *bad: bytes, file: str = "team/orders.py") -> None:
    """These requirements break a DAG file that is there."""
    world.airflow.broken = lambda: {file: NO_MODULE.format("humanize")} if world.in_force() in bad else {}


def is_innocent(world: UpdateWorld, version: str, body: bytes, key: str = R) -> None:
    """The version is in force and verified in the end, whatever came between."""
    world.rest()
    assert version not in world.rolled_back(key)
    assert world.in_force(key) == body
    standing = world.named(key)
    assert standing.live is not None
    assert (standing.stage, standing.live.source) == ("good", version)
    assert world.report(key, version)["in_force"]["state"] == "verified"


def goes_back(world: UpdateWorld, bad: str) -> None:
    world.rest()
    assert world.rolled_back() == (bad,)
    assert world.in_force() == V0
    assert world.named(R).stage == "rolled-back"
    report = world.report(R, bad)
    assert (report["outcome"], report.get("in_force")) == ("rolled-back", None)


def with_a_broken_update(world: UpdateWorld) -> str:
    """v1 is in force, and the next look finds what it has broken; return its version."""
    world.verified_update()
    bad = world.drop(R, V1)
    broken_by(world, V1)
    world.run(27)
    assert world.in_force() == V1
    assert world.records.get().phase == "verifying"
    return bad
