"""The ledger: one row per event, "started" for good, found by day, by trigger and while the run is open."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from moto import mock_aws

from jetway.ledger import Entry, Ledger, LedgerUnavailableError, entry_id
from tests.unit.ledger_table import make_ledger_table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

NOW = datetime(2026, 11, 22, 6, 0, 10, 250_000, tzinfo=UTC)


@pytest.fixture
def table() -> Iterator[Table]:
    with mock_aws():
        yield make_ledger_table()


@pytest.fixture
def ledger(table: Table) -> Ledger:
    return Ledger(table, retention=timedelta(days=2), clock=lambda: NOW)


def entry(digest: str = "aaa", trigger: str = "orders", **changes: object) -> Entry:
    row = Entry(
        id=entry_id(trigger, digest),
        trigger=trigger,
        kind="s3",
        identity=("s3", "acme", "a.csv", "version-id", "1"),
        decision="started",
        decided_at=NOW,
        dag_id="ingest",
        dag_run_id=f"jetway__{trigger}__{digest}",
        state="queued",
        occurred_at=NOW - timedelta(seconds=10),
        latency=10.25,
    )
    return replace(row, **changes)  # type: ignore[arg-type]


def test_a_row_is_read_as_it_was_written(ledger: Ledger) -> None:
    assert ledger.get(entry().id) is None
    assert ledger.record(entry()) == "started"
    assert ledger.get(entry().id) == replace(entry(), deliveries=1)


def test_started_is_final_and_later_deliveries_are_counted(ledger: Ledger) -> None:
    ledger.record(entry())
    late = NOW + timedelta(hours=1)
    assert ledger.record(entry(decision="duplicate", decided_at=late)) == "duplicate"
    assert ledger.record(entry(decision="started", decided_at=late)) == "duplicate"
    assert ledger.record(entry(decision="dead-lettered", because="x", decided_at=late)) == "dead-lettered"
    assert ledger.record(entry(decision="held", because="x", decided_at=late)) == "held"
    assert ledger.get(entry().id) == replace(entry(), deliveries=4)


def test_a_held_event_that_starts_has_no_reason_left(ledger: Ledger) -> None:
    ledger.record(entry(decision="held", because="environment-unavailable: UPDATING", dag_run_id=None, latency=None))
    held = ledger.get(entry().id)
    assert held is not None
    assert (held.decision, held.because, held.deliveries) == ("held", "environment-unavailable: UPDATING", 0)
    ledger.record(entry())
    assert ledger.get(entry().id) == replace(entry(), deliveries=1)


def test_a_copy_of_a_redriven_message_undoes_no_dead_letter_of_it(ledger: Ledger) -> None:
    """It is held while the message itself is given up; only a later redrive wants the event anew."""
    first, second = NOW - timedelta(minutes=9), NOW - timedelta(minutes=2)
    held = entry(decision="held", because="environment-busy: 503")
    ledger.record(entry(decision="dead-lettered", because="dag-not-found: no"), redriven_at=first)
    ledger.record(held, redriven_at=first)
    row = ledger.get(entry().id)
    assert row is not None
    assert row.decision == "dead-lettered"
    ledger.record(held, redriven_at=second)
    row = ledger.get(entry().id)
    assert row is not None
    assert row.decision == "held"


def test_a_dead_letter_that_was_never_redriven_is_held_once_it_is(ledger: Ledger) -> None:
    ledger.record(entry(decision="dead-lettered", because="dag-not-found: no"))
    ledger.record(entry(decision="held", because="environment-busy: 503"), redriven_at=NOW)
    row = ledger.get(entry().id)
    assert row is not None
    assert row.decision == "held"


def test_a_row_lives_for_its_retention(ledger: Ledger, table: Table) -> None:
    ledger.record(entry())
    assert table.get_item(Key={"id": entry().id})["Item"]["ttl"] == int((NOW + timedelta(days=2)).timestamp())


def test_events_are_listed_by_time_over_days_and_by_trigger(ledger: Ledger) -> None:
    at = {digest: NOW - timedelta(hours=hours) for digest, hours in (("new", 0), ("old", 20), ("older", 50))}
    for digest, decided_at in at.items():
        ledger.record(entry(digest, decided_at=decided_at))
    ledger.record(entry("other", trigger="invoices", decided_at=NOW - timedelta(hours=1)))

    def found(trigger: str | None = None, since: datetime | None = None) -> list[str]:
        return [row.id for row in ledger.list_events(trigger, since)]

    assert found() == ["orders#old", "invoices#other", "orders#new"]
    assert found("orders") == ["orders#old", "orders#new"]
    assert found("orders", NOW - timedelta(hours=60)) == ["orders#older", "orders#old", "orders#new"]
    assert found(since=NOW - timedelta(minutes=90)) == ["invoices#other", "orders#new"]


def test_open_runs_are_due_oldest_first_until_they_are_closed(ledger: Ledger) -> None:
    for digest, seconds in (("b", 5), ("a", 9), ("future", -60)):
        at = NOW - timedelta(seconds=seconds)
        ledger.record(entry(digest, decided_at=at), run_since=at)
    ledger.record(entry("unfollowed"))
    first, second = ledger.open_entries(limit=10)
    assert [run.entry.id for run in (first, second)] == ["orders#a", "orders#b"]
    assert first.since == NOW - timedelta(seconds=9)
    assert [run.entry.id for run in ledger.open_entries(limit=1)] == ["orders#a"]

    ledger.look_again(first, state="running", since=NOW, at=NOW + timedelta(minutes=1))
    assert [run.entry.id for run in ledger.open_entries(limit=10)] == ["orders#b"]
    ledger.close(second, state="success", ended_at=NOW)
    ledger.close(second, state="failed", ended_at=NOW)  # a second look of another invocation changes nothing
    assert ledger.open_entries(limit=10) == []
    ended, open_ = ledger.get(second.entry.id), ledger.get(first.entry.id)
    assert ended is not None
    assert open_ is not None
    assert (ended.state, ended.ended_at, ended.decision) == ("success", NOW, "started")
    assert open_.state == "running"


def test_what_was_not_told_stays_open_until_it_is(ledger: Ledger) -> None:
    ledger.record(entry(decision="dead-lettered", because="dag-not-found: x"), untold=True)
    (row,) = ledger.open_entries(limit=10)
    assert (row.untold, row.entry.decision) == (True, "dead-lettered")
    ledger.close(row)
    assert ledger.open_entries(limit=10) == []
    assert ledger.get(entry().id) == replace(entry(decision="dead-lettered", because="dag-not-found: x"), deliveries=1)


def test_a_dead_letter_that_starts_after_all_is_followed(ledger: Ledger) -> None:
    ledger.record(entry(decision="dead-lettered", because="dag-not-found: x"), untold=True)
    ledger.record(entry(), run_since=NOW)
    (row,) = ledger.open_entries(limit=10)
    assert (row.untold, row.entry.decision) == (False, "started")


def test_a_table_that_is_not_there_is_trouble_that_passes(ledger: Ledger, table: Table) -> None:
    table.delete()
    with pytest.raises(LedgerUnavailableError, match="GetItem"):
        ledger.get("x#y")
    with pytest.raises(LedgerUnavailableError, match="UpdateItem"):
        ledger.record(entry())
    with pytest.raises(LedgerUnavailableError, match="Query"):
        ledger.open_entries(limit=1)


def test_a_row_that_expires_between_two_writes_is_trouble(ledger: Ledger, table: Table) -> None:
    """It is neither counted nor written, so the event has to come back."""
    ledger.record(entry())

    def expire(**_call: object) -> None:
        table.meta.client.meta.events.unregister("after-call.dynamodb.UpdateItem", expire)
        table.delete_item(Key={"id": entry().id})

    table.meta.client.meta.events.register("after-call.dynamodb.UpdateItem", expire)
    with pytest.raises(LedgerUnavailableError, match="its time to live is over"):
        ledger.record(entry())
    assert ledger.record(entry()) == "started"
