"""The functions are killed between every pair of steps; then everything is delivered again."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.unit.artifacts.buckets import DROP, LIVE, VERIFY_AFTER
from tests.unit.batches.world import Kill, KilledError
from tests.unit.promotion.world import GOOD, World

KEY = "dags/team/orders.py"
FILE = "team/orders.py"
WORSE = GOOD + b"# worse\n"
ERROR = "Traceback…\nKeyError: 'region'\n"


def judge(world: World) -> None:
    """What must hold at the end, wherever the functions were killed."""
    assert world.live(KEY) == GOOD
    standing = world.standing(KEY)
    assert standing.stage == "rolled-back"
    assert len(standing.rolled_back) == 1
    told = Counter(world.told())
    assert told == {"ArtifactPromoted": 2, "ArtifactRolledBack": 1}
    assert world.report(KEY)["outcome"] == "rolled-back"
    assert world.tag(KEY, standing.rolled_back[0]) == "rolled-back"
    copies = world.s3.list_object_versions(Bucket=LIVE, Prefix=KEY)["Versions"]
    assert len(copies) == 3, "good, worse, good again: nothing was copied twice"
    assert world.minutes(20) == []


@pytest.mark.slow  # a matrix of every call: part of `make test-all`
def test_killed_after_any_call_of_a_rollback_it_is_finished_once(world: World) -> None:
    def prepare(world: World) -> None:
        world.verified(KEY)
        world.drop(KEY, WORSE)
        world.airflow.errors = {FILE: ERROR}
        world.now += VERIFY_AFTER

    prepare(world)
    counted = Kill()
    assert [found.outcome for found in world.look(counted)] == ["rolled-back"]
    judge(world)
    assert len(counted.calls) >= 12
    for after in range(1, len(counted.calls) + 1):
        world = world.fresh()
        prepare(world)
        with pytest.raises(KilledError):
            world.look(Kill(after))
        world.minutes(3)
        judge(world)


def test_killed_after_any_call_of_a_promotion_nothing_is_lost(world: World) -> None:
    def arrive(world: World) -> str:
        version: str = world.s3.put_object(Bucket=DROP, Key=KEY, Body=WORSE)["VersionId"]
        return version

    world.verified(KEY)
    counted = Kill()
    world.settle(KEY, arrive(world), counted)
    assert len(counted.calls) >= 12
    for after in range(1, len(counted.calls) + 1):
        world = world.fresh()
        world.verified(KEY)
        version = arrive(world)
        with pytest.raises(KilledError):
            world.settle(KEY, version, Kill(after))
        world.settle(KEY, version)
        assert world.live(KEY) == WORSE
        assert world.tag(KEY, version) == "accepted"
        assert Counter(world.told()) == {"ArtifactPromoted": 2}
        world.airflow.errors = {FILE: ERROR}
        assert [found.outcome for found in world.minutes(3)] == ["rolled-back"], "it was to be verified"
        judge(world)


@pytest.mark.slow  # a matrix of every call: part of `make test-all`
def test_killed_after_any_call_of_a_removal_it_is_finished(world: World) -> None:
    world.verified(KEY)
    world.s3.delete_object(Bucket=DROP, Key=KEY)
    counted = Kill()
    world.settle(KEY, None, counted, deleted=True)
    for after in range(1, len(counted.calls) + 1):
        world = world.fresh()
        world.verified(KEY)
        world.s3.delete_object(Bucket=DROP, Key=KEY)
        with pytest.raises(KilledError):
            world.settle(KEY, None, Kill(after), deleted=True)
        world.settle(KEY, deleted=True)
        assert world.live(KEY) is None
        assert world.standing(KEY).stage == "removed"
        assert Counter(world.told()) == {"ArtifactPromoted": 1, "ArtifactRemoved": 1}
        assert world.versions(KEY) == (1, 1)
