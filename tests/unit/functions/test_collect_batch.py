"""collect_batch at its edge: deliveries of the collect queue and sweeps in; batches, dead letters, metrics out."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from boto3.dynamodb.conditions import Key
from botocore.exceptions import ClientError

from functions.collect_batch import app

from .edge import Context, Edge, Function
from .sources import chained_event, file_event, records, scheduled


@pytest.fixture
def collect(edge: Edge) -> Function:
    return edge.deploy(app, "CollectBatch")


def event(key: str, *, most: int = 3, within: int = 60, **more: Any) -> dict[str, Any]:
    return file_event(key, batch={"max_events": most, "within": within}, **more)


def rows() -> dict[str, str]:
    """What the ledger says, by the key of the object."""
    found: list[Any] = boto3.resource("dynamodb").Table("LedgerTable").scan()["Items"]
    return {
        row["identity"][-1] if row["identity"] else row["id"]: row["decision"] for row in found if "decision" in row
    }


def manifests() -> list[dict[str, Any]]:
    s3 = boto3.client("s3")
    keys = [found["Key"] for found in s3.list_objects_v2(Bucket="acme-drop").get("Contents", [])]
    return [json.loads(s3.get_object(Bucket="acme-drop", Key=key)["Body"].read()) for key in keys]


def invisible(edge: Edge) -> list[dict[str, int]]:
    """Seconds for which messages were made invisible, call by call, by receipt handle."""
    asked = edge.aws.asked("sqs.ChangeMessageVisibilityBatch")
    assert {each["QueueUrl"] for each in asked} == {edge.url("CollectQueue")}
    return [{entry["ReceiptHandle"]: entry["VisibilityTimeout"] for entry in each["Entries"]} for each in asked]


def let_time_come() -> None:
    """Let the deadline of every open batch be over."""
    table: Any = boto3.resource("dynamodb").Table("BatchTable")
    for item in table.query(KeyConditionExpression=Key("pk").eq("open"))["Items"]:
        table.put_item(Item=item | {"deadline": "2026-01-01T00:00:00+00:00"})


def test_a_batch_is_dispatched_once_when_it_is_full_cold_and_warm(
    edge: Edge, collect: Function, caplog: pytest.LogCaptureFixture
) -> None:
    assert collect.failed(records(event("a"), event("b"))) == []
    assert {"sqs", "dynamodb", "s3"} <= set(collect.clients_made())
    assert collect.metrics() == {"EventsBatched": 2.0, "BatchesDispatched": 0.0}
    (call_back,) = edge.aws.asked("sqs.SendMessage")
    assert (call_back["QueueUrl"], call_back["DelaySeconds"]) == (edge.url("CollectQueue"), 60)
    assert edge.messages("DispatchQueue") == []

    assert collect.failed(records(event("b"), event("c"))) == []
    assert collect.clients_made() == []
    assert collect.metrics() == {"EventsBatched": 1.0, "EventsDuplicate": 1.0, "BatchesDispatched": 1.0}
    lines = [vars(line) for line in caplog.records if line.levelname == "INFO"]
    assert [line["msg"] for line in lines] == ["batched", "batched", "duplicate", "batched", "batch dispatched"]
    assert {line["trigger"] for line in lines} == {"orders"}
    assert {line["batch_id"] for line in lines} == {lines[-1]["batch_id"]}
    assert (lines[0]["identity"][-1], lines[-1]["count"]) == ("a", 3)
    (message,) = edge.messages("DispatchQueue")
    body = json.loads(message["Body"])
    assert lines[-1]["dag_run_id"].startswith("jetway__orders__")
    assert (body["trigger"]["kind"], body["event"]["count"]) == ("batch", 3)
    (manifest,) = manifests()
    assert sorted(each["key"] for each in manifest["events"]) == ["a", "b", "c"]
    assert rows() == dict.fromkeys("abc", "batched")

    assert collect.failed(records(event("c"))) == []
    assert collect.metrics() == {"EventsDuplicate": 1.0, "BatchesDispatched": 0.0}, "a batch is counted once"


def test_a_chain_that_is_too_long_is_in_no_batch_and_counted(edge: Edge, collect: Function) -> None:
    batch = {"max_events": 3, "within": 60}
    assert collect.failed(records(chained_event(99, batch=batch), chained_event(1, batch=batch))) == []
    assert (collect.metrics()["ChainsStopped"], collect.metrics()["EventsBatched"]) == (1.0, 1.0)


def test_a_crash_holds_its_messages_for_half_a_minute_and_trouble_some_seconds(edge: Edge, collect: Function) -> None:
    edge.aws.fails("dynamodb.TransactWriteItems", "ThrottlingException")
    assert collect.failed(records(event("a", trigger="one"), "no JSON")) == ["m0"]
    assert invisible(edge) == [{"handle-m0": 30, "handle-m1": 30}, {"handle-m0": 2}]
    assert collect.failed(records(event("a", trigger="one"), receives=50)) == ["m0"]
    assert invisible(edge)[-1] == {"handle-m0": 600}


def test_the_call_back_at_the_deadline_dispatches_what_is_there(edge: Edge, collect: Function) -> None:
    collect(records(event("a")))
    (call_back,) = edge.aws.asked("sqs.SendMessage")
    let_time_come()
    assert collect.failed(records(call_back["MessageBody"])) == []
    assert collect.metrics() == {"BatchesDispatched": 1.0}
    (message,) = edge.messages("DispatchQueue")
    assert json.loads(message["Body"])["event"]["count"] == 1
    assert collect.failed(records(call_back["MessageBody"])) == []
    assert collect.metrics() == {"BatchesDispatched": 0.0}


def test_a_call_back_that_cannot_be_answered_comes_back(edge: Edge, collect: Function) -> None:
    collect(records(event("a")))
    (call_back,) = edge.aws.asked("sqs.SendMessage")
    edge.aws.fails("dynamodb.GetItem")
    edge.aws.fails("dynamodb.Query")
    assert collect.failed(records(call_back["MessageBody"])) == ["m0"]


def test_a_transient_error_brings_back_what_is_not_safe_and_nothing_else(edge: Edge, collect: Function) -> None:
    edge.aws.fails("dynamodb.TransactWriteItems", "ThrottlingException", times=1)
    two = records(event("a", trigger="one"), event("b", trigger="two"), "no JSON")
    assert collect.failed(two) == ["m0"], "another trigger's event is safe"
    assert collect.metrics() == {"EventsBatched": 1.0, "EventsDeadLettered": 1.0, "BatchesDispatched": 0.0}
    edge.aws.works()
    assert collect.failed({"Records": two["Records"][:1]}) == []
    assert collect.metrics() == {"EventsBatched": 1.0, "BatchesDispatched": 0.0}


def test_what_came_often_and_what_is_new_come_back_together(edge: Edge, collect: Function) -> None:
    edge.aws.fails("dynamodb.TransactWriteItems", "ThrottlingException")
    new, often = records(event("a"), ids="new"), records(event("b"), receives=5, ids="often")
    assert collect.failed({"Records": new["Records"] + often["Records"]}) == ["new0", "often0"]


def test_when_the_ledger_is_not_there_the_event_is_safe_and_comes_back_for_its_row(
    edge: Edge, collect: Function
) -> None:
    edge.aws.fails("dynamodb.UpdateItem")
    event_ = records(event("a", most=1))
    assert collect.failed(event_) == ["m0"]
    edge.aws.works()
    assert collect.failed(event_) == []
    assert rows() == {"a": "batched"}
    assert len(edge.messages("DispatchQueue")) <= 1
    assert len(manifests()) == 1, "it is in one batch"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("no JSON", "unknown-event"),
        (file_event("a"), "unknown-event"),
        (event("a", most=0), "invalid-request"),
        (event("a", dag=None), "invalid-request"),
    ],
)
def test_a_permanent_error_is_a_dead_letter_and_no_failure(
    edge: Edge, collect: Function, body: object, reason: str
) -> None:
    assert collect.failed(records(body, event("b"))) == []
    (letter,) = edge.messages("DispatchDeadLetters")
    assert json.loads(letter["Body"])["reason"] == reason
    assert collect.metrics() == {"EventsBatched": 1.0, "EventsDeadLettered": 1.0, "BatchesDispatched": 0.0}
    assert "dead-lettered" in rows().values()


def test_a_dead_letter_that_cannot_be_kept_comes_back(edge: Edge, collect: Function) -> None:
    edge.aws.fails("sqs.SendMessage", times=1)
    assert collect.failed(records("no JSON")) == ["m0"]
    edge.aws.works()
    assert collect.failed(records("no JSON")) == []
    assert len(edge.messages("DispatchDeadLetters")) == 1


def test_when_time_runs_out_the_rest_comes_back_and_every_event_is_in_one_batch(edge: Edge, collect: Function) -> None:
    context = Context(60)
    edge.aws.on("dynamodb.TransactWriteItems", lambda: context.passes(45))
    delivery = records(*(event(key, most=2) for key in "abcdef"))
    failed = collect.failed(delivery, context)
    assert "m0" not in failed
    assert {"m2", "m3", "m4", "m5"} <= set(failed), "there was time for one claim, of two events"
    assert len(edge.aws.asked("dynamodb.TransactWriteItems")) <= 3, (
        "the claim, and the closing of the batch that it filled"
    )
    edge.aws.works()
    again = {"Records": [record for record in delivery["Records"] if record["messageId"] in failed]}
    assert collect.failed(again) == []
    assert "EventsDuplicate" not in collect.metrics(), "no event is a duplicate of its own first delivery"
    collected = [each["key"] for manifest in manifests() for each in manifest["events"]]
    assert sorted(collected) == list("abcdef")
    assert rows() == dict.fromkeys("abcdef", "batched")


def test_what_is_left_of_an_invocation_counts_in_seconds(edge: Edge, collect: Function) -> None:
    """Nothing is begun that could not end: with a second left, neither a claim nor anything else."""
    failed = collect.failed(records(event("a"), event("b", trigger="two")), Context(1))
    assert (failed, rows()) == (["m0", "m1"], {})
    assert collect.metrics() == {"BatchesDispatched": 0.0}


def test_the_schedule_sweeps_up_what_is_due(edge: Edge, collect: Function) -> None:
    collect(records(event("a")))
    collect(scheduled())
    assert collect.metrics() == {"BatchesDispatched": 0.0}
    let_time_come()
    assert collect.failed(scheduled()) == []
    assert collect.metrics() == {"BatchesDispatched": 1.0}
    assert len(edge.messages("DispatchQueue")) == 1
    collect(scheduled())
    assert collect.metrics() == {"BatchesDispatched": 0.0}


def test_a_sweep_that_fails_is_an_error_of_the_function_and_the_next_one_does_the_rest(
    edge: Edge, collect: Function
) -> None:
    edge.aws.fails("s3.PutObject", "SlowDown")
    assert collect.failed(records(event("a", most=1))) == [], "the event is safe, its batch closed"
    assert collect.metrics() == {"EventsBatched": 1.0, "BatchesDispatched": 0.0}
    edge.aws.works()
    edge.aws.fails("dynamodb.Query")
    with pytest.raises(ClientError, match="ThrottlingException"):
        collect(scheduled())
    assert collect.metrics() == {"BatchesDispatched": 0.0}


class KilledError(BaseException):
    """The process is gone."""


def test_what_ends_the_function_time_and_again_keeps_no_other_event_from_its_batch(
    edge: Edge, collect: Function
) -> None:
    def die() -> None:
        if "killer" in str(edge.aws.asked("dynamodb.TransactWriteItems")[-1]):
            raise KilledError

    edge.aws.on("dynamodb.TransactWriteItems", die)
    fresh, killer = records(event("a")), records(event("killer", trigger="killer"), ids="k", receives=3)
    both = {"Records": killer["Records"] + fresh["Records"]}
    with pytest.raises(KilledError):
        collect(both)
    assert invisible(edge) == [{"handle-k0": 30, "handle-m0": 30}]
    assert rows()["a"] == "batched", "it has its place before the other one is looked at"
