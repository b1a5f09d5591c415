"""An Airflow that makes runs and loses answers, messages, and what one outcome is."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

from jetway.airflow import DagRun, DagRunRequest
from jetway.dispatch.messages import Message
from jetway.dispatch.run import parse_message
from jetway.ledger import entry_id
from tests.unit.dispatching import NOW, FakeAirflow, World, file_message, message

YOUNG = {"max_event_age": 300}
CHOSEN = "by-hand-1"  # of the call in dispatch_batch.json
DERIVED = "jetway__http__neao5nwq7jut2lxa4mqj"


class KilledError(BaseException):
    """The function is gone."""


class Airflow(FakeAirflow):
    """Airflow that makes the run, and then answers what `after` says; `blind` look-ups get no answer."""

    after: Exception | BaseException | None = None
    blind: Exception | None = None
    looks: int = 0

    def trigger_dag_run(self, request: DagRunRequest) -> DagRun:
        run = super().trigger_dag_run(request)
        after, self.after = self.after, None
        if after is not None:
            raise after
        return run

    def get_dag_run(self, dag_id: str, dag_run_id: str) -> DagRun | None:
        self.looks += 1
        if self.blind is not None:
            raise self.blind
        return super().get_dag_run(dag_id, dag_run_id)


def call(run_id: str = CHOSEN, **changes: Any) -> Message:
    body = json.loads(message(2).body)
    body["event"]["dag_run_id"] = run_id
    return message(2, body=json.dumps(body), **changes)


def again(of: Message, **changes: Any) -> Message:
    """Return a message as SQS delivers it once more."""
    return replace(of, tries=of.tries + 1, **changes)


def row_id(world: World) -> str:
    """Return the key of the row of `file_message()`."""
    read = parse_message(file_message().body, sent_at=world.now)
    return entry_id(read.trigger.name, read.digest)


def tries_of(world: World) -> list[str]:
    """Return the tries in the row of `file_message()` whose end is not known."""
    item: Any = world.ledger.table.get_item(Key={"id": row_id(world)})["Item"]
    return sorted(item["attempts"])


def is_started_told_and_followed(world: World) -> None:
    """One run, in the ledger as started, announced, in the open rows; no dead letter."""
    (row,) = world.ledger.list_events(since=NOW - timedelta(days=1))
    assert (row.decision, len(world.airflow.runs)) == ("started", 1)
    assert {event.id for event in world.told} == {f"{row.id}#started"}
    assert [found.entry.id for found in world.ledger.open_entries(limit=9)] == [row.id]
    assert world.letters() == []
