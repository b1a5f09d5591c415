"""The title of report.md tells the last fate of a version, and nothing that is not so yet."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from tests.unit.artifacts.buckets import BAD, DROP, REPORT_SCHEMA
from tests.unit.promotion.world import FACTS, World

# Each way that a version can go, on both: where moto and the S3 and the DynamoDB in memory differ, it shows here.
pytestmark = pytest.mark.parametrize("world", ["memory", "moto"], indirect=True)

KEY, REQUIREMENTS = "dags/orders.py", "requirements.txt"
PANDAS, PINNED = b"-c none.txt\npandas==3.0.5\n", b"-c none.txt\npandas==3.0.4\n"


def text(world: World, key: str) -> str:
    body: bytes = world.s3.get_object(Bucket=DROP, Key=f"reports/{key}/report.md")["Body"].read()
    return body.decode().replace("\\", "")


def title(world: World, key: str) -> str:
    return text(world, key).splitlines()[0].removeprefix(f"# {key}: ")


def report(world: World, key: str, version: str = "latest") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        world.s3.get_object(Bucket=DROP, Key=f"reports/{key}/{version}.json")["Body"].read()
    )
    REPORT_SCHEMA.validate(found)
    return found


def test_a_dag_file_is_live_then_verified(world: World) -> None:
    world.drop(KEY)
    assert title(world, KEY) == "accepted, live, being verified"
    assert "It is not known yet whether it works in the environment: Jetway checks from about 2026-11-22 06:02" in (
        text(world, KEY)
    )
    world.minutes(14)
    assert title(world, KEY) == "accepted, live and verified"
    assert report(world, KEY)["in_force"]["state"] == "verified"


def test_another_delivery_of_the_event_takes_nothing_back(world: World) -> None:
    version = world.verified(KEY)
    world.settle(KEY, version)
    assert title(world, KEY) == "accepted, live and verified"


def test_a_rolled_back_file_is_not_titled_accepted(world: World) -> None:
    world.drop(KEY)
    world.airflow.errors["orders.py"] = "KeyError: 'x'"
    world.minutes(14)
    assert title(world, KEY) == "rolled back"
    assert "in_force" not in report(world, KEY)


def test_rejected_and_removed_are_said(world: World) -> None:
    world.drop(KEY, BAD)
    assert title(world, KEY) == "rejected and quarantined"
    world.drop(KEY)
    world.delete(KEY)
    assert title(world, KEY) == "removed"


def test_requirements_are_not_live_before_their_update(world: World) -> None:
    world.quiet = timedelta(seconds=120)
    world.drop(REQUIREMENTS, PANDAS)
    assert title(world, REQUIREMENTS).partition(", ")[2] == "waits for an update of the environment"
    said = text(world, REQUIREMENTS)
    assert "It is not in force yet: it waits for an update of the environment, which begins at about" in said
    assert "2026-11-22 06:02:00 UTC" in said
    assert "is live" not in said
    assert report(world, REQUIREMENTS)["in_force"] == {
        "state": "waiting",
        "since": "2026-11-22T06:00:00+00:00",
        "until": "2026-11-22T06:02:00+00:00",
        "because": None,
    }
    assert world.apply(after=timedelta(minutes=3)) == ["begun"]
    assert "the environment is being updated" in title(world, REQUIREMENTS)
    assert "began at 2026-11-22 06:03:00 UTC. It takes 10 to 30 minutes, and up to 12" in text(world, REQUIREMENTS)
    world.mwaa.end()
    assert world.apply(after=timedelta(minutes=20)) == ["applied"]
    assert "in force, being verified" in title(world, REQUIREMENTS)
    world.settle_update()
    assert "in force and verified" in title(world, REQUIREMENTS)


def test_while_the_environment_updates_it_is_said_what_is_waited_for(world: World) -> None:
    world.mwaa.described["Status"] = "UPDATING"
    world.environment.current = FACTS.__class__("acme", "UPDATING", "3.3.1", FACTS.source_bucket, "dags")
    world.drop(REQUIREMENTS, PANDAS)
    assert "The environment is UPDATING; the update begins when it is AVAILABLE again." in text(world, REQUIREMENTS)


def test_manual_says_what_to_run(world: World) -> None:
    world.automatic = False
    world.drop(REQUIREMENTS, PANDAS)
    assert "ApplyUpdates is manual. It takes effect when you run: aws mwaa update-environment" in (
        text(world, REQUIREMENTS)
    )


def test_an_update_that_fails_never_was_in_force(world: World) -> None:
    world.drop(REQUIREMENTS, PANDAS)
    world.apply()
    world.mwaa.end("pip is unhappy")
    world.apply(after=timedelta(minutes=20))
    assert title(world, REQUIREMENTS) == "the update failed"
    assert "It was never in force" in text(world, REQUIREMENTS)
    (news,) = [news for news in world.news if news.event.detail_type == "ArtifactRolledBack"]
    assert "The update failed, so the version never took effect." in str(news.message)
    assert "went live" not in str(news.message)


def test_what_is_undone_is_in_force_until_the_update_back_has_ended(world: World) -> None:
    world.drop(REQUIREMENTS, PANDAS)
    world.apply()
    world.mwaa.end()
    world.airflow.errors["other.py"] = "ImportError: pandas"
    while world.mwaa.described["Status"] != "UPDATING":
        world.settle_update(1)
    assert title(world, REQUIREMENTS) == "rolled back, still in force"
    world.mwaa.end()
    world.settle_update(3)
    assert title(world, REQUIREMENTS) == "rolled back"


def test_a_version_that_another_one_overtakes_while_it_waits_is_superseded(world: World) -> None:
    first = world.drop(REQUIREMENTS, PANDAS)
    second = world.drop(REQUIREMENTS, PINNED)
    assert report(world, REQUIREMENTS, first)["outcome"] == "superseded"
    assert report(world, REQUIREMENTS, second)["in_force"]["state"] == "waiting"


@pytest.mark.parametrize("in_force", [True, False])
def test_a_deletion_is_in_force_with_its_update_only(world: World, *, in_force: bool) -> None:
    world.drop(REQUIREMENTS, PANDAS)
    if in_force:
        world.apply()
        world.mwaa.end()
        world.settle_update()
    world.delete(REQUIREMENTS)
    if in_force:
        assert title(world, REQUIREMENTS) == "deleted, in force until an update of the environment"
        world.apply(after=timedelta(minutes=1))
        assert title(world, REQUIREMENTS) == "deleted, the environment is being updated"
        world.mwaa.end()
        world.settle_update()
    assert title(world, REQUIREMENTS) == "removed"
