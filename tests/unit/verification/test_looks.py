"""What a look leaves behind: nothing that is open is forgotten, and reports say what became of a version at last."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from jetway.airflow.environment import EnvironmentFacts
from jetway.diagnosis.attribution import PAUSE, STALE, Outlook, decide, file_of, parse_time
from jetway.promotion.artifact_state import ArtifactState, Defect, LiveVersion, Trial, Unpublished, to_roll_back
from jetway.promotion.reports import amend_report
from jetway.promotion.verdict_tag import tag_verdict, verdict_tag
from tests.unit.batches.world import Kill
from tests.unit.explorer.promotion_world import DROP, LIVE, START, VERIFY_AFTER, content
from tests.unit.explorer.scenes import HELPER, KEY
from tests.unit.explorer.update_world import UpdateWorld

FACTS = EnvironmentFacts("acme", "AVAILABLE", "3.3.1", LIVE, "dags")
THROUGH_HELPER = (
    "Traceback (most recent call last):\n"
    '  File "/usr/local/airflow/dags/helper.py", line 1, in <module>\n    import nowhere\n'
    "ModuleNotFoundError: No module named 'nowhere'\n"
)


@pytest.fixture
def world() -> UpdateWorld:
    return UpdateWorld()


class Meanwhile(Kill):
    """Somebody writes a standing anew after the list of those that are due, and before it is read."""

    def __init__(self, world: UpdateWorld, standing: ArtifactState) -> None:
        super().__init__()
        self._world, self._standing = world, standing

    def count(self, name: str) -> None:
        super().count(name)
        if self.calls == ["query"]:
            self._world.table.put(self._standing)


def test_a_file_that_is_gone_is_looked_for_until_it_is_back(world: UpdateWorld) -> None:
    """The gate is asked to put it right; a message to it that is lost is sent again."""
    world.drop(KEY, content("works"))
    world.s3.delete_object(Bucket=LIVE, Key=KEY)
    world.now += VERIFY_AFTER
    for _ in range(2):
        world.look()
        assert [message.arrival.key for message in world.queue] == [KEY]
        assert world.named(KEY).due_at == world.now + PAUSE
        world.queue.clear()
        world.now += PAUSE
    assert world.rest()
    assert (world.live(KEY), world.named(KEY).stage) == (content("works"), "good")


def test_one_that_was_opened_again_since_the_list_was_read_is_not_put_away(world: UpdateWorld) -> None:
    world.drop(KEY, content("works"))
    world.run(5, until=lambda: world.named(KEY).stage == "good")
    good = world.named(KEY)
    assert good.due_at is not None
    world.now = good.due_at
    opened = replace(good, stage="verifying", good=None)
    world.look(Meanwhile(world, opened))
    assert (world.named(KEY).stage, world.named(KEY).due_at) == ("verifying", world.now)


def test_the_last_look_says_again_what_was_rolled_back(world: UpdateWorld) -> None:
    """A second delivery of its event was at work meanwhile, and has written over report and tag."""
    world.drop(KEY, content("works"))
    assert world.rest()
    bad = world.drop(KEY, content("breaks"))
    world.run(5, until=lambda: world.named(KEY).stage == "rolled-back")
    s3: Any = world.s3
    amend_report(s3, DROP, KEY, bad, {"outcome": "promoted"})
    tag_verdict(s3, DROP, KEY, bad, "accepted")
    assert world.rest()
    assert world.report(KEY, bad)["outcome"] == "rolled-back"
    assert verdict_tag(s3, DROP, KEY, bad) == "rolled-back"


def test_the_report_of_one_that_never_appeared_says_what_airflow_does_not_show() -> None:
    world = UpdateWorld(tells_parses=False)
    version = world.drop(KEY, content("silent"))
    assert world.rest()
    said = world.report(KEY, version)["in_force"]
    assert said["state"] == "never-appeared"
    assert said["because"].startswith("never-appeared: Airflow shows no import error for this file")


def test_a_roll_back_that_something_newer_has_cut_short_is_told(world: UpdateWorld) -> None:
    """Whoever looked was killed when it was written down, and before anything was done."""
    bad = world.drop(KEY, content("breaks"))
    problem = Defect("orders.py", "KeyError: 'x'")
    world.table.put(to_roll_back(world.named(KEY), (problem,), world.now))
    newer = world.drop(KEY, content("works"))
    (untold,) = world.named(KEY).untold
    assert (untold.live.source, untold.problems) == (bad, (problem,))
    world.look()
    report = world.report(KEY, bad)
    assert (report["outcome"], report["verification"]["restored"]) == ("rolled-back", None)
    assert report["verification"]["problems"] == [{"where": "orders.py", "message": "KeyError: 'x'"}]
    assert "A newer version had already replaced it." in world.messages()[-1]
    standing = world.named(KEY)
    assert standing.live is not None
    assert (standing.live.source, standing.untold) == (newer, ())


@pytest.mark.parametrize("is_live", [True, False])
def test_the_trial_of_a_roll_back_that_was_cut_short_begins_when_its_version_was_out(
    world: UpdateWorld, *, is_live: bool
) -> None:
    """While something newer is live, that may be why the error shows: the trial is put off until it is good."""
    bad = LiveVersion("v1", LIVE, KEY, "l1", "dag-file", "accepted", START, "reports/r.json")
    untold = (Unpublished(bad, (Defect("other.py", "KeyError: 'x'"),)),)
    newer = replace(bad, source="v2", at=START + VERIFY_AFTER) if is_live else None
    world.table.put(ArtifactState(KEY, "rolled-back", newer, rolled_back=("v1",), untold=untold))
    world.now += 2 * VERIFY_AFTER
    world.verifier()._tell_untold(KEY, world.now)
    after = world.named(KEY)
    assert after.untold == ()
    assert after.trial == Trial("v1", ("other.py",), START if is_live else world.now)


def test_an_error_that_may_heal_is_still_new_when_its_time_is_over(world: UpdateWorld) -> None:
    """It shows in another file, through the one that came: known at the first look, it would be nobody's later."""
    world.drop(HELPER, b"# works\nLIMIT = 1\n")
    assert world.rest()
    good = world.live(HELPER)
    bad = world.drop(HELPER, b"# works\nimport nowhere\n")
    world.airflow.broken = lambda: {} if world.live(HELPER) == good else {"other.py": THROUGH_HELPER}
    assert world.rest()
    assert world.named(HELPER).rolled_back == (bad,)
    assert world.live(HELPER) == good


def test_a_dag_that_has_vanished_from_the_environment_is_named() -> None:
    live = LiveVersion(
        "v2", LIVE, KEY, "l2", "dag-file", "accepted", START, "reports/r.json", dags=("orders", "returns")
    )
    standing = ArtifactState(KEY, "verifying", live, replace(live, source="v1", dags=("returns", "orders", "old")))
    late = START + parse_time(FACTS) + STALE
    look = Outlook([], {}, {"orders": "orders.py"}, {})
    decision = decide(standing, look, FACTS, late)
    assert (decision.action, [problem.message for problem in decision.problems]) == (
        "roll-back",
        ["DAG 'returns' has vanished from the environment since this version went live."],
    )


@pytest.mark.parametrize(("folder", "key"), [("dags", "dags/a/b.py"), ("", "a/b.py"), ("my/dags", "my/dags/a/b.py")])
def test_a_file_is_named_relative_to_the_dags_folder_wherever_that_is(folder: str, key: str) -> None:
    live = LiveVersion("v1", LIVE, key, "l1", "dag-file", "accepted", START, "reports/r.json")
    assert file_of(live, replace(FACTS, dags_path=folder)) == "a/b.py"
