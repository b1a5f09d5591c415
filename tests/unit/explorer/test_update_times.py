"""How many updates some drops in a few minutes take, and how long until all is at rest, as docs/promotion.md says."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta

import pytest

from tests.unit.sample_events import ROOT

from .promotion_world import MINUTE, START
from .update_invariants import judge
from .update_world import UpdateWorld, plugins, requirements

R, P, D = "requirements.txt", "plugins.zip", "dags/orders.py"
V0, V1 = requirements(), requirements(pin="pytz==2024.1")
BREAKS = requirements("breaks", "pytz==2024.1")
BRINGS = requirements("brings humanize", "tabulate==0.9.0")
NEEDS = b"# needs humanize\nfrom airflow.sdk import DAG\nimport humanize\nwith DAG('orders'):\n    pass\n"

Drops = Sequence[tuple[float, str, bytes]]
# What is dropped, after how many minutes; as the page says it.
ROWS: dict[str, Drops] = {
    "requirements.txt three times within the quiet two minutes": [
        (0, R, V1),
        (1.5, R, V0 + b"#\n"),
        (3, R, V1 + b"#\n"),
    ],
    "requirements.txt, plugins.zip, requirements.txt": [(0, R, V1), (2.5, P, plugins()), (5, R, V1 + b"#\n")],
    "the bytes that are in force, three times": [(0, R, V0), (2.5, R, V0), (5, R, V0)],
    "new bytes, three times the same": [(0, R, V1), (2.5, R, V1), (5, R, V1)],
    "requirements.txt that breaks something, the fix, plugins.zip": [(0, R, BREAKS), (2.5, R, V1), (5, P, plugins())],
    "requirements.txt, a newer one with a package, the DAG that needs it": [
        (0, R, V1),
        (2.5, R, BRINGS),
        (5, D, NEEDS),
    ],
    "plugins.zip, requirements.txt with a package, the DAG that needs it": [
        (0, P, plugins()),
        (2.5, R, BRINGS),
        (5, D, NEEDS),
    ],
    "a bad requirements.txt, another bad one, a good one after 70 minutes": [
        (0, R, BREAKS),
        (4, R, BREAKS + b"#\n"),
        (70, R, V1),
    ],
}


def took(drops: Drops) -> tuple[int, int]:
    """How many updates there were, and after how many minutes all is at rest."""
    world = UpdateWorld()
    world.quiet = 2 * MINUTE
    world.verified_update(V0)
    before, began = len(world.mwaa.updates), world.now
    for after, key, body in drops:
        at = began + timedelta(minutes=after)
        while world.now + MINUTE <= at:
            world.run()
        minute, world.now = world.now, at - timedelta(seconds=1)  # an upload takes one
        world.drop(key, body)
        world.now = minute  # both schedules fire on the minute
    last = world.now
    while not world.at_rest():
        world.run()
        last = world.now
    assert last - START < timedelta(hours=9)
    assert judge(world) == []
    return len(world.mwaa.updates) - before, round((last - began) / MINUTE)


@pytest.mark.parametrize("row", ROWS)
def test_the_page_says_what_it_takes(row: str) -> None:
    page = (ROOT / "docs" / "promotion.md").read_text(encoding="utf-8")
    told = re.search(rf"^\| {re.escape(row)} \| (\d+) \| (\d+) min \|$", page, re.MULTILINE)
    updates, minutes = took(ROWS[row])
    assert told is not None, f"| {row} | {updates} | {minutes} min |"
    assert (int(told[1]), int(told[2])) == (updates, minutes), f"| {row} | {updates} | {minutes} min |"
