"""Of a version that is not live any more, report, tag and event are made to agree: each case of it, without a walk."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from jetway.verification.outcome_records import OutcomeRecords
from tests.unit.artifacts.buckets import DROP, LIVE
from tests.unit.batches.world import Kill, Meddling
from tests.unit.promotion.world import World

KEY = "dags/orders.py"


def of_one_who_looks(world: World, kill: Kill) -> OutcomeRecords:
    return OutcomeRecords(kill.wrap(world.s3), world.news.append, "acme", DROP)


@pytest.fixture
def words(world: World) -> OutcomeRecords:
    return of_one_who_looks(world, Kill())


def amend(world: World, version: str, **changes: Any) -> None:
    """Write into the report of a version, as one would who was killed before the tag and the event."""
    document = {**world.report(KEY, version), **changes}
    world.s3.put_object(Bucket=DROP, Key=f"reports/{KEY}/{version}.json", Body=json.dumps(document).encode())


def superseded(world: World) -> str:
    """A version over which another one has come, and is live."""
    old = world.verified(KEY)
    world.verified(KEY, b"from airflow.sdk import DAG\nwith DAG('orders'):\n    x = 1\n")
    world.news.clear()
    return old


def test_what_has_no_fate_yet_is_left_to_whoever_judges_it(world: World, words: OutcomeRecords) -> None:
    old = superseded(world)
    world.s3.put_object(Bucket=DROP, Key=f"reports/{KEY}/{old}.json", Body=b"{}")
    words.agree(world.standing(KEY), world.now)
    assert world.news == []


def test_a_report_that_expires_after_the_list_is_not_missed(world: World) -> None:
    old = superseded(world)
    expire = Meddling(1, lambda: world.s3.delete_object(Bucket=DROP, Key=f"reports/{KEY}/{old}.json"))
    of_one_who_looks(world, expire).agree(world.standing(KEY), world.now)
    assert expire.calls[0] == "list_objects_v2"
    assert world.news == []


def test_one_that_was_superseded_and_not_told_is_told(world: World, words: OutcomeRecords) -> None:
    old = superseded(world)
    amend(world, old, outcome="superseded", placed=None)
    words.agree(world.standing(KEY), world.now)
    assert world.told() == ["ArtifactSuperseded"]
    assert world.tag(KEY, old) == "superseded"
    words.agree(world.standing(KEY), world.now)
    assert world.told() == ["ArtifactSuperseded"]


def test_a_removal_that_names_no_place_was_where_the_live_one_is(world: World, words: OutcomeRecords) -> None:
    old = superseded(world)
    amend(world, old, outcome="removed", placed=None)
    words.agree(world.standing(KEY), world.now)
    (said,) = world.news
    assert said.event.detail_type == "ArtifactRemoved"
    assert said.event.detail["placed"] == {"bucket": LIVE, "key": KEY, "version": None}


def test_a_fate_of_which_nobody_tells_here_is_left_alone(world: World, words: OutcomeRecords) -> None:
    """Of a roll-back its standing tells, as long as it knows it."""
    old = superseded(world)
    amend(world, old, outcome="rolled-back", placed=None)
    words.agree(replace(world.standing(KEY), live=None), world.now)
    assert world.news == []
