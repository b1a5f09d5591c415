"""What is next for the updates of an environment, and what a person reads of it: each plan with all that it says."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from jetway.airflow.environment import EnvironmentFacts
from jetway.promotion.artifact_state import ArtifactState, LiveVersion
from jetway.updates.plan import Plan, UpdateRules, decide
from jetway.updates.record import Debt, UpdateRecord, all_in_force
from tests.unit.explorer.update_stage import V1, P, R
from tests.unit.explorer.update_world import UpdateWorld

NOW = datetime(2026, 11, 30, 9, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
BEGAN_BEFORE = NOW - timedelta(days=1)
FACTS = EnvironmentFacts(
    "acme", "AVAILABLE", "3.3.1", "live", "dags", last_update="SUCCESS", last_update_at=BEGAN_BEFORE
)
BOUNDS = {"MinWorkers": 2, "MaxWorkers": 12}
MANUAL = UpdateRules(automatic=False)
BY_HAND = "ApplyUpdates is manual: the message has the command to run."


def version(source: str, key: str = R) -> LiveVersion:
    return LiveVersion(source, "live", key, f"copy of {source}", "requirements", "accepted", NOW, "reports/r.json")


LIVE = version("v1")
DEBT = Debt(version("p2", P), (P, "copy of p1"), NOW)
PAID_BACK = replace(FACTS, plugins_path=P, plugins_version="copy of p2")  # the bad one is in force
WAITING = {R: ArtifactState(R, "waiting", LIVE)}


def record(facts: EnvironmentFacts = FACTS, **changes: object) -> UpdateRecord:
    """What is known after a look at the environment."""
    looked = UpdateRecord(seen=all_in_force(facts), seen_update=facts.last_update_at, baseline_at=NOW)
    return replace(looked, **changes)  # type: ignore[arg-type]


def idle(
    looked: UpdateRecord, standings: dict[str, ArtifactState], rules: UpdateRules, facts: EnvironmentFacts = FACTS
) -> Plan:
    return decide(looked, facts, standings, rules, NOW)


def test_with_manual_updates_nothing_begins_that_nobody_has_run() -> None:
    plan = idle(record(PAID_BACK, owed={P: DEBT}), WAITING, MANUAL, PAID_BACK)
    assert plan == Plan("nothing", BY_HAND, None, {R: LIVE}, {P: DEBT})


def test_with_manual_updates_the_bounds_of_workers_go_alone() -> None:
    plan = idle(record(workers=BOUNDS, workers_at=NOW), WAITING, MANUAL)
    assert plan == Plan("begin", "changes the limits of scaling to 2 and 12 workers", None, {}, {}, BOUNDS)


def test_bounds_that_wait_go_along_with_what_begins() -> None:
    plan = idle(record(workers=BOUNDS, workers_at=NOW), WAITING, UpdateRules())
    because = "applies requirements.txt (version v1), changes the limits of scaling to 2 and 12 workers"
    assert plan == Plan("begin", because, None, {R: LIVE}, {}, BOUNDS)


@pytest.mark.parametrize(
    ("owed", "because"), [({}, ""), ({P: replace(DEBT, told=True)}, "The rollback failed: see the message.")]
)
def test_at_rest_a_failed_way_back_is_said_and_none_where_there_was_none(owed: dict[str, Debt], because: str) -> None:
    assert idle(record(PAID_BACK, owed=owed), {}, UpdateRules(), PAID_BACK) == Plan("nothing", because, None, {}, owed)


def test_an_update_that_never_began_is_said_with_all_that_goes_again() -> None:
    """The function has died before its call: nothing shows for 90 seconds."""
    back = {"PluginsS3Path": P, "PluginsS3ObjectVersion": "copy of p1"}
    dead = record(
        phase="updating",
        artifacts={R: LIVE},
        owed={P: DEBT},
        changes=back,
        began_at=NOW - timedelta(seconds=90),
        last_update_at=BEGAN_BEFORE,
    )
    again = decide(dead, PAID_BACK, {}, UpdateRules(), NOW)
    assert again == Plan("again", "The update has not begun.", None, {R: LIVE}, {P: DEBT})


@pytest.mark.parametrize(("late", "step"), [(timedelta(minutes=2, seconds=59), "nothing"), (3 * MINUTE, "ask")])
def test_a_look_is_missed_three_minutes_after_it_is_due(late: timedelta, step: str) -> None:
    brought = replace(FACTS, requirements_path=R, requirements_version="copy of v1")
    verifying = record(brought, phase="verifying", artifacts={R: LIVE}, due_at=NOW - late)
    assert decide(verifying, brought, {}, UpdateRules(), NOW).step == step


def test_what_cannot_be_looked_at_now_is_looked_at_in_a_minute() -> None:
    updating = replace(FACTS, status="UPDATING")
    verifying = record(phase="verifying", artifacts={R: LIVE}, due_at=NOW)
    held = decide(verifying, updating, {}, UpdateRules(), NOW)
    assert held == Plan("hold", "the environment is UPDATING", NOW + MINUTE, {R: LIVE})


def test_what_a_look_has_found_to_work_is_named() -> None:
    verified = record(phase="verified", artifacts={R: LIVE})
    assert decide(verified, FACTS, {}, UpdateRules(), NOW) == Plan("close", artifacts={R: LIVE})


def test_asked_for_what_is_next_the_update_on_its_way_is_told_and_nothing_is_done() -> None:
    world = UpdateWorld()
    version = world.drop(R, V1)
    world.run()
    before = world.state()
    found, plan = world.updates().next(timedelta(), world.facts())
    assert (found.phase, plan.step, {key: live.source for key, live in plan.artifacts.items()}) == (
        "updating",
        "in-progress",
        {R: version},
    )
    assert world.state() == before
