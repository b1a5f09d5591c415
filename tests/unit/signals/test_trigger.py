"""What every place shows of a trigger that is on, off, rejected, cannot fire, or is not in AWS as its file says."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import boto3
import pytest

from tests.unit.sample_events import ROOT
from tests.unit.signals.table import shows
from tests.unit.signals.world import DROP, REGION, World

# As it stands in triggers/: its conf is not in the order of the alphabet.
NIGHTLY = (ROOT / "triggers" / "nightly.yaml").read_text()
BROKEN = "dag: hello\non: {s4: {}}\n"
OVER = 'dag: hello\non: {schedule: {at: "2020-12-24T18:00:00"}}\n'
ORDERS = "dag: hello\non: {event: {source: [acme.billing]}}\n"
WEBHOOK = "dag: hello\non: {http: {auth: hmac}}\n"
SEEN = ("triggers", "check", "report", "metrics")


class Place:
    """A laptop with a file of triggers/, and the drop bucket that it is uploaded to."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world, self.folder = world, folder / "triggers"
        self.folder.mkdir()

    def drop(self, text: str) -> None:
        self.folder.joinpath("orders.yaml").write_text(text)
        self.world.s3.put_object(Bucket=DROP, Key="triggers/orders.yaml", Body=text.encode())
        self.world.sync()

    def look(self, *places: str) -> dict[str, str]:
        seen = {
            "triggers": self.world.jetway("triggers"),
            "check": self.world.jetway("check", str(self.folder)),
            "report": report(self.world, "triggers/orders.yaml"),
            "artifacts": self.world.ask("GET", "/artifacts"),
            "metrics": self.world.counted(),
        }
        return {place: seen[place] for place in places}


@pytest.fixture
def place(world: World, tmp_path: Path) -> Place:
    return Place(world, tmp_path)


def report(world: World, key: str) -> str:
    """Return report.md."""
    text: str = world.s3.get_object(Bucket=DROP, Key=f"reports/{key}/report.md")["Body"].read().decode()
    return text


@shows("on", *SEEN, "artifacts")
def test_on(place: Place) -> dict[str, str]:
    place.drop(NIGHTLY)
    return place.look(*SEEN, "artifacts")


@shows("off", *SEEN)
def test_off(place: Place) -> dict[str, str]:
    place.drop(NIGHTLY + "enabled: false\n")
    return place.look(*SEEN)


@shows("lastgood", *SEEN, "artifacts")
def test_rejected_with_the_last_good_one_in_force(place: Place) -> dict[str, str]:
    place.drop(ORDERS)
    place.drop(BROKEN)
    return place.look(*SEEN, "artifacts")


@shows("noneinforce", *SEEN, "artifacts")
def test_rejected_with_none_in_force(place: Place) -> dict[str, str]:
    place.drop(BROKEN)
    return place.look(*SEEN, "artifacts")


@shows("over", "triggers", "report", "artifacts")
def test_its_moment_is_over(place: Place) -> dict[str, str]:
    place.drop(OVER)
    return place.look("triggers", "report", "artifacts")


@shows("silent", "triggers", "report", "artifacts")
def test_cannot_fire(place: Place) -> dict[str, str]:
    place.world.s3.create_bucket(Bucket="silent", CreateBucketConfiguration={"LocationConstraint": REGION})
    place.drop("dag: hello\non: {s3: {bucket: silent}}\n")
    return place.look("triggers", "report", "artifacts")


@shows("unknowndag", "triggers", "report", "artifacts")
def test_for_a_dag_that_is_not_known(place: Place) -> dict[str, str]:
    place.drop(ORDERS)
    return place.look("triggers", "report", "artifacts")


@shows("missing", "triggers", "metrics")
def test_missing_and_drifted(place: Place) -> dict[str, str]:
    place.drop(ORDERS)
    events, rule = boto3.client("events", region_name=REGION), "jetway.orders"
    events.put_rule(Name=rule, EventPattern=json.dumps({"source": ["somebody"]}))
    drifted = place.world.jetway("triggers")
    events.remove_targets(Rule=rule, Ids=["jetway"])
    events.delete_rule(Name=rule)
    missing = place.world.jetway("triggers")
    place.world.metrics.clear()
    place.world.sync()
    assert is_on(place)
    return {"triggers": drifted + missing, "metrics": place.world.counted()}


@shows("nohooks", "triggers", "report", "artifacts")
def test_webhook_while_webhooks_are_off(place: Place) -> dict[str, str]:
    place.drop(WEBHOOK)
    return place.look("triggers", "report", "artifacts")


def test_a_schedule_that_is_still_to_come_is_on(place: Place) -> None:
    place.drop(OVER.replace("2020", str(datetime.now(UTC).year + 1)))
    assert is_on(place)


def is_on(place: Place) -> bool:
    return re.search(r" on$| on ", place.world.jetway("triggers"), re.MULTILINE) is not None
