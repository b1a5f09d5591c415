"""follow_runs killed after each call of AWS while it looks at all runs: nothing is lost, and each event has one id.

A mail can come twice, in one case only: killed between Publish and the row's write. SNS knows no message twice.
"""

from __future__ import annotations

from datetime import time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from moto import mock_aws

from jetway.dispatch.run_events import end_id
from jetway.run_monitoring.alarms_file import RunAlarms
from jetway.run_monitoring.deadlines import Expectation
from tests.unit.dispatch.test_crashes import KilledError, dies_after, part
from tests.unit.dispatch.test_following import FakeWatch
from tests.unit.run_monitoring.test_look import OURS, start
from tests.unit.run_monitoring.world import NOW, World

STEPS = ["memory.recall", "airflow.call", "ledger.get", "ledger.hurry", "tell", "alarm", "memory.keep"]
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize("nth", [1, 2, 3, 4])
@pytest.mark.parametrize("step", STEPS)
def test_killed_after_any_call(step: str, nth: int) -> None:
    with mock_aws():
        world = World(RunAlarms(expected=(Expectation("nightly", time(6, 1), frozenset(range(7)), ZoneInfo("UTC")),)))
        world.airflow.most = 2
        start(world, OURS)
        watch = FakeWatch()
        world.look()
        ends = {end_id("theirs", f"r{number}", "failed") for number in range(3)} | {end_id("etl", OURS, "failed")}
        for number in range(3):
            world.airflow.end(f"r{number}", "failed", NOW + timedelta(seconds=10 + number))
        world.airflow.end(OURS, "failed", NOW + timedelta(seconds=90), dag_id="etl")
        watch.end(OURS, "failed")
        world.now = NOW + 3 * MINUTE
        was_killed = killed_at(world, step, nth)
        for _ in range(3):
            world.look()
            world.follower(watch).follow()
            world.now += MINUTE
        assert set(world.ids()) == ends | {"missing#nightly#2026-11-30T06:01:00+00:00"}
        doubles = len(world.ids()) - len(ends) - 1
        # A page at the most, of which the row says nothing yet.
        assert doubles <= (2 if was_killed and step in {"tell", "alarm"} else 0)
        mailed = "\n".join(mail.text for mail in world.mails)
        for run_id in ("r0", "r1", "r2", OURS):
            assert mailed.count(f"Run: {run_id}\n") in ({1, 2} if was_killed and step == "alarm" else {1})


def killed_at(world: World, step: str, nth: int) -> bool:
    """Look, and die after the nth call of a part; False when it is not called so often."""
    owner, name = part(world, step)
    alive = getattr(owner, name)
    revive = dies_after(owner, name)
    dying, calls = getattr(owner, name), iter(range(1, 100))

    def call(*args: Any, **kwargs: Any) -> Any:
        return (dying if next(calls) == nth else alive)(*args, **kwargs)

    setattr(owner, name, call)
    try:
        world.look()
    except KilledError:
        return True
    finally:
        revive()
    return False
