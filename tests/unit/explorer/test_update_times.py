"""How many updates some drops in a few minutes take, and how long until all is at rest, as docs/promotion.md says."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta

import pytest

from tests.unit.sample_events import ROOT
from tests.unit.template.source import TEMPLATE

from .promotion_world import MINUTE, START
from .update_invariants import judge
from .update_world import UpdateWorld, plugins, requirements, truth_in

R, P, S, D = "requirements.txt", "plugins.zip", "startup.sh", "dags/orders.py"
V0, V1 = requirements(), requirements(pin="pytz==2024.1")
BREAKS = requirements("breaks", "pytz==2024.1")
BRINGS = requirements("brings humanize", "tabulate==0.9.0")
NEEDS = b"# needs humanize\nfrom airflow.sdk import DAG\nimport humanize\nwith DAG('orders'):\n    pass\n"

Drops = Sequence[tuple[float, str, bytes]]
SCRIPT = b"#!/bin/sh\n# works\necho ready\n"
# What is dropped, after how many minutes; as the page says it.
ROWS: dict[str, Drops] = {
    "requirements.txt, plugins.zip, startup.sh": [(0, R, V1), (2.5, P, plugins()), (5, S, SCRIPT)],
    "requirements.txt that breaks something, plugins.zip, startup.sh": [
        (0, R, BREAKS),
        (2.5, P, plugins()),
        (5, S, SCRIPT),
    ],
    "requirements.txt that pip cannot install, plugins.zip, startup.sh": [
        (0, R, requirements("unfound", "pytz==2024.1")),
        (2.5, P, plugins()),
        (5, S, SCRIPT),
    ],
    "requirements.txt, plugins.zip that breaks something, startup.sh": [
        (0, R, V1),
        (2.5, P, plugins("breaks")),
        (5, S, SCRIPT),
    ],
    "requirements.txt three times": [(0, R, V1), (2.5, R, V0 + b"#\n"), (5, R, V1 + b"#\n")],
    "requirements.txt three times, the last one breaks something": [
        (0, R, V1),
        (2.5, R, V0 + b"#\n"),
        (5, R, BREAKS),
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
# As the page promises: one update where all are good, two where one is bad.
PROMISED = {
    "requirements.txt, plugins.zip, startup.sh": 1,
    "requirements.txt three times": 1,
    "requirements.txt that breaks something, plugins.zip, startup.sh": 2,
    "requirements.txt that pip cannot install, plugins.zip, startup.sh": 2,
    "requirements.txt, plugins.zip that breaks something, startup.sh": 2,
    "requirements.txt three times, the last one breaks something": 2,
}


def took(drops: Drops) -> tuple[int, int]:
    """How many updates there were, and after how many minutes all is at rest."""
    world = UpdateWorld()
    world.quiet = timedelta(seconds=TEMPLATE["Parameters"]["UpdateQuietSeconds"]["Default"])
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
    # Which artifact of an update breaks a DAG cannot be told: they stand and fall together (docs/promotion.md).
    bad = {key for _, key, body in drops if truth_in(body)[0] == "breaks"}
    beside = {key for _, key, _ in drops} - bad if bad else set()
    assert [each for each in judge(world) if each.partition(":")[0] not in beside] == []
    return len(world.mwaa.updates) - before, round((last - began) / MINUTE)


@pytest.mark.parametrize("row", ROWS)
def test_the_page_says_what_it_takes(row: str) -> None:
    page = (ROOT / "docs" / "promotion.md").read_text(encoding="utf-8")
    told = re.search(rf"^\| {re.escape(row)} \| (\d+) \| (\d+) min \|$", page, re.MULTILINE)
    updates, minutes = took(ROWS[row])
    assert told is not None, f"| {row} | {updates} | {minutes} min |"
    assert (int(told[1]), int(told[2])) == (updates, minutes), f"| {row} | {updates} | {minutes} min |"
    assert updates == PROMISED.get(row, updates)


def test_a_file_that_keeps_coming_is_not_put_off_for_ever() -> None:
    world = UpdateWorld()
    world.quiet = 5 * MINUTE
    world.verified_update(V0)
    before, began = len(world.mwaa.updates), world.now
    while len(world.mwaa.updates) == before:
        world.drop(R, V1 + b"# %d\n" % len(world.news))
        world.run(2)
        assert world.now - began < timedelta(minutes=18)
