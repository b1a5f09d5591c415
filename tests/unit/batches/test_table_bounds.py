"""How long claims and headers are kept, and what a batch and a page hold."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from jetway.batches.model import BatchMember, Stream
from jetway.batches.table import CLAIMS_KEPT, HEADERS_KEPT, LARGEST_BATCH, LARGEST_PAGE, BatchTable, Open, Owner

from .world import START, World

STREAM = Stream("orders", json.dumps({"name": "orders", "kind": "s3", "dag": "load"}), 10_000, timedelta(minutes=5))


def member(number: int, size: int = 40) -> BatchMember:
    facts = json.dumps({"key": str(number), "pad": ""})
    facts = json.dumps({"key": str(number), "pad": "x" * (size - len(facts))})
    return BatchMember(f"digest{number}", START, facts)


def items(world: World) -> dict[tuple[str, str], Any]:
    found = world.dynamodb.scan(TableName="batches", ConsistentRead=True)["Items"]
    return {(item["pk"]["S"].partition("#")[0], item["sk"]["S"].partition("#")[0]): item for item in found}


def test_a_claim_outlives_every_copy_of_its_event_and_a_header_outlives_the_claim(world: World) -> None:
    world.table.claim(STREAM, None, [member(1)], now=START)
    kept = {key: int(item["ttl"]["N"]) for key, item in items(world).items() if "ttl" in item}
    claims, headers = (int((START + time).timestamp()) for time in (CLAIMS_KEPT, HEADERS_KEPT))
    assert kept == {("event", "claim"): claims, ("batch", "page"): claims, ("batch", "header"): headers}
    assert CLAIMS_KEPT >= timedelta(days=29) < HEADERS_KEPT - timedelta(days=2)


def test_an_open_batch_is_read_as_it_was_written(world: World) -> None:
    claim = world.table.claim(STREAM, None, [member(1), member(2, size=60)], now=START)
    assert not claim.duplicates
    assert world.table.find_open(STREAM.id) == Open(
        STREAM.id, claim.batch_id, 2, 100, STREAM.max_events, START + STREAM.within
    )
    assert world.table.count_waiting() == 2


def test_a_batch_is_due_by_its_time_by_its_count_and_by_its_size() -> None:
    def due(*, count: int = 1, size: int = 1, seconds: int = 0) -> bool:
        batch = Open("stream", "batch", count, size, 5, START + timedelta(seconds=60))
        return batch.is_due(START + timedelta(seconds=seconds))

    assert [due(seconds=seconds) for seconds in (59, 60, 61)] == [False, True, True]
    assert [due(count=count) for count in (4, 5, 6)] == [False, True, True]
    most = LARGEST_BATCH - LARGEST_PAGE
    assert [due(size=size) for size in (most, most + 1)] == [False, True]


def test_what_does_not_fit_into_one_page_goes_into_several(world: World) -> None:
    members = [member(number, size=LARGEST_PAGE // 3 + 1) for number in range(5)]
    settled = world.settled(STREAM, members)
    assert [one.decision for one in settled] == ["batched"] * 5
    (batch_id,) = {one.batch_id for one in settled}
    pages = [
        len(json.loads(item["members"]["S"]))
        for item in world.dynamodb.scan(TableName="batches")["Items"]
        if item["sk"]["S"].startswith("page#")
    ]
    assert sorted(pages) == [1, 2, 2]
    found = world.table.find_open(STREAM.id)
    assert found is not None
    assert (found.batch_id, found.count) == (batch_id, 5)


def test_a_batch_takes_no_more_than_a_finisher_can_hold(world: World) -> None:
    """Two megabytes less than the bound are in it; of what comes, only as much goes in as is left."""
    claim = world.table.claim(STREAM, None, [member(0)], now=START)
    world.dynamodb.update_item(
        TableName="batches",
        Key={"pk": {"S": "open"}, "sk": {"S": STREAM.id}},
        UpdateExpression="SET bytes_ = :size",
        ExpressionAttributeValues={":size": {"N": str(LARGEST_BATCH - LARGEST_PAGE)}},
    )
    sizes = [LARGEST_PAGE // 2, LARGEST_PAGE // 2, LARGEST_PAGE // 2]
    members = [member(number, size=size) for number, size in enumerate(sizes, start=1)]
    settled = {one.digest: one.batch_id for one in world.settled(STREAM, members)}
    assert [settled[f"digest{number}"] == claim.batch_id for number in (1, 2, 3)] == [True, True, False]


def test_claims_that_others_have_say_in_which_batch_they_are(world: World) -> None:
    table = BatchTable(world.dynamodb, "batches")
    first = table.claim(STREAM, None, [member(1), member(2)], now=START)
    again = table.claim(STREAM, table.find_open(STREAM.id), [member(2), member(3)], now=START)
    assert again.duplicates == {"digest2": Owner(first.batch_id)}
