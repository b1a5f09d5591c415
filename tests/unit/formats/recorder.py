"""What this version of Jetway leaves in queues and tables, recorded for the versions after it.

    python -m tests.unit.formats.recorder     writes tests/data/formats/<version>.json; once for each release

A recording is made by the writers themselves, each as it stands in production, and is never edited: `test_recorded`
reads every recording there is.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import boto3
from moto import mock_aws

from jetway.airflow import DagRunRequest
from jetway.dispatch.dead_letters import send_dead_letter
from jetway.dispatch.run import parse_message
from jetway.errors import EventTooOldError
from jetway.http.run_requests import HttpCall, accept
from jetway.ledger import Attempt, Entry, entry_id
from jetway.promotion.artifact_state import ArtifactState, Defect, LiveVersion
from jetway.promotion.state_table import ArtifactStateTable
from jetway.triggers.file import in_force, parse
from jetway.triggers.resources import EVENT_OF_RULE, EVENT_OF_SCHEDULE, message_template
from jetway.updates.record import UpdateRecord, UpdateTable
from jetway_cli.letters import body_again
from tests.unit.batches.world import World as BatchWorld
from tests.unit.batches.world import event as batch_event
from tests.unit.dispatching import World, message
from tests.unit.ledger_table import make_table
from tests.unit.sample_events import ROOT, sample_event

FOLDER = ROOT / "tests" / "data" / "formats"
NOW = datetime(2026, 11, 22, 6, 0, 10, tzinfo=UTC)
CALL = HttpCall("call-1", "arn:aws:iam::111122223333:user/ann", b'{"conf": {"day": 1}}', None, NOW)
FILE = b"""\
on:
  s3: {bucket: acme-landing, key: {prefix: orders/}}
dag: ingest_orders
conf: {path: "s3://{{ bucket }}/{{ key }}", html: "<b>"}
limits: {max_event_age: 2h, rate: 10/min}
"""
NIGHTLY = b"""\
on:
  schedule: {cron: "0 6 * * ? *", timezone: Europe/Berlin}
dag: nightly
"""
BATCHED = b"""\
on:
  s3: {bucket: acme-landing, key: {prefix: clicks/}}
dag: load_clicks
batch: {max_events: 2, within: 5m}
"""
BAD = LiveVersion(
    "v2", "live", "dags/orders.py", "copy of v2", "dag-file", "accepted", NOW, "reports/v2.json", ("orders",)
)
GOOD = LiveVersion(
    "v1", "live", "dags/orders.py", "copy of v1", "dag-file", "accepted", NOW, "reports/v1.json", ("orders",)
)


def record() -> dict[str, Any]:
    """Return bodies of messages, and tables as lists of items in DynamoDB's JSON."""
    with mock_aws():
        world = World()
        found = {"messages": {**_bodies(), **_of_queues(world)}, "ledger": _ledger(world)}
    with mock_aws():
        found["artifacts"] = _artifacts()
    with mock_aws():
        found |= _batches()
    return found


def _bodies() -> dict[str, str]:
    schedule = json.dumps({"schedule-arn": "arn:aws:scheduler:eu-central-1:111122223333:schedule/jetway/nightly",
                           "scheduled-time": "2026-11-22T06:00:00Z"})  # fmt: skip
    upload = json.dumps(sample_event("s3_object_created"))
    return {
        "a file": _template(FILE, "orders", EVENT_OF_RULE).replace(EVENT_OF_RULE, upload),
        "a schedule": _template(NIGHTLY, "nightly", EVENT_OF_SCHEDULE).replace(EVENT_OF_SCHEDULE, schedule),
        "a file of a batch": _template(BATCHED, "clicks", EVENT_OF_RULE).replace(EVENT_OF_RULE, upload),
    }


def _template(content: bytes, name: str, event: str) -> str:
    parsed = parse(content, f"triggers/{name}.yaml")
    assert parsed.trigger is not None, parsed.judgement
    return message_template(in_force(parsed.trigger), event)


