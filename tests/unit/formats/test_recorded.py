"""What every version before has left in queues and tables is handled by this one, once, as the version before would."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import boto3
import pytest
from moto import mock_aws

from jetway.batches.model import parse_member
from jetway.dispatch.run import parse_message
from jetway.formats import ITEM, MEMBER, MESSAGE
from jetway.ledger import Ledger, entry_id
from jetway.promotion.artifact_state import ArtifactState, Defect
from jetway.promotion.state_table import ArtifactStateTable
from jetway.updates.record import UpdateTable
from jetway_cli.letters import read_letter
from tests.unit.batches.world import World as BatchWorld
from tests.unit.batches.world import event as batch_event
from tests.unit.dispatching import World, message
from tests.unit.formats.recorder import BAD, FOLDER, GOOD, NOW, record
from tests.unit.ledger_table import make_table

THIS = "this version"
# All recordings are of the same events, so these never change: a run id that did would be a second run.
RUNS = {
    "a file": "jetway__orders__gxojov7i6r5ok5crbmww",
    "a schedule": "jetway__nightly__5a7vng2xj2u3hudn5bji",
    "a call": "mine",
    "one that waits": "mine",
    "redriven": "mine",
}


@pytest.fixture(scope="module")
def of_this_version() -> dict[str, Any]:
    return record()


@pytest.fixture(params=[*sorted(path.stem for path in FOLDER.glob("*.json")), THIS], scope="module")
def recorded(request: pytest.FixtureRequest, of_this_version: dict[str, Any]) -> dict[str, Any]:
    if request.param == THIS:
        return of_this_version
    found: dict[str, Any] = json.loads((FOLDER / f"{request.param}.json").read_text())
    return found


@pytest.fixture(autouse=True)
def _aws() -> Iterator[None]:
    with mock_aws():
        yield


def fill(table: str, items: list[Any]) -> None:
    client = boto3.client("dynamodb", region_name="eu-central-1")
    for item in items:
        client.put_item(TableName=table, Item=item)


@pytest.mark.parametrize("name", RUNS)
def test_a_message_asks_for_the_same_run(recorded: dict[str, Any], name: str) -> None:
    assert parse_message(recorded["messages"][name], sent_at=NOW).run_id == RUNS[name]


def test_a_message_starts_one_run_however_many_copies_were_left(recorded: dict[str, Any]) -> None:
    world = World(max_event_age=timedelta(days=1))
    for name in ("a call", "one that waits", "redriven"):
        world.dispatch(message(body=recorded["messages"][name]))
    world.dispatch(message(body=recorded["messages"]["a file"]))
    assert sorted(world.airflow.runs) == [("ingest_orders", RUNS["a file"]), ("orders", "mine")]


def test_a_dead_letter_is_redriven(recorded: dict[str, Any]) -> None:
    letter = read_letter(
        {"MessageId": "m", "ReceiptHandle": "r", "Body": recorded["messages"]["a dead letter"],
         "Attributes": {"SentTimestamp": "0"}}
    )  # fmt: skip
    assert (letter.reason, letter.trigger, letter.hopeless) == ("event-too-old", "http", None)
    assert parse_message(json.dumps(letter.message), sent_at=NOW).run_id == "mine"


def test_a_row_that_has_its_run_gets_no_second_one(recorded: dict[str, Any]) -> None:
    world = World()
    fill(world.ledger.table.name, recorded["ledger"])
    before = world.ledger.begin(entry_id("orders", "a"))
    assert before.entry is not None
    assert (before.entry.decision, before.entry.dag_run_id, before.way) == ("started", "jetway__orders__a", "dispatch")
    assert world.ledger.record(before.entry) == "duplicate"


def test_a_try_of_before_is_still_in_doubt_and_keeps_its_place(recorded: dict[str, Any]) -> None:
    world = World()
    fill(world.ledger.table.name, recorded["ledger"])
    before = world.ledger.begin(entry_id("orders", "b"))
    assert [str(attempt) for attempt in before.attempts] == [
        f"{NOW.isoformat(timespec='microseconds')} 0badcafe ingest_orders"
    ]
    assert (before.entry, before.place, before.number) == (None, 1_700_000_000, 2)


def test_what_is_open_is_found_again(recorded: dict[str, Any]) -> None:
    ledger = Ledger(World().ledger.table, clock=lambda: NOW + timedelta(minutes=1))
    fill(ledger.table.name, recorded["ledger"])
    found = {row.entry.id: (row.entry.decision, row.untold) for row in ledger.open_entries(limit=9)}
    assert found == {entry_id("orders", "a"): ("started", False), entry_id("orders", "d"): ("dead-lettered", True)}
    assert {row.decision for row in ledger.list_events(since=NOW)} == {"started", "held", "dead-lettered"}


def test_standings_and_the_update_go_on(recorded: dict[str, Any]) -> None:
    name = make_table("ArtifactTable", "artifacts").name
    fill(name, recorded["artifacts"])
    client = boto3.client("dynamodb", region_name="eu-central-1")
    table = ArtifactStateTable(client, name)
    due = ArtifactState("dags/orders.py", "verifying", BAD, GOOD, due_at=NOW + timedelta(minutes=2), revision=1)
    problem = Defect("dags/clicks.py", "KeyError: 'x'")
    gone = ArtifactState("dags/clicks.py", "rolled-back", GOOD, GOOD, ("v2",), (problem,), revision=1)
    assert (table.list_open(9), table.get("dags/clicks.py")) == ([due], gone)
    assert table.put(due).revision == 2
    update = UpdateTable(client, name).get()
    assert (update.phase, update.artifacts, update.began_at) == ("updating", {"requirements.txt": BAD}, NOW)
    assert update.before == {"requirements.txt": ("requirements.txt", "copy of v1")}


def test_an_open_batch_is_filled_and_goes_out_as_it_would_have(recorded: dict[str, Any]) -> None:
    world = BatchWorld()
    fill("batches", recorded["open batch"])
    entries, failed = world.take([batch_event(number, max_events=3) for number in (1, 2, 3)])
    assert ([entry.decision for entry in entries], failed) == (["duplicate", "duplicate", "batched"], [])
    (sent,) = world.dispatched()
    then = json.loads(recorded["batch"]["message"])
    assert {**then, MEMBER: MESSAGE} == sent
    assert world.manifest(sent["event"]["manifest"]) == recorded["batch"]["manifest"]
    assert list(world.runs()) == [recorded["batch"]["manifest"]["dag_run_id"]]


def test_a_call_back_at_a_deadline_closes_its_batch(recorded: dict[str, Any]) -> None:
    world = BatchWorld()
    fill("batches", recorded["open batch"])
    world.now += timedelta(minutes=6)
    world.take([recorded["batch"]["hint"]])
    assert [run["count"] for run in world.runs().values()] == [2]


def test_a_message_of_a_batch_belongs_to_the_same_stream(recorded: dict[str, Any]) -> None:
    stream, member = parse_member(recorded["messages"]["a file of a batch"], sent_at=NOW)
    assert (stream.id, member.digest) == ("clicks#ahzpt5wtf5g2hlcefv2q", "fjbk5lg6zi3xwhlytzlw")


def test_this_version_says_its_formats(of_this_version: dict[str, Any]) -> None:
    found = of_this_version
    bodies = [json.loads(body) for name, body in found["messages"].items() if name != "a dead letter"]
    bodies += [json.loads(found["batch"][name]) for name in ("hint", "message")]
    assert {body[MEMBER] for body in bodies} == {MESSAGE}
    assert json.loads(found["messages"]["a dead letter"])["message"][MEMBER] == MESSAGE
    items = [*found["ledger"], *found["artifacts"], *found["open batch"]]
    assert [item for item in items if item.get(MEMBER) != {"N": str(ITEM)} and item.get("sk") != {"S": "claim"}] == []


def test_recordings_are_whole(recorded: dict[str, Any], of_this_version: dict[str, Any]) -> None:
    """A kind of message or item that a recording lacks would be read by no test."""
    assert recorded.keys() == of_this_version.keys()
    for part in ("messages", "batch"):
        assert recorded[part].keys() == of_this_version[part].keys()
    for table in ("ledger", "artifacts", "open batch"):
        assert len(recorded[table]) == len(of_this_version[table])
