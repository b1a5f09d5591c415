"""What a batch holds, when it closes, what is refused, and what its run is told."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from jetway.airflow.names import encode_conf
from jetway.batches.closing import ForeignManifestError
from jetway.batches.collector import MOST_TRIES, Collected
from jetway.batches.model import LARGEST_LIST_IN_CONF, LARGEST_MEMBER, parse_member
from jetway.batches.table import LARGEST_BATCH, LARGEST_PAGE
from jetway.errors import JetwayError
from tests.unit.batches.world import START, World, event
from tests.unit.ledger_table import make_ledger_table


def large(number: int, size: int, **trigger: Any) -> str:
    """Return an event whose facts have about so many bytes."""
    message = json.loads(event(number, **trigger))
    message["trigger"]["kind"] = "event"
    message["event"] |= {"source": "acme", "detail-type": "x", "key": str(number), "pad": '"' * (size // 2)}
    return json.dumps(message)


def test_a_full_batch_goes_out_at_once_with_all_that_its_run_needs(world: World) -> None:
    done, failed = world.take([event(number) for number in (3, 1, 2, 0, 4)])
    assert failed == []
    assert {one.decision for one in done} == {"batched"}
    (message,) = world.dispatched()
    assert message["trigger"] == {"name": "orders", "kind": "batch", "of": "s3", "dag": "load"}
    ((run_id, conf),) = world.runs().items()
    assert {one.dag_run_id for one in done} == {run_id}
    assert conf["count"] == 5
    assert conf["manifest"] == f"s3://drop/batches/orders/{conf['batch_id']}.json"
    assert [fact["key"] for fact in conf["events"]] == ["0", "1", "2", "3", "4"]  # by time
    assert world.judge(range(5), largest=5) == [[0, 1, 2, 3, 4]]


def test_a_batch_that_never_fills_goes_out_at_its_deadline_and_not_before(world: World) -> None:
    world.take([event(1, within=1200)])
    (callback,) = world.callbacks()
    world.now += timedelta(seconds=900)  # the longest that SQS delays
    world.take([callback])
    world.sweep()
    assert world.dispatched() == []
    (callback,) = world.callbacks()
    world.now += timedelta(seconds=300)
    world.take([callback])
    assert world.judge([1], largest=5) == [[1]]
    world.take([callback])
    assert world.callbacks() == []


def test_the_sweep_alone_keeps_the_deadline_to_a_minute(world: World) -> None:
    world.take([event(1)])
    world.callbacks()
    world.now += timedelta(seconds=300)
    world.sweep()
    assert world.judge([1], largest=5) == [[1]]


def test_a_late_duplicate_is_dropped_as_one_of_its_batch(world: World) -> None:
    first, _ = world.take([event(number) for number in range(5)])
    world.now += timedelta(days=30)
    (late,), failed = world.take([event(3)])
    assert failed == []
    assert (late.decision, late.batch_id) == ("duplicate", first[0].batch_id)
    assert late.because == f"duplicate of an event in batch {late.batch_id}"
    assert world.table.list_open() == []
    world.judge(range(5), largest=5)


def test_a_batch_whose_claims_have_all_expired_is_still_not_opened_again(world: World) -> None:
    world.take([event(1), event(2)])
    world.settle()
    for number in (1, 2):
        digest = parse_member(event(number), sent_at=START)[1].digest
        key = {"pk": {"S": f"event#orders#{digest}"}, "sk": {"S": "claim"}}
        assert "Item" in world.dynamodb.get_item(TableName="batches", Key=key)
        world.dynamodb.delete_item(TableName="batches", Key=key)
    done, failed = world.take([event(1), event(2)])
    assert ([one.decision for one in done], failed) == (["duplicate", "duplicate"], [])
    world.judge([1, 2], largest=5)


def test_every_event_has_a_row_that_names_its_batch_however_often_it_comes(world: World) -> None:
    done, _ = world.take([event(1), event(2), event(1)])
    world.take([event(2)])
    rows = {row.identity[2]: row for row in world.ledger.list_events("orders", START - timedelta(days=1))}
    assert {key: (row.decision, row.deliveries) for key, row in rows.items()} == {
        "1": ("batched", 2),
        "2": ("batched", 2),
    }
    assert {row.batch_id for row in rows.values()} == {done[0].batch_id}
    world.settle()
    assert {row.dag_run_id for row in rows.values()} == set(world.runs())


def test_events_whose_row_is_not_taken_come_back_and_are_safe(world: World) -> None:
    name = world.ledger.table.name
    world.dynamodb.delete_table(TableName=name)
    assert world.take([event(1), event(2)]) == ([], ["0", "1"])
    make_ledger_table()
    done, failed = world.take([event(1), event(2)])
    assert ([one.decision for one in done], failed) == (["batched", "batched"], [])
    rows = world.ledger.list_events("orders", START - timedelta(days=1))
    assert [row.decision for row in rows] == ["batched", "batched"]
    world.settle()
    world.judge([1, 2], largest=5)


def test_triggers_do_not_share_batches_and_a_changed_trigger_opens_its_own(world: World) -> None:
    world.take([event(1), event(1, name="archive"), event(2, dag="load_v2"), event(1, dag="load_v2")])
    world.settle()
    found = {(m["trigger"]["name"], m["trigger"]["dag"]): m["event"]["count"] for m in world.dispatched()}
    assert found == {("orders", "load"): 1, ("archive", "load"): 1, ("orders", "load_v2"): 1}


@pytest.mark.slow
def test_a_large_batch_has_many_pages_and_only_a_manifest(world: World) -> None:
    bodies = [event(number, max_events=250) for number in range(250)]
    done, failed = world.take(bodies)
    assert (len(done), failed) == (250, [])
    ((_, conf),) = world.runs().items()
    assert "events" not in conf
    world.judge(range(250), largest=250)


@pytest.mark.slow
def test_large_events_stay_within_what_an_item_and_a_finisher_take(world: World) -> None:
    assert 2 * LARGEST_MEMBER > LARGEST_PAGE  # two of the largest have no page in common
    count = LARGEST_BATCH // 250_000 + 3
    for start in range(0, count, 10):
        bodies = [large(number, 250_000, max_events=10_000) for number in range(start, min(count, start + 10))]
        assert world.take(bodies)[1] == []
    world.settle()
    assert len(world.judge(range(count), largest=count)) == 2


def test_the_list_in_conf_is_bounded_and_left_out_where_airflow_could_not_hold_it(world: World) -> None:
    world.take([large(1, LARGEST_LIST_IN_CONF - 400, max_events=1, name="small")])
    world.take([large(2, LARGEST_LIST_IN_CONF + 400, max_events=1, name="large")])
    odd = json.loads(event(3, max_events=1, name="odd"))
    odd["event"]["detail"]["object"]["etag"] = "nul \0"
    world.take([json.dumps(odd)])
    listed = {m["trigger"]["name"]: "events" in m["event"] for m in world.dispatched()}
    assert listed == {"small": True, "large": False, "odd": False}
    for conf in world.runs().values():
        encode_conf(conf)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("no json", "unknown-event"),
        ("[]", "unknown-event"),
        ('{"trigger": {"name": "t", "kind": "s3", "dag": "d"}, "event": {}}', "unknown-event"),
        (event(1, kind="pigeon"), "unknown-event"),
        (event(1, kind=["s3"]), "unknown-event"),
        (event(1, name="no/slash"), "unknown-event"),
        (event(1, dag=None), "invalid-request"),
        (event(1, max_events=0), "invalid-request"),
        (event(1, max_events=10_001), "invalid-request"),
        (event(1, batch={"max_events": True, "within": 60}), "invalid-request"),
        (event(1, batch={"max_events": 5, "within": "5m"}), "invalid-request"),
        (event(1, within=86_401), "invalid-request"),
        (large(1, LARGEST_MEMBER), "invalid-conf"),
    ],
)
def test_what_can_be_in_no_batch_is_a_dead_letter_and_keeps_nothing_else_back(
    world: World, body: str, reason: str
) -> None:
    done, failed = world.take([body, event(7)])
    assert ([one.decision for one in done], failed) == (["dead-lettered", "batched"], [])
    (letter,) = world.letters()
    whose = "orders" if '"orders"' in body else "t" if '"t"' in body else "unknown"
    assert (letter["reason"], letter["trigger"] or "unknown", done[0].trigger) == (reason, whose, whose)
    assert letter["message"] == (json.loads(body) if body != "no json" else body)


def test_a_dead_letter_that_is_not_taken_comes_back_alone(world: World) -> None:
    world.sqs.delete_queue(QueueUrl=world.dead)
    done, failed = world.take(["no json", event(7)])
    assert ([one.decision for one in done], failed) == (["batched"], ["0"])


def test_a_dead_letter_whose_row_is_not_taken_comes_back_for_it(world: World) -> None:
    world.ledger.table.delete()
    done, failed = world.take(["no json", event(7)])
    assert (done, failed) == ([], ["0", "1"])


JSON = st.recursive(
    st.none() | st.booleans() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)


@given(st.text() | JSON.map(json.dumps))
def test_no_body_raises_anything_but_the_typed_errors(body: str) -> None:
    with pytest.raises(JetwayError):
        parse_member(body, sent_at=START)


def test_a_forced_event_is_another_event(world: World) -> None:
    forced = json.dumps(json.loads(event(1)) | {"force": "again"})
    done, _ = world.take([event(1), forced, forced])
    assert [one.decision for one in done] == ["batched", "batched", "duplicate"]


def test_with_no_time_left_the_rest_comes_back(world: World) -> None:
    done, failed = world.take([event(number, max_events=2) for number in range(6)], seconds=1)
    assert len(done) + len(failed) == 6
    assert failed
    world.take([event(number, max_events=2) for number in range(6)])
    world.settle()
    world.judge(range(6), largest=2)


@pytest.mark.parametrize("seconds", [[1.0], [100.0, 1.0]], ids=["before the claim", "after the claim"])
def test_near_the_deadline_no_full_batch_stays_open_and_no_event_is_a_duplicate(
    world: World, seconds: list[float]
) -> None:
    bodies = [event(number, max_events=5) for number in range(5)]
    done, failed = world.take(bodies, seconds=seconds)
    assert world.table.list_open() == [], "it would wait for its deadline, or for the next event"
    assert len(done) == len(world.runs()) * 5, "a batch is claimed and sent out, or nothing is"
    done += world.take([bodies[int(message_id)] for message_id in failed])[0]
    assert [one.decision for one in done] == ["batched"] * 5
    world.judge(range(5), largest=5)


def test_the_time_is_looked_at_between_batches(world: World) -> None:
    bodies = [event(number, max_events=2) for number in range(6)]
    done, failed = world.take(bodies, seconds=[100.0, 100.0, 1.0])
    assert ([one.identity[2] for one in done], failed) == (["0", "1", "2", "3"], ["4", "5"])
    assert world.table.list_open() == []
    assert [conf["count"] for conf in world.runs().values()] == [2, 2]


def test_a_manifest_that_is_not_ours_is_not_overwritten_and_is_told(world: World) -> None:
    world.take([event(1)])
    batch_id = world.table.list_open()[0].batch_id
    key = f"batches/orders/{batch_id}.json"
    world.s3.put_object(Bucket="drop", Key=key, Body=b"{}")
    world.now += timedelta(minutes=10)
    world.sweep()  # closes it, and leaves it
    world.now += timedelta(minutes=2)
    with pytest.raises(ForeignManifestError, match="remove it"):
        world.sweep()
    assert world.dispatched() == []
    world.s3.delete_object(Bucket="drop", Key=key)
    world.sweep()
    assert [message["event"]["batch_id"] for message in world.dispatched()] == [batch_id]


def test_trouble_with_one_batch_does_not_keep_the_sweep_from_others(world: World) -> None:
    world.take([event(1, name="first"), event(2, name="second")])
    world.now += timedelta(minutes=10)
    world.s3.delete_bucket(Bucket="drop")
    world.sweep()
    world.now += timedelta(minutes=2)
    with pytest.raises(ClientError, match="NoSuchBucket"):
        world.sweep()
    world.s3.create_bucket(Bucket="drop", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    world.sweep()
    world.judge([1, 2], largest=5)


def test_a_collector_that_is_always_outrun_gives_its_events_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    stale = world.collector()
    world.take([event(1)])
    there = world.table.list_open()[0]
    world.take([event(number) for number in range(2, 6)])  # the batch is full and gone
    stream, member = parse_member(event(9), sent_at=START)
    monkeypatch.setattr(stale._table, "find_open", lambda _stream: there)
    settled: list[Collected] = []
    with pytest.raises(JetwayError, match="another collector"):
        stale.collect(stream, [member], on_settled=settled.append, on_dispatched=world.sent.append)
    assert settled == []
    assert len(world.pauses) == MOST_TRIES - 1
    assert max(world.pauses) <= 0.5
