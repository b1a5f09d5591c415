"""After going back, what a newer version has written is refused in its own words, and waits for that version."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from moto import mock_aws

from jetway.errors import NewerFormatError, UnknownEventError
from jetway.formats import ITEM, MESSAGE
from jetway.ledger import Entry, Ledger, entry_id
from jetway.promotion.artifact_state import ArtifactState
from jetway.promotion.state_table import ArtifactStateTable
from jetway.updates.record import UpdateTable
from tests.unit.batches.world import World as BatchWorld
from tests.unit.batches.world import event as batch_event
from tests.unit.dispatching import World, file_message
from tests.unit.ledger_table import make_table

NOW = datetime(2026, 11, 22, 6, 0, 10, tzinfo=UTC)
NEWER = {"N": str(ITEM + 1)}


@pytest.fixture(autouse=True)
def _aws() -> Iterator[None]:
    with mock_aws():
        yield


def test_a_message_becomes_a_dead_letter_that_says_what_to_do() -> None:
    world = World()
    assert world.dispatch(file_message(format=MESSAGE + 1)).decision == "dead-lettered"
    (letter,) = world.letters()
    assert letter["reason"] == "newer-format"
    assert letter["error"] == (
        "NewerFormatError: the message has format 2, and this version of Jetway knows formats up to 1. Deploy the "
        "newer version again; then send dead letters again with `jetway redrive`."
    )
    assert letter["message"]["format"] == 2
    assert world.airflow.runs == {}


@pytest.mark.parametrize("format_", [0, -1, True, "1", 1.5, None, [1]])
def test_a_format_that_is_none_is_an_unknown_event(format_: object) -> None:
    world = World()
    world.dispatch(file_message(format=format_))
    assert world.letters()[0]["reason"] == "unknown-event"


def test_a_message_of_a_batch_becomes_a_dead_letter() -> None:
    world = BatchWorld()
    newer = json.dumps(json.loads(batch_event(1)) | {"format": MESSAGE + 1})
    entries, failed = world.take([newer, batch_event(2, max_events=1)])
    assert (failed, [letter["reason"] for letter in world.letters()]) == ([], ["newer-format"])
    assert sorted(entry.decision for entry in entries) == ["batched", "dead-lettered"]


def newer_row(world: World, message_key: str) -> dict[str, Any]:
    """Start the run of a file, and have its row say that a newer version has written it."""
    entry = world.dispatch(file_message(message_key))
    row: dict[str, Any] = {"TableName": world.ledger.table.name, "Key": {"id": {"S": entry.id}}}
    world.dynamodb.update_item(
        **row,
        UpdateExpression="SET #f = :f, decision = :d",
        ExpressionAttributeNames={"#f": "format"},
        ExpressionAttributeValues={":f": NEWER, ":d": {"S": "of a newer kind"}},
    )
    return row


def test_an_event_whose_row_is_newer_becomes_a_dead_letter_and_its_row_stays() -> None:
    world = World()
    row = newer_row(world, "a.csv")
    world.airflow.runs.clear()
    world.dispatch(file_message("a.csv"))
    assert (world.airflow.runs, [letter["reason"] for letter in world.letters()]) == ({}, ["newer-format"])
    item = world.dynamodb.get_item(**row)["Item"]
    assert (item["format"], item["decision"]) == (NEWER, {"S": "of a newer kind"})


def test_rows_that_are_open_wait_for_the_newer_version() -> None:
    world = World()
    ids = [entry_id("orders", name) for name in "ab"]
    for id_ in ids:
        world.ledger.record(Entry(id_, "orders", "s3", (id_,), "started", NOW), run_since=NOW)
    world.ledger.table.update_item(
        Key={"id": ids[0]},
        UpdateExpression="SET #f = :f",
        ExpressionAttributeNames={"#f": "format"},
        ExpressionAttributeValues={":f": ITEM + 1},
    )
    later = Ledger(world.ledger.table, clock=lambda: NOW + timedelta(minutes=1))
    assert [row.entry.id for row in later.open_entries(limit=9)] == ids[1:]


def raise_format(client: Any, table: str, **key: str) -> None:
    client.update_item(
        TableName=table,
        Key={name: {"S": value} for name, value in key.items()},
        UpdateExpression="SET #f = :f",
        ExpressionAttributeNames={"#f": "format"},
        ExpressionAttributeValues={":f": NEWER},
    )


def test_a_standing_that_is_newer_is_not_touched_and_holds_up_no_other() -> None:
    client = boto3.client("dynamodb", region_name="eu-central-1")
    name = make_table("ArtifactTable", "artifacts").name
    table = ArtifactStateTable(client, name)
    for key in ("dags/a.py", "dags/b.py"):
        table.put(ArtifactState(key, "verifying", due_at=NOW))
    raise_format(client, name, pk="artifact#dags/a.py")
    assert [one.key for one in table.list_open(9)] == [one.key for one in table.page()[0]] == ["dags/b.py"]
    with pytest.raises(NewerFormatError, match=r"'artifact#dags/a\.py' has format 2"):
        table.change("dags/a.py", lambda _: ArtifactState("dags/a.py", "good"))


def test_a_record_of_updates_that_is_newer_is_not_acted_upon() -> None:
    client = boto3.client("dynamodb", region_name="eu-central-1")
    table = UpdateTable(client, make_table("ArtifactTable", "artifacts").name)
    table.put(table.get())
    (item,) = client.scan(TableName="artifacts")["Items"]
    raise_format(client, "artifacts", pk=item["pk"]["S"])
    with pytest.raises(NewerFormatError):
        table.get()


def test_a_batch_that_is_newer_takes_no_event_and_is_not_closed() -> None:
    world = BatchWorld()
    world.take([batch_event(1)])
    (batch,) = world.table.list_open()
    raise_format(world.dynamodb, "batches", pk="open", sk=batch.stream_id)
    assert world.table.list_open() == []
    world.now += timedelta(minutes=10)
    world.sweep()
    assert world.dispatched() == []
    with pytest.raises(NewerFormatError):
        world.table.find_open(batch.stream_id)


def test_a_closed_batch_with_a_newer_page_is_not_sent_out_without_it() -> None:
    world = BatchWorld()
    world.take([batch_event(1)])
    (batch,) = world.table.list_open()
    (page,) = (item for item in world.dynamodb.scan(TableName="batches")["Items"] if "page#" in item["sk"]["S"])
    raise_format(world.dynamodb, "batches", pk=page["pk"]["S"], sk=page["sk"]["S"])
    assert world.table.close(batch, world.now)
    with pytest.raises(NewerFormatError):
        world.table.read_closed(batch.batch_id)


def test_the_error_is_one_of_an_unknown_event_for_those_who_do_not_tell_them_apart() -> None:
    assert issubclass(NewerFormatError, UnknownEventError)


def test_an_event_whose_batch_is_newer_comes_back_and_one_whose_row_is_newer_is_a_dead_letter() -> None:
    world = BatchWorld()
    world.take([batch_event(1)])
    (batch,) = world.table.list_open()
    raise_format(world.dynamodb, "batches", pk="open", sk=batch.stream_id)
    assert world.take([batch_event(2), batch_event(3, name="others", max_events=1)])[1] == ["0"]
    (row,) = (entry.id for entry in world.ledger.list_events("orders", since=world.now - timedelta(hours=1)))
    raise_format(world.dynamodb, world.ledger.table.name, id=row)
    assert world.take([batch_event(1)])[1] == []
    assert [letter["reason"] for letter in world.letters()] == ["newer-format"]