def _of_queues(world: World) -> dict[str, str]:
    """A call, the same waiting aside, as a dead letter, and redriven."""
    accept(world.sqs, world.dispatch_url, DagRunRequest("orders", "mine", {"day": 1}), CALL)
    (call,) = (found["Body"] for found in world.take(world.dispatch_url))
    world.waiting.aside(message(body=call), None, because="dag-not-found: not parsed yet")
    (waiting,) = (found["Body"] for found in world.take(world.waiting_url))
    read = parse_message(call, sent_at=NOW)
    entry = Entry(
        entry_id("http", read.digest), "http", "http", read.identity, "dead-lettered", NOW, "event-too-old: late"
    )
    send_dead_letter(world.sqs, world.dead_url, message(body=call), EventTooOldError("late"), entry=entry)
    (letter,) = (found["Body"] for found in world.take(world.dead_url))
    redriven = body_again(json.loads(letter)["message"], now=NOW.isoformat(), by="arn:aws:iam::111122223333:user/ann")
    return {"a call": call, "one that waits": waiting, "a dead letter": letter, "redriven": redriven}


def _ledger(world: World) -> list[Any]:
    """Rows of an event that has its run, that was tried, that is held, and that is a dead letter."""
    entry = Entry(
        entry_id("orders", "a"),
        "orders",
        "s3",
        ("s3", "acme", "a.csv"),
        "started",
        NOW,
        dag_id="ingest_orders",
        dag_run_id="jetway__orders__a",
        state="queued",
        occurred_at=NOW,
        latency=1.25,
    )
    world.ledger.begin(entry.id, attempt=Attempt(NOW, "ingest_orders", "0badcafe"))
    world.ledger.record(entry, run_since=NOW)
    world.ledger.begin(entry_id("orders", "b"), attempt=Attempt(NOW, "ingest_orders", "0badcafe"), place=1_700_000_000)
    for digest, decision in (("c", "held"), ("d", "dead-lettered")):
        id_ = entry_id("orders", digest)
        world.ledger.begin(id_)
        row = Entry(id_, "orders", "s3", ("s3", digest), decision, NOW, f"{decision}: why", until=NOW)  # type: ignore[arg-type]
        world.ledger.record(row, untold=decision == "dead-lettered")
    return _items(world.dynamodb, world.ledger.table.name)


def _artifacts() -> list[Any]:
    """Standings of a file that is being verified and of one that was rolled back, and the record of an update."""
    name, client = make_table("ArtifactTable", "artifacts").name, boto3.client("dynamodb", region_name="eu-central-1")
    standings = ArtifactStateTable(client, name)
    standings.put(ArtifactState("dags/orders.py", "verifying", BAD, GOOD, due_at=NOW + timedelta(minutes=2)))
    problem = Defect("dags/clicks.py", "KeyError: 'x'")
    standings.put(ArtifactState("dags/clicks.py", "rolled-back", GOOD, GOOD, rolled_back=("v2",), problems=(problem,)))
    UpdateTable(client, name).put(
        UpdateRecord(
            "updating",
            artifacts={"requirements.txt": BAD},
            changes={"RequirementsS3ObjectVersion": "copy of v2"},
            before={"requirements.txt": ("requirements.txt", "copy of v1")},
            began_at=NOW,
        )
    )
    return _items(client, name)


def _batches() -> dict[str, Any]:
    """A batch that is open, and one that is closed and on its way; the manifest that the latter has."""
    world = BatchWorld()
    world.take([batch_event(number, max_events=3) for number in (1, 2)])
    before = _items(world.dynamodb, "batches")
    (hint,) = world.callbacks()
    world.take([batch_event(3, max_events=3)])
    (sent,) = world.dispatched()
    return {
        "open batch": before,
        "batch": {"hint": hint, "message": json.dumps(sent), "manifest": world.manifest(sent["event"]["manifest"])},
    }


def _items(client: Any, table: str) -> list[Any]:
    items = client.scan(TableName=table)["Items"]
    return sorted(items, key=lambda item: [item[name]["S"] for name in ("pk", "id", "sk") if name in item])


def main() -> None:
    """Write the recording of this version."""
    file = FOLDER / f"{sys.argv[1] if sys.argv[1:] else version('jetway')}.json"
    file.write_text(json.dumps(record(), indent=1, sort_keys=True, default=sorted) + "\n")
    sys.stdout.write(f"{Path(file).relative_to(ROOT)}\n")


if __name__ == "__main__":
    main()
